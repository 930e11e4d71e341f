//! When a growing level reaches its limit, as an 80 % interval.
//!
//! `docs/detectors.md`, "The time of exhaustion", has the derivation.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Continuous, ContinuousCDF, Gamma, Normal};

/// What is known of a growing level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Units between the trend now and the limit; may be negative.
    pub remaining: f64,
    /// How far the level now is above the trend, in units.
    pub above: f64,
    /// The rate of growth in units per second; positive.
    pub rate: f64,
    /// The variance of `rate`.
    pub rate_var: f64,
    /// The variance per second of the growth itself: `rate` if units leak one by one at random
    /// (Poisson), zero if they leak like clockwork.
    pub drift_var: f64,
    /// The variance of the level around the trend, in units².
    pub level_var: f64,
    /// How long a deviation from the trend lasts, in seconds; positive.
    pub memory_s: f64,
}

/// The 10 % and the 90 % quantile of the time until the limit is first reached, in seconds;
/// `None` for what lies beyond `horizon_s`.
pub fn exhaustion_s(outlook: &Outlook, horizon_s: f64) -> (Option<f64>, Option<f64>) {
    if outlook.remaining - outlook.above <= 0.0 {
        return (Some(0.0), Some(0.0));
    }
    let rates = rates(outlook.rate, outlook.rate_var);
    let expected_s = outlook.remaining.max(1.0) / outlook.rate;
    let (mut reached, mut from_s) = ([Path::default(); RATES], None);
    let mut at_s = (expected_s / STEP_RATIO.powi(STEPS_BEFORE)).max(STEP_MIN_S);
    let (mut before_s, mut chance_before) = (0.0, 0.0);
    loop {
        let mut chance = 0.0;
        for (path, rate) in reached.iter_mut().zip(rates) {
            chance += path.reached_by(outlook, rate, before_s, at_s) / RATES as f64;
        }
        let when = |quantile: f64| {
            before_s + (at_s - before_s) * (quantile - chance_before) / (chance - chance_before)
        };
        if from_s.is_none() && chance >= 0.1 {
            from_s = Some(when(0.1));
        }
        if chance >= 0.9 {
            return (from_s, Some(when(0.9)));
        }
        if at_s >= horizon_s {
            return (from_s, None);
        }
        (before_s, chance_before) = (at_s, chance);
        at_s = (at_s * STEP_RATIO).max(at_s + STEP_MIN_S);
    }
}

/// How many rates stand for the distribution of the rate.
const RATES: usize = 11;
/// Each step of time is this much longer than the one before.
const STEP_RATIO: f64 = 1.04;
/// The walk begins this many steps before the expected time: at an eighth of it.
const STEPS_BEFORE: i32 = 53;
/// Nothing is said more finely than this, in seconds.
const STEP_MIN_S: f64 = 0.25;

/// Equally likely values of the rate: quantiles of its posterior, a gamma distribution.
///
/// With Poisson growth and no other noise, the squared rate divided by its variance is the number
/// of units seen. One of them only shows that growth has begun, whenever that was (prior: any
/// speed and any onset are equally likely): the shape is one less and the exposure the same.
fn rates(rate: f64, rate_var: f64) -> [f64; RATES] {
    let seen = rate * rate / rate_var.max(1e-12 * rate * rate);
    let shape = (seen - 1.0).max(SHAPE_MIN);
    let rate = rate * shape / (shape + 1.0);
    let gamma = Gamma::new(shape, shape / rate);
    std::array::from_fn(|place| match &gamma {
        // Above this shape the normal distribution is the same to a thousandth of the rate.
        Ok(gamma) if shape < SHAPE_NORMAL => gamma.inverse_cdf((place as f64 + 0.5) / RATES as f64),
        _ => {
            rate * (1.0 + normal().inverse_cdf((place as f64 + 0.5) / RATES as f64) / shape.sqrt())
        }
    })
}

/// A rate that is less certain than this says nothing of a future.
const SHAPE_MIN: f64 = 1.0;
const SHAPE_NORMAL: f64 = 10_000.0;

fn normal() -> Normal {
    Normal::standard()
}

/// One rate's way to the limit.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    /// The integral of the rate at which the noise reaches the limit.
    hazard: f64,
}

impl Path {
    /// The chance that the limit was reached by `at_s`, where the walk stood at `before_s`.
    fn reached_by(&mut self, outlook: &Outlook, rate: f64, before_s: f64, at_s: f64) -> f64 {
        let middle_s = (before_s + at_s) / 2.0;
        self.hazard += noise_hazard(outlook, rate, middle_s) * (at_s - before_s);
        let drift = drift_reached(outlook, rate, at_s);
        1.0 - (1.0 - drift) * (-self.hazard).exp()
    }
}

/// The chance that growth alone, a Brownian motion with drift, has reached the limit: the inverse
/// Gaussian distribution.
///
/// Source: Chhikara and Folks, *The Inverse Gaussian Distribution*, 1989, chapter 2.
fn drift_reached(outlook: &Outlook, rate: f64, at_s: f64) -> f64 {
    // What is above the trend now decays, and brings the limit nearer while it lasts.
    let remaining = outlook.remaining - outlook.above * (-at_s / outlook.memory_s).exp();
    if outlook.drift_var <= 0.0 {
        return f64::from(u8::from(rate * at_s >= remaining));
    }
    if remaining <= 0.0 {
        return 1.0;
    }
    let spread = (outlook.drift_var * at_s).sqrt();
    let straight = normal().cdf((rate * at_s - remaining) / spread);
    let exponent = 2.0 * rate * remaining / outlook.drift_var;
    let mirrored = normal().cdf(-(rate * at_s + remaining) / spread);
    // For large exponents the product is the ratio of two normal tails and goes to zero.
    let reflected = if exponent < 500.0 { exponent.exp() * mirrored } else { 0.0 };
    (straight + reflected).min(1.0)
}

/// The rate, per second, at which stationary noise around the trend first exceeds what is left.
///
/// Source: Aldous, *Probability Approximations via the Poisson Clumping Heuristic*, 1989, D7:
/// an Ornstein-Uhlenbeck process passes a distant boundary of z deviations at rate z φ(z) / memory.
fn noise_hazard(outlook: &Outlook, rate: f64, at_s: f64) -> f64 {
    let kept = (-at_s / outlook.memory_s).exp();
    let variance = outlook.level_var * (1.0 - kept * kept);
    if variance <= 1e-9 {
        return 0.0;
    }
    let left = outlook.remaining - rate * at_s - outlook.above * kept;
    let distance = (left / variance.sqrt()).max(DISTANCE_MIN);
    distance * normal().pdf(distance) / outlook.memory_s
}

/// Nearer than this the approximation for distant boundaries would fall again.
const DISTANCE_MIN: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    const CERTAIN: Outlook = Outlook {
        remaining: 100.0,
        above: 0.0,
        rate: 0.5,
        rate_var: 0.0,
        drift_var: 0.0,
        level_var: 0.0,
        memory_s: 1.0,
    };

    /// Quantiles compared to 5 %: the width of one step of time, and a little.
    #[track_caller]
    fn check(outlook: Outlook, expected_s: (f64, f64)) {
        let (from_s, to_s) = exhaustion_s(&outlook, 1e9);
        let (from_s, to_s) = (from_s.expect("in reach"), to_s.expect("in reach"));
        assert!((from_s / expected_s.0 - 1.0).abs() < 0.05, "{from_s} {to_s}");
        assert!((to_s / expected_s.1 - 1.0).abs() < 0.05, "{from_s} {to_s}");
    }

    #[test]
    fn clockwork_arrives_on_time() {
        check(CERTAIN, (200.0, 200.0));
    }
    // 100 units at exactly 0.5/s, one by one at random: Gamma(100, 0.5) has the quantiles 174.8
    // and 226.0 (chi-squared with 200 degrees of freedom: 174.84, 226.02).
    #[test]
    fn random_growth_spreads_like_a_gamma_distribution() {
        check(Outlook { drift_var: 0.5, ..CERTAIN }, (174.8, 226.0));
    }
    // 21 units seen in 42 s, of which one shows the onset; 20 are left: the ratio of two gammas is
    // F(40, 40), whose 10 % and 90 % quantiles are 0.6642 and 1.5056 (tables of the F
    // distribution), times 42 s.
    #[test]
    fn an_uncertain_rate_spreads_like_an_f_distribution() {
        let outlook = Outlook { remaining: 20.0, drift_var: 0.5, rate_var: 0.25 / 21.0, ..CERTAIN };
        check(outlook, (27.9, 63.2));
    }
    #[test]
    fn at_the_limit_there_is_no_time_left() {
        let (from_s, to_s) = exhaustion_s(&Outlook { remaining: 0.0, ..CERTAIN }, 1e9);
        assert_eq!((from_s, to_s), (Some(0.0), Some(0.0)));
    }
    #[test]
    fn beyond_the_horizon_nothing_is_said() {
        assert_eq!(exhaustion_s(&CERTAIN, 100.0), (None, None));
    }
}
