//! Intervals are intervals: on generated runs with known exhaustion, the 80 % interval that is
//! given when the incident opens holds the truth in 70 to 90 % of the runs.

use plimsoll_detect::growth::Growth;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::growth_world::{START, Work, World, log_uniform, settings};

/// The background of a run.
#[derive(Clone, Copy, Debug)]
enum Background {
    /// Nothing but a pool.
    Steady,
    /// Sessions that come and go.
    Churn,
    /// Normal noise, drawn anew each second.
    Jitter,
}

#[derive(Default)]
struct Outcome {
    /// Runs with an interval before the truth.
    opened: usize,
    covered: usize,
    /// The truth came before or after the interval.
    early: usize,
    late: usize,
    /// The sum of the intervals' widths, each as a part of the time that was left.
    width: f64,
    /// Runs in which something opened before the leak or after the truth.
    outside: usize,
}

/// `runs` runs of one family with leaks of random speed and, if `random`, at random moments.
fn family(background: Background, random: Option<bool>, runs: u64, seed: u64) -> Outcome {
    let mut outcome = Outcome::default();
    for run in 0..runs {
        let mut rng = StdRng::seed_from_u64(seed * 1_000_003 + run);
        let rate = log_uniform(&mut rng, 1.0 / 600.0, 1.0);
        let base = log_uniform(&mut rng, 4.0, 60.0);
        let hold_s = log_uniform(&mut rng, 3.0, 600.0).min(5.0 * base / rate);
        let room = base.sqrt() * 4.0 + log_uniform(&mut rng, 30.0, 120.0);
        let usable = (base + room) as u64;
        let mut world = World::new(usable, seed * 7_919 + run);
        let other = "app=web user=web addr=10.0.0.1";
        let size = base * 0.7;
        match background {
            Background::Steady => world.pool(other, move |_| size),
            Background::Churn => world.churn(other, base * 0.7, hold_s),
            Background::Jitter => {
                world.crew(other, Work::Jitter { size, deviation: base.sqrt() * 0.7 })
            }
        };
        let small = base * 0.3;
        let words = "app=issuer user=issuer addr=10.0.0.2";
        match background {
            Background::Churn => world.churn(words, small, hold_s),
            _ => world.pool(words, move |_| small),
        };
        let onset = (room / rate * 0.5) as i64 + 200 + rng.random_range(0..100);
        let end = onset + (3.0 * room / rate) as i64 + 1_000;
        let random = random.unwrap_or(rng.random());
        world.leak(words, rate, onset, i64::MAX, random);
        let mut growth = Growth::new(settings(log_uniform(&mut rng, 120.0, 7_200.0) as u64));
        let shown = world.run_until_full(&mut growth, end);
        let (Some(full), Some((at, finding))) = (shown.full, shown.opened) else { continue };
        if at >= full || at < onset {
            outcome.outside += 1;
            continue;
        }
        let Some(interval) = finding.exhaustion else { continue };
        outcome.opened += 1;
        let truth = (START + full) * 1_000_000;
        let from = interval.from.as_micros();
        let to = interval.to.map_or(i64::MAX, |to| to.as_micros());
        if truth < from {
            outcome.early += 1;
        } else if truth > to.saturating_add(1_000_000) {
            outcome.late += 1;
        } else {
            outcome.covered += 1;
        }
        if interval.to.is_some() {
            outcome.width +=
                (to - from) as f64 / ((truth - (START + at) * 1_000_000) as f64).max(1e6);
        }
    }
    println!(
        "{background:?} random {random:?} seed {seed}: {} opened, covered {:.2}, truth before {:.2}, after {:.2}, width {:.2}, outside {}",
        outcome.opened,
        outcome.covered as f64 / outcome.opened as f64,
        outcome.early as f64 / outcome.opened as f64,
        outcome.late as f64 / outcome.opened as f64,
        outcome.width / outcome.opened as f64,
        outcome.outside
    );
    outcome
}

/// Half of the leaks come at random moments, half like clockwork.
#[track_caller]
fn check(background: Background, seed: u64) {
    let outcome = family(background, None, 200, seed);
    let coverage = outcome.covered as f64 / outcome.opened as f64;
    assert!(outcome.opened >= 140, "{} of 200 were found in time", outcome.opened);
    assert!((0.7..=0.9).contains(&coverage), "{coverage:.2}");
}

#[test]
fn intervals_hold_the_truth_over_a_steady_level() {
    check(Background::Steady, 11);
}
#[test]
fn intervals_hold_the_truth_over_sessions_that_come_and_go() {
    check(Background::Churn, 12);
}
#[test]
fn intervals_hold_the_truth_over_normal_noise() {
    check(Background::Jitter, 13);
}

/// The mean width of intervals, as a part of the time that was left.
#[test]
fn more_noise_makes_wider_intervals() {
    let steady = family(Background::Steady, Some(false), 60, 5);
    let noisy = family(Background::Churn, Some(true), 60, 5);
    let width = |outcome: &Outcome| outcome.width / outcome.opened as f64;
    assert!(width(&noisy) > width(&steady), "{} {}", width(&noisy), width(&steady));
}
