//! Calls that are held open, and what looks like it, on resources of drawn sizes.

use plimsoll_model::Severity;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Case, Fault, said};
use crate::growth_world::log_uniform;
use crate::held_open_world::{Cause, Log, World};
use crate::script::START;

pub const STARTS: Log = Log::Starts;
pub const ENDS: Log = Log::Ends;

/// Calls a second: generated in memory, they must fit.
const CALLS_PER_S_MAX: f64 = 300.0;

/// Calls of `calls_s` on average, on as many slots as may be.
fn drawn(seed: u64, log: Log, cause: Cause, calls_s: (f64, f64)) -> World {
    let mut rng = StdRng::seed_from_u64(seed);
    let hold_s = log_uniform(&mut rng, calls_s.0, calls_s.1);
    let load = log_uniform(&mut rng, 0.2, 0.4);
    let most = (CALLS_PER_S_MAX * hold_s / load).min(500.0);
    let limit = log_uniform(&mut rng, 20.0_f64.min(most), most) as u64;
    let calm_s = 120.0 + 40.0 * hold_s;
    let lasts_s = 60.0 + 12.0 * hold_s;
    World {
        limit,
        load,
        hold_s,
        timeout_s: 60.0 * f64::max(hold_s, 0.2),
        onset_s: calm_s,
        lasts_s,
        until_s: calm_s + lasts_s + 60.0,
        ..World::new(seed, log, cause)
    }
}

/// Calls of 0.3 to 5 s.
fn ordinary(seed: u64, log: Log, cause: Cause) -> World {
    drawn(seed, log, cause, (0.3, 5.0))
}

/// The first second in which every slot is taken.
fn full(world: &World) -> Option<i64> {
    let told = World { log: Log::Starts, ..world.clone() };
    let mut rows = told.made().statements;
    rows.sort_by_key(|row| row.time);
    let mut held = 0;
    for row in rows {
        if row.verb == "finish" {
            held -= 1;
        } else {
            held += 1;
        }
        if held == world.limit {
            return Some(row.time.second().0 - START);
        }
    }
    None
}

fn judged(world: &World) -> Case {
    Case { said: said(&world.judged(), START), ..Case::default() }
}

/// One of the culprits must be named before every slot is taken.
fn blamed(world: &World, owner: &str) -> Case {
    let harm = full(world);
    let begins = world.onset_s as i64;
    let over = begins + (world.lasts_s + world.timeout_s) as i64;
    let fault = Fault { harm, ..Fault::page(owner, begins, harm.unwrap_or(over)) };
    Case { faults: vec![fault], ..judged(world) }
}

/// This part of the calls of the first so many services hangs.
pub fn hang(seed: u64, log: Log, services: usize, part: f64) -> Case {
    let owners: Vec<String> =
        (0..services).map(|rank| format!("service.name s{rank:02}")).collect();
    blamed(&ordinary(seed, log, Cause::Hang { services, part }), &owners.join("|"))
}

pub fn short_hang(seed: u64, log: Log) -> Case {
    let cause = Cause::Hang { services: 1, part: 1.0 };
    blamed(&drawn(seed, log, cause, (0.05, 0.3)), "service.name s00")
}

/// Up to the timeout within 240 mean hold times.
pub fn ramp(seed: u64, log: Log) -> Case {
    let mut world = ordinary(seed, log, Cause::Nothing);
    world.lasts_s = 240.0 * world.hold_s;
    world.cause = Cause::Ramp { over_s: world.lasts_s };
    world.until_s = world.onset_s + world.lasts_s + 60.0;
    blamed(&world, "service.name s00")
}

/// Nearly, but not quite, to the limit: it is said, and nobody is named.
pub fn nobody(seed: u64, log: Log) -> Case {
    let mut world = ordinary(seed, log, Cause::Nothing);
    world.lasts_s = 150.0 + 12.0 * world.hold_s;
    world.until_s = world.onset_s + world.lasts_s + 60.0;
    world.cause = Cause::AllSlow { times: 0.96 / world.load };
    let (begins, over) = (world.onset_s as i64, (world.onset_s + world.lasts_s) as i64);
    let fault =
        Fault { severity: Severity::Ticket, harm: None, ..Fault::page("nobody", begins, over) };
    Case { faults: vec![fault], only_blame_is_wrong: true, ..judged(&world) }
}

pub fn nothing(seed: u64, log: Log) -> Case {
    let world = ordinary(seed, log, Cause::Nothing);
    judged(&World { until_s: world.until_s + 600.0, ..world })
}

pub fn few(seed: u64, log: Log) -> Case {
    judged(&ordinary(seed, log, Cause::FewOfTheSmallest { calls: 5 }))
}

fn blameless(world: &World) -> Case {
    Case { only_blame_is_wrong: true, ..judged(world) }
}

/// A number drawn for the cause, apart from those drawn for the world.
fn times(seed: u64, low: f64, high: f64) -> f64 {
    log_uniform(&mut StdRng::seed_from_u64(seed ^ u64::MAX), low, high)
}

pub fn crowd(seed: u64, log: Log) -> Case {
    blameless(&ordinary(seed, log, Cause::Crowd { times: times(seed, 2.0, 6.0) }))
}

pub fn burst(seed: u64, log: Log) -> Case {
    blameless(&ordinary(seed, log, Cause::Burst { times: times(seed, 4.0, 20.0) }))
}

pub fn slower(seed: u64, log: Log) -> Case {
    blameless(&ordinary(seed, log, Cause::AllSlow { times: times(seed, 1.5, 12.0) }))
}
