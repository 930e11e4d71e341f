//! What is measured over the file.

use std::borrow::Cow;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};

use plimsoll::config::Config;
use plimsoll::replay;
use plimsoll_model::{Change, Transition};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

use crate::usage::{Meter, Used};
use crate::workload::Workload;

/// What one stage did and used.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub lines: u64,
    pub bytes: u64,
    pub cpu_s: f64,
    pub wall_s: f64,
    pub peak_bytes: u64,
    pub transitions: u64,
    /// XXH3 of the transitions' bytes, in order.
    pub digest: u64,
    /// What the incidents said when they opened and ended.
    pub headlines: Vec<String>,
}

impl Outcome {
    pub fn new(lines: u64, used: Used) -> Outcome {
        let Used { cpu_s, wall_s, peak_bytes } = used;
        Outcome { lines, cpu_s, wall_s, peak_bytes, ..Outcome::default() }
    }
}

/// Takes in transitions and remembers what tells them from others.
#[derive(Default)]
pub struct Told {
    transitions: u64,
    hasher: Xxh3Default,
    headlines: Vec<String>,
}

impl Told {
    pub fn add(&mut self, transition: &Transition) -> anyhow::Result<()> {
        self.transitions += 1;
        self.hasher.update(&postcard::to_stdvec(transition)?);
        if transition.change != Change::Updated {
            let Transition { as_of, change, headline, .. } = transition;
            self.headlines.push(format!("{as_of} {}: {headline}", change.name()));
        }
        Ok(())
    }

    pub fn outcome(self, lines: u64, meter: &Meter) -> anyhow::Result<Outcome> {
        Ok(Outcome {
            transitions: self.transitions,
            digest: self.hasher.digest(),
            headlines: self.headlines,
            ..Outcome::new(lines, meter.used()?)
        })
    }
}

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

/// The yardstick: sonic-rs decodes six members of each line, and nothing is done with them.
pub fn decode(workload: &Workload) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    let mut lines = 0;
    let mut line = Vec::new();
    let mut input = BufReader::with_capacity(1 << 20, File::open(workload.lines())?);
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Ok(six) = sonic_rs::from_slice::<Six<'_>>(&line) {
            black_box((six.timestamp, six.session_id, six.message));
            black_box((six.user, six.dbname, six.remote_host));
        }
        lines += 1;
        line.clear();
    }
    Ok(Outcome::new(lines, meter.used()?))
}

/// From the file to incidents, as `plimsoll replay` goes.
pub fn file_to_incidents(config: &Config) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    let mut told = Told::default();
    let report = replay::replay(config, |_, _, step, _| {
        step.transitions.iter().try_for_each(|transition| told.add(transition))
    })?;
    told.outcome(report.records, &meter)
}
