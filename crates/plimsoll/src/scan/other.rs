//! What is no log that Plimsoll reads: said in a sentence, with what to do where that is known.

use super::head::Line;

/// Lines are text with at most so many that are not; beyond it the file is not text.
const BINARY_SHARE_MAX: f64 = 0.5;

/// Beginnings of files that a person could have meant.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "it is compressed with xz: `xzcat FILE | plimsoll scan -` reads it"),
    (b"BZh", "it is compressed with bzip2: `bzcat FILE | plimsoll scan -` reads it"),
    (b"PK\x03\x04", "it is a zip archive: unpack it and name the file in it"),
    (b"PAR1", "it is a Parquet file; logs and metrics are read as lines of text"),
    (b"\x89PNG", "it is a picture"),
    (b"%PDF", "it is a PDF"),
    (b"\x7fELF", "it is a program"),
    (b"SQLite format 3", "it is a database of SQLite"),
    (
        b"\xff\xfe",
        "it is text in UTF-16: `iconv -f UTF-16 -t UTF-8 FILE | plimsoll scan -` reads it",
    ),
    (
        b"\xfe\xff",
        "it is text in UTF-16: `iconv -f UTF-16 -t UTF-8 FILE | plimsoll scan -` reads it",
    ),
    (b"<?xml", "it is XML; logs and metrics are read as lines of text"),
];

/// Whether a line has the mark of a log.
type Mark = fn(&str) -> bool;

/// Logs that are known and not read.
const LOGS: &[(Mark, &str)] = &[
    (
        is_postgres_stderr,
        "it looks like PostgreSQL's log in plain text; Plimsoll reads its JSON: set `log_destination = 'jsonlog'`, \
         `log_connections` and `log_disconnections` (PostgreSQL 15 and later)",
    ),
    (
        is_postgres_csv,
        "it looks like PostgreSQL's csvlog; Plimsoll reads its JSON: set `log_destination = 'jsonlog'` (PostgreSQL 15 and later)",
    ),
    (
        is_access_log,
        "it looks like the access log of a web server (nginx, Apache), which says neither when a request began nor who holds what; \
         write it as JSON lines with those fields and give a `map` (docs/formats.md)",
    ),
];

/// Where a tar archive says that it is one, and how.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// Why the file is not text, if it is not.
pub(super) fn binary(lines: &[Line<'_>]) -> Option<String> {
    let first = lines.first()?;
    let known = BEGINNINGS.iter().find(|(beginning, _)| first.bytes.starts_with(beginning));
    if let Some((_, what)) = known {
        return Some((*what).to_owned());
    }
    if first.bytes.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Some(
            "it is a tar archive: `tar -xOf FILE | plimsoll scan -` reads the files in it"
                .to_owned(),
        );
    }
    let is_binary = |line: &&Line<'_>| line.text.is_none() || line.bytes.contains(&0);
    let binary = lines.iter().filter(is_binary).count();
    (binary as f64 > BINARY_SHARE_MAX * lines.len() as f64)
        .then(|| format!("{binary} of {} lines looked at are not text (UTF-8)", lines.len()))
}

/// Why the lines are none of the formats.
pub(super) fn sentence(lines: &[Line<'_>]) -> String {
    let looks_like = |is_one: Mark| {
        let like = lines.iter().filter(|line| line.text.is_some_and(is_one)).count();
        2 * like > lines.len()
    };
    if let Some((_, what)) = LOGS.iter().find(|(is_one, _)| looks_like(*is_one)) {
        return (*what).to_owned();
    }
    let is_json = |line: &&Line<'_>| {
        line.text.is_some_and(|text| serde_json::from_str::<serde_json::Value>(text).is_ok())
    };
    if lines.len() > 1 && lines[0].bytes == b"[" || lines[0].bytes.starts_with(b"[{") {
        return "it is one JSON list; Plimsoll reads one object per line: `jq -c '.[]' FILE | plimsoll scan -`".to_owned();
    }
    if lines[0].bytes == b"{" {
        return "it is JSON over several lines; Plimsoll reads one object per line: `jq -c . FILE | plimsoll scan -`".to_owned();
    }
    if is_table(lines) {
        return "it looks like CSV; Plimsoll reads one JSON object per line: \
                `python3 -c 'import csv, json, sys; [print(json.dumps(row)) for row in csv.DictReader(sys.stdin)]' \
                < FILE | plimsoll scan -`"
            .to_owned();
    }
    let json = lines.iter().filter(is_json).count();
    format!(
        "none of the formats that Plimsoll reads fits its lines ({} looked at, {json} of them JSON); docs/formats.md lists them",
        lines.len()
    )
}

/// A header of plain words and lines with as many commas.
fn is_table(lines: &[Line<'_>]) -> bool {
    let commas = |line: &Line<'_>| line.text.map_or(0, |text| text.matches(',').count());
    let Some(header) = lines.first().and_then(|line| line.text) else { return false };
    let is_word = |word: &str| {
        let word = word.trim().trim_matches('"');
        !word.is_empty() && word.chars().all(|it| it.is_alphanumeric() || "_-. ".contains(it))
    };
    let wanted = commas(&lines[0]);
    let alike = lines.iter().filter(|line| commas(line) == wanted).count();
    wanted > 0 && header.split(',').all(is_word) && lines.len() > 1 && 2 * alike > lines.len()
}

/// `2026-11-22 18:14:09.016 UTC [6123] LOG:  connection received`
fn is_postgres_stderr(line: &str) -> bool {
    ["LOG:  ", "FATAL:  ", "ERROR:  ", "DETAIL:  ", "STATEMENT:  ", "HINT:  ", "WARNING:  "]
        .iter()
        .any(|mark| line.contains(mark))
}

/// `2026-11-22 18:14:09.016 UTC,"app","shop",6123,"10.0.0.7:41234",6b.1,1,"idle",…`
fn is_postgres_csv(line: &str) -> bool {
    let is_date = line.len() > 10 && line.as_bytes()[4] == b'-' && line.as_bytes()[7] == b'-';
    is_date && line.matches(',').count() >= 20
}

/// `10.0.0.7 - - [22/Nov/2026:18:14:09 +0000] "GET / HTTP/1.1" 200 612`
fn is_access_log(line: &str) -> bool {
    let request = line.split('"').nth(1).unwrap_or_default();
    line.contains("] \"") && request.contains(" HTTP/")
}
