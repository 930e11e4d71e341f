//! Evidence: who held how many units over time, around an incident.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, StringDictionaryBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::columns::{self, HolderBuilder};
use crate::{IncidentId, OwnedHolder, Second};

/// The width of a pane, in seconds. Panes begin at multiples of it.
pub const PANE_SECONDS: i64 = 10;

/// One holder's use of one resource during one pane.
///
/// An incident has at most one row per (holder, pane). Together they reproduce the numbers of
/// the incident's transitions: the level at the end of a pane is the sum of `held`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The incident that the row proves.
    pub incident: IncidentId,
    /// The first second of the pane.
    pub pane: Second,
    /// The resource.
    pub resource: String,
    /// Who.
    pub holder: OwnedHolder,
    /// Units opened during the pane.
    pub opened: u64,
    /// Units closed during the pane.
    pub closed: u64,
    /// Requests refused during the pane.
    pub refused: u64,
    /// Units held at the end of the pane.
    pub held: u64,
}

/// The schema of evidence rows.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = vec![
            Field::new("incident", columns::dictionary_type(), false),
            Field::new("pane", columns::time_type(), false),
            Field::new("resource", columns::dictionary_type(), false),
            Field::new("opened", DataType::UInt64, false),
            Field::new("closed", DataType::UInt64, false),
            Field::new("refused", DataType::UInt64, false),
            Field::new("held", DataType::UInt64, false),
        ];
        fields.extend(columns::holder_fields());
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// The rows as an Arrow batch of [`schema`].
pub fn record_batch(rows: &[Evidence]) -> RecordBatch {
    let mut incident = StringDictionaryBuilder::<Int32Type>::new();
    let mut pane = columns::time_builder();
    let mut resource = StringDictionaryBuilder::<Int32Type>::new();
    let mut counts: [UInt64Builder; 4] = Default::default();
    let mut holder = HolderBuilder::default();
    for row in rows {
        incident.append_value(row.incident.to_string());
        pane.append_value(row.pane.start().as_micros());
        resource.append_value(&row.resource);
        for (column, value) in
            counts.iter_mut().zip([row.opened, row.closed, row.refused, row.held])
        {
            column.append_value(value);
        }
        holder.append(&row.holder.borrow());
    }
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new(incident.finish()), Arc::new(pane.finish()), Arc::new(resource.finish())];
    arrays.extend(counts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
    arrays.extend(holder.finish());
    RecordBatch::try_new(schema(), arrays).expect("the builders make the schema's types")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_a_batch_of_the_schema() {
        let row = Evidence {
            incident: IncidentId(7),
            pane: Second(20),
            resource: "db".into(),
            holder: OwnedHolder::default(),
            opened: 1,
            closed: 2,
            refused: 3,
            held: 4,
        };
        let batch = record_batch(&[row.clone(), row]);
        assert_eq!((batch.num_rows(), batch.schema()), (2, schema()));
    }
}
