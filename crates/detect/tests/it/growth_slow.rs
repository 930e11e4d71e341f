//! Leaks at four speeds on a server of 200 slots, of which 3 are reserved: facts as in the table
//! of the connection leak after a deploy, with an ordinary day before it.

use plimsoll_detect::growth::Growth;
use plimsoll_model::lives::LifeEvent;

use crate::families::growth::DAY_S;
use crate::families::servers::ordinary;
use crate::growth_world::{Work, World, named, settings};

/// The mean minutes from the deploy to the first finding, and from there to exhaustion.
fn table(per_minute: f64, season: f64, seeds: u64) -> (f64, f64) {
    let (mut found, mut lead) = (0.0, 0.0);
    for seed in 0..seeds {
        let mut world = ordinary(seed, season);
        let deploy = DAY_S + 7_200;
        world.life(deploy, LifeEvent::Deploy, "app=issuer version=2.14");
        world.leak("app=issuer user=issuer", per_minute / 60.0, deploy, i64::MAX, true);
        let run = world.run_until_full(&mut Growth::new(settings(1_800)), deploy + 2 * DAY_S);
        let full = run.full.expect("it fills up");
        let (at, finding) = run.opened.unwrap_or_else(|| panic!("seed {seed}: full {full}"));
        let minutes = |at: i64| (at - deploy) as f64 / 60.0;
        let paged = run.paged.map(|(at, _)| minutes(at));
        println!(
            "{per_minute}/min season {season} seed {seed}: {} {:.0} {}, page {paged:.0?}, full {:.0}",
            finding.severity.name(),
            minutes(at),
            named(&finding),
            minutes(full),
        );
        found += minutes(at) / seeds as f64;
        lead += (full - at) as f64 / 60.0 / seeds as f64;
    }
    println!("== {per_minute}/min season {season}: found after {found:.0}, lead {lead:.0}");
    (found, lead)
}

/// The leads of the net-flow rule of the published simulation are 359, 134, 32 and 5 minutes.
#[test]
fn leaks_of_four_speeds_are_found() {
    for (per_minute, least) in [(0.1, 300.0), (0.25, 120.0), (1.0, 20.0), (4.0, 3.0)] {
        let (_, lead) = table(per_minute, 0.0, 5);
        assert!(lead >= least, "{per_minute}/min: {lead:.0} minutes");
    }
}

#[test]
fn a_leak_under_a_daily_swing_is_found() {
    let (_, lead) = table(1.0, 0.3, 3);
    assert!(lead >= 15.0, "{lead:.0} minutes");
}

/// A tenth a minute, or six an hour: as much as the season itself moves.
#[test]
fn a_slow_leak_under_a_daily_swing_is_found() {
    let (mut in_time, mut before) = (0, 0);
    for (seed, hour) in (0..4).flat_map(|seed| [2, 8, 14, 20].map(|hour| (seed, hour))) {
        let mut world = ordinary(seed, 0.3);
        let deploy = 2 * DAY_S + hour * 3_600;
        world.life(deploy, LifeEvent::Deploy, "app=issuer version=2.14");
        world.leak("app=issuer user=issuer", 0.1 / 60.0, deploy, i64::MAX, true);
        let mut growth = Growth::new(settings(1_800));
        let calm = world.run(&mut growth, deploy);
        // The days before are the same ones for all hours of a seed.
        before += if hour == 20 { calm.openings } else { 0 };
        let run = world.run_until_full(&mut growth, deploy + 3 * DAY_S);
        let full = run.full.expect("it fills up");
        let hours = |at: i64| (at - deploy) as f64 / 3_600.0;
        let name = |found: &Option<(i64, plimsoll_model::Finding)>| {
            found.as_ref().map(|(at, finding)| (hours(*at), named(finding)))
        };
        let (opened, paged) = (name(&run.opened), name(&run.paged));
        println!(
            "seed {seed} hour {hour}: {opened:.1?}, page {paged:.1?}, full {:.1}",
            hours(full)
        );
        in_time +=
            usize::from(opened.is_some_and(|(at, owner)| {
                owner == "service.name=issuer" && hours(full) - at >= 2.0
            }));
    }
    assert!(in_time >= 15, "{in_time} of 16");
    assert!(before <= 1, "{before} openings in eleven days without a leak");
}

/// Three services whose demand swings by the day; each has its own good and bad days.
#[test]
fn one_day_is_busier_than_another() {
    let mut openings = 0;
    for seed in 0..6_u64 {
        let mut world = World::new(197, seed);
        for (place, size) in [45.0, 25.0, 12.0].into_iter().enumerate() {
            let arrivals = move |s: i64| {
                let day = (s / DAY_S) as u64 * 31 + seed * 7 + place as u64 * 13;
                let busy = 0.9 + 0.2 * (day * 2_654_435_761 % 1_000) as f64 / 1_000.0;
                let swing = (s as f64 / DAY_S as f64 * std::f64::consts::TAU).sin();
                size / 300.0 * busy * (1.0 + 0.4 * swing)
            };
            let work = Work::Churn { arrivals: Box::new(arrivals), hold_s: Box::new(|_| 300.0) };
            world.crew(&format!("app=app{place} user=app{place}"), work);
        }
        let run = world.run(&mut Growth::new(settings(1_800)), 8 * DAY_S);
        if let Some((at, finding)) = &run.opened {
            println!("seed {seed}: {} {:.1} h {finding:?}", run.openings, *at as f64 / 3_600.0);
        }
        assert_eq!(run.paged.map(|(at, _)| at), None, "seed {seed}");
        openings += run.openings;
    }
    assert!(openings <= 1, "{openings} openings in 48 days");
}
