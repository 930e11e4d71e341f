//! Memory and lives over drawn worlds: leaks are told, what looks like them is not.

use plimsoll_model::lives::EndCause;
use plimsoll_model::{Dimension, Kind};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::lives_world::{DAY, HOUR, Heard, Program, World};

/// Deploys every 1.5 to 3 days for `days` days.
fn deploys(rng: &mut StdRng, days: i64) -> Vec<i64> {
    let every = rng.random_range(1.5..3.0);
    let (mut at, mut times) = (rng.random_range(0.3..1.5), Vec::new());
    while at < days as f64 {
        times.push((at * DAY as f64) as i64);
        at += every * rng.random_range(0.8..1.2);
    }
    times
}

/// What is alike in all members of the family: how it is measured, not what it does.
fn drawn(rng: &mut StdRng, program: Program) -> Program {
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

/// A leak for 20 days of deploys and then without.
fn leak(seed: u64) -> (World, f64, i64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let rate = rng.random_range(3.0..9.0);
    let deploys = deploys(&mut rng, 20);
    let last = deploys[deploys.len() - 1];
    let program = drawn(&mut rng, Program::new("web", move |hours, _| rate * hours));
    let program = Program { deploys, ..program };
    let calm = Program::new("calm", |_, _| 100.0);
    (World::new(seed).with(program).with(calm), rate, last)
}

#[test]
fn a_leak_is_a_ticket_while_deploys_hide_it_and_a_page_before_its_end() {
    for seed in 0..4 {
        let (world, rate, last) = leak(seed);
        let room = world.limit_mib - world.programs[0].base_mib;
        let heard = world.run(last + (room / rate * HOUR as f64) as i64 + DAY);
        let out = *heard.out.values().min().unwrap();
        let said = heard.openings();
        let ticket = heard.opened(Kind::GrowthAcrossLives, "web");
        assert!(ticket.is_some_and(|at| at <= last), "seed {seed}: {said:?}");
        let (paged, transition) = heard.paged("web").unwrap();
        let lead_h = (out - paged) as f64 / HOUR as f64;
        assert!((24.0..72.0).contains(&lead_h), "seed {seed}: {lead_h} h: {}", transition.headline);
        // The growth that is said is the one that was drawn, to a tenth.
        let across = transition.finding.growth_per_minute.unwrap() * 60.0 / 1_048_576.0;
        assert!((across / rate - 1.0).abs() < 0.1, "seed {seed}: {across} of {rate}");
        let calm = heard.transitions.iter().filter(|it| it.headline.contains("calm")).count();
        assert_eq!(calm, 0, "{said:?}");
    }
}

/// Nothing at all is said of `program`, whatever it is drawn to be.
#[track_caller]
fn check_silent(what: &str, shape: impl Fn(&mut StdRng, f64, f64) -> Program) {
    for seed in 100..104 {
        let mut rng = StdRng::seed_from_u64(seed);
        // The steepest rise and the total of a leak that lives for a week.
        let rate = rng.random_range(3.0..7.0);
        let total = rate * 24.0 * 7.0;
        let program = shape(&mut rng, rate, total);
        let program = drawn(&mut rng, program);
        let heard = World::new(seed).with(program).run(24 * DAY);
        assert!(heard.openings().is_empty(), "{what}, seed {seed}: {:?}", heard.openings());
    }
}

#[test]
fn warm_up_is_silent() {
    check_silent("warm-up", |rng, _, total| {
        let hours = rng.random_range(0.05..2.0);
        let deploys = deploys(rng, 22);
        let program = Program::new("web", move |at, _| total * (at / hours).min(1.0));
        Program { deploys, ..program }
    });
}

#[test]
fn a_cache_that_levels_off_is_silent() {
    check_silent("cache in one life", |_, rate, total| {
        Program::new("web", move |at, _| total * (1.0 - (-at * rate / total).exp()))
    });
    check_silent("cache in many lives", |rng, _, total| {
        let hours = rng.random_range(4.0..30.0);
        let deploys = deploys(rng, 22);
        let program = Program::new("web", move |at, _| total * (1.0 - (-at / hours).exp()));
        Program { deploys, ..program }
    });
}

#[test]
fn a_step_at_a_release_is_silent() {
    check_silent("step", |rng, _, total| {
        let deploys = deploys(rng, 22);
        let at = deploys[deploys.len() / 2];
        let program = Program::new("web", move |_, second| if second >= at { total } else { 0.0 });
        Program { deploys, ..program }
    });
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
    }
}

#[test]
fn load_that_grows_is_silent() {
    check_silent("load", |rng, _, total| {
        let deploys = deploys(rng, 22);
        let days = rng.random_range(20.0..24.0);
        let program = Program::new("web", move |_, second| {
            let day = second as f64 / DAY as f64;
            total * (day / days) * (1.0 + 0.1 * (day * std::f64::consts::TAU).cos())
        });
        Program { deploys, ..program }
    });
}

#[test]
fn every_day_is_silent() {
    check_silent("daily swing", |rng, _, total| {
        let deploys = deploys(rng, 22);
        let program = Program::new("web", move |_, second| {
            total / 2.0 * (1.0 - (second as f64 / DAY as f64 * std::f64::consts::TAU).cos())
        });
        Program { deploys, ..program }
    });
}

/// Three instances of a program with a death.
fn death(cause: Option<EndCause>, edit: impl Fn(&mut World)) -> Heard {
    let program = Program::new("web", |_, _| 0.0);
    let (every_s, at) = (30, 3 * DAY + 1_000);
    let mut world = World::new(5).with(Program {
        instances: 3,
        every_s,
        deploys: vec![DAY, 2 * DAY],
        deaths: vec![(1, at, cause)],
        ..program
    });
    edit(&mut world);
    world.run(4 * DAY)
}

const DIED: i64 = 3 * DAY + 1_000;

#[test]
fn a_death_by_memory_is_told_within_a_minute() {
    let heard = death(Some(EndCause::OutOfMemory), |_| {});
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    assert!((60..=62).contains(&(at - DIED)), "{:?}", heard.openings());
    assert!(heard.transitions[0].headline.contains("out of memory"), "{:?}", heard.openings());
    assert!(heard.transitions[0].headline.contains("(usual: 14 s)"), "{:?}", heard.openings());
}

#[test]
fn an_instance_that_falls_silent_is_told_after_three_samples() {
    let heard = death(None, |_| {});
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    // Three samples of 30 s after the last one, which was at most 30 s before.
    assert!((60..=95).contains(&(at - DIED)), "{:?}", heard.openings());
}

#[test]
fn what_was_stopped_or_scaled_in_is_silent() {
    let heard = death(Some(EndCause::Stopped), |_| {});
    assert!(heard.openings().is_empty(), "{:?}", heard.openings());
}

#[test]
fn everybody_silent_is_a_gap_in_the_data() {
    let heard = death(None, |world| {
        world.programs[0].deaths.clear();
        world.gap = DIED..DIED + 2 * HOUR;
    });
    assert!(heard.openings().is_empty(), "{:?}", heard.openings());
}

#[test]
fn missing_samples_are_no_death() {
    for (seed, missing) in (300..).zip([0.01, 0.05, 0.2]) {
        let program =
            Program { instances: 4, missing, every_s: 10, ..Program::new("web", |_, _| 0.0) };
        let heard = World::new(seed).with(program).run(6 * DAY);
        assert!(heard.openings().is_empty(), "{missing}: {:?}", heard.openings());
    }
}

/// The slope of a least-squares line, straight from the textbook's sums.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let origin = points[0].0;
    let sum = |of: fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(x - origin, *y)).sum::<f64>();
    let (x, y) = (sum(|x, _| x), sum(|_, y| y));
    (n * sum(|x, y| x * y) - x * y) / (n * sum(|x, _| x * x) - x * x)
}

#[test]
fn the_evidence_of_a_ticket_gives_its_growth() {
    let (world, ..) = leak(1);
    let heard = world.run(20 * DAY);
    let ticket = &heard.transitions[0];
    assert_eq!(ticket.finding.kind, Kind::GrowthAcrossLives);
    let newest = heard.transitions.iter().rev().find(|it| it.incident == ticket.incident).unwrap();
    let mut slopes = Vec::new();
    for life in &heard.evidence.lives {
        let end = life.ended_at.unwrap();
        let of_life = heard.evidence.samples.iter().filter(|sample| {
            sample.metric == "memory_floor"
                && sample.holder == life.holder
                && (life.started_at..=end).contains(&sample.time)
        });
        let points: Vec<_> =
            of_life.map(|it| (it.time.as_micros() as f64 / 1e6, it.value)).collect();
        slopes.push(slope(&points));
    }
    let mean = slopes.iter().sum::<f64>() / slopes.len() as f64;
    let said = newest.finding.growth_per_minute.unwrap() / 60.0;
    assert!((mean / said - 1.0).abs() < 1e-6, "{mean} {said}");
    let service = heard.evidence.lives[0].holder.get(Dimension::ServiceName);
    assert_eq!(service, Some("web"));
}
