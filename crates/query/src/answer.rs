//! An answer, and how it is written down.

mod text;

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// The rows that answer a query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The names and types of its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
    /// How many rows it has.
    pub rows: usize,
    /// Whether there were more rows than the limit allows.
    pub is_cut: bool,
    /// How many rows of the store's tables were read for it.
    pub rows_read: u64,
}

impl Answer {
    pub(crate) fn new(schema: SchemaRef) -> Answer {
        Answer { schema, batches: Vec::new(), rows: 0, is_cut: false, rows_read: 0 }
    }

    /// Takes rows up to `rows_max` in all; whether it can take more.
    pub(crate) fn push(&mut self, batch: RecordBatch, rows_max: usize) -> bool {
        let room = rows_max - self.rows;
        self.is_cut = batch.num_rows() > room;
        let batch = if self.is_cut { batch.slice(0, room) } else { batch };
        self.rows += batch.num_rows();
        if batch.num_rows() > 0 {
            self.batches.push(batch);
        }
        !self.is_cut
    }

    /// A table for a person: one line per row, numbers to the right, control characters shown.
    pub fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        text::write(self, out)
    }

    /// CSV with a header line. Times are RFC 3339 in UTC, NULL is empty, lists are shown as text.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut writer = CsvBuilder::new().with_header(true).build(&mut *out);
        if self.batches.is_empty() {
            let empty = RecordBatch::new_empty(Arc::clone(&self.schema));
            writer.write(&flat(&empty).map_err(to_io)?).map_err(to_io)?;
        }
        for batch in &self.batches {
            writer.write(&flat(batch).map_err(to_io)?).map_err(to_io)?;
        }
        drop(writer);
        out.flush()
    }

    /// One JSON object per line. Times are RFC 3339 in UTC; NULL is null.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let builder = JsonBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(&mut *out);
        for batch in &self.batches {
            writer.write(batch).map_err(to_io)?;
        }
        writer.finish().map_err(to_io)?;
        drop(writer);
        out.flush()
    }

    /// A Parquet file, compressed with zstd.
    pub fn write_parquet(&self, out: impl Write + Send) -> io::Result<()> {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer = ArrowWriter::try_new(out, Arc::clone(&self.schema), Some(properties))?;
        for batch in &self.batches {
            writer.write(batch)?;
        }
        let mut out = writer.into_inner()?;
        out.flush()
    }
}

/// The rows with nested columns as texts, which is what CSV can hold.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let options = FormatOptions::default();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let plain = !field.data_type().is_nested();
        let column: ArrayRef = if plain {
            Arc::clone(column)
        } else {
            let shown = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let texts = (0..column.len()).map(|row| shown.value(row).try_to_string());
            Arc::new(StringArray::from(texts.collect::<Result<Vec<_>, _>>()?))
        };
        let kind = if plain { field.data_type().clone() } else { DataType::Utf8 };
        fields.push(Field::new(field.name(), kind, true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// What a writer says: usually that the other end is closed.
fn to_io(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}
