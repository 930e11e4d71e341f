//! An hour at a PostgreSQL server with 10,000 clients, one of which leaks.
//!
//! Sessions arrive at random, live ten seconds in the mean, and give three lines each: received,
//! authorized, disconnected. In the second third of the hour one client keeps a part of its
//! sessions, until the server refuses; at the end of that third it is restarted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use plimsoll::config::{Config, Purpose};
use plimsoll_detect::Switch;
use plimsoll_model::Second;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::stages::Outcome;
use crate::usage::Meter;

/// The first second: 2026-03-04T12:00:00Z.
const START: i64 = 1_772_625_600;
const SPAN_MS: i64 = 3_600_000;
const LEAK_MS: std::ops::Range<i64> = SPAN_MS / 3..SPAN_MS * 2 / 3;
const ENTITIES: usize = 10_000;
const LEAKER: usize = 4_217;
const HOLD_MEAN_MS: f64 = 10_000.0;

/// How often a line is written late, and by how much: inside the source's `reorder` of 2 s.
const LATE: f64 = 0.05;
const LATE_MS: std::ops::Range<i64> = 200..1_900;
const BROKEN: f64 = 0.001;

/// The folder of one workload.
pub struct Workload {
    folder: PathBuf,
}

impl Workload {
    pub fn at(folder: &Path) -> Workload {
        Workload { folder: folder.to_owned() }
    }

    /// The file with the lines.
    pub fn lines(&self) -> PathBuf {
        self.folder.join("postgres.jsonl")
    }

    /// The pipeline that reads it.
    pub fn config(&self) -> anyhow::Result<Config> {
        let (config, _) = Config::load_for(&self.folder.join("pipeline.yaml"), Purpose::Replay)?;
        Ok(config)
    }

    /// The same without the detector that looks at every holder's history.
    pub fn config_without_growth(&self) -> anyhow::Result<Config> {
        let mut config = self.config()?;
        config.detectors.growth_to_limit = Switch::Off;
        Ok(config)
    }

    /// Writes `lines` lines and the pipeline that reads them.
    pub fn generate(&self, lines: u64, seed: u64) -> anyhow::Result<Outcome> {
        let meter = Meter::start();
        let mut writer = Writer {
            out: BufWriter::with_capacity(1 << 20, File::create(self.lines())?),
            random: StdRng::seed_from_u64(seed),
            waiting: BinaryHeap::new(),
            made: 0,
            written: 0,
            bytes: 0,
            lines,
        };
        let gap_ms = SPAN_MS as f64 * 3.0 / lines as f64;
        let held_mean = HOLD_MEAN_MS / gap_ms;
        let limit = (held_mean * 1.6) as usize + 5;
        simulate(&mut writer, gap_ms, limit)?;
        writer.out.flush()?;
        let pipeline = format!(
            "version: 1\nname: bench\nresponse_time: 30m\nsources:\n  db: {{file: postgres.jsonl, \
             format: postgres_jsonlog, resource: orders-db, reorder: 2s}}\nresources:\n  \
             orders-db: {{connections: {{limit: {limit}}}}}\n"
        );
        std::fs::write(self.folder.join("pipeline.yaml"), pipeline)?;
        Ok(Outcome { bytes: writer.bytes, ..Outcome::new(writer.written, meter.used()?) })
    }
}

/// One session of the simulated server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Session {
    closes_ms: i64,
    number: u64,
    opened_ms: i64,
    entity: usize,
}

fn simulate(writer: &mut Writer, gap_ms: f64, limit: usize) -> anyhow::Result<()> {
    let mut open: BinaryHeap<Reverse<Session>> = BinaryHeap::new();
    let mut now = 0.0;
    let mut leaked = 0;
    let leak_every_ms = (LEAK_MS.end - LEAK_MS.start) as f64 / (limit as f64 * 0.6);
    for number in 0.. {
        now += -gap_ms * (1.0 - writer.random.random::<f64>()).ln();
        let now_ms = now as i64;
        while let Some(Reverse(session)) = open.peek().copied()
            && session.closes_ms <= now_ms
        {
            open.pop();
            writer.line(session.closes_ms, &session, Said::Disconnected)?;
        }
        let hold_ms = -HOLD_MEAN_MS * (1.0 - writer.random.random::<f64>()).ln();
        let mut session = Session {
            closes_ms: now_ms + 2 + hold_ms as i64,
            number,
            opened_ms: now_ms,
            entity: writer.random.random_range(0..ENTITIES),
        };
        let should_leak = (now_ms - LEAK_MS.start) as f64 / leak_every_ms;
        if LEAK_MS.contains(&now_ms) && f64::from(leaked) < should_leak {
            leaked += 1;
            session.entity = LEAKER;
            session.closes_ms = LEAK_MS.end + i64::from(leaked) % 5_000;
        }
        writer.line(now_ms, &session, Said::Received)?;
        if open.len() >= limit {
            writer.line(now_ms + 1, &session, Said::Refused)?;
        } else {
            writer.line(now_ms + 1, &session, Said::Authorized)?;
            open.push(Reverse(session));
        }
        if writer.is_done(now_ms)? {
            break;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Received,
    Authorized,
    Refused,
    Disconnected,
}

/// Puts lines in the order of their writing.
struct Writer {
    out: BufWriter<File>,
    random: StdRng,
    /// By the moment of writing, then by number.
    waiting: BinaryHeap<Reverse<(i64, u64, String)>>,
    made: u64,
    written: u64,
    bytes: u64,
    lines: u64,
}

impl Writer {
    fn line(&mut self, at_ms: i64, session: &Session, said: Said) -> anyhow::Result<()> {
        let delay_ms = match self.random.random_bool(LATE) {
            true => self.random.random_range(LATE_MS),
            false => 0,
        };
        let mut members = members(at_ms, session, said);
        members.shuffle(&mut self.random);
        let text = format!("{{{}}}", members.join(","));
        self.waiting.push(Reverse((at_ms + delay_ms, self.made, text)));
        self.made += 1;
        Ok(())
    }

    /// Writes what is due; whether there are enough lines.
    fn is_done(&mut self, now_ms: i64) -> anyhow::Result<bool> {
        while self.written < self.lines
            && let Some(Reverse((at_ms, ..))) = self.waiting.peek()
            && *at_ms <= now_ms
            && let Some(Reverse((_, number, text))) = self.waiting.pop()
        {
            if self.random.random_bool(BROKEN) {
                match number % 3 {
                    0 => self.write(&text.as_bytes()[..text.len() * 2 / 3])?,
                    1 => self.write(b"\xff\xfe not a line of this log")?,
                    _ => {
                        self.write(br#"{"timestamp":"yesterday","message":"x","session_id":"1"}"#)?
                    }
                }
            }
            self.write(text.as_bytes())?;
        }
        Ok(self.written >= self.lines)
    }

    fn write(&mut self, line: &[u8]) -> anyhow::Result<()> {
        if self.written < self.lines {
            self.out.write_all(line)?;
            self.out.write_all(b"\n")?;
            self.written += 1;
            self.bytes += line.len() as u64 + 1;
        }
        Ok(())
    }
}

/// What PostgreSQL writes, and what a shipper adds.
fn members(at_ms: i64, session: &Session, said: Said) -> Vec<String> {
    let Session { number, opened_ms, entity, .. } = *session;
    let (tenant, service) = (entity / 50, entity % 50);
    let (user, database) = (format!("app_{tenant:03}"), format!("shop_{tenant:03}"));
    let application = format!("service-{service:02}");
    let host = format!("10.20.{tenant}.{service}");
    let port = 20_000 + number % 40_000;
    let age_ms = at_ms - opened_ms;
    let (message, line, severity, function) = match said {
        Said::Received => {
            (format!("connection received: host={host} port={port}"), 1, "LOG", "BackendInitialize")
        }
        Said::Authorized => (
            format!(
                "connection authorized: user={user} database={database} application_name={application}"
            ),
            2,
            "LOG",
            "PerformAuthentication",
        ),
        Said::Refused => ("sorry, too many clients already".to_owned(), 2, "FATAL", "InitProcess"),
        Said::Disconnected => (
            format!(
                "disconnection: session time: {}:{:02}:{:02}.{:03} user={user} database={database} host={host} port={port}",
                age_ms / 3_600_000,
                age_ms / 60_000 % 60,
                age_ms / 1_000 % 60,
                age_ms % 1_000,
            ),
            3,
            "LOG",
            "log_disconnections",
        ),
    };
    let mut members = vec![
        format!(r#""timestamp":"{}.{:03} UTC""#, moment(at_ms), at_ms % 1_000),
        format!(r#""pid":{}"#, 1_000 + number % 30_000),
        format!(r#""remote_host":"{host}""#),
        format!(r#""remote_port":{port}"#),
        format!(r#""session_id":"{:x}.{:x}""#, START + opened_ms / 1_000, number),
        format!(r#""line_num":{line}"#),
        r#""ps":"authentication""#.to_owned(),
        format!(r#""session_start":"{} UTC""#, moment(opened_ms)),
        format!(r#""vxid":"{}/{}""#, 3 + number % 200, number),
        r#""txid":0"#.to_owned(),
        format!(r#""error_severity":"{severity}""#),
        format!(r#""message":"{message}""#),
        format!(r#""func_name":"{function}""#),
        r#""backend_type":"client backend""#.to_owned(),
        r#""query_id":0"#.to_owned(),
        r#""agent":"shipper-7.17.5""#.to_owned(),
        r#""tenant":"payments""#.to_owned(),
        r#""host.name":"orders-db-1.internal.example""#.to_owned(),
    ];
    if said == Said::Refused {
        members.push(r#""state_code":"53300""#.to_owned());
    }
    if said != Said::Received {
        members.push(format!(r#""user":"{user}""#));
        members.push(format!(r#""dbname":"{database}""#));
    }
    if said == Said::Authorized || said == Said::Disconnected {
        members.push(format!(r#""application_name":"{application}""#));
    }
    members
}

/// `2026-03-04 12:00:00`
fn moment(at_ms: i64) -> String {
    Second(START + at_ms / 1_000).to_string().replace('T', " ").replace('Z', "")
}
