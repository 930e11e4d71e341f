//! Table functions: what an analyst asks first, with the evidence read in the right order.

mod arguments;
mod holders_at;
mod incident_window;

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{
    SortColumn, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType, UInt64Type};
use datafusion::catalog::TableFunctionImpl;
use datafusion::error::Result;

use crate::scan::{Source, evidence_rows};
use crate::tables::PANES;

pub use holders_at::HOLDERS_AT;
pub use incident_window::INCIDENT_WINDOW;

/// A table function as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// How it is called, with its arguments.
    pub call: &'static str,
    /// What its rows are.
    pub comment: &'static str,
    /// An example.
    pub example: &'static str,
}

impl Function {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.call.split('(').next().unwrap_or_default()
    }
}

/// All table functions of ours.
pub const FUNCTIONS: &[Function] = &[INCIDENT_WINDOW, HOLDERS_AT];

/// The table functions over `source`.
pub(crate) fn of(source: &Arc<Source>) -> [(&'static str, Arc<dyn TableFunctionImpl>); 2] {
    let (window, holders) = (Arc::clone(source), Arc::clone(source));
    [
        (INCIDENT_WINDOW.name(), Arc::new(incident_window::IncidentWindow(window))),
        (HOLDERS_AT.name(), Arc::new(holders_at::HoldersAt(holders))),
    ]
}

/// The rows of `panes` whose `column` is `text`, by (incident, pane, holder).
fn panes_where(source: &Arc<Source>, column: &str, text: &str) -> Result<Panes> {
    let schema = PANES.schema();
    let mut found = Vec::new();
    for batch in evidence_rows(Arc::clone(source), &PANES) {
        let batch = batch?;
        source.count(&batch);
        let texts = texts_of(&batch, column);
        let wanted: BooleanArray = texts.iter().map(|value| Some(value == Some(text))).collect();
        if wanted.true_count() > 0 {
            found.push(filter_record_batch(&batch, &wanted)?);
        }
    }
    let all = concat_batches(&schema, &found)?;
    let by = ["incident", "pane", "holder_key"].map(|name| SortColumn {
        values: Arc::clone(all.column_by_name(name).expect("`panes` has the column")),
        options: None,
    });
    let order = lexsort_to_indices(&by, None)?;
    Ok(Panes { rows: take_record_batch(&all, &order)? })
}

fn texts_of<'a>(batch: &'a RecordBatch, column: &str) -> &'a arrow::array::StringArray {
    batch.column_by_name(column).expect("`panes` has the column").as_string::<i32>()
}

/// Rows of `panes`, sorted.
struct Panes {
    rows: RecordBatch,
}

impl Panes {
    fn len(&self) -> usize {
        self.rows.num_rows()
    }

    fn incident(&self, row: usize) -> &str {
        texts_of(&self.rows, "incident").value(row)
    }

    fn pane_us(&self, row: usize) -> i64 {
        self.number::<TimestampMicrosecondType>("pane", row)
    }

    fn held(&self, row: usize) -> u64 {
        self.number::<UInt64Type>("held", row)
    }

    fn holder(&self, row: usize) -> u64 {
        self.number::<UInt64Type>("holder_key", row)
    }

    fn number<T: arrow::datatypes::ArrowPrimitiveType>(&self, name: &str, row: usize) -> T::Native {
        let column = self.rows.column_by_name(name).expect("`panes` has the column");
        column.as_primitive::<T>().value(row)
    }

    /// The columns of `schema` that `panes` has, of the rows `kept`.
    fn take(&self, schema: &SchemaRef, kept: &[u64]) -> Result<Vec<arrow::array::ArrayRef>> {
        let kept = arrow::array::UInt64Array::from(kept.to_vec());
        let rows = take_record_batch(&self.rows, &kept)?;
        let fields = schema.fields().iter();
        Ok(fields.filter_map(|field| rows.column_by_name(field.name()).cloned()).collect())
    }
}
