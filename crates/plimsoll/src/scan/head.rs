//! The beginning of a file: read once, looked at, and then parsed with the rest.

use plimsoll_ingest::file::FileSource;
use plimsoll_ingest::raw::{RawBatch, RawRecord};
use serde_json::{Map, Value};

/// Lines that are looked at, blank ones not counted.
pub const LINES_LOOKED_AT_MAX: usize = 1_000;

/// Bytes that are read for it, about.
pub const HEAD_BYTES_MAX: u64 = 4 << 20;

/// What was read of a file so far.
pub(super) struct Head {
    pub(super) batches: Vec<RawBatch>,
}

/// One line of the head.
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// The line, if it is text.
    pub(super) text: Option<&'a str>,
    /// The line, if it is a JSON object.
    pub(super) object: Option<Map<String, Value>>,
}

impl Head {
    /// Reads until there are lines enough. Blocks while a pipe does.
    pub(super) fn read(source: &mut FileSource) -> Result<Head, plimsoll_ingest::Error> {
        let mut head = Head { batches: Vec::new() };
        let (mut lines, mut bytes) = (0, 0);
        while lines < LINES_LOOKED_AT_MAX && bytes < HEAD_BYTES_MAX {
            let Some(batch) = source.next_batch()? else { break };
            lines += batch.len();
            bytes += batch.bytes_read();
            head.batches.push(batch);
        }
        Ok(head)
    }

    /// The first lines that are not blank.
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        let records = self.batches.iter().flat_map(RawBatch::records);
        let bytes = records.map(|(_, record)| match record {
            RawRecord::Whole(bytes) | RawRecord::Torn(bytes) => bytes.trim_ascii(),
            RawRecord::Refused { head, .. } => head,
        });
        bytes.filter(|bytes| !bytes.is_empty()).take(LINES_LOOKED_AT_MAX).map(Line::new).collect()
    }
}

impl<'a> Line<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Line<'a> {
        let text = std::str::from_utf8(bytes).ok();
        let is_object = bytes.first() == Some(&b'{');
        let object = text.filter(|_| is_object).and_then(|text| serde_json::from_str(text).ok());
        Line { bytes, text, object }
    }
}
