//! A server that nobody has watched before: four applications of unequal size, one of which, not
//! the largest, begins to leak after a deploy.

use plimsoll_detect::growth::Growth;
use plimsoll_model::{Reason, Severity};

use crate::families::servers::{DEPLOY, ISSUER, cold, leaking};
use crate::growth_world::{Run, START, named, settings};

/// Whether the issuer and its release were paged before everything was in use.
fn in_time(run: &Run) -> bool {
    let Some((at, page)) = &run.paged else { return false };
    let release = page.release.as_ref().and_then(|release| release.version.as_deref());
    named(page) == "service.name=issuer"
        && release == Some("2.14")
        && page.exhaustion.is_some()
        && page.since.0 - START >= DEPLOY - 30
        && run.full.is_none_or(|full| *at < full)
}

#[test]
fn a_small_leaking_application_is_named_before_a_cold_server_refuses() {
    let (mut in_time_count, mut lead_s) = (0, 0);
    for seed in 0..40 {
        let mut world = leaking(seed, 0.7, i64::MAX);
        let run = world.run_until_full(&mut Growth::new(settings(600)), 400);
        let full = run.full.expect("it fills up");
        if in_time(&run) {
            in_time_count += 1;
            lead_s += full - run.paged.as_ref().map_or(full, |(at, _)| *at);
        } else {
            println!("seed {seed}: full {full}, {:?}", run.paged.map(|(at, f)| (at, named(&f))));
        }
    }
    println!("pooled: {in_time_count} of 40 in time, {} s before", lead_s / in_time_count);
    assert!(in_time_count >= 38, "{in_time_count} of 40");
}

/// Independent sessions alone: chance fills the server together with the leak, and the first
/// moment at the limit may come before anything can be known.
#[test]
fn with_nothing_but_independent_sessions_most_are_in_time() {
    let runs = (0..40).map(|seed| {
        leaking(seed, 0.0, i64::MAX).run_until_full(&mut Growth::new(settings(600)), 400)
    });
    let count = runs.filter(in_time).count();
    println!("independent: {count} of 40 in time");
    assert!(count >= 24, "{count} of 40");
}

/// Ten minutes each; one chance page in two hundred is what `evidence` allows for.
#[test]
fn the_same_server_without_the_leak_is_silent() {
    for response_s in [120, 1_800] {
        let mut openings = 0;
        for seed in 0..200 {
            let mut world = cold(seed, if seed % 2 == 0 { 0.7 } else { 0.0 });
            openings += world.run(&mut Growth::new(settings(response_s)), 600).openings;
        }
        println!("silent, response {response_s}: {openings} of 200 opened");
        assert!(openings <= 1, "{openings} of 200");
    }
}

#[test]
fn a_leak_that_stops_and_is_closed_ends_once() {
    for seed in 0..6 {
        let mut world = cold(seed, 0.7);
        world.pool(ISSUER, |s| (0.3 * (s - DEPLOY) as f64).clamp(0.0, 22.0) * f64::from(s < 400));
        let run = world.run(&mut Growth::new(settings(600)), 900);
        assert_eq!(run.openings, 1, "seed {seed}");
        let [(at, reason)] = run.ended[..] else { panic!("{:?}", run.ended) };
        assert_eq!(reason, Reason::LevelReceded);
        assert!((400..500).contains(&at), "seed {seed}: {at}");
    }
}

#[test]
fn a_restart_of_the_resource_ends_what_is_open() {
    let mut world = leaking(2, 0.7, i64::MAX);
    world.reset_at = Some(200);
    let run = world.run(&mut Growth::new(settings(600)), 201);
    assert_eq!(run.ended, [(200, Reason::ResourceRestarted)]);
}

#[test]
fn without_a_limit_growth_is_a_ticket_and_no_time_is_given() {
    let mut world = leaking(2, 0.7, i64::MAX);
    world.usable = None;
    let run = world.run(&mut Growth::new(settings(300)), 900);
    let (_, finding) = run.opened.expect("growth is told");
    assert_eq!((finding.severity, finding.exhaustion), (Severity::Ticket, None));
    assert_eq!(named(&finding), "service.name=issuer");
}

/// Stopped, saved and restored every 37 seconds, and with the holders in another order of arrival.
#[test]
fn a_verdict_depends_on_neither_restarts_nor_the_order_of_holders() {
    for seed in 0..4 {
        let (mut plain, mut saved) = (leaking(seed, 0.7, 260), leaking(seed, 0.7, 260));
        let mut growth = Growth::new(settings(600));
        let mut restored = growth.clone();
        for second in 0..700 {
            if second % 37 == 0 {
                let bytes = postcard::to_stdvec(&restored).expect("it can be saved");
                restored = postcard::from_bytes(&bytes).expect("it can be restored");
            }
            let (verdict, _) = plain.tick(&mut growth);
            let (again, _) = saved.tick_reversed(&mut restored);
            assert_eq!(verdict, again, "seed {seed}, second {second}");
        }
    }
}
