//! Beside each leak that must page stands a case with the same total and the same steepest rise
//! in which only the cause differs, and that must be silent.

use plimsoll_detect::growth::Growth;

use crate::families::growth::{self, Build, DAY_S, Rise, estate};
use crate::families::servers;
use crate::growth_world::{START, named, settings};

const SEEDS: u64 = 5;
/// Everything begins to rise in second 900, by 60 units in 150 seconds.
const RISE: Rise = Rise::PLAIN;

#[track_caller]
fn check_leak(build: Build, owner: &str) {
    for seed in 0..SEEDS {
        let mut world = estate(seed);
        build(&mut world, RISE);
        let run = world.run_until_full(&mut Growth::new(settings(1_800)), RISE.onset + 600);
        let full = run.full.expect("the leak fills everything");
        let (at, finding) = run.paged.unwrap_or_else(|| panic!("seed {seed}: no page; {full}"));
        println!(
            "seed {seed}: page {at}, full {full}, {}, {:?}",
            named(&finding),
            finding.release.as_ref().map(|r| &r.version)
        );
        assert!(at >= RISE.onset && at < full, "seed {seed}: page {at}, full {full}");
        assert!(
            owner.split('|').any(|owner| owner == named(&finding)),
            "seed {seed}: {}",
            named(&finding)
        );
    }
}

#[track_caller]
fn check_quiet(build: Build) {
    for seed in 0..SEEDS {
        let mut world = estate(seed);
        build(&mut world, RISE);
        let run = world.run(&mut Growth::new(settings(1_800)), RISE.onset + 1_800);
        assert!(run.highest >= 90, "seed {seed}: it did not look alike: {}", run.highest);
        if let Some((at, finding)) = &run.opened {
            panic!("seed {seed}: {} at {at}: {finding:?}", finding.severity.name());
        }
    }
}

#[test]
fn a_tenant_that_leaks_pages() {
    check_leak(growth::tenant, "tenant=acme");
}
#[test]
fn a_flash_crowd_of_a_tenant_that_recovers_is_silent() {
    check_quiet(growth::crowd);
}

#[test]
fn a_user_that_leaks_pages() {
    check_leak(growth::user, "user.name=batch");
}
#[test]
fn a_reconnect_wave_is_silent() {
    check_quiet(growth::reconnections);
}
#[test]
fn half_open_sessions_that_double_everybody_are_silent() {
    check_quiet(growth::half_open);
}

#[test]
fn a_host_that_leaks_pages() {
    check_leak(growth::host, "host.name=h3");
}
#[test]
fn everybody_slower_to_a_new_level_is_silent() {
    check_quiet(growth::slower);
}

#[test]
fn a_release_that_leaks_on_fresh_instances_pages() {
    check_leak(growth::release, "service.name=issuer");
}
#[test]
fn a_scale_out_that_levels_off_is_silent() {
    check_quiet(growth::scale_out);
}

#[test]
fn blue_green_that_drains_later_is_silent() {
    check_quiet(growth::blue_green);
}

#[test]
fn a_fast_leak_pages() {
    check_leak(growth::fast, "service.name=report");
}
#[test]
fn the_warm_up_of_a_new_service_is_silent() {
    check_quiet(growth::new_service);
}

#[test]
fn two_culprits_page_and_one_of_them_is_named() {
    check_leak(growth::two, "service.name=report|service.name=issuer");
}

#[test]
fn a_nightly_batch_that_was_there_yesterday_is_silent() {
    for seed in 0..2 {
        let mut world = estate(seed);
        growth::batch(&mut world, RISE);
        let mut growth = Growth::new(settings(1_800));
        world.run(&mut growth, DAY_S);
        let run = world.run(&mut growth, DAY_S + RISE.onset + 3_000);
        assert!(run.opened.is_none(), "seed {seed}: {:?}", run.opened);
    }
}
#[test]
fn a_leak_at_the_hour_of_no_batch_pages() {
    for seed in 0..2 {
        let mut world = estate(seed);
        growth::leak_on_the_second_day(&mut world, RISE);
        let to = DAY_S + RISE.onset + 3_000;
        let run = world.run_until_full(&mut Growth::new(settings(1_800)), to);
        let (at, finding) = run.paged.expect("a page");
        assert_eq!(named(&finding), "service.name=batch");
        assert!(at < run.full.expect("full"));
    }
}

#[test]
fn the_first_daily_ramp_of_ordinary_load_is_silent() {
    for seed in 0..3 {
        let mut world = servers::rhythmic(seed);
        let run = world.run(&mut Growth::new(settings(1_800)), 2 * DAY_S);
        println!(
            "daily ramp: highest {} opened {:?}",
            run.highest,
            run.opened.as_ref().map(|o| o.0)
        );
        assert!(run.opened.is_none(), "seed {seed}: {:?}", run.opened);
    }
}

/// Half-days of ordinary churn, on a server that is small for it.
#[test]
fn chance_alone_does_not_page() {
    let (mut pages, mut hours) = (0, 0);
    for seed in 0..40 {
        let hold_s = [3.0, 10.0, 60.0, 300.0][seed as usize % 4];
        let mut world = servers::small(seed);
        let run = world.run(&mut Growth::new(settings(1_800)), 12 * 3_600);
        hours += 12;
        if let Some((at, f)) = &run.opened {
            println!(
                "seed {seed} W{hold_s}: {at} {} {} since {} {:?} {:?} of {}",
                f.severity.name(),
                named(f),
                f.since.0 - START,
                f.owner_level_before,
                f.owner_level,
                f.level
            );
        }
        pages += run.openings;
    }
    println!("chance: {pages} openings in {hours} hours");
    assert!(pages <= 3, "{pages} in {hours} hours");
}
