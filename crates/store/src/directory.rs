//! [`Directory`]: a [`Disk`] that is one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::{Disk, Error};

/// The file that one process at a time has locked; it holds that process's id.
pub(crate) const LOCK_FILE: &str = "lock";

/// A real directory, readable by its owner only, locked against other processes.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// `None` for a reader.
    _lock: Option<File>,
}

impl Directory {
    /// Creates `path` with mode 0700 if it is absent and locks it.
    ///
    /// Fails with [`Error::Locked`] if another process has the lock.
    pub fn lock(path: &Path) -> Result<Directory, Error> {
        at(path.to_owned(), |path| DirBuilder::new().recursive(true).mode(0o700).create(path))?;
        let mut lock = at(path.join(LOCK_FILE), |path| private().truncate(false).open(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path.join(LOCK_FILE)).unwrap_or_default();
                let process = holder.trim().parse().ok();
                return Err(Error::Locked { dir: path.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Directory { path: path.to_owned(), _lock: Some(lock) })
    }

    /// An existing directory that another process may have locked, for reading alone.
    pub(crate) fn reader(path: &Path) -> Directory {
        Directory { path: path.to_owned(), _lock: None }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// What `call` does with `path`; an error says which path it was.
fn at<T>(path: PathBuf, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    call(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
}

/// Opens or creates a file with mode 0600 for reading and writing.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

impl Disk for Directory {
    fn database(&self, name: &str) -> io::Result<Box<dyn StorageBackend>> {
        let file = at(self.file(name), |path| private().truncate(false).open(path))?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(backend))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in at(self.path.clone(), |path| fs::read_dir(path))? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        at(self.file(name), |path| fs::read(path))
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        at(self.file(name), |path| private().truncate(true).open(path)?.write_all(content))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        at(self.file(name), |path| File::open(path)?.sync_all())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        at(self.file(from), |path| fs::rename(path, self.file(to)))
    }

    fn sync_directory(&self) -> io::Result<()> {
        at(self.path.clone(), |path| File::open(path)?.sync_all())
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        at(self.file(name), |path| fs::remove_file(path))
    }
}
