//! What can go wrong with the store, and whether trying again can help.

use std::io;
use std::path::PathBuf;

use plimsoll_model::IncidentId;

use crate::tables::FORMAT_VERSION;

/// Whether the same call can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It can: the cause may pass by itself or be removed by a person.
    Later,
    /// It cannot, in this process and with this input.
    Never,
}

/// Why a call of the store failed. Nothing of a failed call is visible afterwards, except perhaps,
/// after a restart, of one that ended in [`Error::Poisoned`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the data directory.
    #[error(
        "data directory `{}` is in use by {}; stop it, or give this pipeline a directory of its own",
        dir.display(), holder(.process)
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The other process, if its id could be read.
        process: Option<u32>,
    },
    /// The data directory was written by a newer version. It was not touched.
    #[error(
        "data directory has format {found}, this version reads up to {FORMAT_VERSION}; \
         start the newer version again"
    )]
    NewerFormat {
        /// The version that was found.
        found: u32,
    },
    /// The data directory was written by a build before the first release. It was not touched.
    #[error(
        "data directory has format {found} of a build before the first release, this version \
         reads {FORMAT_VERSION}; start with an empty directory, or use that build"
    )]
    OlderFormat {
        /// The version that was found.
        found: u32,
    },
    /// The data directory belongs to another pipeline.
    #[error("data directory belongs to pipeline `{stored}`, not to `{given}`")]
    OtherPipeline {
        /// The name in the store.
        stored: String,
        /// The name that was asked for.
        given: String,
    },
    /// The disk is full. Nothing of the call was stored; the store goes on when there is space.
    #[error(
        "no space left on the disk of the data directory ({source}); free some space, \
         the call can then be repeated"
    )]
    Full {
        /// What the system said.
        source: io::Error,
    },
    /// A sync or a write failed. What the disk holds now is known only after a restart: whether
    /// the failed call became durable, too.
    #[error(
        "the disk failed to keep what was written ({cause}); check it and restart, \
         what was acknowledged is durable"
    )]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// What was read back is not what was written.
    #[error(
        "the data directory is damaged: {0}; restore it from a backup or start with an empty one"
    )]
    Corrupt(String),
    /// The commit contradicts what is already durable: the same input no longer gives the same
    /// transitions.
    #[error("transition {sequence} of incident {incident} contradicts the durable one: {detail}")]
    Conflict {
        /// The incident.
        incident: IncidentId,
        /// The transition's place in it.
        sequence: u32,
        /// What differs.
        detail: String,
    },
    /// The call itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The system refused to do something with the disk.
    #[error("cannot use the data directory: {0}; check the path, and that this user may write it")]
    Disk(#[source] io::Error),
}

fn holder(process: &Option<u32>) -> String {
    match process {
        Some(id) => format!("process {id}"),
        None => "another process".into(),
    }
}

impl Error {
    /// Whether the same call can succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Locked { .. } | Error::Full { .. } | Error::Disk(_) => Retry::Later,
            Error::NewerFormat { .. }
            | Error::OlderFormat { .. }
            | Error::OtherPipeline { .. }
            | Error::Poisoned { .. }
            | Error::Corrupt(_)
            | Error::Conflict { .. }
            | Error::Invalid(_) => Retry::Never,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::Full { source: error }
            }
            io::ErrorKind::InvalidData => Error::Corrupt(error.to_string()),
            _ => Error::Disk(error),
        }
    }
}

impl From<redb::Error> for Error {
    fn from(error: redb::Error) -> Error {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::PreviousIo | redb::Error::LockPoisoned(_) => {
                Error::Poisoned { cause: error.to_string() }
            }
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                Error::Disk(io::Error::new(io::ErrorKind::ResourceBusy, error.to_string()))
            }
            other => Error::Corrupt(other.to_string()),
        }
    }
}

/// redb has one error type per station; for us they are one.
macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_redb!(
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);
