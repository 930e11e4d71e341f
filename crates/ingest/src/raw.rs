//! Records as they were read, before anybody looked into them.

use plimsoll_model::reject::REJECT_EXCERPT_BYTES_MAX;
use plimsoll_model::{PartitionId, RejectReason};

/// The longest record (a file's line, a Kafka message's line) that is parsed. A longer one is a
/// reject; a source need not hold it in memory to say so.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

/// The longest record of Kafka that is looked into; one of several lines may be longer than one
/// line. The OpenTelemetry Collector writes up to 1,000,000 bytes, and a broker takes about
/// 1,048,576 unless it is told otherwise.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024 + 4_096;

/// A run of records of one partition, in one contiguous buffer.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// Where the records came from.
    pub partition: PartitionId,
    /// The offset of the first record; set by the first push.
    pub first_offset: i64,
    /// The offset at which reading goes on. A push sets it to the record's offset plus one; a
    /// source whose offsets have gaps sets it itself afterwards.
    pub next_offset: i64,
    bytes: Vec<u8>,
    records: Vec<RawRange>,
    notes: Vec<Note>,
    bytes_read: u64,
}

/// Where one record stands in the buffer.
#[derive(Clone, Copy, Debug)]
struct RawRange {
    offset: i64,
    start: usize,
    end: usize,
    kind: RangeKind,
}

#[derive(Clone, Copy, Debug)]
enum RangeKind {
    Whole,
    Torn,
    /// Not to be parsed: `notes[_]` says why.
    Refused(u32),
}

#[derive(Clone, Debug)]
struct Note {
    reason: RejectReason,
    detail: String,
    head: Vec<u8>,
}

/// One record of a [`RawBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawRecord<'a> {
    /// All bytes of the record.
    Whole(&'a [u8]),
    /// The last line of a file that does not end with a newline: perhaps all of it, perhaps not.
    Torn(&'a [u8]),
    /// A record that the source itself could not deliver: too long, lost, cut off.
    Refused {
        /// Why.
        reason: RejectReason,
        /// What exactly is wrong, for a person.
        detail: &'a str,
        /// The first bytes, if there are any.
        head: &'a [u8],
    },
}

impl RawBatch {
    /// An empty batch of `partition`.
    pub fn new(partition: PartitionId) -> RawBatch {
        RawBatch { partition, ..RawBatch::default() }
    }

    /// Adds one record.
    pub fn push(&mut self, offset: i64, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.push_range(offset, start, self.bytes.len(), RangeKind::Whole, record.len() as u64);
    }

    /// Adds a record of `length` bytes of which only the first ones, `head`, were kept.
    pub fn push_too_long(&mut self, offset: i64, head: &[u8], length: u64) {
        let detail = format!("record has {length} bytes; at most {LINE_BYTES_MAX} are parsed");
        self.push_refused(offset, RejectReason::TooLong, detail, head, length);
    }

    /// Adds a record that becomes a reject with this reason. `length` is what was read of it.
    pub fn push_refused(
        &mut self,
        offset: i64,
        reason: RejectReason,
        detail: String,
        head: &[u8],
        length: u64,
    ) {
        let head = head[..head.len().min(REJECT_EXCERPT_BYTES_MAX)].to_vec();
        self.notes.push(Note { reason, detail, head });
        let kind = RangeKind::Refused((self.notes.len() - 1) as u32);
        self.push_range(offset, 0, 0, kind, length);
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The bytes that were read for the records, kept or not.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The bytes that the batch holds in memory.
    pub fn bytes_held(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<RawRange>()
    }

    /// The records with their offsets, in order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (i64, RawRecord<'_>)> {
        self.records.iter().map(|range| {
            let bytes = &self.bytes[range.start..range.end];
            let record = match range.kind {
                RangeKind::Whole => RawRecord::Whole(bytes),
                RangeKind::Torn => RawRecord::Torn(bytes),
                RangeKind::Refused(note) => {
                    let Note { reason, detail, head } = &self.notes[note as usize];
                    RawRecord::Refused { reason: *reason, detail, head }
                }
            };
            (range.offset, record)
        })
    }

    /// Makes `start..end` of the buffer a record; the buffer itself comes with
    /// [`RawBatch::adopt`].
    pub(crate) fn mark(&mut self, offset: i64, start: usize, end: usize, torn: bool) {
        let kind = if torn { RangeKind::Torn } else { RangeKind::Whole };
        self.push_range(offset, start, end, kind, (end - start) as u64);
    }

    /// Takes the buffer that the marked records stand in.
    pub(crate) fn adopt(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.bytes.is_empty(), "a batch is either pushed or marked");
        self.bytes = bytes;
    }

    fn push_range(&mut self, offset: i64, start: usize, end: usize, kind: RangeKind, length: u64) {
        if self.records.is_empty() {
            self.first_offset = offset;
        }
        self.next_offset = offset.saturating_add(1);
        self.bytes_read += length;
        self.records.push(RawRange { offset, start, end, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_with_their_offsets() {
        let mut batch = RawBatch::new(PartitionId::new(0, 3));
        batch.push(7, b"a");
        batch.push_too_long(9, b"head", 70_000_000);
        let records: Vec<_> = batch.records().collect();
        assert_eq!(records[0], (7, RawRecord::Whole(b"a")));
        let (9, RawRecord::Refused { reason, head, .. }) = records[1] else {
            panic!("{records:?}")
        };
        assert_eq!((reason, head), (RejectReason::TooLong, &b"head"[..]));
        assert_eq!(
            (batch.first_offset, batch.next_offset, batch.bytes_read()),
            (7, 10, 70_000_001)
        );
    }
}
