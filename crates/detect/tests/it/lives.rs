//! Memory and lives over drawn worlds: leaks are told, what looks like them is not.

use plimsoll_model::lives::EndCause;
use plimsoll_model::{Dimension, Kind};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::families::memory::{self, Shape, alike, deploys, drawn, leak};
use crate::lives_world::{DAY, HOUR, Heard, Program, World};

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

/// Nothing at all is said of what has the steepest rise and the total of a leak.
#[track_caller]
fn check_silent(what: &str, shape: Shape) {
    for seed in 100..104 {
        let heard = alike(seed, shape).run(24 * DAY);
        assert!(heard.openings().is_empty(), "{what}, seed {seed}: {:?}", heard.openings());
    }
}

#[test]
fn warm_up_is_silent() {
    check_silent("warm-up", memory::warm_up);
}

#[test]
fn a_cache_that_levels_off_is_silent() {
    check_silent("cache in one life", memory::one_cache);
    check_silent("cache in many lives", memory::many_caches);
}

#[test]
fn a_step_at_a_release_is_silent() {
    check_silent("step", memory::step);
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
    check_silent("load", memory::load);
}

#[test]
fn every_day_is_silent() {
    check_silent("daily swing", memory::rhythm);
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
