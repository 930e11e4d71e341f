//! Evidence: the rows that prove an incident, in four tables.
//!
//! Every row names its incident. Together the rows of an incident reproduce the numbers of its
//! transitions; [`crate::Transition::proof`] is the SQL that does it.

mod lives;
mod panes;
mod samples;
mod sessions;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::columns;

pub use lives::Life;
pub use panes::{PANE_SECONDS, Pane};
pub use samples::Sample;
pub use sessions::Session;

/// The tables of evidence. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// [`Pane`].
    Panes,
    /// [`Sample`].
    Samples,
    /// [`Life`].
    Lives,
    /// [`Session`].
    Sessions,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 4] = [Table::Panes, Table::Samples, Table::Lives, Table::Sessions];

    /// The name in SQL and of files.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Panes => "panes",
            Table::Samples => "samples",
            Table::Lives => "lives",
            Table::Sessions => "sessions",
        }
    }

    /// The schema of its rows: `incident`, the table's own columns, the holder's dimensions.
    pub fn schema(self) -> SchemaRef {
        let own = match self {
            Table::Panes => panes::fields(),
            Table::Samples => samples::fields(),
            Table::Lives => lives::fields(),
            Table::Sessions => sessions::fields(),
        };
        let mut fields = vec![Field::new("incident", columns::dictionary_type(), false)];
        fields.extend(own);
        fields.extend(columns::holder_fields());
        Arc::new(Schema::new(fields))
    }
}

/// The rows of one decision, by table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Use of resources, per holder and pane.
    pub panes: Vec<Pane>,
    /// Measured values.
    pub samples: Vec<Sample>,
    /// Lives of instances.
    pub lives: Vec<Life>,
    /// Single sessions.
    pub sessions: Vec<Session>,
}

impl Evidence {
    /// Whether no table has a row.
    pub fn is_empty(&self) -> bool {
        Table::ALL.into_iter().all(|table| self.len(table) == 0)
    }

    /// How many rows `table` has.
    pub fn len(&self, table: Table) -> usize {
        match table {
            Table::Panes => self.panes.len(),
            Table::Samples => self.samples.len(),
            Table::Lives => self.lives.len(),
            Table::Sessions => self.sessions.len(),
        }
    }

    /// Adds the rows of `more`.
    pub fn extend(&mut self, more: Evidence) {
        self.panes.extend(more.panes);
        self.samples.extend(more.samples);
        self.lives.extend(more.lives);
        self.sessions.extend(more.sessions);
    }

    /// The rows of `table` as an Arrow batch of [`Table::schema`].
    pub fn record_batch(&self, table: Table) -> RecordBatch {
        let columns = match table {
            Table::Panes => panes::columns(&self.panes),
            Table::Samples => samples::columns(&self.samples),
            Table::Lives => lives::columns(&self.lives),
            Table::Sessions => sessions::columns(&self.sessions),
        };
        RecordBatch::try_new(table.schema(), columns).expect("the builders make the schema's types")
    }
}

/// The columns of a table: the incidents, `own`, the holders.
fn around<'a, R: 'a>(
    rows: &'a [R],
    incident: impl Fn(&R) -> crate::IncidentId,
    holder: impl Fn(&'a R) -> &'a crate::OwnedHolder,
    own: Vec<ArrayRef>,
) -> Vec<ArrayRef> {
    let mut incidents = columns::dictionary_builder();
    let mut holders = columns::HolderBuilder::default();
    for row in rows {
        incidents.append_value(incident(row).to_string());
        holders.append(&holder(row).borrow());
    }
    let mut all: Vec<ArrayRef> = vec![Arc::new(incidents.finish())];
    all.extend(own);
    all.extend(holders.finish());
    all
}

/// A text column.
fn words<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = columns::dictionary_builder();
    values.for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

/// A time column.
fn times(values: impl Iterator<Item = Option<crate::Time>>) -> ArrayRef {
    let mut builder = columns::time_builder();
    values.for_each(|value| builder.append_option(value.map(crate::Time::as_micros)));
    Arc::new(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IncidentId, OwnedHolder, Second, Time};

    #[test]
    fn every_table_makes_a_batch_of_its_schema() {
        let (incident, holder) = (IncidentId(7), OwnedHolder::default());
        let evidence = Evidence {
            panes: vec![Pane {
                incident,
                pane: Second(20),
                resource: "db".into(),
                opened: 1,
                closed: 2,
                refused: 3,
                held: 4,
                holder: holder.clone(),
            }],
            samples: vec![Sample {
                incident,
                time: Time::from_seconds(20),
                resource: "web-memory".into(),
                metric: "memory".into(),
                value: 1.5,
                unit: "bytes".into(),
                holder: holder.clone(),
            }],
            lives: vec![Life {
                incident,
                resource: "web-memory".into(),
                started_at: Time::from_seconds(1),
                start_known: true,
                ended_at: None,
                cause: String::new(),
                holder: holder.clone(),
            }],
            sessions: vec![Session {
                incident,
                resource: "gateway".into(),
                session: "s-1".into(),
                started_at: Time::from_seconds(1),
                ended_at: None,
                waited_us: 5,
                refused: false,
                holder,
            }],
        };
        for table in Table::ALL {
            let batch = evidence.record_batch(table);
            assert_eq!((batch.num_rows(), batch.schema()), (1, table.schema()), "{table:?}");
        }
        assert!(!evidence.is_empty() && Evidence::default().is_empty());
    }
}
