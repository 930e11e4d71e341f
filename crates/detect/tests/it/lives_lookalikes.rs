//! What looks like a leak and is none stays silent, and beside each the leak with the same total and
//! the same steepest rise that is paged.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::families::memory::{self, Shape, alike, deploys, drawn};
use crate::lives_world::{DAY, HOUR, Program, World};

/// Nothing at all is said of `program`, whatever it is drawn to be.
#[track_caller]
fn check_silent(what: &str, shape: Shape) {
    for seed in 100..104 {
        let heard = alike(seed, shape).run(24 * DAY);
        assert!(heard.openings().is_empty(), "{what}, seed {seed}: {:?}", heard.openings());
    }
}

/// A leak that begins after nine calm days and grows by `steepest` MiB per hour without an end, so
/// that it passes any total: it is paged before the limit.
#[track_caller]
fn check_paged(what: &str, steepest: impl Fn(f64, f64) -> f64) {
    for seed in 100..102 {
        let mut rng = StdRng::seed_from_u64(seed);
        let rate = rng.random_range(3.0..7.0);
        let steepest = steepest(rate, rate * 24.0 * 7.0);
        let onset = 9 * DAY;
        let program = Program::new("web", move |_, second| {
            steepest * ((second - onset).max(0) as f64 / HOUR as f64)
        });
        let program = drawn(&mut rng, program);
        let until = onset + (2_048.0 / steepest * HOUR as f64) as i64 + 2 * HOUR;
        let heard = World::new(seed).with(program).run(until);
        let out = *heard.out.values().min().expect("it has no end");
        let paged = heard.paged("web").map(|(at, _)| at);
        let said = heard.openings();
        assert!(paged.is_some_and(|at| at > onset && at < out), "{what}, seed {seed}: {said:?}");
    }
}

#[test]
fn warm_up_is_silent() {
    check_silent("warm-up", memory::warm_up);
    check_paged("warm-up", |_, total| total / 2.0);
}

#[test]
fn a_cache_that_levels_off_is_silent() {
    check_silent("cache in one life", memory::one_cache);
    check_silent("cache in many lives", memory::many_caches);
    check_paged("cache in one life", |rate, _| rate);
    check_paged("cache in many lives", |_, total| total / 30.0);
}

#[test]
fn a_step_at_a_release_is_silent() {
    check_silent("step", memory::step);
    // The step takes a restart of half a minute; the leak as long as a few samples can show.
    check_paged("step", |_, total| total / 0.75);
}

#[test]
fn a_sawtooth_with_a_flat_floor_is_silent() {
    for (seed, period_h) in (200..).zip([0.5, 3.0, 10.0, 20.0]) {
        let mut rng = StdRng::seed_from_u64(seed);
        let deploys = deploys(&mut rng, 22);
        for deploys in [Vec::new(), deploys] {
            let program = Program::new("web", |_, _| 0.0);
            let program = drawn(&mut rng, program);
            let sawtooth = (1_300.0, period_h * HOUR as f64);
            let program = Program { sawtooth, base_mib: 400.0, deploys, ..program };
            let heard = World::new(seed).with(program).run(24 * DAY);
            assert!(heard.openings().is_empty(), "{period_h} h: {:?}", heard.openings());
        }
        check_paged("sawtooth", |_, _| 1_300.0 / period_h);
    }
}

#[test]
fn load_that_grows_is_silent() {
    check_silent("load", memory::load);
    // Its steepest hours, by the day's rhythm, at the end.
    check_paged("load", |_, total| total / 24.0 * 0.1 * std::f64::consts::TAU);
}

#[test]
fn every_day_is_silent() {
    check_silent("daily swing", memory::rhythm);
}

/// Page cache fills up to the limit and stays; what the program itself holds is flat.
#[test]
fn page_cache_is_silent_and_the_same_total_of_the_program_itself_is_not() {
    for seed in 120..122 {
        let world = |is_own: bool| {
            let rise = |second: i64| (10.0 * (second - 9 * DAY) as f64 / HOUR as f64).max(0.0);
            let own = Program::new("web", move |_, second| if is_own { rise(second) } else { 0.0 });
            let cache = move |second| if is_own { 0.0 } else { rise(second).min(1_600.0) };
            World::new(seed).with(Program { cache: Some(Box::new(cache)), ..own })
        };
        let heard = world(false).run(20 * DAY);
        assert!(heard.openings().is_empty(), "{:?}", heard.openings());
        let heard = world(true).run(17 * DAY);
        let out = *heard.out.values().min().unwrap();
        assert!(heard.paged("web").is_some_and(|(at, _)| at < out), "{:?}", heard.openings());
    }
}

/// The first climb that is ever seen of a program: a collector's whose cycle takes days looks the
/// same, so it is no page before the limit is nearly reached; after a calm it is.
#[test]
fn the_first_climb_of_a_program_pages_only_when_it_is_nearly_full() {
    for seed in 130..132 {
        let cycle_s = 60.0 * HOUR as f64;
        let program = Program { sawtooth: (1_300.0, cycle_s), ..Program::new("web", |_, _| 0.0) };
        let heard = World::new(seed).with(program).run(12 * DAY);
        assert!(heard.paged("web").is_none(), "{:?}", heard.openings());

        let rate = 1_300.0 / 60.0;
        let leak = |onset: i64| {
            Program::new("web", move |_, at| rate * ((at - onset).max(0) as f64 / HOUR as f64))
        };
        let share = |onset: i64| {
            let heard = World::new(seed).with(leak(onset)).run(onset + 4 * DAY);
            let out = *heard.out.values().min().unwrap();
            let paged = heard.paged("web").unwrap().0;
            (paged - onset) as f64 / (out - onset) as f64
        };
        let (fresh, known) = (share(0), share(5 * DAY));
        assert!((0.7..0.8).contains(&known), "after a calm at {known:.2} of its way");
        assert!((0.85..0.97).contains(&fresh), "from the first on at {fresh:.2} of its way");
    }
}

/// A leak that takes weeks is a ticket early and a page when it is near.
#[test]
fn a_slow_leak_is_a_ticket_first() {
    for (seed, days) in (140..).zip([6.0, 14.0, 25.0]) {
        let rate = 1_640.0 / (24.0 * days);
        let onset = 9 * DAY;
        let program = Program::new("web", move |_, at| {
            let hours = (at - onset).max(0) as f64 / HOUR as f64;
            rate * hours + 60.0 * (at as f64 / DAY as f64 * std::f64::consts::TAU).sin()
        });
        let heard = World::new(seed).with(program).run(onset + (days * 1.05) as i64 * DAY + DAY);
        let out = *heard.out.values().min().unwrap();
        let part = |at: i64| (at - onset) as f64 / (out - onset) as f64;
        let said = heard.openings();
        let ticket = heard.opened(plimsoll_model::Kind::GrowthWithinLife, "web").map(part);
        assert!(ticket.is_some_and(|part| (0.0..0.5).contains(&part)), "{days} d: {said:?}");
        let paged = heard.paged("web").map(|(at, _)| part(at));
        assert!(
            paged.is_some_and(|part| (0.7..1.0).contains(&part)),
            "{days} d {paged:?}: {said:?}"
        );
        let of_growth = said.iter().filter(|said| said.contains("grows")).count();
        assert_eq!(of_growth, 1, "{said:?}");
    }
}

/// Nobody tells of the restarts, which look like a collector's: what goes on rising for longer than
/// any cycle is no cycle.
#[test]
fn a_rise_that_outlasts_every_cycle_is_told() {
    for seed in 150..152 {
        let hourly = 400.0 / 24.0;
        let program = Program::new("web", move |_, second| {
            let since = if second < 9 * DAY { second % DAY } else { second - 9 * DAY };
            hourly * since as f64 / HOUR as f64
        });
        let heard = World::new(seed).with(program).run(14 * DAY);
        let out = *heard.out.values().min().unwrap();
        let (paged, transition) = heard.paged("web").unwrap();
        assert!(paged > 9 * DAY && paged < out - 6 * HOUR, "{paged} {out}");
        let interval = transition.finding.exhaustion.unwrap();
        let ends = crate::lives_world::START + out;
        let error_s = (interval.from.second().0 - ends) as f64;
        assert!(error_s.abs() < 0.25 * (out - paged) as f64, "{}", transition.headline);
    }
}
