//! [`Store`]: the one writer of a data directory.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use plimsoll_model::evidence::Table;
use plimsoll_model::{DeliveryState, Second};
use redb::{Builder, ConcurrencyMode, Database, Durability, ReadableDatabase, WriteTransaction};

use crate::backend::{Health, Watched};
use crate::fault::Fault;
use crate::snapshot::missing;
use crate::tables::{self, FORMAT_VERSION, meta};
use crate::{
    Changes, Commit, Directory, Disk, Error, Ordered, Pruned, Recovered, SegmentEntry, Snapshot,
    changes, prune, segment, transaction,
};

/// The file that says which version wrote the directory. It is read before anything is touched.
pub(crate) const FORMAT_FILE: &str = "format";

/// The database file.
pub(crate) const DATABASE_FILE: &str = "plimsoll.redb";

/// The file that takes space only to give it back when the disk is full.
pub(crate) const BALLAST_FILE: &str = "ballast";

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pipeline that the directory belongs to.
    pub pipeline: String,
    /// Space that is set aside for the last commits on a full disk; 0 for none.
    pub ballast_bytes: u64,
    /// The most memory that the database may use as its cache.
    pub cache_bytes: usize,
    /// The most space for evidence: above it the oldest segments go, whoever needs them.
    pub segment_bytes_max: u64,
    /// Read the whole database at opening and compare it with its checksums.
    pub verify: bool,
    /// A fault to plant.
    #[cfg(feature = "simulation")]
    pub fault: Option<Fault>,
}

impl Options {
    /// The defaults for the pipeline `pipeline`.
    pub fn new(pipeline: impl Into<String>) -> Options {
        Options {
            pipeline: pipeline.into(),
            ballast_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            segment_bytes_max: 4 << 30,
            verify: true,
            #[cfg(feature = "simulation")]
            fault: None,
        }
    }
}

/// The one writer of a data directory.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    options: Options,
    health: Health,
    /// `None` after the disk was full: it is opened again by the next call that writes.
    database: Option<Database>,
}

impl Store {
    /// Opens the data directory `dir`, or makes it one.
    ///
    /// The directory is created with mode 0700 and locked. Files that no transaction names are
    /// deleted. Fails with [`Error::OtherPipeline`] if it belongs to another one, and with
    /// [`Error::Locked`] or [`Error::NewerFormat`] without having touched what is there.
    pub fn open(dir: &Path, options: Options) -> Result<Store, Error> {
        Store::open_on(Arc::new(Directory::lock(dir)?), options)
    }

    /// The same over any disk.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Store, Error> {
        let format = read_format(disk.as_ref())?;
        let mut store = Store { disk, options, health: Health::default(), database: None };
        if format.is_none() {
            store.create()?;
        }
        store.database = Some(store.open_database()?);
        store.check_identity()?;
        store.delete_unregistered()?;
        store.take_ballast()?;
        Ok(store)
    }

    /// What the last run left: where to go on, and what judging again must give.
    pub fn recover(&self) -> Result<Recovered, Error> {
        self.snapshot()?.recover()
    }

    /// Makes everything in `commit` durable, in one transaction. When it returns `Ok`, a power
    /// cut changes nothing; when it fails, nothing of it is visible.
    ///
    /// What is already durable stays: equal transitions, deliveries that were ordered before and
    /// marks that stand in the journal are passed over, so that a commit can be repeated.
    /// Fails with [`Error::Conflict`] if a transition differs from the durable one of its name.
    pub fn commit(&mut self, commit: &Commit) -> Result<(), Error> {
        let segments = self.guarded(|store| store.write_segments(commit))?;
        let fault = self.fault();
        if fault == Some(Fault::CheckpointFirst) {
            self.write(|transaction| transaction::advance(transaction, commit, fault))?;
        }
        self.write(|transaction| transaction::commit(transaction, commit, &segments, fault))?;
        self.finish_planted(commit, &segments)
    }

    /// What a planted fault has left for after the transaction.
    fn finish_planted(
        &mut self,
        commit: &Commit,
        segments: &[(String, SegmentEntry)],
    ) -> Result<(), Error> {
        match self.fault() {
            fault @ Some(Fault::OutboxLater) => {
                self.write(|transaction| transaction::order(transaction, commit, segments, fault))
            }
            Some(Fault::SegmentRegisteredFirst) => segments.iter().try_for_each(|(name, entry)| {
                let (file, _) = segment::encode(commit.tick, entry.table, &commit.evidence);
                self.put_file(name, &file)
            }),
            _ => Ok(()),
        }
    }

    /// The fault to plant: none, outside tests.
    fn fault(&self) -> Option<Fault> {
        #[cfg(feature = "simulation")]
        return self.options.fault;
        #[cfg(not(feature = "simulation"))]
        None
    }

    /// Records what became of delivery `sequence`; durable on return.
    pub fn record(&mut self, sequence: u64, state: &DeliveryState) -> Result<(), Error> {
        self.write(|transaction| transaction::set_state(transaction, sequence, state))
    }

    /// Remembers from now on what changes in deliveries and rejects, until [`Store::copied`]; at
    /// first, everything that is there. Revisions go on from the last one, or from `first` if that
    /// is higher: a new directory in an old one's place is to have the higher ones.
    pub fn remember_changes(&mut self, first: u64) -> Result<(), Error> {
        self.write(|transaction| changes::remember(transaction, first))
    }

    /// Ends what [`Store::remember_changes`] began: nothing is copied.
    pub fn forget_changes(&mut self) -> Result<(), Error> {
        self.write(changes::forget)
    }

    /// Records that `changes` were copied; durable on return. What has changed since
    /// [`Snapshot::changes`] gave them is given again.
    pub fn copied(&mut self, changes: &Changes) -> Result<(), Error> {
        self.write(|transaction| changes::copied(transaction, changes))
    }

    /// Removes what ended before `before` (but nothing after the last checkpoint): deliveries that
    /// were accepted or superseded, resolved incidents, and segments that no other delivery
    /// names; above [`Options::segment_bytes_max`] also the oldest other segments. A refused
    /// delivery stays until somebody settles it, one whose last state was not copied until it is,
    /// and a page until its incident is resolved.
    pub fn prune(&mut self, before: Second) -> Result<Pruned, Error> {
        let segment_bytes_max = self.options.segment_bytes_max;
        let (pruned, files) =
            self.write(|transaction| prune::prune(transaction, before, segment_bytes_max))?;
        for name in files {
            // A file that stays behind is deleted at the next opening.
            self.disk.delete(&name)?;
        }
        Ok(pruned)
    }

    /// The first `limit` deliveries of `sink` that are to be sent, in outbox order.
    pub fn next_deliveries(&self, sink: &str, limit: usize) -> Result<Vec<Ordered>, Error> {
        self.snapshot()?.next_deliveries(sink, limit)
    }

    /// The rows of segment `name`, or `None` if it is not registered any more.
    pub fn segment(&self, name: &str) -> Result<Option<RecordBatch>, Error> {
        self.snapshot()?.segment(name)
    }

    /// Everything that is durable now, for reading.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.health.check()?;
        let database = self.database.as_ref().ok_or_else(full)?;
        Ok(Snapshot { transaction: database.begin_read()?, disk: Arc::clone(&self.disk) })
    }

    /// Makes an empty database, and then the file that says that there is one.
    ///
    /// The database gets its name only when it is whole, because the engine cannot open a file
    /// whose creation was interrupted.
    fn create(&self) -> Result<(), Error> {
        let names = self.disk.list()?;
        if !names.iter().any(|name| name == DATABASE_FILE) {
            let temporary = format!("{DATABASE_FILE}{}", segment::TEMPORARY_SUFFIX);
            if names.contains(&temporary) {
                self.disk.delete(&temporary)?;
            }
            self.open_engine(&temporary)?.close()?;
            self.rename_durably(&temporary, DATABASE_FILE)?;
        }
        self.put_file(FORMAT_FILE, format!("{FORMAT_VERSION}\n").as_bytes())
    }

    fn open_database(&self) -> Result<Database, Error> {
        if !self.disk.list()?.iter().any(|name| name == DATABASE_FILE) {
            return Err(missing("file", DATABASE_FILE));
        }
        self.open_engine(DATABASE_FILE)
    }

    fn open_engine(&self, name: &str) -> Result<Database, Error> {
        let backend = Watched {
            inner: self.disk.database(name)?,
            health: self.health.clone(),
            fault: self.fault(),
        };
        let database = Builder::new()
            .set_cache_size(self.options.cache_bytes)
            .set_concurrency_mode(ConcurrencyMode::SingleWriter)
            .set_check_integrity_on_open(self.options.verify)
            .create_with_backend(backend)?;
        Ok(database)
    }

    /// Creates the tables of a new store; refuses one of a newer version or another pipeline.
    fn check_identity(&mut self) -> Result<(), Error> {
        let given = self.options.pipeline.clone();
        self.write(|transaction| {
            tables::create(transaction)?;
            match transaction::single::<u32>(transaction, meta::FORMAT)? {
                Some(found) if found > FORMAT_VERSION => return Err(Error::NewerFormat { found }),
                Some(_) => {}
                None => transaction::set_single(transaction, meta::FORMAT, &FORMAT_VERSION)?,
            }
            match transaction::single::<String>(transaction, meta::PIPELINE)? {
                Some(stored) if stored != given => Err(Error::OtherPipeline { stored, given }),
                Some(_) => Ok(()),
                None => transaction::set_single(transaction, meta::PIPELINE, &given),
            }
        })
    }

    fn delete_unregistered(&mut self) -> Result<(), Error> {
        if self.fault() == Some(Fault::UnregisteredKept) {
            return Ok(());
        }
        let registered = self.snapshot()?.segments()?;
        for name in self.disk.list()? {
            let ours = name.ends_with(segment::SUFFIX) || name.ends_with(segment::TEMPORARY_SUFFIX);
            if ours && !registered.iter().any(|(known, _)| *known == name) {
                self.disk.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Writes, syncs and renames the segments of `commit`, one for each table that has rows.
    fn write_segments(&mut self, commit: &Commit) -> Result<Vec<(String, SegmentEntry)>, Error> {
        let mut segments = Vec::new();
        for table in Table::ALL {
            if commit.evidence.len(table) == 0 {
                continue;
            }
            let name = segment::name(commit.tick, table, &commit.evidence);
            if let Some(known) = self.snapshot()?.segment_entry(&name)? {
                segments.push((name, known));
                continue;
            }
            let (file, entry) = segment::encode(commit.tick, table, &commit.evidence);
            if self.fault() != Some(Fault::SegmentRegisteredFirst) {
                self.put_file(&name, &file)?;
            }
            segments.push((name, entry));
        }
        Ok(segments)
    }

    /// Makes a file durable under `name`; before that, no file has the name.
    fn put_file(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let temporary = format!("{name}{}", segment::TEMPORARY_SUFFIX);
        self.disk.write(&temporary, content)?;
        if !(name.ends_with(segment::SUFFIX) && self.fault() == Some(Fault::SegmentNotSynced)) {
            self.health.synced(self.disk.sync(&temporary))?;
        }
        self.rename_durably(&temporary, name)
    }

    fn rename_durably(&self, from: &str, to: &str) -> Result<(), Error> {
        self.disk.rename(from, to)?;
        if !(to.ends_with(segment::SUFFIX) && self.fault() == Some(Fault::DirectoryNotSynced)) {
            self.health.synced(self.disk.sync_directory())?;
        }
        Ok(())
    }

    fn take_ballast(&mut self) -> Result<(), Error> {
        let bytes = self.options.ballast_bytes as usize;
        if bytes == 0 || self.disk.list()?.iter().any(|name| name == BALLAST_FILE) {
            return Ok(());
        }
        match self.put_file(BALLAST_FILE, &vec![0; bytes]) {
            // A store without ballast is better than none.
            Err(Error::Full { .. }) => Ok(()),
            result => result,
        }
    }

    /// Gives the ballast's space back, so that a last commit can succeed on a full disk; `false`
    /// if there is none (any more). It is taken again when the store is opened the next time.
    pub fn release_ballast(&mut self) -> Result<bool, Error> {
        let has_ballast = self.disk.list()?.iter().any(|name| name == BALLAST_FILE);
        if has_ballast {
            self.disk.delete(BALLAST_FILE)?;
        }
        Ok(has_ballast)
    }

    /// One durable transaction.
    fn write<T>(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.guarded(|store| {
            let database = store.database.as_ref().expect("guarded opens the database");
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_two_phase_commit(true);
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// Runs `call` on an open database and decides what a failure means for the next call.
    fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut Store) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.health.check()?;
        if self.database.is_none() {
            self.database = Some(self.open_database()?);
        }
        let result = call(self);
        match &result {
            Ok(_) => return result,
            // The engine refuses to go on after any failed write: it has to be opened again.
            Err(Error::Full { .. }) => self.database = None,
            Err(Error::Disk(cause)) => self.health.poison(cause),
            Err(Error::Poisoned { cause } | Error::Corrupt(cause)) => self.health.poison(cause),
            Err(_) => {}
        }
        match &result {
            Err(Error::Full { .. } | Error::Disk(_)) => self.health.check().and(result),
            _ => result,
        }
    }
}

/// The error of a read between a full disk and the call that opens the database again.
fn full() -> Error {
    Error::Full { source: std::io::ErrorKind::StorageFull.into() }
}

/// The version that wrote the directory, if it can be read by this one; `None` for a new
/// directory.
pub(crate) fn read_format(disk: &dyn Disk) -> Result<Option<u32>, Error> {
    if !disk.list()?.iter().any(|name| name == FORMAT_FILE) {
        return Ok(None);
    }
    let text = String::from_utf8(disk.read(FORMAT_FILE)?).unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(found) if found > FORMAT_VERSION => Err(Error::NewerFormat { found }),
        Ok(found) if found < FORMAT_VERSION => Err(Error::OlderFormat { found }),
        Ok(found) => Ok(Some(found)),
        Err(_) => Err(Error::Corrupt(format!("file `{FORMAT_FILE}` must hold a number"))),
    }
}
