//! How long a line of PostgreSQL's jsonlog takes from bytes to Arrow columns.
//!
//! `cargo run --release -p plimsoll-ingest --no-default-features --example parse_speed`
//!
//! The lines have about 560 bytes and their members in shuffled order; a thousandth is broken.
//! Beside the parser stands sonic-rs decoding six members of the same lines. Rounds of both
//! alternate; the least of them is what the machine can do when nothing else runs.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use plimsoll_ingest::config::{Format, SourceConfig};
use plimsoll_ingest::{Parser, RawBatch};
use plimsoll_model::PartitionId;
use serde::Deserialize;

const LINES: usize = 100_000;
const LINES_PER_BATCH: usize = 2_000;
const ROUNDS: usize = 25;

#[derive(Deserialize)]
struct Six<'a> {
    #[serde(borrow, default)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default)]
    session_id: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Cow<'a, str>,
    #[serde(borrow, default)]
    dbname: Cow<'a, str>,
    #[serde(borrow, default)]
    remote_host: Cow<'a, str>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lines: Vec<String> = (0..LINES).map(line).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    let batches: Vec<RawBatch> = lines
        .chunks(LINES_PER_BATCH)
        .map(|chunk| {
            let mut raw = RawBatch::new(PartitionId::new(0, 0));
            for (offset, line) in chunk.iter().enumerate() {
                raw.push(offset as i64, line.as_bytes());
            }
            raw
        })
        .collect();
    let config: SourceConfig = serde_json::from_value(serde_json::json!({
        "file": "-", "format": Format::PostgresJsonlog, "resource": "orders-db",
    }))?;
    let mut parser = Parser::new("speed", &config)?;

    let (mut parsed, mut decoded) = (Vec::new(), Vec::new());
    let (mut rows, mut rejects) = (0, 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (rows, rejects) = (0, 0);
        for raw in &batches {
            let batch = black_box(parser.parse(raw));
            rows += batch.rows();
            rejects += batch.rejects.len();
        }
        parsed.push(start.elapsed().as_nanos() as usize / LINES);

        let start = Instant::now();
        for line in &lines {
            if let Ok(six) = sonic_rs::from_str::<Six<'_>>(line) {
                black_box((six.timestamp, six.session_id, six.message));
                black_box((six.user, six.dbname, six.remote_host));
            }
        }
        decoded.push(start.elapsed().as_nanos() as usize / LINES);
    }
    parsed.sort_unstable();
    decoded.sort_unstable();
    println!("{LINES} lines of {} bytes: {rows} rows, {rejects} rejects", bytes / LINES);
    for (what, times) in [("parser, bytes to columns", parsed), ("sonic-rs, six members", decoded)]
    {
        let (least, median) = (times[0], times[ROUNDS / 2]);
        println!("{what}: {least} ns a line at least, {median} in the median of {ROUNDS} rounds");
    }
    Ok(())
}

/// One line: attempt, authorization, disconnection in turn, of one of 10,000 entities.
fn line(number: usize) -> String {
    if number % 1_000 == 999 {
        return r#"{"timestamp":"2026-11-22 18:14:09.0"#.to_owned();
    }
    let entity = number.wrapping_mul(7_919) % 10_000;
    let session = number / 3;
    let (tenant, service, port) = (entity / 50, entity % 50, 1_024 + number % 60_000);
    let (second, milli) = (number / 2_000 % 60, number / 2 % 1_000);
    let message = match number % 3 {
        0 => format!("connection received: host=10.0.{tenant}.{service} port={port}"),
        1 => format!(
            "connection authorized: user=app{tenant} database=shop{tenant} application_name=service-{service}"
        ),
        _ => format!(
            "disconnection: session time: 0:00:{second:02}.{milli:03} user=app{tenant} database=shop{tenant} host=10.0.{tenant}.{service} port={port}"
        ),
    };
    let mut members = vec![
        format!(r#""timestamp":"2026-11-22 18:14:{second:02}.{milli:03} UTC""#),
        format!(r#""user":"app{tenant}""#),
        format!(r#""dbname":"shop{tenant}""#),
        format!(r#""pid":{}"#, 1_000 + session % 30_000),
        format!(r#""remote_host":"10.0.{tenant}.{service}""#),
        format!(r#""remote_port":{port}"#),
        format!(r#""session_id":"6b0330f1.{session:x}""#),
        format!(r#""line_num":{}"#, 1 + number % 3),
        r#""ps":"authentication""#.to_owned(),
        r#""session_start":"2026-11-22 18:14:09 UTC""#.to_owned(),
        format!(r#""vxid":"3/{session}""#),
        r#""txid":0"#.to_owned(),
        r#""error_severity":"LOG""#.to_owned(),
        format!(r#""message":"{message}""#),
        format!(r#""application_name":"service-{service}""#),
        r#""backend_type":"client backend""#.to_owned(),
        r#""query_id":0"#.to_owned(),
        format!(r#""ts":"2026-11-22T18:14:{second:02}.{milli:03}Z""#),
        format!(r#""tenant":"tenant-{tenant}""#),
        format!(r#""service":"service-{service}""#),
        format!(r#""host":"db-{tenant}.internal.example""#),
    ];
    let turn = number % members.len();
    members.rotate_left(turn);
    members.swap(0, (turn * 5 + 3) % 21);
    format!("{{{}}}", members.join(","))
}
