//! Evidence segments: Parquet files beside the database.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use plimsoll_model::Second;
use plimsoll_model::evidence::{Evidence, Table};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{Error, SegmentEntry, tables};

/// How a segment's file name ends.
pub(crate) const SUFFIX: &str = ".parquet";

/// How the name of a file that is being written ends.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The rows of a segment in the row groups of one read. A segment is far smaller.
const ROWS_PER_READ: usize = 65_536;

/// The name of the segment of the rows of `table`: the tick and a hash of the rows, so that
/// deciding the same again gives the same name.
pub(crate) fn name(tick: Second, table: Table, evidence: &Evidence) -> String {
    let rows = match table {
        Table::Panes => tables::encode(&evidence.panes),
        Table::Samples => tables::encode(&evidence.samples),
        Table::Lives => tables::encode(&evidence.lives),
        Table::Sessions => tables::encode(&evidence.sessions),
    };
    format!("{}-{}-{:032x}{SUFFIX}", table.name(), tick.0, xxh3_128(&rows))
}

/// The file of a segment, and its entry.
pub(crate) fn encode(tick: Second, table: Table, evidence: &Evidence) -> (Vec<u8>, SegmentEntry) {
    let file = write(&evidence.record_batch(table)).expect("writing to memory does not fail");
    let entry = SegmentEntry {
        tick,
        table,
        rows: evidence.len(table) as u64,
        bytes: file.len() as u64,
        checksum: xxh3_64(&file),
    };
    (file, entry)
}

fn write(batch: &RecordBatch) -> Result<Vec<u8>, ParquetError> {
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.into_inner()
}

/// The rows of a segment's file, if it is the file that was registered.
pub(crate) fn decode(
    name: &str,
    file: Vec<u8>,
    entry: &SegmentEntry,
) -> Result<RecordBatch, Error> {
    if xxh3_64(&file) != entry.checksum {
        return Err(Error::Corrupt(format!("segment `{name}` is not the one that was written")));
    }
    read(file).map_err(|error| Error::Corrupt(format!("segment `{name}`: {error}")))
}

fn read(file: Vec<u8>) -> Result<RecordBatch, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))?;
    let schema = builder.schema().clone();
    let reader = builder.with_batch_size(ROWS_PER_READ).build()?;
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}
