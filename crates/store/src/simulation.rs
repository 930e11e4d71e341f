//! A world that can end at any step, for crash tests.

/// A fault to plant, so that a test can show that it would be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Transactions are not synced.
    NotSynced,
}
