//! Calls of many services on one resource: they arrive at random, wait for a slot in the order of
//! their arrival, hold it, and are logged at both ends or at their end only.

use std::collections::VecDeque;

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
        let ticks = ticks(&self.statements(), self.until_s as i64);
        ticks.iter().map(|tick| judge.step(tick)).collect()
    }

    /// The steps of a judge that is saved and restored before every tenth of them.
    pub fn steps_saved(&self) -> Vec<Step> {
        let mut judge = Judge::new(settings(self.limit));
        let ticks = ticks(&self.statements(), self.until_s as i64);
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

    /// What is logged, in no order.
    pub fn statements(&self) -> Vec<Statement> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let shares = self.shares();
        let rate = self.load * self.limit as f64 / self.hold_s;
        let mut said = Vec::new();
        let mut ends: Vec<(f64, usize)> = Vec::new();
        let mut queue: VecDeque<usize> = VecDeque::new();
        let (mut time, mut number, mut polled) = (0.0, 0, 0.0);
        while time < self.until_s {
            let is_on = (self.onset_s..self.onset_s + self.lasts_s).contains(&time);
            let times = match self.cause {
                Cause::Crowd { times } if is_on => times,
                Cause::Burst { times } if is_on => 1.0 + 0.2 * (times - 1.0),
                _ => 1.0,
            };
            time += -(1.0 - rng.random::<f64>()).ln() / (rate * times);
            // What ends before the next call comes gives its slot to the next in the queue.
            ends.sort_by(|a, b| b.0.total_cmp(&a.0));
            while ends.last().is_some_and(|(end, _)| *end <= time) {
                let (free, _) = ends.pop().expect("all slots are taken");
                if let Some(service) = queue.pop_front() {
                    number += 1;
                    let end = self.call(&mut said, &mut rng, number, service, free);
                    let place = ends.partition_point(|(other, _)| *other > end);
                    ends.insert(place, (end, service));
                }
            }
            while polled < time {
                let held = ends.len();
                if self.log == Log::Ends {
                    said.push(statement(polled, polled, "poll", vec![held.to_string()]));
                }
                polled += 0.5;
            }
            let mut draw = rng.random::<f64>();
            if let Cause::Burst { times } = self.cause
                && is_on
                && rng.random::<f64>() < 0.2 * (times - 1.0) / (1.0 + 0.2 * (times - 1.0))
            {
                draw = 0.0;
            }
            let mut service = 0;
            while service + 1 < self.services && draw > shares[service] {
                draw -= shares[service];
                service += 1;
            }
            if (ends.len() as u64) < self.limit {
                number += 1;
                let end = self.call(&mut said, &mut rng, number, service, time);
                ends.push((end, service));
            } else {
                queue.push_back(service);
            }
        }
        said
    }

    /// How long a call takes that gets its slot at `at`.
    fn hold_s(&self, rng: &mut StdRng, number: u64, service: &mut usize, at: f64) -> f64 {
        let is_on = (self.onset_s..self.onset_s + self.lasts_s).contains(&at);
        let usual = -(1.0 - rng.random::<f64>()).ln() * self.hold_s;
        let hold_s = match self.cause {
            Cause::Hang { services, part } if is_on && *service < services => {
                if rng.random::<f64>() < part { self.timeout_s } else { usual }
            }
            Cause::Ramp { over_s } if is_on && *service == 0 => {
                usual + self.timeout_s * (at - self.onset_s) / over_s
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

    /// Writes a call down; returns its end.
    fn call(
        &self,
        said: &mut Vec<Statement>,
        rng: &mut StdRng,
        number: u64,
        mut service: usize,
        at: f64,
    ) -> f64 {
        let hold_s = self.hold_s(rng, number, &mut service, at);
        let (id, name) = (format!("c{number}"), format!("s{service:02}"));
        if self.log == Log::Starts {
            said.push(statement(at, at, "start", vec![id.clone(), name.clone()]));
        }
        if at + hold_s < self.until_s {
            let words = vec![id, hold_s.to_string(), name];
            said.push(statement(at + hold_s, at + hold_s, "finish", words));
        }
        at + hold_s
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
