//! Ledgers, windows, detectors and the incident book: ticks in, transitions out.

pub mod detector;
pub mod judge;
pub mod ledger;
pub mod refusal;
pub mod settings;
pub mod view;

mod book;
mod saved;
mod sentence;

pub use detector::{Switch, Verdict};
pub use judge::{Held, Judge, Step};
pub use settings::Settings;

/// Why a saved judge cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another version of the program wrote it: its records must be judged again.
    #[error("the saved judge has version {found}; this program reads version {known}")]
    Version {
        /// The version of the bytes.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// The bytes are damaged.
    #[error("the saved judge cannot be read: {0}")]
    Malformed(String),
}
