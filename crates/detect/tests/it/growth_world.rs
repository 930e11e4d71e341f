//! A small estate whose truth is known: sessions open and close, a ledger counts them, the
//! detector watches.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_detect::detector::Verdict;
use plimsoll_detect::growth::{Growth, GrowthSettings};
use plimsoll_detect::view::{HolderLevel, LifeMark, ResourceView};
use plimsoll_model::lives::LifeEvent;
use plimsoll_model::{Dimension, Finding, Holder, Owner, Reason, Second, Severity, Time};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp, Poisson};

/// The first second of every run: some Monday at 06:00.
pub const START: i64 = 1_699_855_200;

/// A number that changes with the second of the run.
pub type Curve = Box<dyn Fn(i64) -> f64>;

/// How a crew opens and closes.
pub enum Work {
    /// Sessions arrive at random, `arrivals` a second, and last `hold_s` on average.
    Churn { arrivals: Curve, hold_s: Curve },
    /// As many sessions as the curve says, kept open.
    Pool { size: Curve },
    /// As many sessions as the curve says, and normal noise drawn anew each second.
    Jitter { size: f64, deviation: f64 },
    /// Sessions that never close, `rate` a second, at random or like clockwork.
    Leak { rate: Curve, random: bool },
}

struct Crew {
    holder: usize,
    work: Work,
    /// When sessions close, and when they opened.
    closes: BinaryHeap<Reverse<(i64, i64)>>,
    /// When the sessions of a pool opened.
    pool: Vec<i64>,
    owed: f64,
    begun: bool,
}

/// The estate.
pub struct World {
    pub usable: Option<u64>,
    pub holders: Vec<HolderLevel>,
    pub lives: Vec<LifeMark>,
    crews: Vec<Crew>,
    pub second: i64,
    /// The event time of second 0 of the run.
    pub start: i64,
    /// The second of the run in which the resource restarts, as the ledger tells it.
    pub reset_at: Option<i64>,
    rng: StdRng,
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Run {
    /// The first finding of any severity.
    pub opened: Option<(i64, Finding)>,
    /// The first page.
    pub paged: Option<(i64, Finding)>,
    /// How often something opened.
    pub openings: usize,
    /// Ends, with their reasons.
    pub ended: Vec<(i64, Reason)>,
    /// The second in which everything was first in use.
    pub full: Option<i64>,
    /// The highest level.
    pub highest: u64,
    /// The newest verdict was a finding.
    pub found: bool,
}

/// A holder from `name=value` words.
pub fn holder(words: &str) -> plimsoll_model::OwnedHolder {
    let mut holder = Holder::default();
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').expect("words look like name=value");
        let dimension = match name {
            "app" => Dimension::ServiceName,
            "user" => Dimension::UserName,
            "db" => Dimension::DbNamespace,
            "addr" => Dimension::ClientAddress,
            "host" => Dimension::HostName,
            "version" => Dimension::ServiceVersion,
            "instance" => Dimension::ServiceInstanceId,
            _ => Dimension::from_name(name).expect("a dimension"),
        };
        holder.set(dimension, value);
    }
    holder.to_owned()
}

impl World {
    pub fn new(usable: u64, seed: u64) -> World {
        World {
            usable: Some(usable),
            holders: Vec::new(),
            lives: Vec::new(),
            crews: Vec::new(),
            second: 0,
            start: START,
            reset_at: None,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    pub fn crew(&mut self, words: &str, work: Work) -> &mut World {
        let owned = holder(words);
        let index = match self.holders.iter().position(|level| level.holder == owned) {
            Some(index) => index,
            None => {
                self.holders.push(HolderLevel {
                    holder: owned,
                    first_seen: Second(i64::MAX),
                    ..HolderLevel::default()
                });
                self.holders.len() - 1
            }
        };
        let (closes, pool) = (BinaryHeap::new(), Vec::new());
        self.crews.push(Crew { holder: index, work, closes, pool, owed: 0.0, begun: false });
        self
    }

    /// Ordinary churn of `level` sessions on average.
    pub fn churn(&mut self, words: &str, level: f64, hold_s: f64) -> &mut World {
        let arrivals = Box::new(move |_| level / hold_s);
        self.crew(words, Work::Churn { arrivals, hold_s: Box::new(move |_| hold_s) })
    }

    pub fn pool(&mut self, words: &str, size: impl Fn(i64) -> f64 + 'static) -> &mut World {
        self.crew(words, Work::Pool { size: Box::new(size) })
    }

    /// `rate` a second from second `from` to second `to`.
    pub fn leak(&mut self, words: &str, rate: f64, from: i64, to: i64, random: bool) -> &mut World {
        let rate = Box::new(move |second| if (from..to).contains(&second) { rate } else { 0.0 });
        self.crew(words, Work::Leak { rate, random })
    }

    pub fn life(&mut self, second: i64, event: LifeEvent, words: &str) -> &mut World {
        let time = Time::from_seconds(START + second);
        self.lives.push(LifeMark { time, event, holder: holder(words), value: None });
        self
    }

    /// Runs until second `to` of the run.
    pub fn run(&mut self, growth: &mut Growth, to: i64) -> Run {
        self.run_while(growth, to, |_| true)
    }

    /// Runs until second `to` of the run, or until everything is in use.
    pub fn run_until_full(&mut self, growth: &mut Growth, to: i64) -> Run {
        self.run_while(growth, to, |run| run.full.is_none())
    }

    fn run_while(&mut self, growth: &mut Growth, to: i64, go_on: impl Fn(&Run) -> bool) -> Run {
        let mut run = Run::default();
        while self.second < to && go_on(&run) {
            let (verdict, held) = self.tick(growth);
            let second = self.second - 1;
            run.highest = run.highest.max(held);
            if run.full.is_none() && self.usable.is_some_and(|usable| held >= usable) {
                run.full = Some(second);
            }
            match verdict {
                Verdict::Found(finding) => {
                    if !run.found {
                        run.openings += 1;
                    }
                    run.found = true;
                    if run.opened.is_none() {
                        run.opened = Some((second, finding.clone()));
                    }
                    if run.paged.is_none() && finding.severity == Severity::Page {
                        run.paged = Some((second, finding));
                    }
                }
                Verdict::Ended(reason) => {
                    run.found = false;
                    run.ended.push((second, reason));
                }
                Verdict::Quiet => run.found = false,
            }
        }
        run
    }

    pub fn tick(&mut self, growth: &mut Growth) -> (Verdict, u64) {
        self.tick_in_order(growth, false)
    }

    /// The same second, told with the holders in the opposite order.
    pub fn tick_reversed(&mut self, growth: &mut Growth) -> (Verdict, u64) {
        self.tick_in_order(growth, true)
    }

    fn tick_in_order(&mut self, growth: &mut Growth, reversed: bool) -> (Verdict, u64) {
        let mut changed = Vec::new();
        let mut room = self.usable.unwrap_or(u64::MAX);
        room -= self.holders.iter().map(|level| level.held).sum::<u64>().min(room);
        for crew in &mut self.crews {
            let level = &mut self.holders[crew.holder];
            let before = (level.opened, level.closed, level.refused);
            crew.tick(self.second, level, &mut room, &mut self.rng);
            if before != (level.opened, level.closed, level.refused) {
                level.first_seen = level.first_seen.min(Second(self.start + self.second));
                changed.push(crew.holder as u32);
            }
        }
        changed.sort_unstable();
        changed.dedup();
        let held = self.holders.iter().map(|level| level.held).sum();
        let now = Time::from_seconds(self.start + self.second + 1);
        let known = self.lives.iter().filter(|mark| mark.time < now).count();
        let mut turned = Vec::new();
        if reversed {
            let last = self.holders.len() as u32 - 1;
            turned = self.holders.iter().rev().cloned().collect();
            changed = changed.iter().rev().map(|index| last - index).collect();
        }
        let view = ResourceView {
            name: "orders-db",
            unit: "connections",
            usable: self.usable,
            held,
            holders: if reversed { &turned } else { &self.holders },
            changed: &changed,
            lives: &self.lives[..known],
            reset_at: self
                .reset_at
                .filter(|at| *at <= self.second)
                .map(|at| Second(self.start + at)),
            first_seen: Second(self.start),
            doubts: &[],
            told: plimsoll_detect::view::Told::Sessions,
            ages: None,
        };
        let verdict = growth.step(Second(self.start + self.second), &view);
        self.second += 1;
        (verdict, held)
    }
}

impl Crew {
    fn tick(&mut self, second: i64, level: &mut HolderLevel, room: &mut u64, rng: &mut StdRng) {
        let begun = std::mem::replace(&mut self.begun, true);
        while self.closes.peek().is_some_and(|Reverse((at, _))| *at <= second) {
            let Reverse((_, opened)) = self.closes.pop().expect("it was peeked at");
            close(second, opened, level, room);
        }
        match &self.work {
            Work::Churn { arrivals, hold_s } => {
                let mut arrived = draw(arrivals(second), rng);
                if !begun {
                    arrived += draw(arrivals(second) * hold_s(second), rng);
                }
                let hold = Exp::new(1.0 / hold_s(second)).expect("hold times are positive");
                for _ in 0..arrived {
                    if open(level, room) {
                        let closes = second + 1 + hold.sample(rng) as i64;
                        self.closes.push(Reverse((closes, second)));
                    }
                }
            }
            Work::Pool { size } => resize(size(second), second, &mut self.pool, level, room),
            Work::Jitter { size, deviation } => {
                let noise: f64 = rand_distr::StandardNormal.sample(rng);
                resize(size + deviation * noise, second, &mut self.pool, level, room);
            }
            Work::Leak { rate, random } => {
                let rate = rate(second);
                self.owed += if *random { draw(rate, rng) as f64 } else { rate };
                while self.owed >= 1.0 {
                    self.owed -= 1.0;
                    open(level, room);
                }
            }
        }
    }
}

fn draw(mean: f64, rng: &mut StdRng) -> u64 {
    if mean <= 0.0 {
        0
    } else {
        Poisson::new(mean).expect("the mean is positive").sample(rng) as u64
    }
}

fn open(level: &mut HolderLevel, room: &mut u64) -> bool {
    if *room == 0 {
        level.refused += 1;
        return false;
    }
    *room -= 1;
    level.opened += 1;
    level.held += 1;
    true
}

fn close(second: i64, opened: i64, level: &mut HolderLevel, room: &mut u64) {
    *room += 1;
    level.closed += 1;
    level.held -= 1;
    level.closed_age_us += (second - opened).max(0) as u64 * 1_000_000;
}

fn resize(size: f64, second: i64, pool: &mut Vec<i64>, level: &mut HolderLevel, room: &mut u64) {
    let size = size.round().max(0.0) as usize;
    while pool.len() > size {
        let opened = pool.remove(0);
        close(second, opened, level, room);
    }
    while pool.len() < size && open(level, room) {
        pool.push(second);
    }
}

/// Settings with a response time, everything else as shipped.
pub fn settings(response_s: u64) -> GrowthSettings {
    let response_time = std::time::Duration::from_secs(response_s);
    GrowthSettings { response_time, ..GrowthSettings::default() }
}

/// The value that an owner names, with its dimension.
pub fn named(finding: &Finding) -> String {
    match &finding.owner {
        Owner::Holder { dimension, value } => format!("{dimension}={value}"),
        other => other.to_string(),
    }
}

/// A random number between `low` and `high`, evenly on a logarithmic scale.
pub fn log_uniform(rng: &mut StdRng, low: f64, high: f64) -> f64 {
    (low.ln() + rng.random::<f64>() * (high / low).ln()).exp()
}
