//! How records are cut into batches changes nothing, and no bytes make a parser panic.

use std::io;

use plimsoll_ingest::{FileSource, Parser, RawBatch};
use plimsoll_model::PartitionId;
use proptest::prelude::*;

use crate::shown::{parser, shown};

const SOURCES: [&str; 4] = [
    "{file: a, format: postgres_jsonlog, resource: db}",
    "{file: a, format: json, resource: r, map: {time: timestamp, session: {id: session_id, \
     event: message, events: {opened: [a]}, started: session_start}, holder: {tenant: user}}}",
    "{file: a, format: json, role: context}",
    "{file: a, format: haproxy_http, resource: r, haproxy: {holder: {tenant: request.0}}}",
];
const RECORDED: &[u8] = include_bytes!("postgres-15.18.jsonl");
const RECORDED_EDGE: &[u8] = include_bytes!("haproxy-2.6.log");

/// Rows with their times and offsets, over batches.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    rows: Vec<String>,
    rejects: Vec<plimsoll_model::Reject>,
    times: Vec<(i64, plimsoll_model::Time)>,
    offsets: Vec<i64>,
    records: u64,
    irrelevant: u64,
}

fn see(parser: &mut Parser, batches: impl IntoIterator<Item = RawBatch>) -> Seen {
    let mut seen = Seen::default();
    for raw in batches {
        let mut batch = parser.parse(&raw);
        seen.rejects.append(&mut batch.rejects);
        seen.irrelevant += std::mem::take(&mut batch.irrelevant);
        seen.rows.extend(shown(&batch));
        seen.times.extend(&batch.times);
        seen.offsets.extend((0..batch.sessions.len()).map(|row| batch.sessions.offset(row)));
        seen.records += batch.records;
    }
    seen
}

fn cut(records: &[&[u8]], cuts: &[usize]) -> Vec<RawBatch> {
    let mut batches = vec![RawBatch::new(PartitionId::new(1, 0))];
    for (offset, record) in records.iter().enumerate() {
        if cuts.contains(&offset) {
            batches.push(RawBatch::new(PartitionId::new(1, 0)));
        }
        batches.last_mut().unwrap().push(offset as i64, record);
    }
    batches
}

/// A reader that returns at most `step` bytes at a time.
pub struct Drip {
    pub bytes: io::Cursor<Vec<u8>>,
    pub step: usize,
}

impl io::Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(buffer.len());
        self.bytes.read(&mut buffer[..step])
    }
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_rows(cuts in prop::collection::vec(0..40_usize, 0..10), bad in 0..40_usize) {
        let mut lines: Vec<&[u8]> = RECORDED.split(|byte| *byte == b'\n').collect();
        lines.extend(RECORDED_EDGE.split(|byte| *byte == b'\n'));
        lines.insert(bad, b"{\"timestamp\":17");
        for source in SOURCES {
            let mut parser = parser(source);
            let whole = see(&mut parser, cut(&lines, &[]));
            prop_assert_eq!(see(&mut parser, cut(&lines, &cuts)), whole);
        }
    }

    #[test]
    fn any_bytes_are_survived(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        for source in SOURCES {
            see(&mut parser(source), cut(&lines, &[]));
        }
    }

    /// Recorded lines with bytes changed, put in and taken out get further into the parser.
    #[test]
    fn any_damage_is_survived(edits in prop::collection::vec((0..RECORDED.len(), any::<u8>(), 0..3_u8), 1..30)) {
        let mut bytes = [RECORDED_EDGE, RECORDED].concat();
        for (at, byte, kind) in edits {
            let at = at % bytes.len();
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        for source in SOURCES {
            let seen = see(&mut parser(source), cut(&[&bytes], &[]));
            prop_assert!(seen.records >= 1);
        }
    }

    #[test]
    fn a_file_reads_on_at_any_line(start in 0..40_usize, step in 1..2_000_usize) {
        let starts: Vec<usize> = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', RECORDED).map(|end| end + 1))
            .collect();
        let start = starts[start];
        let read = |from: usize, step: usize| {
            let drip = Drip { bytes: io::Cursor::new(RECORDED.to_vec()), step };
            let partition = PartitionId::new(1, 0);
            let mut source = FileSource::from_reader("x", Box::new(drip), partition, from as i64).unwrap();
            let batches = std::iter::from_fn(|| source.next_batch().unwrap()).collect::<Vec<_>>();
            see(&mut parser(SOURCES[0]), batches)
        };
        let (whole, tail) = (read(0, usize::MAX), read(start, step));
        let from = whole.times.iter().position(|(offset, _)| *offset >= start as i64);
        prop_assert_eq!(&whole.times[from.unwrap_or(whole.times.len())..], &tail.times[..]);
        let from = whole.offsets.iter().position(|offset| *offset >= start as i64);
        let from = from.unwrap_or(whole.offsets.len());
        prop_assert_eq!(&whole.rows[from..], &tail.rows[..]);
        prop_assert_eq!(&whole.offsets[from..], &tail.offsets[..]);
    }
}
