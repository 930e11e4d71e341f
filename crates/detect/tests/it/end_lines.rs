//! A log that has a line only when a call ends: quiet hours, and what begins in them. The truth is
//! the generator's own.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use plimsoll_detect::Judge;
use plimsoll_model::{Change, Kind, Owner, Severity, Time, Transition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::script::{START, Statement, settings, ticks};

/// How long calls take, around their mean.
#[derive(Clone, Copy, Debug)]
enum Hold {
    Constant,
    Exponential,
    /// With the exponent 1.8: its variance is infinite.
    Pareto,
    /// One in ten takes eleven times as long as the others.
    TwoKinds,
    /// Each tenant's mean is another, over a factor of 30.
    PerTenant,
}

const HOLDS: [Hold; 5] =
    [Hold::Constant, Hold::Exponential, Hold::Pareto, Hold::TwoKinds, Hold::PerTenant];

/// Slots with their callers, who wait in the order in which they came.
#[derive(Clone, Debug)]
struct Slots {
    seed: u64,
    slots: u64,
    load: f64,
    hold_s: f64,
    hold: Hold,
    tenants: usize,
    until_s: f64,
    /// The calls of this tenant that begin in these seconds end when they are over.
    hang: Option<(usize, f64, f64)>,
    /// So many calls come at once every so many seconds, each for so many seconds.
    batch: Option<(usize, f64, f64)>,
}

impl Slots {
    fn quiet(seed: u64, slots: u64, load: f64, hold_s: f64, hold: Hold) -> Slots {
        let until_s = 7_200.0;
        Slots { seed, slots, load, hold_s, hold, tenants: 20, until_s, hang: None, batch: None }
    }

    fn judged(&self) -> Vec<Transition> {
        let mut judge = Judge::new(settings(self.slots));
        let ticks = ticks(&self.statements(), self.until_s as i64);
        ticks.iter().flat_map(|tick| judge.step(tick).transitions).collect()
    }

    fn hold_s(&self, rng: &mut StdRng, tenant: usize, at: f64) -> f64 {
        let draw = 1.0 - rng.random::<f64>();
        let times = match self.hold {
            Hold::Constant => 1.0,
            Hold::Exponential => -draw.ln(),
            Hold::Pareto => 0.8 / 1.8 * draw.powf(-1.0 / 1.8),
            Hold::TwoKinds => 0.5 * if draw < 0.1 { 11.0 } else { 1.0 },
            Hold::PerTenant => {
                // Means from 0.1 to 3 of the whole's, rising by the same factor each.
                let steps = (self.tenants - 1).max(1) as f64;
                0.1 * 30_f64.powf(tenant as f64 / steps) / 0.853 * -draw.ln()
            }
        };
        match self.hang {
            Some((other, from, to)) if other == tenant && (from..to).contains(&at) => to - at,
            _ => times * self.hold_s,
        }
    }

    fn statements(&self) -> Vec<Statement> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let rate = self.load * self.slots as f64 / self.hold_s;
        let micros = |seconds: f64| (seconds * 1e6) as u64;
        let mut said = Vec::new();
        let mut ends: BinaryHeap<Reverse<(u64, u64, usize, u64)>> = BinaryHeap::new();
        let mut queue: VecDeque<(usize, Option<f64>)> = VecDeque::new();
        let (mut number, mut next_batch) = (0, self.batch.map_or(f64::MAX, |batch| batch.1 / 2.0));
        let mut arrives = 0.0;
        while arrives < self.until_s {
            arrives += -(1.0 - rng.random::<f64>()).ln() / rate;
            let mut comes = vec![(arrives, rng.random_range(0..self.tenants), None)];
            if let Some((calls, every_s, lasts_s)) = self.batch
                && arrives > next_batch
            {
                comes.extend((0..calls).map(|_| (arrives, 1, Some(lasts_s))));
                next_batch += every_s;
            }
            for (at, tenant, given) in comes {
                while let Some(Reverse((end, _, _, _))) = ends.peek()
                    && *end <= micros(at)
                {
                    let Reverse((end, id, ended, began)) = ends.pop().expect("it was peeked at");
                    let end_s = end as f64 / 1e6;
                    let age_s = (end - began) as f64 / 1e6;
                    let words = vec![format!("c{id}"), age_s.to_string(), format!("t{ended:02}")];
                    said.push(statement(end_s, "finish", words));
                    said.push(statement(end_s, "poll", vec![ends.len().to_string()]));
                    if let Some((waiting, given)) = queue.pop_front() {
                        number += 1;
                        let hold_s = given.unwrap_or_else(|| self.hold_s(&mut rng, waiting, end_s));
                        ends.push(Reverse((end + micros(hold_s), number, waiting, end)));
                    }
                }
                if (ends.len() as u64) < self.slots {
                    number += 1;
                    let hold_s = given.unwrap_or_else(|| self.hold_s(&mut rng, tenant, at));
                    ends.push(Reverse((micros(at) + micros(hold_s), number, tenant, micros(at))));
                } else {
                    queue.push_back((tenant, given));
                }
            }
        }
        said.retain(|one| one.tick < self.until_s as i64);
        said
    }
}

fn statement(at: f64, verb: &str, words: Vec<String>) -> Statement {
    let time = Time::from_micros(START * 1_000_000 + (at * 1e6).round() as i64);
    Statement { tick: at.floor() as i64, time, verb: verb.to_owned(), words }
}

fn held_open(told: &[Transition]) -> Vec<&Transition> {
    let is_it =
        |one: &&Transition| one.finding.kind == Kind::HeldOpen && one.change != Change::Resolved;
    told.iter().filter(is_it).collect()
}

fn shown(told: &[&Transition]) -> String {
    let line = |one: &&Transition| format!("{} {}\n", one.as_of.0 - START, one.headline);
    told.iter().map(line).collect()
}

/// The bound is one false alarm in thirty days, so that forty hours have one with a chance of at
/// most 0.055. More seeds of it: `PLIMSOLL_QUIET_SEEDS=10-60`, 40 hours each.
#[test]
fn quiet_hours_are_quiet() {
    let seeds = std::env::var("PLIMSOLL_QUIET_SEEDS").unwrap_or_else(|_| "1-2".to_owned());
    let (from, to) = seeds.split_once('-').expect("two seeds");
    let (mut hours, mut alarms, mut pages) = (0.0, 0, 0);
    for seed in from.parse::<u64>().unwrap()..to.parse::<u64>().unwrap() {
        for (place, hold) in HOLDS.into_iter().enumerate() {
            for (slots, hold_s, load) in
                [(100, 20.0, 0.5), (100, 20.0, 0.85), (10, 5.0, 0.4), (400, 60.0, 0.7)]
            {
                let seed = 100 * seed + place as u64;
                let world = Slots::quiet(seed, slots, load, hold_s, hold);
                let told = world.judged();
                let told = held_open(&told);
                let is = |wanted| move |one: &&&Transition| one.change == wanted;
                let is_page = |one: &&Transition| one.finding.severity == Severity::Page;
                alarms += told.iter().filter(is(Change::Opened)).count();
                pages += usize::from(told.iter().any(is_page));
                hours += world.until_s / 3_600.0;
                if !told.is_empty() {
                    println!("{world:?}\n{}", shown(&told));
                }
            }
        }
    }
    println!("{hours} quiet hours: {alarms} incidents of calls held open, {pages} with a page");
    assert!(alarms as f64 <= 1.0 + hours / 24.0 / 30.0, "{alarms} in {hours} hours");
}

/// The smallest of twenty tenants hangs on 100 slots, a third in use, for half an hour: 0.33 calls a
/// minute and tenant of 5 s are 0.33 a second; named before half of the free slots are gone.
#[test]
fn a_hang_is_named_long_before_the_slots_are_gone() {
    for (seed, hold) in (1..).zip(HOLDS) {
        let world = Slots {
            hang: Some((9, 3_600.0, 3_900.0)),
            until_s: 4_500.0,
            ..Slots::quiet(seed, 100, 0.33, 5.0, hold)
        };
        let told = world.judged();
        let told = held_open(&told);
        let page = told.iter().find(|one| one.finding.severity == Severity::Page);
        let Some(page) = page else { panic!("no page in {world:?}\n{}", shown(&told)) };
        let named = matches!(&page.finding.owner, Owner::Holder { value, .. } if value == "t09");
        // 67 free slots at 0.33 calls a second: 203 s.
        let after_s = page.as_of.0 - START - 3_600;
        assert!(named && (0..=102).contains(&after_s), "{world:?}\n{}", shown(&told));
    }
}

/// Thirty calls of five minutes at once, every hour: the third time it is known, and it never was
/// more than a ticket.
#[test]
fn a_batch_that_comes_every_hour_is_known_from_the_third_on() {
    for (seed, hold) in (1..).zip([Hold::Exponential, Hold::PerTenant, Hold::Pareto]) {
        let world = Slots {
            batch: Some((30, 3_600.0, 300.0)),
            until_s: 6.0 * 3_600.0,
            ..Slots::quiet(seed, 100, 0.1, 2.0, hold)
        };
        let told = world.judged();
        for one in held_open(&told) {
            let shown = shown(&[one]);
            assert_eq!(one.finding.severity, Severity::Ticket, "{shown} in {world:?}");
            assert!(one.as_of.0 - START < 2 * 3_600, "{shown} in {world:?}");
        }
    }
}
