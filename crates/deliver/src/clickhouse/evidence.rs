//! Rows as Arrow streams, which the server reads by the names of the columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use plimsoll_model::evidence::Table;

/// The rows of one table, ready to be sent.
#[derive(Debug)]
pub(super) struct Block {
    /// The table that is written; the one that people read is a view of it.
    pub table: &'static str,
    pub rows: usize,
    /// The names of its columns, for the statement.
    pub columns: String,
    /// An Arrow stream.
    pub stream: Vec<u8>,
}

impl Block {
    /// Evidence with `pipeline` before every row, or why it can never be written.
    pub(super) fn of_evidence(
        table: Table,
        batch: &RecordBatch,
        pipeline: &str,
    ) -> Result<Block, String> {
        // Names and types; a reader of Parquet may add metadata and nullability.
        let same =
            |(a, b): (&FieldRef, &FieldRef)| a.name() == b.name() && a.data_type() == b.data_type();
        let (given, wanted) = (batch.schema(), table.schema());
        if given.fields().len() != wanted.fields().len()
            || !given.fields().iter().zip(wanted.fields()).all(same)
        {
            let table = table.name();
            return Err(format!("{table} has the columns {given:?}; it must have {wanted:?}"));
        }
        let pipelines = std::iter::repeat_n(pipeline, batch.num_rows());
        let pipelines = StringArray::from_iter_values(pipelines);
        let mut fields = vec![Field::new("pipeline", DataType::Utf8, false)];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(pipelines)];
        for (field, column) in wanted.fields().iter().zip(batch.columns()) {
            let (column, nullable) = match column.as_dictionary_opt::<Int32Type>() {
                Some(_) => (words(column), false),
                None => (Arc::clone(column), field.is_nullable()),
            };
            fields.push(Field::new(field.name(), column.data_type().clone(), nullable));
            columns.push(column);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .and_then(|batch| Block::new(target(table), &batch))
            .map_err(|error| format!("{}: {error}", table.name()))
    }

    /// The rows of `batch`, whose columns are those of `table`.
    pub(super) fn new(table: &'static str, batch: &RecordBatch) -> Result<Block, ArrowError> {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let (rows, columns) = (batch.num_rows(), names.join(", "));
        Ok(Block { table, rows, columns, stream: stream(batch)? })
    }
}

fn target(table: Table) -> &'static str {
    match table {
        Table::Panes => "pane_rows",
        Table::Samples => "sample_rows",
        Table::Lives => "life_rows",
        Table::Sessions => "session_rows",
    }
}

/// A dictionary-encoded column as plain texts; an absent one is empty, as in the model.
fn words(column: &ArrayRef) -> ArrayRef {
    let keys = column.as_dictionary::<Int32Type>();
    let values = keys.values().as_string::<i32>();
    let texts = keys.keys().iter().map(|key| match key {
        Some(key) if values.is_valid(key as usize) => values.value(key as usize),
        _ => "",
    });
    Arc::new(StringArray::from_iter_values(texts))
}

fn stream(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}
