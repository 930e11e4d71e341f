//! Calls of many services on one resource: they arrive at random, wait for a slot in the order of
//! their arrival, hold it, and are logged at both ends or at their end only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use plimsoll_detect::{Judge, Step};
use plimsoll_model::{Tick, Time, Transition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::script::{START, Statement, settings, ticks};

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Log {
    Starts,
    Ends,
}

/// What happens from [`World::onset_s`] on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// Nothing.
    Nothing,
    /// This part of the calls of the first so many services hangs until the timeout.
    Hang { services: usize, part: f64 },
    /// The first service's calls become slower in a straight line, up to the timeout.
    Ramp { over_s: f64 },
    /// Everybody's calls take so many times as long.
    AllSlow { times: f64 },
    /// Everybody calls so many times as often.
    Crowd { times: f64 },
    /// The first service calls so many times as often.
    Burst { times: f64 },
    /// A part of the first service's calls hangs that grows in a straight line, to all of them.
    Creep { over_s: f64 },
    /// The first service calls more and more often in a straight line, up to so many times.
    Busier { times: f64, over_s: f64 },
    /// A new gateway takes over: nobody calls meanwhile, and twice as often for as long after it.
    Drain,
    /// The first service makes a batch of long calls, one a second.
    Batch { calls: usize, hold_s: f64 },
    /// A few calls of the smallest service hang.
    FewOfTheSmallest { calls: usize },
}

/// One resource and its callers.
#[derive(Clone, Debug)]
pub struct World {
    pub seed: u64,
    pub log: Log,
    pub limit: u64,
    /// The usual part of the limit that is held.
    pub load: f64,
    pub hold_s: f64,
    pub timeout_s: f64,
    pub services: usize,
    pub onset_s: f64,
    pub lasts_s: f64,
    pub until_s: f64,
    pub cause: Cause,
}

impl World {
    /// Twenty services on 100 slots, a third of which is held; calls of 0.5 s; ten minutes.
    pub fn new(seed: u64, log: Log, cause: Cause) -> World {
        World {
            seed,
            log,
            limit: 100,
            load: 0.3,
            hold_s: 0.5,
            timeout_s: 20.0,
            services: 20,
            onset_s: 300.0,
            lasts_s: 60.0,
            until_s: 480.0,
            cause,
        }
    }

    /// What a judge says of it.
    pub fn judged(&self) -> Vec<Transition> {
        self.steps().into_iter().flat_map(|step| step.transitions).collect()
    }

    /// The steps of a judge.
    pub fn steps(&self) -> Vec<Step> {
        let mut judge = Judge::new(settings(self.limit));
        let ticks = ticks(&self.made().statements, self.until_s as i64);
        ticks.iter().map(|tick| judge.step(tick)).collect()
    }

    /// The steps of a judge that is saved and restored before every tenth of them.
    pub fn steps_saved(&self) -> Vec<Step> {
        let mut judge = Judge::new(settings(self.limit));
        let ticks = ticks(&self.made().statements, self.until_s as i64);
        let step = |(place, tick): (usize, &Tick)| {
            if place % 10 == 0 {
                judge =
                    Judge::restore(settings(self.limit), &judge.save()).expect("it was just saved");
            }
            judge.step(tick)
        };
        ticks.iter().enumerate().map(step).collect()
    }

    /// The first service has a fifth of the calls, the others fall off as 1/rank.
    fn shares(&self) -> Vec<f64> {
        let ranks: Vec<f64> = (1..self.services).map(|rank| 1.0 / (rank + 2) as f64).collect();
        let sum: f64 = ranks.iter().sum();
        std::iter::once(0.2).chain(ranks.iter().map(|rank| 0.8 * rank / sum)).collect()
    }

    /// What is logged, and what is true.
    pub fn made(&self) -> Made {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let shares = self.shares();
        let rate = self.load * self.limit as f64 / self.hold_s;
        let mut made = Made::default();
        let mut ends: BinaryHeap<(Reverse<u64>, usize)> = BinaryHeap::new();
        let mut queue: VecDeque<(usize, f64)> = VecDeque::new();
        let (mut time, mut number, mut polled, mut batch) = (0.0, 0, 0.0, 0);
        while time < self.until_s {
            let burst = match self.cause {
                Cause::Burst { times } if self.is_on(time) => times,
                Cause::Busier { times, over_s } if self.is_on(time) => {
                    1.0 + (times - 1.0) * ((time - self.onset_s) / over_s).min(1.0)
                }
                _ => 1.0,
            };
            let times = match self.cause {
                Cause::Crowd { times } if self.is_on(time) => times,
                Cause::Drain if self.is_on(time - self.lasts_s) => 2.0,
                _ => 1.0 + 0.2 * (burst - 1.0),
            };
            time += -(1.0 - rng.random::<f64>()).ln() / (rate * times);
            // What ends before the next call comes gives its slot to the next in the queue.
            while let Some((Reverse(end), service)) = ends.peek().copied()
                && end as f64 / 1e6 <= time
            {
                ends.pop();
                let free = end as f64 / 1e6;
                made.note(free, service, -1);
                if let Some((service, arrived)) = queue.pop_front() {
                    number += 1;
                    ends.push(self.call(&mut made, &mut rng, number, service, (arrived, free)));
                }
            }
            if let Cause::Batch { calls, hold_s } = self.cause
                && batch < calls
                && time >= self.onset_s + batch as f64
            {
                (batch, number) = (batch + 1, number + 1);
                let hold_s = hold_s * rng.random_range(0.9..1.1);
                ends.push(self.log_call(&mut made, number, 0, (time, time), hold_s));
            }
            while polled < time {
                let held = ends.len();
                if self.log == Log::Ends {
                    let words = vec![held.to_string()];
                    made.statements.push(statement(polled, polled, "poll", words));
                }
                polled += 0.5;
            }
            if self.cause == Cause::Drain && self.is_on(time) {
                continue;
            }
            let mut draw = rng.random::<f64>();
            if burst > 1.0 && rng.random::<f64>() < 0.2 * (burst - 1.0) / times {
                draw = 0.0;
            }
            let mut service = 0;
            while service + 1 < self.services && draw > shares[service] {
                draw -= shares[service];
                service += 1;
            }
            if (ends.len() as u64) < self.limit {
                number += 1;
                ends.push(self.call(&mut made, &mut rng, number, service, (time, time)));
            } else {
                made.full_at.get_or_insert(time);
                queue.push_back((service, time));
            }
        }
        made
    }

    fn is_on(&self, time: f64) -> bool {
        (self.onset_s..self.onset_s + self.lasts_s).contains(&time)
    }

    /// How long a call takes that gets its slot at `at`.
    fn hold_s(&self, rng: &mut StdRng, number: u64, service: &mut usize, at: f64) -> f64 {
        let is_on = self.is_on(at);
        let usual = -(1.0 - rng.random::<f64>()).ln() * self.hold_s;
        let hold_s = match self.cause {
            Cause::Hang { services, part } if is_on && *service < services => {
                if rng.random::<f64>() < part { self.timeout_s } else { usual }
            }
            Cause::Ramp { over_s } if is_on && *service == 0 => {
                usual + self.timeout_s * (at - self.onset_s) / over_s
            }
            Cause::Creep { over_s } if is_on && *service == 0 => {
                let part = (at - self.onset_s) / over_s;
                if rng.random::<f64>() < part { self.timeout_s } else { usual }
            }
            Cause::AllSlow { times } if is_on => usual * times,
            // One in thirty calls for as long as it takes to make them.
            Cause::FewOfTheSmallest { calls } if is_on && number.is_multiple_of(30) => {
                if at < self.onset_s + calls as f64 * 0.5 {
                    *service = self.services - 1;
                    self.timeout_s
                } else {
                    usual
                }
            }
            _ => usual,
        };
        hold_s.min(self.timeout_s)
    }

    /// Makes a call that arrived and got its slot; returns its end and its service.
    fn call(
        &self,
        made: &mut Made,
        rng: &mut StdRng,
        number: u64,
        mut service: usize,
        (arrived, at): (f64, f64),
    ) -> (Reverse<u64>, usize) {
        let hold_s = self.hold_s(rng, number, &mut service, at);
        self.log_call(made, number, service, (arrived, at), hold_s)
    }

    /// Writes a call down.
    fn log_call(
        &self,
        made: &mut Made,
        number: u64,
        service: usize,
        (arrived, at): (f64, f64),
        hold_s: f64,
    ) -> (Reverse<u64>, usize) {
        let (id, name) = (format!("c{number}"), format!("s{service:02}"));
        if self.log == Log::Starts {
            made.statements.push(statement(at, at, "start", vec![id.clone(), name.clone()]));
        }
        made.note(at, service, 1);
        let end = at + hold_s;
        if end < self.until_s {
            let waited_s = at - arrived;
            if waited_s >= 0.01 {
                made.waits.push((end, service, waited_s));
            }
            let words = vec![id, hold_s.to_string(), name, waited_s.to_string()];
            made.statements.push(statement(end, end, "finish", words));
        }
        (Reverse((end * 1e6).round() as u64), service)
    }
}

/// A generated run.
#[derive(Debug, Default)]
pub struct Made {
    pub statements: Vec<Statement>,
    /// When a call had to wait for the first time.
    pub full_at: Option<f64>,
    /// When a call ended that had waited, of which service, and for how long.
    pub waits: Vec<(f64, usize, f64)>,
    /// By second and service, how many more or fewer calls are open at its end.
    moves: BTreeMap<(i64, usize), i64>,
}

impl Made {
    fn note(&mut self, time: f64, service: usize, change: i64) {
        *self.moves.entry((time.floor() as i64, service)).or_default() += change;
    }

    /// How many calls of a service are open at the end of a second.
    pub fn held(&self, second: i64, service: usize) -> i64 {
        let until = self.moves.range(..(second + 1, 0));
        until.filter(|((_, other), _)| *other == service).map(|(_, change)| change).sum()
    }

    /// How many services but the first had waited by the end of a second, as far as their calls
    /// have ended, and for how long in all.
    pub fn cost(&self, second: i64) -> (u64, f64) {
        let until =
            |(end, service, _): &&(f64, usize, f64)| (*end as i64) <= second && *service != 0;
        let waits = || self.waits.iter().filter(until);
        let services: std::collections::BTreeSet<usize> = waits().map(|wait| wait.1).collect();
        (services.len() as u64, waits().map(|wait| wait.2).sum())
    }
}

fn statement(tick: f64, time: f64, verb: &str, words: Vec<String>) -> Statement {
    let micros = START * 1_000_000 + (time * 1e6).round() as i64;
    Statement {
        tick: tick.floor() as i64,
        time: Time::from_micros(micros),
        verb: verb.to_owned(),
        words,
    }
}
