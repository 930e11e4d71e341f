//! What is said of growth does not depend on where the grid of the scales lies in it.

use plimsoll_detect::growth::Growth;

use crate::growth_world::{Run, START, World, named, settings};

const REPORTS: &str = "app=reports user=reports addr=10.0.0.4";

/// 197 connections, of which others hold about 117 and `reports` four and what the curve says.
fn world(shift: i64, more: fn(i64) -> f64) -> World {
    let mut world = World::new(197, 1);
    world.start = START + shift;
    world.crew(
        "app=web user=web addr=10.0.0.1",
        crate::growth_world::Work::Jitter { size: 117.0, deviation: 3.0 },
    );
    world.pool(REPORTS, move |s| 4.0 + more(s));
    world
}

/// Every way in which the world may lie in the buckets of 2 to 128 seconds, some in the wider ones.
#[track_caller]
fn check(more: fn(i64) -> f64, to: i64, expected: impl Fn(i64, &Run)) {
    for step in 0..48 {
        let shift = 131 * step;
        let run = world(shift, more).run_until_full(&mut Growth::new(settings(1_800)), to);
        expected(shift, &run);
    }
}

/// A number that rises from 0 to 1 between two seconds.
fn ramp(second: i64, from: i64, to: i64) -> f64 {
    ((second - from) as f64 / (to - from) as f64).clamp(0.0, 1.0)
}

// 15 sessions in 100 seconds, 8 more in 40 seconds two minutes later, then none.
#[test]
fn two_steps_that_stay_level_are_silent_at_every_phase() {
    let more = |s| 15.0 * ramp(s, 1_268, 1_368) + 8.0 * ramp(s, 1_511, 1_551);
    check(more, 3_600, |shift, run| {
        assert!(run.opened.is_none(), "shift {shift}: {:?}", run.opened);
    });
}

// 0.06 a second, like the line through the two steps: it reaches the limit 21 minutes later.
#[test]
fn a_line_through_the_same_steps_pages_at_every_phase() {
    let more = |s: i64| (0.06 * (s - 1_268) as f64).max(0.0);
    check(more, 7_200, |shift, run| {
        let full = run.full.expect("it fills up");
        let (at, page) = run.paged.as_ref().unwrap_or_else(|| panic!("shift {shift}: no page"));
        assert_eq!(named(page), "service.name=reports", "shift {shift}");
        assert!(*at <= full - 300, "shift {shift}: page {at}, full {full}");
    });
}

// Ten sessions every ten minutes: what pauses again and again goes on.
#[test]
fn growth_in_bursts_pages_at_every_phase() {
    let more = |s: i64| (10 * ((s - 1_268).max(0) / 600)) as f64;
    check(more, 9_000, |shift, run| {
        let full = run.full.expect("it fills up");
        let (at, page) = run.paged.as_ref().unwrap_or_else(|| panic!("shift {shift}: no page"));
        assert_eq!(named(page), "service.name=reports", "shift {shift}");
        println!("shift {shift}: page {at}, full {full}");
    });
}
