//! The database's backend, watched: a failed sync is remembered whoever sees the error.

use std::fmt::Display;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use redb::{BackendError, StorageBackend};

use crate::Error;
use crate::fault::Fault;

/// Whether what was written may be lost, and by which error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<OnceLock<String>>);

impl Health {
    /// The error after which nothing is certain, if there was one.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.0.get() {
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn poison(&self, cause: impl Display) {
        self.0.get_or_init(|| cause.to_string());
    }

    /// The result of a sync: after a failed one the pages may be gone from the cache as well, so
    /// that trying again would claim success for what was lost.
    pub(crate) fn synced(&self, result: io::Result<()>) -> io::Result<()> {
        result.inspect_err(|error| self.poison(error))
    }

    /// The result of a write: a full disk is an answer, everything else is a broken disk.
    fn written(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if !is_full(&error) => self.synced(Err(error)),
            other => other,
        }
    }
}

/// Whether the disk has no space for what was to be written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A backend that reports to a [`Health`].
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) inner: Box<dyn StorageBackend>,
    pub(crate) health: Health,
    pub(crate) fault: Option<Fault>,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.written(self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.fault == Some(Fault::DatabaseNotSynced) {
            return Ok(());
        }
        self.health.synced(self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.written(self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
