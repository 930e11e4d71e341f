//! Leaks at four speeds on a server of 200 slots, of which 3 are reserved: facts as in the table
//! of the connection leak after a deploy, with an ordinary day before it.

use plimsoll_detect::growth::Growth;
use plimsoll_model::lives::LifeEvent;

use crate::families::growth::DAY_S;
use crate::families::servers::ordinary;
use crate::growth_world::{named, settings};

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
