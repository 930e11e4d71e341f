//! What the store needs from a directory.

use std::fmt::Debug;
use std::io;

use redb::StorageBackend;

/// A directory for one store: one database file and any number of segment files.
///
/// Every method is one step that a power cut can come before or after. A file's content is
/// durable after [`Disk::sync`], its name after [`Disk::sync_directory`].
pub trait Disk: Debug + Send + Sync {
    /// Opens file `name` for a database; an absent one is created empty.
    fn database(&self, name: &str) -> io::Result<Box<dyn StorageBackend>>;

    /// The names of all files, in order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The content of file `name`.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Creates file `name` with `content`, or replaces it.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Makes the content of file `name` durable.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives file `from` the name `to`, replacing what has that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes created, renamed and deleted names durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Deletes file `name`.
    fn delete(&self, name: &str) -> io::Result<()>;
}
