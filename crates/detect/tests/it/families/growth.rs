//! Growth to the limit: beside each leak stands what has the same total and the same steepest
//! rise, and only another cause.

use plimsoll_detect::detector::Verdict;
use plimsoll_detect::growth::Growth;
use plimsoll_model::lives::LifeEvent;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Case, Fault, Said};
use crate::growth_world::{Work, World, log_uniform, settings};

pub const DAY_S: i64 = 86_400;

/// What the book holds an incident open for after the last finding.
const HOLD_S: i64 = 60;

/// How long a run goes on after everything is in use.
const AFTER_S: i64 = 300;

/// When everything begins to rise, for how long, and by how many units.
#[derive(Clone, Copy, Debug)]
pub struct Rise {
    pub onset: i64,
    pub lasts_s: i64,
    pub units: f64,
}

impl Rise {
    /// One for all members of the tests.
    pub const PLAIN: Rise = Rise { onset: 900, lasts_s: 150, units: 60.0 };

    fn drawn(seed: u64) -> Rise {
        let mut rng = StdRng::seed_from_u64(seed);
        let onset = rng.random_range(600..1_500);
        let lasts_s = log_uniform(&mut rng, 90.0, 300.0) as i64;
        Rise { onset, lasts_s, units: log_uniform(&mut rng, 40.0, 80.0) }
    }

    pub fn per_s(&self) -> f64 {
        self.units / self.lasts_s as f64
    }

    /// A number that rises from 0 to 1.
    fn ramp(&self, second: i64) -> f64 {
        ((second - self.onset) as f64 / self.lasts_s as f64).clamp(0.0, 1.0)
    }
}

/// What is added to the estate.
pub type Build = fn(&mut World, Rise);

/// Ordinary work of three services on a server with 260 usable connections.
pub fn estate(seed: u64) -> World {
    let mut world = World::new(260, seed);
    world.churn(ACME, 30.0, 10.0);
    world.churn(BELL, 20.0, 10.0);
    world.pool(WORKER, |_| 10.0);
    world
}

const ACME: &str = "app=web user=web tenant=acme host=h1 addr=10.0.0.1";
const BELL: &str = "app=web user=web tenant=bell host=h2 addr=10.0.0.2";
const WORKER: &str = "app=worker user=worker tenant=bell host=h2 addr=10.0.0.3";
const REPORT: &str = "app=report user=report addr=10.0.0.8";

/// What growth says until `until`, or until five minutes after everything is in use, and when that
/// is. The book is not asked, but findings that come back within its hold are one incident.
pub fn watched(mut world: World, response_s: u64, until: i64) -> (Vec<Said>, Option<i64>) {
    let mut growth = Growth::new(settings(response_s));
    let (mut said, mut full): (Vec<Said>, Option<i64>) = (Vec::new(), None);
    let mut found_at = i64::MIN / 2;
    while world.second < full.map_or(until, |full| until.min(full + AFTER_S)) {
        let (verdict, held) = world.tick(&mut growth);
        let at = world.second - 1;
        if full.is_none() && world.usable.is_some_and(|usable| held >= usable) {
            full = Some(at);
        }
        let Verdict::Found(finding) = verdict else { continue };
        let last = said.last().filter(|_| at - found_at <= HOLD_S);
        let (kind, owner) = (finding.kind, finding.owner.to_string());
        let severity = last.map_or(finding.severity, |last| last.severity.max(finding.severity));
        found_at = at;
        if last.is_none_or(|last| (last.severity, &last.owner) != (severity, &owner)) {
            let number = said.last().map_or(0, |last| last.incident);
            let incident = if last.is_some() { number } else { number + 1 };
            said.push(Said { at, incident, kind, severity, owner });
        }
    }
    (said, full)
}

/// A leak that fills everything.
pub fn leak(seed: u64, build: Build, owner: &str) -> Case {
    let (rise, mut world) = (Rise::drawn(seed), estate(seed));
    build(&mut world, rise);
    let until = rise.onset + (2.0 * 260.0 / rise.per_s()) as i64;
    let (said, full) = watched(world, 1_800, until);
    let full = full.expect("the leak fills everything");
    Case { said, faults: vec![Fault::page(owner, rise.onset, full)], ..Case::default() }
}

/// Something that looks like one.
pub fn quiet(seed: u64, build: Build) -> Case {
    let (rise, mut world) = (Rise::drawn(seed), estate(seed));
    build(&mut world, rise);
    let (said, _) = watched(world, 1_800, rise.onset + 1_800);
    Case { said, ..Case::default() }
}

pub fn tenant(world: &mut World, rise: Rise) {
    world.leak(ACME, rise.per_s(), rise.onset, i64::MAX, true);
}

pub fn crowd(world: &mut World, rise: Rise) {
    let arrivals = move |s: i64| rise.units / 10.0 * rise.ramp(s) * (1.0 - rise.ramp(s - 600));
    world.crew(ACME, Work::Churn { arrivals: Box::new(arrivals), hold_s: Box::new(|_| 10.0) });
}

pub fn user(world: &mut World, rise: Rise) {
    for words in [
        "app=web user=batch tenant=bell host=h1 addr=10.0.0.1",
        "app=worker user=batch tenant=acme host=h2 addr=10.0.0.2",
    ] {
        world.leak(words, rise.per_s() / 2.0, rise.onset, i64::MAX, true);
    }
}

pub fn reconnections(world: &mut World, rise: Rise) {
    world.pool("app=web user=web tenant=acme host=h1 addr=10.0.0.9", move |s| {
        let lost = s >= rise.onset - 5;
        10.0 + rise.units * if lost { rise.ramp(s) } else { 1.0 }
    });
}

pub fn half_open(world: &mut World, rise: Rise) {
    for (words, size) in [(ACME, 20.0), (BELL, 20.0), (WORKER, 10.0)] {
        world.pool(words, move |s| size * (1.0 + rise.ramp(s)) - size * rise.ramp(s - 400));
    }
}

pub fn host(world: &mut World, rise: Rise) {
    for words in [
        "app=web user=web tenant=bell host=h3 addr=10.0.0.7",
        "app=worker user=worker tenant=acme host=h3 addr=10.0.0.7",
    ] {
        world.churn(words, 3.0, 10.0);
        world.leak(words, rise.per_s() / 2.0, rise.onset, i64::MAX, true);
    }
}

pub fn slower(world: &mut World, rise: Rise) {
    for (words, level) in [(ACME, 24.0), (BELL, 24.0), (WORKER, 12.0)] {
        let arrivals = Box::new(move |_| level / 10.0);
        let hold_s = move |s| 10.0 * (1.0 + 0.7 * rise.ramp(s) - 0.7 * rise.ramp(s - 600));
        world.crew(words, Work::Churn { arrivals, hold_s: Box::new(hold_s) });
    }
}

pub fn release(world: &mut World, rise: Rise) {
    world.life(rise.onset - 10, LifeEvent::Deploy, "app=issuer version=2.14");
    for instance in ["1", "2", "3"] {
        let old = format!("app=issuer user=issuer version=2.13 addr=10.0.1.{instance}");
        let new = format!("app=issuer user=issuer version=2.14 addr=10.0.2.{instance}");
        world.pool(&old, move |s| if s < rise.onset { 4.0 } else { 0.0 });
        world.pool(&new, move |s| if s < rise.onset { 0.0 } else { 4.0 });
        world.leak(&new, rise.per_s() / 3.0, rise.onset, i64::MAX, true);
    }
}

pub fn scale_out(world: &mut World, rise: Rise) {
    let size = rise.units / 6.0;
    for instance in 0..12 {
        let words = format!("app=issuer user=issuer addr=10.0.1.{instance}");
        world.pool(&words, move |s| {
            let starts = rise.onset + (instance - 6) * rise.lasts_s / 6;
            if instance < 6 || s >= starts { size } else { 0.0 }
        });
    }
}

pub fn blue_green(world: &mut World, rise: Rise) {
    world.life(rise.onset - 10, LifeEvent::Deploy, "app=issuer version=2.14");
    let (size, drained) = (rise.units / 6.0, rise.onset + rise.lasts_s + 250);
    for instance in 0..6 {
        let old = format!("app=issuer user=issuer version=2.13 addr=10.0.1.{instance}");
        let new = format!("app=issuer user=issuer version=2.14 addr=10.0.2.{instance}");
        let starts = rise.onset + instance * rise.lasts_s / 6;
        world.pool(&old, move |s| if s < drained { size } else { 0.0 });
        world.pool(&new, move |s| if s < starts { 0.0 } else { size });
    }
}

pub fn fast(world: &mut World, rise: Rise) {
    world.churn(REPORT, 3.0, 10.0);
    world.leak(REPORT, 2.5 * rise.per_s(), rise.onset, i64::MAX, true);
}

pub fn new_service(world: &mut World, rise: Rise) {
    world.pool(REPORT, move |s| {
        (rise.units * ((s - rise.onset) as f64 / 60.0)).clamp(0.0, rise.units)
    });
}

pub fn two(world: &mut World, rise: Rise) {
    for (app, host) in [("report", 6), ("issuer", 7)] {
        let words = format!("app={app} user={app} addr=10.0.3.{host}");
        world.churn(&words, 4.0, 10.0);
        world.leak(&words, rise.per_s() / 2.0, rise.onset, i64::MAX, true);
    }
}

const BATCH: &str = "app=batch user=batch addr=10.0.0.8";

/// Every day at the same time the rise, and twenty minutes later its end.
pub fn batch(world: &mut World, rise: Rise) {
    world.pool(BATCH, move |s| {
        let clock = s.rem_euclid(DAY_S);
        rise.units * (rise.ramp(clock) - rise.ramp(clock - 1_200))
    });
}

/// Of the first night nobody can know that it is every night.
pub fn nightly_batch(seed: u64) -> Case {
    let (rise, mut world) = (Rise::drawn(seed), estate(seed));
    batch(&mut world, rise);
    let (mut said, _) = watched(world, 1_800, DAY_S + rise.onset + 3_000);
    said.retain(|said| said.at >= DAY_S);
    Case { said, ..Case::default() }
}

/// The leak of the same size at the same time, without a night before it.
pub fn leak_on_the_second_day(world: &mut World, rise: Rise) {
    world.churn(BATCH, 4.0, 10.0);
    world.leak(BATCH, rise.per_s(), DAY_S + rise.onset, i64::MAX, true);
}

/// [`leak_on_the_second_day`], judged.
pub fn second_day(seed: u64) -> Case {
    let (rise, mut world) = (Rise::drawn(seed), estate(seed));
    leak_on_the_second_day(&mut world, rise);
    let until = DAY_S + rise.onset + (2.0 * 260.0 / rise.per_s()) as i64;
    let (said, full) = watched(world, 1_800, until);
    let full = full.expect("the leak fills everything");
    let fault = Fault::page("service.name batch", DAY_S + rise.onset, full);
    Case { said, faults: vec![fault], ..Case::default() }
}
