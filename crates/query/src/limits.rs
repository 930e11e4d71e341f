//! How much one answer may cost.

use std::time::Duration;

/// [`Limits::time`] if nothing else is said.
pub const TIME_DEFAULT: Duration = Duration::from_secs(30);

/// [`Limits::memory_bytes`] if nothing else is said.
pub const MEMORY_BYTES_DEFAULT: usize = 512 * 1024 * 1024;

/// [`Limits::rows`] if nothing else is said.
pub const ROWS_DEFAULT: usize = 100_000;

/// How much one answer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take; then there is no answer.
    pub time: Duration,
    /// How much memory the engine may use for it, the answer included; above it there is no
    /// answer. Nothing is spilled to disk.
    pub memory_bytes: usize,
    /// How many rows it may have; it is cut after them, and says so.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { time: TIME_DEFAULT, memory_bytes: MEMORY_BYTES_DEFAULT, rows: ROWS_DEFAULT }
    }
}
