//! How the text of a recording is changed.

use jiff::ToSpan;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `text` with what stands behind every `mark`, as far as `is_part`, given through `change`.
pub fn after(
    text: &str,
    mark: &str,
    is_part: impl Fn(char) -> bool,
    change: impl Fn(&str) -> String,
) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        let (before, behind) = rest.split_at(at + mark.len());
        let blanks = behind.len() - behind.trim_start_matches(' ').len();
        let part = &behind[blanks..];
        let end = part.find(|letter| !is_part(letter)).unwrap_or(part.len());
        changed.push_str(before);
        changed.push_str(&behind[..blanks]);
        changed.push_str(&change(&part[..end]));
        rest = &part[end..];
    }
    changed + rest
}

/// The text with every `2026-03-04 15:10:00` and `2026-03-04T15:10:00` so many seconds later.
pub fn shift_moments(text: &str, seconds: i64) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("20") {
        let (before, from) = rest.split_at(at);
        changed.push_str(before);
        let is_begin = !changed.ends_with(|letter: char| letter.is_ascii_digit());
        let has_dashes = |text: &&str| text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        let moment = from.get(..19).filter(has_dashes);
        if let (true, Some(Ok(moment))) = (is_begin, moment.map(str::parse::<DateTime>)) {
            let later = (moment + seconds.seconds()).to_string();
            changed.push_str(&later[..10]);
            changed.push_str(&from[10..11]);
            changed.push_str(&later[11..]);
            rest = &from[19..];
        } else {
            changed.push_str("20");
            rest = &from[2..];
        }
    }
    changed + rest
}

/// A recording's input so many seconds later: moments of ISO 8601 and of HAProxy, seconds since
/// 1970, and the begin of a session that PostgreSQL writes into its id.
pub fn shift(text: &str, seconds: i64) -> String {
    const HAPROXY: &str = "%d/%b/%Y:%H:%M:%S";
    let is_digit = |letter: char| letter.is_ascii_digit();
    let text = after(text, "\"ts\":", is_digit, |whole| {
        (whole.parse::<i64>().unwrap() + seconds).to_string()
    });
    let is_hex = |letter: char| letter.is_ascii_hexdigit();
    let text = after(&text, "\"session_id\":\"", is_hex, |began| {
        format!("{:x}", i64::from_str_radix(began, 16).unwrap() + seconds)
    });
    let text = after(
        &text,
        " [",
        |letter| letter.is_ascii_alphanumeric() || ['/', ':'].contains(&letter),
        |moment| match DateTime::strptime(HAPROXY, moment) {
            Ok(moment) => (moment + seconds.seconds()).strftime(HAPROXY).to_string(),
            Err(_) => moment.to_owned(),
        },
    );
    shift_moments(&text, seconds)
}

/// Seconds since 1970 of `2026-03-04T15:10:00Z` or `2026-03-04 15:10:00.123 UTC`.
pub fn seconds_of(moment: &str) -> f64 {
    let plain = moment.trim_end_matches('Z').trim_end_matches(" UTC");
    seconds(plain.parse().unwrap())
}

pub fn seconds(moment: DateTime) -> f64 {
    let timestamp = TimeZone::UTC.to_timestamp(moment).unwrap();
    timestamp.as_microsecond() as f64 / 1e6
}

/// What stands between `mark` and the next quotation mark, comma or brace.
pub fn value<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let behind = line.split_once(mark)?.1.trim_start_matches([' ', '"']);
    behind.split(['"', ',', '}']).next()
}

/// The seconds since 1970 at which a line was written; an HAProxy writes at a request's end.
pub fn written_at(line: &str) -> f64 {
    if let Some(request) = super::without::Request::read(line) {
        return request.end_ms() as f64 / 1e3;
    }
    match value(line, "\"ts\":") {
        Some(seconds) => seconds.parse().unwrap(),
        None => {
            let moment = value(line, "\"timestamp\":").or_else(|| value(line, "\"time\":"));
            seconds_of(moment.unwrap_or_else(|| panic!("no time in {line}")))
        }
    }
}

/// The lines that `keep` keeps.
pub fn keep(text: &str, keep: impl Fn(&str) -> bool) -> String {
    text.split_inclusive('\n').filter(|line| keep(line)).collect()
}
