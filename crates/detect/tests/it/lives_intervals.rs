//! Intervals are intervals: over generated lives with a known end, the 80 % interval that is given
//! when memory is first spoken of holds the end in 70 to 90 % of them.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_detect::settings::{ResourceConfig, Unit};
use plimsoll_detect::{Judge, Settings};
use plimsoll_model::samples::{SampleBuilder, SampleRow, metric};
use plimsoll_model::{
    Batch, Change, Dimension, Finding, Holder, PartitionId, Row, RowKind, Second, Tick, Time,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use crate::growth_world::log_uniform;
use crate::lives_world::{DAY, START};

const LIMIT: f64 = 2_147_483_648.0;

/// How memory moves around its line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    /// Normal, drawn anew for each sample.
    Fresh,
    /// Normal, and forgotten over five minutes.
    Lasting,
}

/// One life: calm, and then a straight line to the limit.
struct Life {
    every_s: i64,
    calm_s: i64,
    /// From the onset to the limit, without noise.
    leak_s: f64,
    /// In use at the onset, and the standard deviation of the noise, shares of the limit.
    base: f64,
    deviation: f64,
    response: Duration,
}

impl Life {
    /// Samples from 10 s to 5 min apart; leaks from ten minutes to three weeks; half of the lives
    /// begin with a calm.
    fn drawn(rng: &mut StdRng, deviation: (f64, f64)) -> Life {
        let every_s = [10, 15, 30, 60, 120, 300][rng.random_range(0..6)];
        let shortest = (40 * every_s).max(600) as f64;
        // No life has more samples than 12,000.
        let longest = (6_000.0 * every_s as f64).min(21.0 * DAY as f64);
        let leak_s = log_uniform(rng, shortest, longest);
        let calm_s = if rng.random() { (0.9 * leak_s) as i64 } else { 0 };
        let base = rng.random_range(0.1..0.6);
        let deviation = log_uniform(rng, deviation.0, deviation.1);
        let response_s = (leak_s / log_uniform(rng, 4.0, 60.0)).clamp(60.0, 7_200.0);
        let response = Duration::from_secs_f64(response_s);
        Life { every_s, calm_s, leak_s, base, deviation, response }
    }

    /// What is said first, when, and the last sample below the limit and the first at it.
    fn live(&self, noise: Noise, rng: &mut StdRng) -> Option<(i64, Finding, (i64, i64))> {
        let (mut samples, mut ticks) = (SampleBuilder::default(), Vec::new());
        let mut wander = 0.0;
        let mut at = rng.random_range(0..self.every_s);
        let end = loop {
            let fresh: f64 = StandardNormal.sample(rng);
            let keep = match noise {
                Noise::Fresh => 0.0,
                Noise::Lasting => (-(self.every_s as f64) / 300.0).exp(),
            };
            wander = wander * keep + (1.0 - keep * keep).sqrt() * fresh;
            let grown = ((at - self.calm_s) as f64 / self.leak_s).max(0.0) * (1.0 - self.base);
            let share = self.base + grown + self.deviation * wander;
            if share >= 1.0 {
                break at;
            }
            let time = Time::from_seconds(START + at);
            let index = ticks.len() as u32;
            samples.append(&SampleRow {
                time,
                resource: "memory",
                metric: metric::MEMORY,
                value: share * LIMIT,
                holder: Holder::default()
                    .with(Dimension::ServiceName, "web")
                    .with(Dimension::ServiceInstanceId, "web-1"),
                ..SampleRow::default()
            });
            let mut tick = Tick::empty(Second(START + at));
            let partition = PartitionId::default();
            tick.rows.push(Row {
                time,
                partition,
                offset: 0,
                batch: 0,
                kind: RowKind::Sample,
                index,
            });
            ticks.push(tick);
            at += self.every_s;
        };
        let batch = Arc::new(Batch { samples: samples.finish(), ..Batch::default() });
        let mut settings = Settings::new("p");
        settings.response_time = self.response;
        let memory = ResourceConfig {
            unit: Unit::Bytes,
            limit: Some(LIMIT as u64),
            ..ResourceConfig::default()
        };
        settings.resources.insert("memory".to_owned(), memory);
        let mut judge = Judge::new(settings);
        for mut tick in ticks {
            tick.batches.push(Arc::clone(&batch));
            let step = judge.step(&tick);
            if let Some(opened) = step.transitions.iter().find(|it| it.change == Change::Opened) {
                let at = opened.as_of.0 - START;
                return Some((at, opened.finding.clone(), (end - self.every_s, end)));
            }
        }
        None
    }
}

#[derive(Default, Debug)]
struct Outcome {
    opened: usize,
    covered: usize,
    /// The end came before or after the interval.
    early: usize,
    late: usize,
    /// The sum of the widths, each as a part of the time that was left.
    width: f64,
    /// Something was said before the onset.
    outside: usize,
}

fn family(noise: Noise, deviation: (f64, f64), runs: u64, seed: u64) -> Outcome {
    let mut outcome = Outcome::default();
    for run in 0..runs {
        let mut rng = StdRng::seed_from_u64(seed * 1_000_003 + run);
        let life = Life::drawn(&mut rng, deviation);
        let Some((at, finding, (before, end))) = life.live(noise, &mut rng) else { continue };
        if at < life.calm_s {
            outcome.outside += 1;
            continue;
        }
        let Some(interval) = finding.exhaustion else { continue };
        outcome.opened += 1;
        let to = interval.to.map_or(f64::INFINITY, |to| to.as_micros() as f64 / 1e6);
        let (from, to) = (interval.from.as_micros() as f64 / 1e6 - START as f64, to - START as f64);
        if (end as f64) < from {
            outcome.early += 1;
        } else if before as f64 > to {
            outcome.late += 1;
        } else {
            outcome.covered += 1;
        }
        outcome.width += ((to - from) / (end - at).max(1) as f64).min(10.0);
    }
    println!(
        "{noise:?} {deviation:?} seed {seed}: {} of {runs} opened, covered {:.2}, end before {:.2}, after {:.2}, width {:.2}, outside {}",
        outcome.opened,
        outcome.covered as f64 / outcome.opened as f64,
        outcome.early as f64 / outcome.opened as f64,
        outcome.late as f64 / outcome.opened as f64,
        outcome.width / outcome.opened as f64,
        outcome.outside,
    );
    outcome
}

#[track_caller]
fn check(noise: Noise, seed: u64) {
    let outcome = family(noise, (0.0003, 0.02), 200, seed);
    let coverage = outcome.covered as f64 / outcome.opened as f64;
    assert!(outcome.opened >= 180, "{} of 200 were told in time", outcome.opened);
    assert!((0.7..=0.9).contains(&coverage), "{coverage:.2}");
}

#[test]
fn intervals_hold_the_end_over_fresh_noise() {
    check(Noise::Fresh, 21);
}
#[test]
fn intervals_hold_the_end_over_lasting_noise() {
    check(Noise::Lasting, 22);
}

/// The same lives, less and more noise.
#[test]
fn noisier_memory_has_wider_intervals() {
    let calm = family(Noise::Fresh, (0.001, 0.001_001), 60, 23);
    let noisy = family(Noise::Fresh, (0.01, 0.010_01), 60, 23);
    let width = |outcome: &Outcome| outcome.width / outcome.opened as f64;
    assert!(width(&noisy) > 2.0 * width(&calm), "{} {}", width(&noisy), width(&calm));
}
