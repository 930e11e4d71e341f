//! Rows as one line of text each, so that a test's expectation can be read.

use plimsoll_ingest::{Parser, RawBatch, SourceConfig};
use plimsoll_model::{Batch, Dimension, Holder, PartitionId};

/// The configuration of a source as a user writes it.
#[track_caller]
pub fn source(yaml: &str) -> SourceConfig {
    serde_saphyr::from_str(yaml).unwrap()
}

#[track_caller]
pub fn parser(yaml: &str) -> Parser {
    Parser::new("source", &source(yaml)).unwrap()
}

/// The batch of a partition with these records, at offsets from 0 on.
#[track_caller]
pub fn parse<R: AsRef<[u8]>>(yaml: &str, records: &[R]) -> Batch {
    let mut raw = RawBatch::new(PartitionId::new(0, 0));
    for (offset, record) in records.iter().enumerate() {
        raw.push(offset as i64, record.as_ref());
    }
    parser(yaml).parse(&raw)
}

/// Everything that a batch says, a line for each row and reject.
pub fn shown(batch: &Batch) -> Vec<String> {
    let mut lines = Vec::new();
    let rows = &batch.sessions;
    for row in 0..rows.len() {
        let mut line = format!("{} {}", rows.event(row).name(), rows.resource(row));
        line += &option(" session", rows.session(row));
        line += &option(" age_us", rows.age_us(row));
        line += &option(" waited_us", rows.waited_us(row));
        line += &option(" reason", rows.reason(row));
        lines.push(line + &holder(&rows.holder(row)));
    }
    let rows = &batch.samples;
    for row in 0..rows.len() {
        let line = format!("{} {}={}", rows.resource(row), rows.metric(row), rows.value(row));
        lines.push(line + &holder(&rows.holder(row)));
    }
    let rows = &batch.lives;
    for row in 0..rows.len() {
        let mut line = rows.event(row).name().to_owned();
        line += &option(" resource", rows.resource(row));
        line += &option(" value", rows.value(row));
        line += &option(" note", rows.note(row));
        line += &option(" cause", rows.cause(row).map(|cause| cause.name()));
        line += &option(" predecessor", rows.predecessor(row));
        lines.push(line + &holder(&rows.holder(row)));
    }
    for reject in &batch.rejects {
        lines.push(format!("reject {}: {}", reject.reason, reject.detail));
    }
    if batch.irrelevant > 0 {
        lines.push(format!("irrelevant {}", batch.irrelevant));
    }
    lines
}

fn option(name: &str, value: Option<impl std::fmt::Display>) -> String {
    value.map(|value| format!("{name}={value}")).unwrap_or_default()
}

fn holder(holder: &Holder<'_>) -> String {
    let known = Dimension::ALL.into_iter();
    known.map(|each| option(&format!(" {each}"), holder.get(each))).collect()
}
