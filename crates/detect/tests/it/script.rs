//! A mini language for ticks: `0 open a.1 issuer; 5 close a.1; 9<5 open a.2 issuer`.
//!
//! A statement is a time in seconds after [`START`], a verb and its words. `9<5` is a late row:
//! stamped 5, applied at tick 9. Decimals are fractions of a second.
//!
//! | verb | words |
//! |---|---|
//! | `open` `start` | session, service, and if wanted user and database |
//! | `close` `finish` | session, and if wanted its age in seconds, its service, and how many it had waited before |
//! | `refuse` | session or `-`, service, reason, and if wanted user and database |
//! | `attempt` | session |
//! | `reset` | |
//! | `poll` | the count of all units |
//! | `used` | count, service |
//! | `limit` | the limit, as a sample |
//! | `deploy` | service, release |
//! | `relimit` | the limit, as an event |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_detect::{Judge, Settings, Step};
use plimsoll_model::lives::{LifeBuilder, LifeEvent, LifeRow};
use plimsoll_model::samples::{SampleBuilder, SampleRow, metric};
use plimsoll_model::sessions::{SessionBuilder, SessionEvent, SessionRow};
use plimsoll_model::{Batch, Dimension, Holder, PartitionId, Row, RowKind, Second, Tick, Time};

/// The moment zero of every script: 2023-11-14T22:13:20Z.
pub const START: i64 = 1_700_000_000;

/// The resource of every row that does not name another.
pub const DB: &str = "db";

/// One statement, understood.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The tick that it is applied at, in seconds after [`START`].
    pub tick: i64,
    pub time: Time,
    pub verb: String,
    pub words: Vec<String>,
}

impl Statement {
    fn word(&self, place: usize) -> &str {
        self.words.get(place).map_or("", String::as_str)
    }

    /// `who` may be `service`, `service/user` or `service/user/database`.
    fn holder(&self, place: usize) -> Holder<'_> {
        let mut parts = self.word(place).split('/');
        let mut holder = Holder::default();
        for dimension in [Dimension::ServiceName, Dimension::UserName, Dimension::DbNamespace] {
            holder.set(dimension, parts.next().unwrap_or(""));
        }
        holder
    }

    fn number(&self, place: usize) -> f64 {
        self.word(place).parse().expect("a number")
    }
}

/// The statements of `text`.
pub fn parse(text: &str) -> Vec<Statement> {
    let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements
        .map(|statement| {
            let mut words = statement.split_whitespace().map(str::to_owned);
            let when = words.next().expect("a time");
            let (tick, time) = when.split_once('<').unwrap_or((&when, &when));
            let seconds: f64 = time.parse().expect("a time in seconds");
            let micros = START * 1_000_000 + (seconds * 1e6).round() as i64;
            Statement {
                tick: tick.parse::<f64>().expect("a tick").floor() as i64,
                time: Time::from_micros(micros),
                verb: words.next().expect("a verb"),
                words: words.collect(),
            }
        })
        .collect()
}

/// The tables of one batch.
#[derive(Default)]
struct Tables {
    sessions: SessionBuilder,
    samples: SampleBuilder,
    lives: LifeBuilder,
    rows: [u32; 3],
}

/// Appends a statement's row to its table; returns which, and the row's place in it.
fn append(statement: &Statement, tables: &mut Tables) -> (RowKind, u32) {
    let Tables { sessions, samples, lives, rows } = tables;
    let time = statement.time;
    let session = |event| SessionRow { time, event, resource: DB, ..SessionRow::default() };
    let id = Some(statement.word(0)).filter(|id| *id != "-" && !id.is_empty());
    let verb = statement.verb.as_str();
    let kind = match verb {
        "open" | "start" => {
            let event = if verb == "open" { SessionEvent::Opened } else { SessionEvent::Started };
            let holder = statement.holder(1);
            sessions.append(&SessionRow { session: id, holder, ..session(event) });
            RowKind::Session
        }
        "close" | "finish" => {
            let event = if verb == "close" { SessionEvent::Closed } else { SessionEvent::Finished };
            let age_us = statement
                .words
                .get(1)
                .map(|age| (age.parse::<f64>().expect("an age in seconds") * 1e6).round() as i64);
            let waited_us = statement
                .words
                .get(3)
                .map(|wait| (wait.parse::<f64>().expect("a wait in seconds") * 1e6).round() as i64);
            let holder = statement.holder(2);
            let row = SessionRow { session: id, age_us, waited_us, holder, ..session(event) };
            sessions.append(&row);
            RowKind::Session
        }
        "refuse" => {
            let holder = statement.holder(1);
            let reason = Some(statement.word(2));
            let event = SessionEvent::Refused;
            sessions.append(&SessionRow { session: id, reason, holder, ..session(event) });
            RowKind::Session
        }
        "attempt" => {
            sessions.append(&SessionRow { session: id, ..session(SessionEvent::Attempted) });
            RowKind::Session
        }
        "reset" => {
            sessions.append(&session(SessionEvent::Reset));
            RowKind::Session
        }
        "poll" | "used" | "limit" => {
            let metric = if verb == "limit" { metric::LIMIT } else { metric::USED };
            let holder = statement.holder(1);
            let value = statement.number(0);
            samples.append(&SampleRow { time, resource: DB, metric, value, holder, offset: 0 });
            RowKind::Sample
        }
        "deploy" => {
            let service = Holder::default().with(Dimension::ServiceName, statement.word(0));
            let holder = service.with(Dimension::ServiceVersion, statement.word(1));
            lives.append(&LifeRow { time, event: LifeEvent::Deploy, holder, ..LifeRow::default() });
            RowKind::Life
        }
        "relimit" => {
            let event = LifeEvent::LimitChange;
            let value = Some(statement.number(0));
            lives.append(&LifeRow { time, event, resource: Some(DB), value, ..LifeRow::default() });
            RowKind::Life
        }
        other => panic!("unknown verb `{other}`"),
    };
    let next = &mut rows[kind as usize];
    *next += 1;
    (kind, *next - 1)
}

/// The ticks of `statements`, from the first statement's through `until`, rows in the order of
/// their times, all in one batch.
pub fn ticks(statements: &[Statement], until: i64) -> Vec<Tick> {
    ticks_cut(statements, until, |_| 0)
}

/// [`ticks`] with the row of statement `n` in batch `cut(n)`.
pub fn ticks_cut(statements: &[Statement], until: i64, cut: impl Fn(usize) -> usize) -> Vec<Tick> {
    let mut tables: BTreeMap<usize, Tables> = BTreeMap::new();
    let mut by_tick: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for (place, statement) in statements.iter().enumerate() {
        let batch = cut(place);
        let (kind, index) = append(statement, tables.entry(batch).or_default());
        let partition = PartitionId::new(0, 0);
        let (time, offset, batch) = (statement.time, place as i64, batch as u32);
        let row = Row { time, partition, offset, batch, kind, index };
        by_tick.entry(statement.tick).or_default().push(row);
    }
    let last = tables.keys().next_back().map_or(0, |last| last + 1);
    let mut batches = vec![Arc::default(); last];
    for (place, mut tables) in tables {
        batches[place] = Arc::new(Batch {
            sessions: tables.sessions.finish(),
            samples: tables.samples.finish(),
            lives: tables.lives.finish(),
            ..Batch::default()
        });
    }
    let first = by_tick.keys().next().copied().unwrap_or(0);
    (first..=until)
        .map(|tick| {
            let mut rows = by_tick.remove(&tick).unwrap_or_default();
            rows.sort_by_key(|row| (row.time, row.offset));
            let second = Second(START + tick);
            match rows.is_empty() {
                true => Tick::empty(second),
                false => Tick { second, batches: batches.clone(), rows },
            }
        })
        .collect()
}

/// Settings with one resource of `limit` connections; without one if it is zero.
pub fn settings(limit: u64) -> Settings {
    let mut settings = Settings::new("test");
    settings.correct_within = Duration::from_secs(600);
    if limit > 0 {
        let config = plimsoll_detect::settings::ResourceConfig {
            limit: Some(limit),
            ..plimsoll_detect::settings::ResourceConfig::default()
        };
        settings.resources.insert(DB.to_owned(), config);
    }
    settings
}

/// Runs the script `text` through `until` and returns the judge with every step that said
/// something.
pub fn run(settings: Settings, text: &str, until: i64) -> (Judge, Vec<Step>) {
    let mut judge = Judge::new(settings);
    let steps = ticks(&parse(text), until).iter().map(|tick| judge.step(tick)).collect::<Vec<_>>();
    (judge, steps.into_iter().filter(|step| !step.transitions.is_empty()).collect())
}
