//! [`SimulatedDisk`]: a disk that loses what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use super::World;
use crate::Disk;

/// What a disk hands out to files, in bytes. A file that was lengthened and not written takes none.
const BLOCK_BYTES: usize = 4096;

/// What a disk keeps whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

/// What happens to unsynced writes and names when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The disk had written all of them.
    Keep,
    /// The disk had written none of them.
    Drop,
    /// The disk had written some sectors, some lengths, and the first few names, drawn from this
    /// seed.
    Tear(u64),
}

/// A disk in a [`World`]. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    world: World,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: Names,
    durable_names: Names,
    /// The states of `names` since the directory was synced.
    names_since: Vec<Names>,
    capacity: Option<usize>,
    syncs_fail: bool,
}

type Names = BTreeMap<String, usize>;

#[derive(Debug, Default)]
struct Content {
    /// As the process sees it.
    cached: Vec<u8>,
    /// As it is after the loss of everything unsynced.
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// The blocks that were ever written.
    blocks: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl SimulatedDisk {
    /// An empty disk in `world`.
    pub fn new(world: World) -> SimulatedDisk {
        SimulatedDisk { world, state: Arc::default() }
    }

    /// The power comes back: what was not synced meets its `fate`. Does not revive the world.
    pub fn restart(&self, fate: Fate) {
        let mut state = self.state();
        let mut draw = Draw(match fate {
            Fate::Tear(seed) => seed,
            Fate::Keep | Fate::Drop => 0,
        });
        for file in &mut state.files {
            let unsynced = std::mem::take(&mut file.unsynced);
            for change in &unsynced {
                match fate {
                    Fate::Keep => change.apply(&mut file.durable),
                    Fate::Drop => {}
                    Fate::Tear(_) => change.tear(&mut file.durable, &mut draw),
                }
            }
            file.cached.clone_from(&file.durable);
        }
        let mut since = std::mem::take(&mut state.names_since);
        let kept = match fate {
            Fate::Keep => since.len(),
            Fate::Drop => 0,
            Fate::Tear(_) => draw.below(since.len() + 1),
        };
        if kept > 0 {
            state.durable_names = since.swap_remove(kept - 1);
        }
        state.names = state.durable_names.clone();
    }

    /// From now on the files together can take `bytes` bytes, in whole blocks; `None` for any
    /// number.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// From now on every sync fails, or none.
    pub fn set_syncs_fail(&self, fail: bool) {
        self.state().syncs_fail = fail;
    }

    /// The bytes that all files take together, in whole blocks.
    pub fn used(&self) -> usize {
        self.state().used()
    }

    /// The content of file `name`, as the process sees it.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = *state.names.get(name)?;
        Some(state.files[file].cached.clone())
    }

    /// Replaces the content of file `name`, durably and without a step.
    pub fn set_content(&self, name: &str, content: Vec<u8>) {
        let mut state = self.state();
        let file = state.create(name);
        state.files[file] =
            Content { cached: content.clone(), durable: content, ..Content::default() };
        state.durable_names = state.names.clone();
        state.names_since.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn act<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.world.act(name, || effect(&mut self.state()))?
    }

    /// Looks without touching: not a step, but impossible for the dead.
    fn look<T>(&self, look: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        if self.world.is_dead() {
            return Err(super::Dead.into());
        }
        look(&self.state())
    }
}

impl State {
    fn used(&self) -> usize {
        self.names.values().map(|file| self.files[*file].blocks.len() * BLOCK_BYTES).sum()
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, name: &str) -> usize {
        if let Some(file) = self.names.get(name) {
            return *file;
        }
        self.files.push(Content::default());
        let file = self.files.len() - 1;
        self.names.insert(name.to_owned(), file);
        self.names_since.push(self.names.clone());
        file
    }

    fn change(&mut self, file: usize, change: Change) -> io::Result<()> {
        let blocks = change.blocks();
        let new = blocks.clone().filter(|block| !self.files[file].blocks.contains(block)).count();
        let used = self.used() + new * BLOCK_BYTES;
        if new > 0 && self.capacity.is_some_and(|capacity| used > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = &mut self.files[file];
        file.blocks.extend(blocks);
        change.apply(&mut file.cached);
        file.blocks.split_off(&file.cached.len().div_ceil(BLOCK_BYTES));
        file.unsynced.push(change);
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        if self.syncs_fail {
            return Err(io::Error::other("the disk does not answer"));
        }
        let file = &mut self.files[file];
        for change in std::mem::take(&mut file.unsynced) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }
}

impl Change {
    /// The least length of the file afterwards.
    fn length(&self) -> usize {
        match self {
            Change::Length(length) => *length,
            Change::Bytes(offset, bytes) => offset + bytes.len(),
        }
    }

    /// The blocks that it writes to.
    fn blocks(&self) -> Range<usize> {
        match self {
            Change::Length(_) => 0..0,
            Change::Bytes(offset, _) => offset / BLOCK_BYTES..self.length().div_ceil(BLOCK_BYTES),
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Length(length) => content.resize(*length, 0),
            Change::Bytes(offset, bytes) => {
                content.resize(content.len().max(self.length()), 0);
                content[*offset..self.length()].copy_from_slice(bytes);
            }
        }
    }

    /// Applies some of the change.
    fn tear(&self, content: &mut Vec<u8>, draw: &mut Draw) {
        match self {
            Change::Length(_) if draw.below(2) == 0 => self.apply(content),
            Change::Length(_) => {}
            Change::Bytes(offset, bytes) => {
                let mut start = *offset;
                while start < self.length() {
                    let end = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(self.length());
                    if draw.below(2) == 0 {
                        let sector = bytes[start - offset..end - offset].to_vec();
                        Change::Bytes(start, sector).apply(content);
                    }
                    start = end;
                }
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn database(&self, name: &str) -> io::Result<Box<dyn StorageBackend>> {
        let file = self.act("open database", |state| Ok(state.create(name)))?;
        Ok(Box::new(Database { disk: self.clone(), file }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.look(|state| Ok(state.names.keys().cloned().collect()))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.look(|state| Ok(state.files[state.file(name)?].cached.clone()))
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let file = self.act("create file", |state| {
            let file = state.create(name);
            state.change(file, Change::Length(0))?;
            Ok(file)
        })?;
        self.act("write file", |state| state.change(file, Change::Bytes(0, content.to_vec())))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.act("sync file", |state| state.sync(state.file(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.act("rename", |state| {
            let file = state.file(from)?;
            state.names.remove(from);
            state.names.insert(to.to_owned(), file);
            state.names_since.push(state.names.clone());
            Ok(())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.act("sync directory", |state| {
            if state.syncs_fail {
                return Err(io::Error::other("the disk does not answer"));
            }
            state.durable_names = state.names.clone();
            state.names_since.clear();
            Ok(())
        })
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        self.act("delete", |state| {
            state.file(name)?;
            state.names.remove(name);
            state.names_since.push(state.names.clone());
            Ok(())
        })
    }
}

/// The database file.
#[derive(Debug)]
struct Database {
    disk: SimulatedDisk,
    file: usize,
}

impl StorageBackend for Database {
    fn len(&self) -> io::Result<u64> {
        self.disk.look(|state| Ok(state.files[self.file].cached.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.look(|state| {
            let start = offset as usize;
            let bytes = state.files[self.file].cached.get(start..start + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let change = Change::Length(len as usize);
        self.disk.act("set database length", |state| state.change(self.file, change))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.act("sync database", |state| state.sync(self.file))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = Change::Bytes(offset as usize, data.to_vec());
        self.disk.act("write database", |state| state.change(self.file, change))
    }

    // There is one process, so every lock is free.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers from the same seed everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
