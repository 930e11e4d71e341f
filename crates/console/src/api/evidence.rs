//! The rows of an incident's evidence, from the store's segments.

use std::collections::BTreeSet;

use arrow::array::{
    Array, ArrowPrimitiveType, AsArray, DictionaryArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int32Type, TimestampMicrosecondType, UInt64Type};
use plimsoll_model::evidence::Table;
use plimsoll_model::{Dimension, IncidentId, Owner, Second, Time};
use plimsoll_store::{Decided, Error, Snapshot};

/// Evidence rows of one table that are read for one answer. Of more, the newest segments are
/// read, and the rows of the others are counted.
pub const EVIDENCE_ROWS_READ_MAX: u64 = 200_000;

/// The segments of one table that belong to an incident's transitions, oldest first.
pub(super) struct Segments {
    batches: Vec<RecordBatch>,
    incident: String,
    /// Rows that are left off.
    pub left_off: u64,
}

impl Segments {
    /// Evidence is committed with the transitions that it proves, so their ticks name it.
    pub(super) fn read(
        snapshot: &Snapshot,
        table: Table,
        incident: IncidentId,
        transitions: &[Decided],
    ) -> Result<Segments, Error> {
        let ticks: BTreeSet<Second> = transitions.iter().map(|it| it.transition.as_of).collect();
        let mut entries = snapshot.segments()?;
        entries.retain(|(_, entry)| entry.table == table && ticks.contains(&entry.tick));
        entries.sort_by(|a, b| b.1.tick.cmp(&a.1.tick).then_with(|| b.0.cmp(&a.0)));
        let (mut batches, mut read, mut left_off) = (Vec::new(), 0, 0);
        for (name, entry) in entries {
            if left_off > 0 || read + entry.rows > EVIDENCE_ROWS_READ_MAX {
                left_off += entry.rows;
                continue;
            }
            read += entry.rows;
            batches.extend(snapshot.segment(&name)?);
        }
        batches.reverse();
        Ok(Segments { batches, incident: incident.to_string(), left_off })
    }

    /// What `make` makes of each row of the incident; nothing of a batch with other columns.
    pub(super) fn rows<T>(&self, make: impl Fn(&Columns<'_>, usize) -> Option<T>) -> Vec<T> {
        let mut rows = Vec::new();
        for batch in &self.batches {
            let columns =
                Columns { batch, holder: Dimension::ALL.map(|it| Words::of(batch, it.column())) };
            let Some(incidents) = Words::of(batch, "incident") else { continue };
            let of_this = (0..batch.num_rows())
                .filter(|row| incidents.get(*row) == Some(self.incident.as_str()));
            rows.extend(of_this.filter_map(|row| make(&columns, row)));
        }
        rows
    }
}

/// The columns of one batch, by name.
pub(super) struct Columns<'a> {
    batch: &'a RecordBatch,
    holder: [Option<Words<'a>>; Dimension::COUNT],
}

impl<'a> Columns<'a> {
    pub(super) fn count(&self, name: &str, row: usize) -> Option<u64> {
        self.number::<UInt64Type>(name, row)
    }

    pub(super) fn value(&self, name: &str, row: usize) -> Option<f64> {
        self.number::<Float64Type>(name, row)
    }

    pub(super) fn time(&self, name: &str, row: usize) -> Option<Time> {
        self.number::<TimestampMicrosecondType>(name, row).map(Time::from_micros)
    }

    pub(super) fn is(&self, name: &str, row: usize) -> Option<bool> {
        Some(self.batch.column_by_name(name)?.as_boolean_opt()?.value(row))
    }

    pub(super) fn word(&self, name: &str, row: usize) -> Option<&'a str> {
        Words::of(self.batch, name)?.get(row)
    }

    /// The row's value of one dimension.
    pub(super) fn holder(&self, dimension: Dimension, row: usize) -> Option<&'a str> {
        self.holder[dimension as usize].as_ref()?.get(row)
    }

    /// Whether the row is the owner's.
    pub(super) fn is_of(&self, owner: &Owner, row: usize) -> bool {
        match owner {
            Owner::Holder { dimension, value } => {
                self.holder(*dimension, row) == Some(value.as_str())
            }
            Owner::Nobody | Owner::Unknown => false,
        }
    }

    fn number<T: ArrowPrimitiveType>(&self, name: &str, row: usize) -> Option<T::Native> {
        let column: &PrimitiveArray<T> = self.batch.column_by_name(name)?.as_primitive_opt()?;
        column.is_valid(row).then(|| column.value(row))
    }
}

/// A dictionary-encoded column of text.
struct Words<'a> {
    keys: &'a DictionaryArray<Int32Type>,
    values: &'a StringArray,
}

impl<'a> Words<'a> {
    fn of(batch: &'a RecordBatch, name: &str) -> Option<Words<'a>> {
        let keys = batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>()?;
        Some(Words { keys, values: keys.values().as_string_opt()? })
    }

    fn get(&self, row: usize) -> Option<&'a str> {
        Some(self.values.value(self.keys.key(row)?))
    }
}
