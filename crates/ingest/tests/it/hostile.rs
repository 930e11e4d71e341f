//! Lines that nobody meant to be read, and the lines beside them.

use plimsoll_ingest::parser::{NESTING_MAX, REJECTS_KEPT_PER_BATCH_MAX};
use plimsoll_ingest::raw::LINE_BYTES_MAX;
use plimsoll_model::RejectReason;

use crate::shown::parse;

const SOURCE: &str =
    "{file: a.jsonl, format: json, resource: slots, map: {time: t, value: {used: v}}}";
const GOOD: &[u8] = br#"{"t":1700000000,"v":1}"#;

/// A line between two good ones: it is a reject, or makes a row too, and they make theirs.
#[track_caller]
fn check(line: impl AsRef<[u8]>, expected: Option<RejectReason>) {
    let batch = parse(SOURCE, &[GOOD, line.as_ref(), GOOD]);
    let reasons: Vec<_> = batch.rejects.iter().map(|reject| reject.reason).collect();
    assert_eq!(reasons, Vec::from_iter(expected));
    assert_eq!(batch.samples.len(), if expected.is_some() { 2 } else { 3 });
    assert_eq!(batch.records, 3);
    if let Some(reject) = batch.rejects.first() {
        assert_eq!(reject.offset, 1);
    }
}

#[test]
fn invalid_utf_8() {
    check(b"{\"t\":1700000000,\"v\":1,\"x\":\"\xff\"}", Some(RejectReason::Encoding));
}
#[test]
fn a_nul_byte() {
    check(b"{\"t\":1700000000,\"v\":1,\"x\":\"\0\"}", Some(RejectReason::Encoding));
}
#[test]
fn not_json() {
    check("once upon a time", Some(RejectReason::Malformed));
}
#[test]
fn json_but_no_object() {
    check("[1,2]", Some(RejectReason::Malformed));
}
#[test]
fn json_cut_short() {
    check(r#"{"t":1700000000,"v":1"#, Some(RejectReason::Malformed));
}
#[test]
fn two_objects_on_a_line() {
    check(r#"{"t":1700000000,"v":1}{}"#, Some(RejectReason::Malformed));
}
#[test]
fn a_bare_nan() {
    check(r#"{"t":1700000000,"v":NaN}"#, Some(RejectReason::Malformed));
}
#[test]
fn nan_as_text() {
    check(r#"{"t":1700000000,"v":"NaN"}"#, Some(RejectReason::BadValue));
}
#[test]
fn infinity_as_text() {
    check(r#"{"t":1700000000,"v":"-inf"}"#, Some(RejectReason::BadValue));
}
#[test]
fn a_number_beyond_all_numbers() {
    check(r#"{"t":1700000000,"v":"1e999"}"#, Some(RejectReason::BadValue));
}
#[test]
fn a_bare_number_beyond_all_numbers() {
    check(r#"{"t":1700000000,"v":1e999}"#, Some(RejectReason::Malformed));
}
#[test]
fn a_word_for_a_number() {
    check(r#"{"t":1700000000,"v":"many"}"#, Some(RejectReason::BadValue));
}
#[test]
fn a_number_as_text() {
    check(r#"{"t":"1700000000","v":" 1 "}"#, None);
}
#[test]
fn no_value() {
    check(r#"{"t":1700000000}"#, Some(RejectReason::MissingField));
}
#[test]
fn no_time() {
    check(r#"{"v":1}"#, Some(RejectReason::MissingField));
}
#[test]
fn a_time_of_1970() {
    check(r#"{"t":0,"v":1}"#, Some(RejectReason::ImplausibleTime));
}
#[test]
fn a_time_of_2999() {
    check(r#"{"t":"2999-01-01T00:00:00Z","v":1}"#, Some(RejectReason::ImplausibleTime));
}
#[test]
fn a_time_beyond_all_times() {
    check(r#"{"t":1e300,"v":1}"#, Some(RejectReason::ImplausibleTime));
}

#[test]
fn nesting_up_to_the_limit_is_read() {
    // The line's own object is the first level.
    let (open, close) = ("[".repeat(NESTING_MAX - 1), "]".repeat(NESTING_MAX - 1));
    check(format!(r#"{{"t":1700000000,"v":1,"x":{open}{close}}}"#), None);
    check(format!(r#"{{"x":{open}{close},"t":1700000000,"v":1,"y":[[[]]]}}"#), None);
}

#[test]
fn nesting_beyond_the_limit_is_not() {
    let deep = "[".repeat(NESTING_MAX);
    check(format!(r#"{{"t":1700000000,"v":1,"x":{deep}"#), Some(RejectReason::TooDeep));
    check("[".repeat(100_000), Some(RejectReason::TooDeep));
    check(r#"{"v":"#.repeat(40_000), Some(RejectReason::TooDeep));
}

#[test]
fn brackets_inside_a_text_are_no_nesting() {
    let text = r#"[[{\"\\"#.repeat(100);
    check(format!(r#"{{"t":1700000000,"v":1,"x":"{text}"}}"#), None);
}

#[test]
fn a_line_up_to_the_limit_is_read() {
    let start = r#"{"t":1700000000,"v":1,"x":""#;
    let fill = "x".repeat(LINE_BYTES_MAX - start.len() - 2);
    check(format!("{start}{fill}\"}}"), None);
    check(format!("{start}{fill}x\"}}"), Some(RejectReason::TooLong));
}

#[test]
fn a_name_with_a_nul() {
    let source = "{file: a, format: json, resource: r, map: {time: t, value: {used: v}, holder: {tenant: x}}}";
    let batch = parse(source, &[r#"{"t":1700000000,"v":1,"x":"a\u0000"}"#]);
    assert_eq!(batch.rejects[0].reason, RejectReason::Encoding);
}

#[test]
fn blank_lines_mean_nothing() {
    let batch = parse(SOURCE, &["", " \t\r", "\n\n"]);
    assert_eq!((batch.irrelevant, batch.records, batch.rejects.len()), (4, 4, 0));
}

#[test]
fn rejects_are_bounded_and_counted() {
    let lines = vec!["x"; REJECTS_KEPT_PER_BATCH_MAX + 7];
    let batch = parse(SOURCE, &lines);
    assert_eq!(batch.rejects.len(), REJECTS_KEPT_PER_BATCH_MAX);
    assert_eq!(batch.rejects_beyond[RejectReason::Malformed as usize], 7);
    assert_eq!(RejectReason::ALL[RejectReason::Malformed as usize], RejectReason::Malformed);
}
