//! Which build this is.

/// The version that `plimsoll version` and `/version` tell.
pub fn version() -> String {
    format!("plimsoll {}", env!("CARGO_PKG_VERSION"))
}

/// The version with what it was built from and for, for a person.
pub fn long() -> String {
    let commit = commit().unwrap_or("unknown");
    let (profile, target) = (env!("PLIMSOLL_BUILD_PROFILE"), env!("PLIMSOLL_BUILD_TARGET"));
    format!("{}\ncommit: {commit}\nbuild: {profile}, {target}", version())
}

/// The commit that the program was built from, if the build knew it.
pub fn commit() -> Option<&'static str> {
    Some(env!("PLIMSOLL_BUILD_COMMIT")).filter(|commit| *commit != "unknown")
}

/// The name of the build in checkpoints: another build rebuilds state rather than trusting it.
pub fn build() -> String {
    format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}
