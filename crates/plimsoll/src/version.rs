//! Which build this is.

/// The version that `plimsoll version` and `/version` tell.
pub fn version() -> String {
    format!("plimsoll {}", env!("CARGO_PKG_VERSION"))
}

/// The name of the build in checkpoints: another build rebuilds state rather than trusting it.
pub fn build() -> String {
    format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}
