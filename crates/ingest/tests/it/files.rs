//! Files: compressed, torn, cut, with lines of any length.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use plimsoll_ingest::file::BATCH_LINES_MAX;
use plimsoll_ingest::raw::LINE_BYTES_MAX;
use plimsoll_ingest::{FileSource, RawBatch};
use plimsoll_model::{PartitionId, RejectReason};

use crate::shown::{parser, shown};

const SOURCE: &str = "{file: a, format: json, resource: r, map: {time: t, value: {used: v}}}";

fn line(value: usize) -> String {
    format!("{{\"t\":1700000000,\"v\":{value}}}\n")
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|value| line(value).into_bytes()).collect()
}

/// Everything that a reader of `bytes` delivers from `start` on, as text, and where it ended.
#[track_caller]
fn read(bytes: impl Read + Send + 'static, start: i64) -> (Vec<String>, i64) {
    let partition = PartitionId::new(0, 0);
    let mut source = FileSource::from_reader("x", Box::new(bytes), partition, start).unwrap();
    drain(&mut source, start)
}

#[track_caller]
fn drain(source: &mut FileSource, start: i64) -> (Vec<String>, i64) {
    let (mut seen, mut next) = (Vec::new(), start);
    let mut parser = parser(SOURCE);
    while let Some(raw) = source.next_batch().unwrap() {
        assert!(raw.first_offset >= next, "batches follow each other");
        next = raw.next_offset;
        seen.extend(shown(&parser.parse(&raw)));
    }
    (seen, next)
}

#[track_caller]
fn check(bytes: impl Into<Vec<u8>>, expected: &[&str]) {
    assert_eq!(read(io::Cursor::new(bytes.into()), 0).0, expected);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn compressed_or_not() {
    let plain = lines(3);
    let expected = ["r used=0", "r used=1", "r used=2"];
    check(plain.clone(), &expected);
    check(gzip(&plain), &expected);
    check(zstd(&plain), &expected);
}

#[test]
fn several_members_are_one_file() {
    let (one, two) = (line(1), line(2));
    check([gzip(one.as_bytes()), gzip(two.as_bytes())].concat(), &["r used=1", "r used=2"]);
    check([zstd(one.as_bytes()), zstd(two.as_bytes())].concat(), &["r used=1", "r used=2"]);
}

#[test]
fn an_empty_file_has_no_lines() {
    check("", &[]);
    check(gzip(b""), &[]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_line() {
    check(format!("\u{feff}{}", line(1)), &["r used=1"]);
}

#[test]
fn a_last_line_without_its_newline() {
    check(line(1) + line(2).trim_end(), &["r used=1", "r used=2"]);
    check(
        line(1) + r#"{"t":1700000000,"v":"#,
        &[
            "r used=1",
            "reject truncated: the file ends inside a line: not JSON: wrong or cut short at byte 19",
        ],
    );
}

#[test]
fn a_cut_stream_ends_the_file_and_says_so() {
    for whole in [gzip(&lines(2_000)), zstd(&lines(2_000))] {
        let cut = whole[..whole.len() - 8].to_vec();
        let (seen, _) = read(io::Cursor::new(cut), 0);
        let last = seen.last().unwrap();
        assert!(last.starts_with("reject truncated: the compressed stream is cut"), "{last}");
        assert_eq!(seen.iter().filter(|each| each.starts_with("reject")).count(), 1);
    }
}

#[test]
fn a_damaged_stream_ends_the_file_and_says_so() {
    let mut bytes = gzip(&lines(2_000));
    bytes.extend(b"this is no member");
    let (seen, _) = read(io::Cursor::new(bytes), 0);
    assert_eq!(seen.len(), 2_001);
    assert!(seen.last().unwrap().starts_with("reject truncated"));
}

#[test]
fn reading_goes_on_in_compressed_files() {
    let plain = lines(20);
    let start = 3 * line(0).len() as i64;
    let whole = read(io::Cursor::new(plain.clone()), 0);
    for bytes in [plain.clone(), gzip(&plain), zstd(&plain)] {
        let (seen, next) = read(io::Cursor::new(bytes), start);
        assert_eq!((&seen[..], next), (&whole.0[3..], whole.1));
    }
}

#[test]
fn a_file_that_became_shorter_lost_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, lines(1)).unwrap();
    let mut source = FileSource::open(&path, PartitionId::new(0, 0), 1_000).unwrap();
    let raw = source.next_batch().unwrap().unwrap();
    assert_eq!((raw.first_offset, raw.next_offset), (1_000, 1_000));
    let batch = parser(SOURCE).parse(&raw);
    assert_eq!(batch.rejects[0].reason, RejectReason::Lost);
    assert!(source.next_batch().unwrap().is_none());
}

#[test]
fn files_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("plain", lines(5)), ("gz", gzip(&lines(5))), ("zst", zstd(&lines(5)))] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for start in [0, 2 * line(0).len() as i64] {
            let mut source = FileSource::open(&path, PartitionId::new(0, 0), start).unwrap();
            let (seen, next) = drain(&mut source, start);
            assert_eq!(next, lines(5).len() as i64);
            assert_eq!(seen.last().map(String::as_str), Some("r used=4"));
            assert_eq!(seen.len(), if start == 0 { 5 } else { 3 });
        }
    }
}

#[test]
fn a_named_pipe_is_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            pipe.write_all(&lines(2)).unwrap();
            pipe
        }
    });
    let mut source = FileSource::open(&path, PartitionId::new(0, 0), 0).unwrap();
    // The pipe is still open for writing when its lines arrive.
    let raw = source.next_batch().unwrap().unwrap();
    assert_eq!(shown(&parser(SOURCE).parse(&raw)), ["r used=0", "r used=1"]);
    drop(writer.join().unwrap());
    assert!(source.next_batch().unwrap().is_none());
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    let error = FileSource::open(Path::new("/nowhere/a.jsonl"), PartitionId::new(0, 0), 0);
    let text = error.err().unwrap().to_string();
    assert!(text.starts_with("cannot open `/nowhere/a.jsonl`: "), "{text}");
}

/// 64 MiB of one line between two good ones; nothing near that size is ever held.
#[test]
fn a_huge_line_is_skipped_without_keeping_it() {
    let (before, after) = (line(1).into_bytes(), line(2).into_bytes());
    let length = 64 * 1024 * 1024;
    let offset = before.len() as i64;
    let reader = io::Cursor::new(before)
        .chain(io::repeat(b'x').take(length))
        .chain(io::Cursor::new([vec![b'\n'], after].concat()));
    let mut source =
        FileSource::from_reader("x", Box::new(reader), PartitionId::new(0, 0), 0).unwrap();
    let mut batches: Vec<RawBatch> = Vec::new();
    while let Some(raw) = source.next_batch().unwrap() {
        assert!(raw.bytes_held() < 4 * 1024 * 1024);
        batches.push(raw);
    }
    let mut parser = parser(SOURCE);
    let parsed: Vec<_> = batches.iter().map(|raw| parser.parse(raw)).collect();
    let rejects: Vec<_> = parsed.iter().flat_map(|batch| &batch.rejects).collect();
    assert_eq!(rejects.len(), 1);
    assert_eq!((rejects[0].reason, rejects[0].offset), (RejectReason::TooLong, offset));
    assert!(rejects[0].detail.contains("67108864"), "{}", rejects[0].detail);
    assert_eq!(parsed.iter().map(|batch| batch.samples.len()).sum::<usize>(), 2);
    // Whoever stops after the first batch reads the huge line again.
    assert!(batches[0].next_offset <= offset);
}

#[test]
fn a_huge_last_line() {
    let length = 3 * 1024 * 1024;
    let (seen, next) = read(io::repeat(b'x').take(length), 0);
    let expected =
        format!("reject too_long: record has {length} bytes; at most {LINE_BYTES_MAX} are parsed");
    assert_eq!((seen, next), (vec![expected], length as i64));
}

#[test]
fn a_batch_has_a_bounded_number_of_lines() {
    let bytes = "\n".repeat(BATCH_LINES_MAX * 2 + 5);
    let partition = PartitionId::new(0, 0);
    let mut source =
        FileSource::from_reader("x", Box::new(io::Cursor::new(bytes)), partition, 0).unwrap();
    let mut counts = Vec::new();
    while let Some(raw) = source.next_batch().unwrap() {
        counts.push(raw.len());
    }
    assert_eq!(counts, [BATCH_LINES_MAX, BATCH_LINES_MAX, 5]);
}
