//! Reading: everything the store has, as of one moment.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use plimsoll_model::evidence::Table;
use plimsoll_model::{IncidentId, Mark, PartitionId, Reject, RejectReason, Second};
use redb::{
    Builder, ConcurrencyMode, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    ReadableTable,
};

use crate::store::{DATABASE_FILE, read_format};
use crate::tables::{self, decode, meta};
use crate::{
    CHANGES_AT_ONCE_MAX, Changes, Checkpoint, Decided, Directory, Disk, Error, Ordered, Recovered,
    SegmentEntry, segment,
};

/// The store of a pipeline that another process may be running, for reading.
///
/// It takes no lock that a pipeline waits for, and writes nothing.
pub struct Reader {
    database: ReadOnlyDatabase,
    disk: Arc<dyn Disk>,
}

impl Reader {
    /// Opens the data directory `dir`.
    ///
    /// Fails if there is none, and, if no pipeline runs, after a crash: the pipeline repairs the
    /// file when it starts.
    pub fn open(dir: &Path) -> Result<Reader, Error> {
        let disk = Directory::reader(dir);
        if read_format(&disk)?.is_none() {
            return Err(Error::Invalid(format!(
                "`{}` is not a data directory; name the one that `data` in the definition names",
                dir.display()
            )));
        }
        let opened = Builder::new()
            .set_concurrency_mode(ConcurrencyMode::SingleWriter)
            .open_read_only(dir.join(DATABASE_FILE));
        match opened {
            Ok(database) => Ok(Reader { database, disk: Arc::new(disk) }),
            Err(DatabaseError::RepairAborted) => Err(Error::Invalid(format!(
                "`{}` was left by a crash; start its pipeline, which repairs it",
                dir.display()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything that is durable now.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Ok(Snapshot { transaction: self.database.begin_read()?, disk: Arc::clone(&self.disk) })
    }
}

/// Everything the store had at one moment. Commits that follow do not change it.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) transaction: ReadTransaction,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Snapshot {
    /// The name of the pipeline; `None` if nothing was ever stored.
    pub fn pipeline(&self) -> Result<Option<String>, Error> {
        self.single(meta::PIPELINE)
    }

    /// What a restart would begin with.
    pub fn recover(&self) -> Result<Recovered, Error> {
        let checkpoint: Option<Checkpoint> = self.single(meta::CHECKPOINT)?;
        let after = checkpoint.as_ref().map_or(Second(i64::MIN), |checkpoint| checkpoint.tick);
        let mut recovered = Recovered {
            decided_through: self.single(meta::DECIDED_THROUGH)?,
            outbox_next: self.single(meta::OUTBOX_NEXT)?.unwrap_or(0),
            checkpoint,
            ..Recovered::default()
        };
        recovered.marks = self.marks()?;
        let by_tick = self.transaction.open_table(tables::TRANSITIONS_BY_TICK)?;
        for entry in by_tick.range((after.next().0, 0, 0)..)? {
            let (tick, incident, sequence) = entry?.0.value();
            let named = (IncidentId(incident), sequence, Second(tick));
            recovered.transitions_since_checkpoint.push(named);
        }
        for entry in self.transaction.open_table(tables::OPEN)?.iter()? {
            let incident = IncidentId(entry?.0.value());
            recovered.open_incidents.push(self.last_of(incident)?.transition);
        }
        Ok(recovered)
    }

    /// Each incident's last transition, by incident.
    pub fn incidents(&self) -> Result<Vec<Decided>, Error> {
        let incidents = self.transaction.open_table(tables::INCIDENTS)?;
        incidents.iter()?.map(|entry| self.last_of(IncidentId(entry?.0.value()))).collect()
    }

    /// The transitions of one incident in order; none if it is unknown.
    pub fn transitions_of(&self, incident: IncidentId) -> Result<Vec<Decided>, Error> {
        let transitions = self.transaction.open_table(tables::TRANSITIONS)?;
        let range = transitions.range((incident.0, 0)..=(incident.0, u32::MAX))?;
        range.map(|entry| decode(entry?.1.value())).collect()
    }

    /// All transitions, by (tick, incident, sequence).
    pub fn transitions(&self) -> Result<Vec<Decided>, Error> {
        let transitions = self.transaction.open_table(tables::TRANSITIONS)?;
        let by_tick = self.transaction.open_table(tables::TRANSITIONS_BY_TICK)?;
        let mut found = Vec::new();
        for entry in by_tick.iter()? {
            let (_, incident, sequence) = entry?.0.value();
            match transitions.get((incident, sequence))? {
                Some(record) => found.push(decode(record.value())?),
                None => return Err(missing("transition", IncidentId(incident))),
            }
        }
        Ok(found)
    }

    fn last_of(&self, incident: IncidentId) -> Result<Decided, Error> {
        let sequences = self.transaction.open_table(tables::INCIDENTS)?;
        let transitions = self.transaction.open_table(tables::TRANSITIONS)?;
        if let Some(sequence) = sequences.get(incident.0)?
            && let Some(record) = transitions.get((incident.0, sequence.value()))?
        {
            return decode(record.value());
        }
        Err(missing("last transition of incident", incident))
    }

    /// The first `limit` deliveries of `sink` that are to be sent, in outbox order. Held ones are
    /// not among them.
    pub fn next_deliveries(&self, sink: &str, limit: usize) -> Result<Vec<Ordered>, Error> {
        let pending = self.transaction.open_table(tables::PENDING)?;
        let range = pending.range((sink, 0)..=(sink, u64::MAX))?;
        range.take(limit).map(|entry| self.delivery(entry?.0.value().1)).collect()
    }

    /// How many deliveries of `sink` are to be sent.
    pub fn pending(&self, sink: &str) -> Result<usize, Error> {
        let pending = self.transaction.open_table(tables::PENDING)?;
        Ok(pending.range((sink, 0)..=(sink, u64::MAX))?.count())
    }

    /// All deliveries with their states, in outbox order.
    pub fn deliveries(&self) -> Result<Vec<Ordered>, Error> {
        let outbox = self.transaction.open_table(tables::OUTBOX)?;
        outbox.iter()?.map(|entry| self.delivery(entry?.0.value())).collect()
    }

    fn delivery(&self, sequence: u64) -> Result<Ordered, Error> {
        let outbox = self.transaction.open_table(tables::OUTBOX)?;
        let states = self.transaction.open_table(tables::STATES)?;
        match (outbox.get(sequence)?, states.get(sequence)?) {
            (Some(order), Some(state)) => {
                let (tick, delivery) = decode(order.value())?;
                Ok(Ordered { tick, delivery, state: decode(state.value())? })
            }
            _ => Err(missing("delivery", sequence)),
        }
    }

    /// The marks since the checkpoint, in order.
    pub fn marks(&self) -> Result<Vec<Mark>, Error> {
        let journal = self.transaction.open_table(tables::JOURNAL)?;
        journal.iter()?.map(|entry| decode(entry?.1.value())).collect()
    }

    /// The kept rejects, by (source, partition, offset).
    pub fn rejects(&self) -> Result<Vec<Reject>, Error> {
        let rejects = self.transaction.open_table(tables::REJECTS)?;
        rejects.iter()?.map(|entry| decode(entry?.1.value())).collect()
    }

    /// What has changed and was not copied since, at most [`CHANGES_AT_ONCE_MAX`] of each kind.
    pub fn changes(&self) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        let changed = self.transaction.open_table(tables::CHANGED_DELIVERIES)?;
        for entry in changed.iter()?.take(CHANGES_AT_ONCE_MAX) {
            let (sequence, revision) = entry?;
            changes.deliveries.push((revision.value(), self.delivery(sequence.value())?));
        }
        let changed = self.transaction.open_table(tables::CHANGED_REJECTS)?;
        let rejects = self.transaction.open_table(tables::REJECTS)?;
        for entry in changed.iter()?.take(CHANGES_AT_ONCE_MAX) {
            let (key, revision) = entry?;
            let reject = rejects.get(key.value())?;
            let reject = reject.ok_or_else(|| missing("reject", format!("{:?}", key.value())))?;
            changes.rejects.push((revision.value(), decode(reject.value())?));
        }
        Ok(changes)
    }

    /// How many records were rejected, by partition and reason; without those that never were.
    pub fn reject_counts(&self) -> Result<Vec<(PartitionId, RejectReason, u64)>, Error> {
        let counts = self.transaction.open_table(tables::REJECT_COUNTS)?;
        let mut found = Vec::new();
        for entry in counts.iter()? {
            let (key, count) = entry?;
            let (source, partition, reason) = key.value();
            let reason = RejectReason::ALL
                .get(usize::from(reason))
                .ok_or_else(|| missing("reject reason", reason))?;
            found.push((PartitionId::new(source, partition), *reason, count.value()));
        }
        Ok(found)
    }

    /// The registered segments, by name.
    pub fn segments(&self) -> Result<Vec<(String, SegmentEntry)>, Error> {
        let segments = self.transaction.open_table(tables::SEGMENTS)?;
        let mut found = Vec::new();
        for entry in segments.iter()? {
            let (name, record) = entry?;
            found.push((name.value().to_owned(), decode(record.value())?));
        }
        Ok(found)
    }

    /// The rows of segment `name`, or `None` if it is not registered (any more: old ones are
    /// pruned, and shed when evidence takes too much space).
    pub fn segment(&self, name: &str) -> Result<Option<RecordBatch>, Error> {
        Ok(self.evidence(name)?.map(|(_, rows)| rows))
    }

    /// The same with the table that the rows belong to.
    pub fn evidence(&self, name: &str) -> Result<Option<(Table, RecordBatch)>, Error> {
        let Some(entry) = self.segment_entry(name)? else { return Ok(None) };
        let file = self.disk.read(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing("segment", name),
            _ => error.into(),
        })?;
        Ok(Some((entry.table, segment::decode(name, file, &entry)?)))
    }

    /// What is registered of segment `name`.
    pub fn segment_entry(&self, name: &str) -> Result<Option<SegmentEntry>, Error> {
        let segments = self.transaction.open_table(tables::SEGMENTS)?;
        segments.get(name)?.map(|record| decode(record.value())).transpose()
    }

    /// How many segments were given up before their time because evidence took too much space.
    pub fn segments_shed(&self) -> Result<u64, Error> {
        Ok(self.single(meta::SEGMENTS_SHED)?.unwrap_or(0))
    }

    pub(crate) fn single<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Error> {
        let table = self.transaction.open_table(tables::META)?;
        table.get(name)?.map(|record| decode(record.value())).transpose()
    }
}

pub(crate) fn missing(what: &str, which: impl std::fmt::Display) -> Error {
    Error::Corrupt(format!("{what} {which} is missing"))
}
