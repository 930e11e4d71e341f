//! What can go wrong outside an attempt to deliver.

/// An error of building a sink, of `migrate` or of `ping`.
///
/// Attempts to deliver do not fail with it: their end is an
/// [`Outcome`](plimsoll_model::Outcome).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work as it is written.
    #[error("{0}")]
    Config(String),
    /// The server did not answer, or answered that it cannot now.
    #[error("{0}")]
    Unavailable(String),
    /// The database is not in a state that this build can go on from.
    #[error("{0}")]
    Schema(String),
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Yes, after a while.
    Later,
    /// Not until somebody changes something.
    Never,
}

impl Error {
    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Unavailable(_) => Retry::Later,
            Error::Config(_) | Error::Schema(_) => Retry::Never,
        }
    }
}
