//! One leak is one incident: over its restarts, its nights, and the death of the whole program.

use plimsoll_model::lives::EndCause;
use plimsoll_model::{Change, Kind, Reason};

use crate::lives_world::{DAY, HOUR, Heard, Program, World};

/// A program that is deployed then, and leaks so many MiB an hour in the lives since its first
/// deploy and before it is cured, beside one that is calm.
fn leak(seed: u64, deploys: Vec<i64>, cured: i64, per_hour: f64, swing: f64) -> World {
    let begun = deploys[0];
    let program = Program::new("web", move |hours, second| {
        let day = (second as f64 / DAY as f64 * std::f64::consts::TAU).cos();
        let started = second - (hours * HOUR as f64) as i64;
        let leaks = (begun..cured).contains(&started);
        swing * (1.0 - day) / 2.0 + if leaks { per_hour * hours } else { 0.0 }
    });
    let web = Program { deploys, every_s: 30, ..program };
    World::new(seed).with(web).with(Program::new("calm", |_, _| 100.0))
}

/// What was said of `web` growing: the change and its reason, and the second of the run.
fn said(heard: &Heard) -> Vec<(Change, Reason, i64)> {
    let of_web = heard.transitions.iter().filter(|it| it.finding.kind == Kind::GrowthWithinLife);
    let said = of_web.map(|it| (it.change, it.reason, it.as_of.0 - crate::lives_world::START));
    said.collect()
}

fn count(heard: &Heard, change: Change) -> usize {
    said(heard).iter().filter(|(of, ..)| *of == change).count()
}

#[test]
fn a_leak_that_fills_life_after_life_is_one_incident_until_a_release_cures_it() {
    for seed in 400..402 {
        // From 400 to 2048 MiB in 1.5 hours, restarted after 80 minutes and cured after 80 more:
        // too few lives for growth across them.
        let deploys: Vec<i64> = (0..3).map(|life| 30 * HOUR + life * 4_800).collect();
        let cured = deploys[2];
        let heard = leak(seed, deploys, cured, 1_100.0, 0.0).run(cured + 8 * HOUR);
        let said = said(&heard);
        assert_eq!(
            count(&heard, Change::Opened),
            1,
            "seed {seed}: {said:?} {:?}",
            heard.openings()
        );
        let Some((Change::Resolved, why, at)) = said.last() else { panic!("{said:?}") };
        assert_eq!(*why, Reason::GrowthEnded);
        // A life as old as a response time shows that it does not grow.
        assert!((cured + 1_800..cured + 2 * HOUR).contains(at), "seed {seed}: {said:?}");
    }
}

#[test]
fn a_slow_leak_under_a_daily_swing_is_one_incident() {
    for seed in 410..412 {
        // From 400 to 2048 MiB in some 13 days, under a swing of 200.
        let heard = leak(seed, vec![10 * DAY], 100 * DAY, 5.0, 200.0).run(24 * DAY);
        assert!(!heard.out.is_empty());
        assert_eq!(count(&heard, Change::Opened), 1, "seed {seed}: {:?}", said(&heard));
        assert_eq!(count(&heard, Change::Resolved), 0, "seed {seed}: {:?}", said(&heard));
    }
}

#[test]
fn a_life_that_nobody_follows_is_over() {
    let heard = leak(420, vec![30 * HOUR], 100 * DAY, 1_100.0, 0.0).run(36 * HOUR);
    let said = said(&heard);
    let out = *heard.out.values().max().unwrap();
    // The program is gone: that is what is said of it until then, under the same incident.
    assert_eq!(count(&heard, Change::Opened), 1, "{said:?} {:?}", heard.openings());
    let gone: Vec<_> = heard
        .transitions
        .iter()
        .filter(|it| it.finding.kind == Kind::NotBack && it.reason == Reason::Absent)
        .filter(|it| it.finding.owner.to_string() == "service.name web")
        .collect();
    assert_eq!(gone.len(), 1, "{:?}", heard.openings());
    let after_s = gone[0].as_of.0 - crate::lives_world::START - out;
    assert!((60..=75).contains(&after_s), "{after_s}");
    assert!(gone[0].headline.contains("web is gone: all 2 instances died"), "{}", gone[0].headline);
}

#[test]
fn the_whole_program_dead_is_told_once() {
    let at = 3 * DAY + 1_000;
    let deaths = (0..4).map(|it| (it, at, Some(EndCause::Crash))).collect();
    let program = Program { instances: 4, deaths, ..Program::new("web", |_, _| 0.0) };
    let calm = Program::new("calm", |_, _| 100.0);
    let heard = World::new(430).with(program).with(calm).run(4 * DAY);
    let said = heard.openings();
    assert!(said.len() == 1 && said[0].contains("all 4 instances died"), "{said:?}");
}

#[test]
fn a_leak_in_a_new_program_is_a_ticket_beside_an_instance_that_does_not_grow() {
    // From 400 to 2048 MiB in 23 minutes.
    let check = |siblings: usize| {
        let grows = Program::new("web", |hours, _| 1_080.0 * 4.0 * hours);
        let grows = Program { instances: 1, every_s: 1, noise_mib: 2.0, ..grows };
        let calm = Program { instances: siblings, ..Program::new("web", |_, _| 50.0) };
        let calm = Program { first: 1, ..calm };
        World::new(440).with(grows).with(calm).run(25 * 60)
    };
    // The first climb of a collector looks the same, until nine tenths are in use.
    let alone = check(0);
    let (out, at) = (alone.out["web-1"], alone.opened(Kind::GrowthWithinLife, "web"));
    assert!(at.is_none_or(|at| at >= out - 180), "{:?}", alone.openings());
    let heard = check(1);
    let out = *heard.out.values().min().unwrap();
    let at = heard.opened(Kind::GrowthWithinLife, "web");
    assert!(at.is_some_and(|at| at < out - 240), "{:?} {out}", heard.openings());
}
