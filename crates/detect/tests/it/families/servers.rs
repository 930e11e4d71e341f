//! Servers with a history, and one that nobody has watched before.

use plimsoll_model::Severity;
use plimsoll_model::lives::LifeEvent;

use super::growth::{DAY_S, watched};
use super::{Case, Fault};
use crate::growth_world::{Curve, Work, World};

/// When the issuer of the cold server is deployed.
pub const DEPLOY: i64 = 100;
/// Who leaks on the cold server.
pub const ISSUER: &str = "app=issuer user=issuer db=main addr=10.0.0.3";
const APPS: [(&str, f64); 4] = [
    ("app=web user=web db=main addr=10.0.0.1", 11.0),
    ("app=worker user=worker db=main addr=10.0.0.2", 6.0),
    (ISSUER, 4.0),
    ("app=report user=report db=main addr=10.0.0.4", 2.0),
];

/// Four applications of unequal size on 50 slots. `pooled` of each one's sessions stay open, the
/// others come and go.
pub fn cold(seed: u64, pooled: f64) -> World {
    let mut world = World::new(50, seed);
    let hold_s = [3.0, 10.0, 30.0][seed as usize % 3];
    for (words, size) in APPS {
        let kept = (size * pooled).round();
        world.pool(words, move |_| kept);
        world.churn(words, size - kept, hold_s);
    }
    world
}

/// One of them, not the largest, leaks after a deploy.
pub fn leaking(seed: u64, pooled: f64, until: i64) -> World {
    let mut world = cold(seed, pooled);
    let rate = [0.25, 0.33, 0.5][seed as usize / 3 % 3];
    world.life(DEPLOY, LifeEvent::Deploy, "app=issuer version=2.14");
    world.leak(ISSUER, rate, DEPLOY + 2, until, true);
    world
}

pub fn cold_leak(seed: u64, pooled: f64) -> Case {
    let (said, full) = watched(leaking(seed, pooled, i64::MAX), 600, 900);
    let fault = Fault::page("service.name issuer", DEPLOY, full.expect("it fills up"));
    Case { said, faults: vec![fault], ..Case::default() }
}

pub fn cold_quiet(seed: u64, pooled: f64) -> Case {
    let (said, _) = watched(cold(seed, pooled), 1_800, 600);
    Case { said, ..Case::default() }
}

/// 200 slots, of which 3 are reserved. The issuer opens 6 sessions a minute that last 13 minutes on
/// average; the others hold 25. `season` is the daily swing of the arrivals.
pub fn ordinary(seed: u64, season: f64) -> World {
    let mut world = World::new(197, seed);
    let arrivals = move |s: i64| {
        0.1 * (1.0 + season * (s as f64 / DAY_S as f64 * std::f64::consts::TAU).sin())
    };
    let hold_s = Box::new(|_| 780.0);
    world.crew("app=issuer user=issuer", Work::Churn { arrivals: Box::new(arrivals), hold_s });
    world.churn("app=web user=web", 15.0, 60.0);
    world.pool("app=worker user=worker", |_| 10.0);
    world
}

/// An ordinary day, and two hours later the deploy of a release that leaks so many a minute.
pub fn slow_leak(seed: u64, per_minute: f64) -> Case {
    let (mut world, deploy) = (ordinary(seed, 0.0), DAY_S + 7_200);
    world.life(deploy, LifeEvent::Deploy, "app=issuer version=2.14");
    world.leak("app=issuer user=issuer", per_minute / 60.0, deploy, i64::MAX, true);
    let (said, full) = watched(world, 1_800, deploy + 2 * DAY_S);
    let page = Fault::page("service.name issuer", deploy, full.expect("it fills up"));
    let first = Fault { severity: Severity::Ticket, what: "first word", ..page.clone() };
    let faults = vec![first, Fault { what: "page", ..page }];
    Case { said, faults, ..Case::default() }
}

/// Ordinary load whose arrivals swing by 70 % around the mean of the day.
pub fn rhythmic(seed: u64) -> World {
    let mut world = World::new(200, seed);
    let arrivals = |share: f64| -> Curve {
        Box::new(move |s: i64| {
            share * 3.0 * (1.0 - 0.7 * (s as f64 / DAY_S as f64 * std::f64::consts::TAU).cos())
        })
    };
    for (words, share) in
        [("app=web user=web addr=10.0.0.1", 0.8), ("app=worker user=worker addr=10.0.0.2", 0.2)]
    {
        let hold_s = Box::new(|_| 25.0);
        world.crew(words, Work::Churn { arrivals: arrivals(share), hold_s });
    }
    world
}

pub fn daily_rhythm(seed: u64) -> Case {
    let (said, _) = watched(rhythmic(seed), 1_800, 2 * DAY_S);
    Case { said, ..Case::default() }
}

/// Ordinary churn on a server that is small for it.
pub fn small(seed: u64) -> World {
    let mut world = World::new(60, seed);
    let hold_s = [3.0, 10.0, 60.0, 300.0][seed as usize % 4];
    world.churn("app=web user=web addr=10.0.0.1", 10.0, hold_s);
    world.churn("app=worker user=worker addr=10.0.0.2", 8.0, hold_s);
    world.churn("app=issuer user=issuer addr=10.0.0.3", 5.0, hold_s);
    world.churn("app=report user=report addr=10.0.0.4", 3.0, hold_s);
    world
}

pub fn chance(seed: u64) -> Case {
    let (said, _) = watched(small(seed), 1_800, 12 * 3_600);
    Case { said, ..Case::default() }
}
