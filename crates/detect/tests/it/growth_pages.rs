//! Leaks that must be paged.

use plimsoll_detect::growth::Growth;
use plimsoll_model::lives::LifeEvent;

use crate::growth_world::{World, named, settings};

/// Four applications of a small server; `issuer` leaks from its deploy on.
fn estate(seed: u64, hold_s: f64, leak_per_s: f64) -> World {
    let mut world = World::new(50, seed);
    world.churn("app=web user=web db=main addr=10.0.0.1", 11.0, hold_s);
    world.churn("app=worker user=worker db=main addr=10.0.0.2", 6.0, hold_s);
    world.churn("app=issuer user=issuer db=main addr=10.0.0.3", 4.0, hold_s);
    world.churn("app=report user=report db=main addr=10.0.0.4", 2.0, hold_s);
    if leak_per_s > 0.0 {
        world.life(100, LifeEvent::Deploy, "app=issuer version=2.14");
        world.leak("app=issuer user=issuer db=main addr=10.0.0.3", leak_per_s, 102, 1_000, true);
    }
    world
}

#[test]
fn a_small_leaking_application_is_named_before_a_cold_server_refuses() {
    for seed in 0..40 {
        let hold_s = [3.0, 10.0, 30.0][seed as usize % 3];
        let rate = [0.25, 0.33, 0.5][seed as usize / 3 % 3];
        let mut world = estate(seed, hold_s, rate);
        let mut growth = Growth::new(settings(600));
        let run = world.run(&mut growth, 330);
        let full = run.full;
        match run.paged {
            Some((at, f)) => println!(
                "{seed} W{hold_s} r{rate}: page {at} full {full:?} {} {:?} since {} before {:?} now {:?}",
                named(&f),
                f.release.map(|r| r.version),
                f.since.0 - crate::growth_world::START,
                f.owner_level_before,
                f.owner_level
            ),
            None => println!("{seed} W{hold_s} r{rate}: NO page; full {full:?}"),
        }
    }
}

#[test]
fn the_same_server_without_the_leak_is_silent() {
    let mut pages = 0;
    for seed in 0..200 {
        let hold_s = [3.0, 10.0, 30.0][seed as usize % 3];
        let mut world = estate(seed, hold_s, 0.0);
        let mut growth = Growth::new(settings(600));
        let run = world.run(&mut growth, 600);
        if let Some((at, f)) = run.paged {
            pages += 1;
            println!(
                "{seed} W{hold_s}: page {at} {} since {} before {:?} now {:?}",
                named(&f),
                f.since.0 - crate::growth_world::START,
                f.owner_level_before,
                f.owner_level
            );
        }
    }
    println!("{pages} pages");
}
