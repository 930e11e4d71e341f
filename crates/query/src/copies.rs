//! `deliveries` and `rejects` for tables elsewhere.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use plimsoll_store::Changes;

use crate::rows;

/// The column that a copy has beyond those of its table: of two rows of one name the one with the
/// higher revision is newer.
pub const REVISION: &str = "revision";

/// The rows of `deliveries` and of `rejects` that `changes` are, as a query over the store would
/// show them, each with its [`REVISION`]; `sources` are the names of the pipeline's sources by
/// their numbers.
pub fn copies(pipeline: &str, sources: &[String], changes: &Changes) -> (RecordBatch, RecordBatch) {
    let (revisions, ordered): (Vec<u64>, Vec<_>) =
        changes.deliveries.iter().map(|(revision, ordered)| (*revision, ordered)).unzip();
    let deliveries = with_revisions(&rows::deliveries(pipeline, &ordered), revisions);
    let (revisions, kept): (Vec<u64>, Vec<_>) =
        changes.rejects.iter().map(|(revision, reject)| (*revision, reject)).unzip();
    (deliveries, with_revisions(&rows::rejects(pipeline, sources, &kept), revisions))
}

fn with_revisions(rows: &RecordBatch, revisions: Vec<u64>) -> RecordBatch {
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(REVISION, DataType::UInt64, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(UInt64Array::from(revisions)) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("each row has a revision")
}
