//! Memory over weeks of lives: leaks, deaths, and what looks like them.

use std::ops::Range;

use plimsoll_model::Severity;
use plimsoll_model::lives::EndCause;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Case, Fault, Said, said};
use crate::growth_world::log_uniform;
use crate::lives_world::{DAY, HOUR, Heard, Program, START, World};

/// How long before the end a page must come that nobody is woken for.
const PAGE_BEFORE_END_S: i64 = DAY;

/// Deploys every 1.5 to 3 days for `days` days.
pub fn deploys(rng: &mut StdRng, days: i64) -> Vec<i64> {
    let every = rng.random_range(1.5..3.0);
    let (mut at, mut times) = (rng.random_range(0.3..1.5), Vec::new());
    while at < days as f64 {
        times.push((at * DAY as f64) as i64);
        at += every * rng.random_range(0.8..1.2);
    }
    times
}

/// What is alike in all members of the family: how it is measured, not what it does.
pub fn drawn(rng: &mut StdRng, program: Program) -> Program {
    let every = [20, 30, 60, 60];
    Program {
        instances: rng.random_range(2..5),
        base_mib: rng.random_range(250.0..500.0),
        noise_mib: rng.random_range(1.0..12.0),
        sawtooth: (rng.random_range(0.0..60.0), rng.random_range(120.0..1_500.0)),
        every_s: every[rng.random_range(0..every.len())],
        missing: rng.random_range(0.0..0.03),
        ..program
    }
}

/// A leak for 20 days of deploys and then without; its rate in MiB per hour and the last deploy.
pub fn leak(seed: u64) -> (World, f64, i64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let rate = rng.random_range(3.0..9.0);
    let deploys = deploys(&mut rng, 20);
    let last = deploys[deploys.len() - 1];
    let program = drawn(&mut rng, Program::new("web", move |hours, _| rate * hours));
    let program = Program { deploys, ..program };
    let calm = Program::new("calm", |_, _| 100.0);
    (World::new(seed).with(program).with(calm), rate, last)
}

/// What was said until the first instance reached its limit, and when that was.
fn until_out(heard: &Heard) -> (Vec<Said>, i64) {
    let out = heard.out.values().copied().min().expect("the leak fills the memory");
    let mut said = said(&heard.transitions, START);
    said.retain(|said| said.at <= out);
    (said, out)
}

pub fn hidden_leak(seed: u64) -> Case {
    let (world, rate, last) = leak(seed);
    let room = world.limit_mib - world.programs[0].base_mib;
    let heard = world.run(last + (room / rate * HOUR as f64) as i64 + DAY);
    let (said, out) = until_out(&heard);
    let page = Fault {
        what: "page a day or more before the end",
        due: out - PAGE_BEFORE_END_S,
        ..Fault::page("service.name web", 0, out)
    };
    let ticket = Fault {
        what: "ticket while deploys hide it",
        severity: Severity::Ticket,
        due: last,
        ..page.clone()
    };
    Case { said, faults: vec![ticket, page], ..Case::default() }
}

/// A leak of so many MiB per hour after so many hours of one long life.
pub fn one_life(seed: u64, after_h: f64, per_hour: Range<f64>) -> Case {
    let mut rng = StdRng::seed_from_u64(seed);
    let rate = log_uniform(&mut rng, per_hour.start, per_hour.end);
    let program = Program::new("web", move |hours, _| rate * (hours - after_h).max(0.0));
    let program = drawn(&mut rng, program);
    let world = World::new(seed).with(program);
    let room = world.limit_mib - world.programs[0].base_mib;
    let begins = (after_h * HOUR as f64) as i64;
    let heard = world.run(begins + (room / rate * HOUR as f64) as i64 + DAY);
    let (said, out) = until_out(&heard);
    let fault = Fault::page("service.name web", begins, out);
    Case { said, faults: vec![fault], ..Case::default() }
}

/// What looks like a leak: made of its rate in MiB per hour and its total in MiB.
pub type Shape = fn(&mut StdRng, f64, f64) -> Program;

/// The world of a look-alike, with the steepest rise and the total of a leak that lives for a week.
pub fn alike(seed: u64, shape: Shape) -> World {
    let mut rng = StdRng::seed_from_u64(seed);
    let rate = rng.random_range(3.0..7.0);
    let program = shape(&mut rng, rate, rate * 24.0 * 7.0);
    let program = drawn(&mut rng, program);
    World::new(seed).with(program)
}

fn judged(world: World, until: i64) -> Case {
    Case { said: said(&world.run(until).transitions, START), ..Case::default() }
}

pub fn quiet(seed: u64, shape: Shape) -> Case {
    judged(alike(seed, shape), 24 * DAY)
}

pub fn warm_up(rng: &mut StdRng, _: f64, total: f64) -> Program {
    let hours = rng.random_range(0.05..2.0);
    let deploys = deploys(rng, 22);
    let program = Program::new("web", move |at, _| total * (at / hours).min(1.0));
    Program { deploys, ..program }
}

pub fn one_cache(_: &mut StdRng, rate: f64, total: f64) -> Program {
    Program::new("web", move |at, _| total * (1.0 - (-at * rate / total).exp()))
}

pub fn many_caches(rng: &mut StdRng, _: f64, total: f64) -> Program {
    let hours = rng.random_range(4.0..30.0);
    let deploys = deploys(rng, 22);
    let program = Program::new("web", move |at, _| total * (1.0 - (-at / hours).exp()));
    Program { deploys, ..program }
}

pub fn step(rng: &mut StdRng, _: f64, total: f64) -> Program {
    let deploys = deploys(rng, 22);
    let at = deploys[deploys.len() / 2];
    let program = Program::new("web", move |_, second| if second >= at { total } else { 0.0 });
    Program { deploys, ..program }
}

pub fn load(rng: &mut StdRng, _: f64, total: f64) -> Program {
    let deploys = deploys(rng, 22);
    let days = rng.random_range(20.0..24.0);
    let program = Program::new("web", move |_, second| {
        let day = second as f64 / DAY as f64;
        total * (day / days) * (1.0 + 0.1 * (day * std::f64::consts::TAU).cos())
    });
    Program { deploys, ..program }
}

pub fn rhythm(rng: &mut StdRng, _: f64, total: f64) -> Program {
    let deploys = deploys(rng, 22);
    let program = Program::new("web", move |_, second| {
        total / 2.0 * (1.0 - (second as f64 / DAY as f64 * std::f64::consts::TAU).cos())
    });
    Program { deploys, ..program }
}

/// A collector that gives back everything every half an hour to 20 hours.
pub fn sawtooth(seed: u64, restarted: bool) -> Case {
    let mut rng = StdRng::seed_from_u64(seed);
    let period_s = log_uniform(&mut rng, 0.5, 20.0) * HOUR as f64;
    let deploys = if restarted { deploys(&mut rng, 22) } else { Vec::new() };
    let program = drawn(&mut rng, Program::new("web", |_, _| 0.0));
    let sawtooth = (1_300.0, period_s);
    let program = Program { sawtooth, base_mib: 400.0, deploys, ..program };
    judged(World::new(seed).with(program), 24 * DAY)
}

/// Three instances or more, deployed twice, of which the second dies on the fourth day.
fn mortal(seed: u64, missing: f64, cause: Option<EndCause>) -> (World, i64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let program = drawn(&mut rng, Program::new("web", |_, _| 0.0));
    let died = 3 * DAY + rng.random_range(0..HOUR);
    let program = Program {
        instances: program.instances.max(3),
        deploys: vec![DAY, 2 * DAY],
        deaths: vec![(1, died, cause)],
        missing,
        ..program
    };
    (World::new(seed).with(program), died)
}

/// Between an end and the ticks that are judged: worlds are judged every ten seconds.
const TICK_S: i64 = 10;

fn death(seed: u64, missing: f64, cause: Option<EndCause>) -> Case {
    let (world, died) = mortal(seed, missing, cause);
    let every_s = world.programs[0].every_s;
    // A minute, or three samples; three usual returns of 14 s are less.
    let bound_s = if cause.is_some() { 60 } else { (3 * every_s).max(60) };
    let page = Fault::page("service.instance.id web-2", died, died);
    let fault = Fault { due: died + bound_s + TICK_S, ..page };
    Case { faults: vec![fault], ..judged(world, died + 2 * HOUR) }
}

pub fn out_of_memory(seed: u64) -> Case {
    death(seed, 0.0, Some(EndCause::OutOfMemory))
}

pub fn crash(seed: u64) -> Case {
    death(seed, 0.0, Some(EndCause::Crash))
}

/// No row tells of its end.
pub fn silence(seed: u64, missing: f64) -> Case {
    death(seed, missing, None)
}

pub fn stopped(seed: u64) -> Case {
    let (world, died) = mortal(seed, 0.0, Some(EndCause::Stopped));
    judged(world, died + DAY)
}

pub fn gap(seed: u64) -> Case {
    let (mut world, at) = mortal(seed, 0.0, None);
    world.programs[0].deaths.clear();
    world.gap = at..at + 2 * HOUR;
    judged(world, at + DAY)
}

pub fn missing(seed: u64) -> Case {
    let mut rng = StdRng::seed_from_u64(seed);
    let missing = log_uniform(&mut rng, 0.01, 0.2);
    let program = Program { instances: 4, missing, every_s: 10, ..Program::new("web", |_, _| 0.0) };
    judged(World::new(seed).with(program), 6 * DAY)
}
