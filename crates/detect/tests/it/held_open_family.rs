//! Members of the family of calls held open: sizes, speeds, several culprits, and what only looks
//! like it. What is expected follows from the generator's own truth.

use plimsoll_model::{Change, Detail, Kind, Owner, Severity, Transition};

use crate::held_open_world::{Cause, Log, Made, World};
use crate::script::START;

const BOTH: [Log; 2] = [Log::Starts, Log::Ends];
const HANG: Cause = Cause::Hang { services: 1, part: 1.0 };

fn named(told: &Transition) -> Option<&str> {
    match &told.finding.owner {
        Owner::Holder { value, .. } => Some(value),
        _ => None,
    }
}

fn second(told: &Transition) -> i64 {
    told.as_of.0 - START
}

fn shown(told: &[Transition]) -> String {
    let line = |one: &Transition| {
        let (change, reason) = (one.change.name(), one.reason.name());
        let severity = one.finding.severity;
        format!("{} {change} {reason} {severity:?}: {}\n", second(one), one.headline)
    };
    told.iter().map(line).collect()
}

/// The first page about calls held open names the first service before the generator's first call
/// had to wait, or within `late_s` after it; with start events the number that it holds is true.
/// Without them a page may come before it is known whose calls have no line yet.
#[track_caller]
fn check_in_time(world: &World, late_s: f64) -> (Made, Vec<Transition>) {
    let (made, told) = (world.made(), world.judged());
    let shown = format!("{world:?}, full at {:?}\n{}", made.full_at, shown(&told));
    println!("{shown}");
    let is_page = |one: &&Transition| {
        let is_known = world.log == Log::Starts || named(one).is_some();
        one.finding.kind == Kind::HeldOpen && one.finding.severity == Severity::Page && is_known
    };
    let page = told.iter().find(is_page).unwrap_or_else(|| panic!("no page: {shown}"));
    let full_at = made.full_at.unwrap_or(world.onset_s + world.lasts_s);
    assert_eq!(named(page), Some("s00"), "{shown}");
    assert!(second(page) as f64 >= world.onset_s, "{shown}");
    assert!(second(page) as f64 <= full_at + late_s, "{shown}");
    if world.log == Log::Starts {
        let held = made.held(second(page), 0) as u64;
        assert_eq!(page.finding.owner_level, Some(held), "{shown}");
    }
    (made, told)
}

#[track_caller]
fn check_quiet(world: &World) {
    let told = world.judged();
    assert!(told.is_empty(), "{world:?}\n{}", shown(&told));
}

/// Thirty calls of 20 s a second hang where 7,000 of 10,000 slots are free. After t seconds they
/// hold 30 t - 600 (1 - exp(-t/20)) more than usual: a quarter of what is free after 78 s, when it
/// is worth a page; half of it after 137 s, by which time it must be one; all of it after 253 s.
#[test]
fn ten_thousand_slots() {
    for log in BOTH {
        let world = World {
            limit: 10_000,
            hold_s: 20.0,
            timeout_s: 1_000.0,
            onset_s: 500.0,
            lasts_s: 145.0,
            until_s: 645.0,
            ..World::new(11, log, HANG)
        };
        let (_, told) = check_in_time(&world, 0.0);
        let first = told.iter().position(|one| one.finding.severity == Severity::Page).unwrap();
        assert!(second(&told[first]) <= 500 + 137, "{}", shown(&told));
    }
}

/// 120 calls of 10 ms a second hang where 14 of 20 slots are free: those last for an eighth of a
/// second. With starts it is told within the seconds that two looks take; without, when the first
/// of them have ended.
#[test]
fn calls_of_ten_milliseconds() {
    for (log, late_s) in [(Log::Starts, 6.0), (Log::Ends, 10.0 + 8.0)] {
        let world = World {
            limit: 20,
            hold_s: 0.01,
            timeout_s: 10.0,
            onset_s: 90.0,
            lasts_s: 40.0,
            until_s: 140.0,
            ..World::new(12, log, HANG)
        };
        check_in_time(&world, late_s);
    }
}

/// Six calls of a minute hang each minute where 70 of 100 slots are free.
#[test]
fn calls_of_a_minute() {
    for (seed, log) in [1, 2, 3].into_iter().flat_map(|seed| BOTH.map(|log| (seed, log))) {
        let world = World {
            hold_s: 60.0,
            timeout_s: 3_000.0,
            onset_s: 1_500.0,
            lasts_s: 1_200.0,
            until_s: 2_700.0,
            ..World::new(seed, log, HANG)
        };
        check_in_time(&world, 0.0);
    }
}

/// The part of its calls that hangs grows from nothing to all in a quarter of an hour.
#[test]
fn a_culprit_whose_part_grows_slowly() {
    for (seed, log) in [1, 2, 3].into_iter().flat_map(|seed| BOTH.map(|log| (seed, log))) {
        let cause = Cause::Creep { over_s: 900.0 };
        let world = World { lasts_s: 900.0, until_s: 1_000.0, ..World::new(seed, log, cause) };
        check_in_time(&world, 0.0);
    }
}

/// Two services that hang alike are one trouble: one incident, whose last word names both.
#[test]
fn two_culprits_are_one_incident() {
    for (seed, log) in [1, 2, 3].into_iter().flat_map(|seed| BOTH.map(|log| (seed, log))) {
        let world = World {
            hold_s: 5.0,
            timeout_s: 600.0,
            onset_s: 360.0,
            lasts_s: 120.0,
            until_s: 480.0,
            ..World::new(seed, log, Cause::Hang { services: 2, part: 1.0 })
        };
        let (made, told) = (world.made(), world.judged());
        let shown = format!("{world:?}, full at {:?}\n{}", made.full_at, shown(&told));
        println!("{shown}");
        let opened = told.iter().filter(|one| one.change == Change::Opened);
        assert_eq!(opened.count(), 1, "{shown}");
        let held_open = told.iter().rev().find(|one| one.finding.kind == Kind::HeldOpen);
        let last = held_open.unwrap_or_else(|| panic!("nothing was said: {shown}"));
        let Some(Detail::HeldOpen(detail)) = &last.finding.detail else { panic!("{shown}") };
        let mut names: Vec<&str> = detail.further.iter().map(|one| one.value.as_str()).collect();
        names.extend(named(last));
        names.sort_unstable();
        assert_eq!(names, ["s00", "s01"], "{shown}");
    }
}

/// A service that calls more and more often fills the slots by load: what is said of it says so,
/// and nothing is said of calls that hang.
#[test]
fn more_calls_are_told_as_load() {
    for seed in 1..=3 {
        let world = World {
            lasts_s: 900.0,
            until_s: 1_100.0,
            ..World::new(seed, Log::Starts, Cause::Busier { times: 18.0, over_s: 600.0 })
        };
        let told = world.judged();
        let shown = format!("{world:?}\n{}", shown(&told));
        println!("{shown}");
        assert!(told.iter().all(|one| one.finding.kind != Kind::HeldOpen), "{shown}");
        let about: Vec<_> = told.iter().filter(|one| named(one) == Some("s00")).collect();
        assert!(!about.is_empty(), "{shown}");
        let is_open = |one: &&&Transition| one.change != Change::Resolved;
        for one in about.iter().filter(is_open) {
            assert!(one.headline.contains("it is load"), "{shown}");
        }
    }
}

/// When load is over, the ends that no longer come are not missing: nothing is held open.
#[test]
fn the_end_of_a_long_burst_is_not_a_hang() {
    for (seed, log) in (1..=5).flat_map(|seed| BOTH.map(|log| (seed, log))) {
        let world = World {
            hold_s: 5.0,
            load: 0.2,
            lasts_s: 600.0,
            until_s: 1_500.0,
            ..World::new(seed, log, Cause::Burst { times: 8.0 })
        };
        let told = world.judged();
        let is_blame = |one: &Transition| one.finding.kind == Kind::HeldOpen;
        assert!(!told.iter().any(is_blame), "{world:?}\n{}", shown(&told));
    }
}

/// Nobody calls for 15 s while another gateway takes over, then everybody does.
#[test]
fn a_gateway_that_drains_is_no_news() {
    for (seed, log) in (1..=5).flat_map(|seed| BOTH.map(|log| (seed, log))) {
        for hold_s in [0.5, 5.0] {
            let world = World {
                hold_s,
                lasts_s: 15.0,
                onset_s: 400.0,
                until_s: 600.0,
                ..World::new(seed, log, Cause::Drain)
            };
            check_quiet(&world);
        }
    }
}

/// A batch of long calls may be told while it lasts; it is over when it is over.
#[test]
fn a_batch_of_long_calls_does_not_last_for_ever() {
    for (seed, log) in (1..=3).flat_map(|seed| BOTH.map(|log| (seed, log))) {
        let world = World {
            load: 0.02,
            hold_s: 2.0,
            until_s: 2_400.0,
            ..World::new(seed, log, Cause::Batch { calls: 40, hold_s: 900.0 })
        };
        let told = world.judged();
        let shown = format!("{world:?}\n{}", shown(&told));
        println!("{shown}");
        let count = |change| told.iter().filter(|one| one.change == change).count();
        assert_eq!(count(Change::Opened), count(Change::Resolved), "{shown}");
        assert!(told.len() <= 16, "{shown}");
    }
}

/// Two calls of the smallest of eight services hang on 20 slots.
#[test]
fn a_few_slow_calls_on_few_slots_are_no_news() {
    for (seed, log) in (1..=5).flat_map(|seed| BOTH.map(|log| (seed, log))) {
        let world = World {
            limit: 20,
            services: 8,
            ..World::new(seed, log, Cause::FewOfTheSmallest { calls: 2 })
        };
        check_quiet(&world);
    }
}
