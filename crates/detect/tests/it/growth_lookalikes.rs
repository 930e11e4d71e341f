//! Beside each leak that must page stands a case with the same total and the same steepest rise
//! in which only the cause differs, and that must be silent.

use plimsoll_detect::growth::Growth;
use plimsoll_model::lives::LifeEvent;

use crate::growth_world::{Work, World, named, settings};

const SEEDS: u64 = 5;
/// Everything begins to rise in this second of the run, by 60 units in 150 seconds.
const ONSET: i64 = 900;
const RISE_S: i64 = 150;
const RATE: f64 = 0.4;
const DAY_S: i64 = 86_400;

/// Ordinary work of three services on a server with 260 usable connections.
fn estate(seed: u64) -> World {
    let mut world = World::new(260, seed);
    world.churn("app=web user=web tenant=acme host=h1 addr=10.0.0.1", 30.0, 10.0);
    world.churn("app=web user=web tenant=bell host=h2 addr=10.0.0.2", 20.0, 10.0);
    world.pool("app=worker user=worker tenant=bell host=h2 addr=10.0.0.3", |_| 10.0);
    world
}

/// A number that rises from 0 to 1 in [`RISE_S`] seconds.
fn ramp(second: i64) -> f64 {
    ((second - ONSET) as f64 / RISE_S as f64).clamp(0.0, 1.0)
}

#[track_caller]
fn check_leak(build: impl Fn(&mut World), owner: &str) {
    for seed in 0..SEEDS {
        let mut world = estate(seed);
        build(&mut world);
        let run = world.run_until_full(&mut Growth::new(settings(1_800)), ONSET + 600);
        let full = run.full.expect("the leak fills everything");
        let (at, finding) = run.paged.unwrap_or_else(|| panic!("seed {seed}: no page; {full}"));
        println!(
            "seed {seed}: page {at}, full {full}, {}, {:?}",
            named(&finding),
            finding.release.as_ref().map(|r| &r.version)
        );
        assert!(at >= ONSET && at < full, "seed {seed}: page {at}, full {full}");
        assert!(
            owner.split('|').any(|owner| owner == named(&finding)),
            "seed {seed}: {}",
            named(&finding)
        );
    }
}

#[track_caller]
fn check_quiet(build: impl Fn(&mut World), to: i64) {
    for seed in 0..SEEDS {
        let mut world = estate(seed);
        build(&mut world);
        let run = world.run(&mut Growth::new(settings(1_800)), to);
        assert!(run.highest >= 90, "seed {seed}: it did not look alike: {}", run.highest);
        if let Some((at, finding)) = &run.opened {
            panic!("seed {seed}: {} at {at}: {finding:?}", finding.severity.name());
        }
    }
}

const ACME: &str = "app=web user=web tenant=acme host=h1 addr=10.0.0.1";

#[test]
fn a_tenant_that_leaks_pages() {
    check_leak(
        |w| {
            w.leak(ACME, RATE, ONSET, i64::MAX, true);
        },
        "tenant=acme",
    );
}
#[test]
fn a_flash_crowd_of_a_tenant_that_recovers_is_silent() {
    check_quiet(
        |w| {
            let crowd = |s: i64| 6.0 * ramp(s) * (1.0 - ramp(s - 600));
            w.crew(ACME, Work::Churn { arrivals: Box::new(crowd), hold_s: Box::new(|_| 10.0) });
        },
        ONSET + 1_800,
    );
}

#[test]
fn a_user_that_leaks_pages() {
    check_leak(
        |w| {
            w.leak(
                "app=web user=batch tenant=bell host=h1 addr=10.0.0.1",
                RATE / 2.0,
                ONSET,
                i64::MAX,
                true,
            );
            w.leak(
                "app=worker user=batch tenant=acme host=h2 addr=10.0.0.2",
                RATE / 2.0,
                ONSET,
                i64::MAX,
                true,
            );
        },
        "user.name=batch",
    );
}
#[test]
fn a_reconnect_wave_is_silent() {
    check_quiet(
        |w| {
            w.pool("app=web user=web tenant=acme host=h1 addr=10.0.0.9", |s| {
                if s < ONSET - 5 { 70.0 } else { 10.0 + 60.0 * ramp(s) }
            });
        },
        ONSET + 1_800,
    );
}
#[test]
fn half_open_sessions_that_double_everybody_are_silent() {
    check_quiet(
        |w| {
            for (words, size) in [
                ("app=web user=web tenant=acme host=h1 addr=10.0.0.1", 20.0),
                ("app=web user=web tenant=bell host=h2 addr=10.0.0.2", 20.0),
                ("app=worker user=worker tenant=bell host=h2 addr=10.0.0.3", 10.0),
            ] {
                w.pool(words, move |s| size * (1.0 + ramp(s)) - size * ramp(s - 400));
            }
        },
        ONSET + 1_800,
    );
}

#[test]
fn a_host_that_leaks_pages() {
    check_leak(
        |w| {
            w.leak(
                "app=web user=web tenant=bell host=h3 addr=10.0.0.7",
                0.0,
                ONSET,
                i64::MAX,
                true,
            );
            w.churn("app=web user=web tenant=bell host=h3 addr=10.0.0.7", 3.0, 10.0);
            w.churn("app=worker user=worker tenant=acme host=h3 addr=10.0.0.7", 3.0, 10.0);
            w.leak(
                "app=web user=web tenant=bell host=h3 addr=10.0.0.7",
                RATE / 2.0,
                ONSET,
                i64::MAX,
                true,
            );
            w.leak(
                "app=worker user=worker tenant=acme host=h3 addr=10.0.0.7",
                RATE / 2.0,
                ONSET,
                i64::MAX,
                true,
            );
        },
        "host.name=h3",
    );
}
#[test]
fn everybody_slower_to_a_new_level_is_silent() {
    check_quiet(
        |w| {
            for (words, level) in [
                ("app=web user=web tenant=acme host=h1 addr=10.0.0.1", 24.0),
                ("app=web user=web tenant=bell host=h2 addr=10.0.0.2", 24.0),
                ("app=worker user=worker tenant=bell host=h2 addr=10.0.0.3", 12.0),
            ] {
                w.crew(
                    words,
                    Work::Churn {
                        arrivals: Box::new(move |_| level / 10.0),
                        hold_s: Box::new(|s| 10.0 * (1.0 + 0.7 * ramp(s) - 0.7 * ramp(s - 600))),
                    },
                );
            }
        },
        ONSET + 1_800,
    );
}

#[test]
fn a_release_that_leaks_on_fresh_instances_pages() {
    check_leak(
        |w| {
            w.life(ONSET - 10, LifeEvent::Deploy, "app=issuer version=2.14");
            for instance in ["1", "2", "3"] {
                let old = format!("app=issuer user=issuer version=2.13 addr=10.0.1.{instance}");
                let new = format!("app=issuer user=issuer version=2.14 addr=10.0.2.{instance}");
                w.pool(&old, |s| if s < ONSET { 4.0 } else { 0.0 });
                w.pool(&new, |s| if s < ONSET { 0.0 } else { 4.0 });
                w.leak(&new, RATE / 3.0, ONSET, i64::MAX, true);
            }
        },
        "service.name=issuer",
    );
}
#[test]
fn a_scale_out_that_levels_off_is_silent() {
    check_quiet(
        |w| {
            for instance in 0..12 {
                let words = format!("app=issuer user=issuer addr=10.0.1.{instance}");
                w.pool(&words, move |s| {
                    let starts = ONSET + (instance - 6) * RISE_S / 6;
                    if instance < 6 || s >= starts { 10.0 } else { 0.0 }
                });
            }
        },
        ONSET + 1_800,
    );
}
#[test]
fn blue_green_that_drains_later_is_silent() {
    check_quiet(
        |w| {
            w.life(ONSET - 10, LifeEvent::Deploy, "app=issuer version=2.14");
            for instance in 0..6 {
                let old = format!("app=issuer user=issuer version=2.13 addr=10.0.1.{instance}");
                let new = format!("app=issuer user=issuer version=2.14 addr=10.0.2.{instance}");
                w.pool(&old, move |s| if s < ONSET + 400 { 10.0 } else { 0.0 });
                w.pool(&new, move |s| if s < ONSET + instance * 25 { 0.0 } else { 10.0 });
            }
        },
        ONSET + 1_800,
    );
}

#[test]
fn a_fast_leak_pages() {
    check_leak(
        |w| {
            w.leak("app=report user=report addr=10.0.0.8", 0.0, 0, 1, true);
            w.churn("app=report user=report addr=10.0.0.8", 3.0, 10.0);
            w.leak("app=report user=report addr=10.0.0.8", 1.0, ONSET, i64::MAX, true);
        },
        "service.name=report",
    );
}
#[test]
fn the_warm_up_of_a_new_service_is_silent() {
    check_quiet(
        |w| {
            w.pool("app=report user=report addr=10.0.0.8", |s| {
                (60.0 * ((s - ONSET) as f64 / 60.0)).clamp(0.0, 60.0)
            });
        },
        ONSET + 1_800,
    );
}

#[test]
fn two_culprits_page_and_one_of_them_is_named() {
    check_leak(
        |w| {
            for app in ["report", "issuer"] {
                let words = format!(
                    "app={app} user={app} addr=10.0.3.{}",
                    app.len() + usize::from(app == "issuer")
                );
                w.churn(&words, 4.0, 10.0);
                w.leak(&words, RATE / 2.0, ONSET, i64::MAX, true);
            }
        },
        "service.name=report|service.name=issuer",
    );
}

#[test]
fn a_nightly_batch_that_was_there_yesterday_is_silent() {
    for seed in 0..2 {
        let mut world = estate(seed);
        world.pool("app=batch user=batch addr=10.0.0.8", |s| {
            60.0 * (ramp(s.rem_euclid(DAY_S)) - ramp(s.rem_euclid(DAY_S) - 1_200))
        });
        let mut growth = Growth::new(settings(1_800));
        world.run(&mut growth, DAY_S);
        let run = world.run(&mut growth, DAY_S + ONSET + 3_000);
        assert!(run.opened.is_none(), "seed {seed}: {:?}", run.opened);
    }
}
#[test]
fn a_leak_at_the_hour_of_no_batch_pages() {
    for seed in 0..2 {
        let mut world = estate(seed);
        world.churn("app=batch user=batch addr=10.0.0.8", 4.0, 10.0);
        world.leak("app=batch user=batch addr=10.0.0.8", RATE, DAY_S + ONSET, i64::MAX, true);
        let run = world.run_until_full(&mut Growth::new(settings(1_800)), DAY_S + ONSET + 3_000);
        let (at, finding) = run.paged.expect("a page");
        assert_eq!(named(&finding), "service.name=batch");
        assert!(at < run.full.expect("full"));
        println!(
            "seed {seed}: page {} full {:?}",
            at - DAY_S - ONSET,
            run.full.map(|f| f - DAY_S - ONSET)
        );
    }
}

#[test]
fn the_first_daily_ramp_of_ordinary_load_is_silent() {
    for seed in 0..3 {
        let mut world = World::new(200, seed);
        let arrivals = |share: f64| -> Box<dyn Fn(i64) -> f64> {
            Box::new(move |s: i64| {
                share * 3.0 * (1.0 - 0.7 * (s as f64 / DAY_S as f64 * std::f64::consts::TAU).cos())
            })
        };
        world.crew(
            "app=web user=web addr=10.0.0.1",
            Work::Churn { arrivals: arrivals(0.8), hold_s: Box::new(|_| 25.0) },
        );
        world.crew(
            "app=worker user=worker addr=10.0.0.2",
            Work::Churn { arrivals: arrivals(0.2), hold_s: Box::new(|_| 25.0) },
        );
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
        let mut world = World::new(60, seed);
        let hold_s = [3.0, 10.0, 60.0, 300.0][seed as usize % 4];
        world.churn("app=web user=web addr=10.0.0.1", 10.0, hold_s);
        world.churn("app=worker user=worker addr=10.0.0.2", 8.0, hold_s);
        world.churn("app=issuer user=issuer addr=10.0.0.3", 5.0, hold_s);
        world.churn("app=report user=report addr=10.0.0.4", 3.0, hold_s);
        let run = world.run(&mut Growth::new(settings(1_800)), 12 * 3_600);
        hours += 12;
        if let Some((at, f)) = &run.opened {
            println!(
                "seed {seed} W{hold_s}: {at} {} {} since {} {:?} {:?} of {}",
                f.severity.name(),
                named(f),
                f.since.0 - crate::growth_world::START,
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
