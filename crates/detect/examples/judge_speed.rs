//! What judging costs: `cargo run --release -p plimsoll-detect --example judge_speed`.
//!
//! One million session rows of 10,000 holders, half opened and half closed, in 1,000 ticks of one
//! batch each; sessions last about half a minute. Parsing is not in it.

use std::sync::Arc;
use std::time::Instant;

use plimsoll_detect::{Judge, Settings, Switch};
use plimsoll_model::sessions::{SessionBuilder, SessionEvent, SessionRow};
use plimsoll_model::{Batch, Dimension, Holder, PartitionId, Row, RowKind, Second, Tick, Time};

const START: i64 = 1_700_000_000;
const TICKS: i64 = 1_000;
const ROWS: i64 = 1_000;
const HOLDERS: i64 = 10_000;
/// A session is closed so many opens later: 30 ticks of 500.
const OPEN: i64 = 15_000;

fn main() {
    let ticks: Vec<Tick> = (0..TICKS).map(tick).collect();
    let rows = (TICKS * ROWS) as f64;
    for (name, growth) in [("ledger, refusal, book", false), ("and growth", true)] {
        let mut settings = Settings::new("speed");
        if !growth {
            settings.detectors.growth_to_limit = Switch::Off;
        }
        let mut judge = Judge::new(settings);
        let start = Instant::now();
        let transitions: usize = ticks.iter().map(|tick| judge.step(tick).transitions.len()).sum();
        let ns = start.elapsed().as_secs_f64() * 1e9 / rows;
        let start = Instant::now();
        let bytes = judge.save().len();
        let save_ms = start.elapsed().as_secs_f64() * 1e3;
        println!("{name}: {ns:.0} ns per row, {transitions} transitions");
        println!("  saved: {bytes} bytes in {save_ms:.1} ms");
    }
}

fn tick(number: i64) -> Tick {
    let mut builder = SessionBuilder::default();
    let mut rows = Vec::new();
    for place in 0..ROWS {
        let time = Time::from_micros((START + number) * 1_000_000 + place * 1_000);
        let opened = number * ROWS / 2 + place / 2;
        let (event, session) = match place % 2 {
            0 => (SessionEvent::Opened, opened),
            _ => (SessionEvent::Closed, opened - OPEN),
        };
        // A multiplier without a common factor visits the holders in a scattered order.
        let service = format!("app-{}", session.rem_euclid(HOLDERS) * 7_919 % HOLDERS);
        let session = format!("{:08x}.{:04x}", START + number, session);
        let id = match place % 2 {
            0 => session,
            _ => format!(
                "{:08x}.{:04x}",
                START + (opened - OPEN).div_euclid(ROWS / 2),
                opened - OPEN
            ),
        };
        builder.append(&SessionRow {
            time,
            event,
            resource: "db",
            session: Some(&id),
            holder: Holder::default().with(Dimension::ServiceName, &service),
            ..SessionRow::default()
        });
        rows.push(Row {
            time,
            partition: PartitionId::default(),
            offset: place,
            batch: 0,
            kind: RowKind::Session,
            index: place as u32,
        });
    }
    let batch = Batch { sessions: builder.finish(), ..Batch::default() };
    Tick { second: Second(START + number), batches: vec![Arc::new(batch)], rows }
}
