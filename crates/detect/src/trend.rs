//! A level that was steady and then began to rise: where, and how fast.
//!
//! `docs/detectors.md`, "Growth to the limit", has the formulas.

/// The mean of a level over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Its first second.
    pub from_s: i64,
    /// The first second after it; larger than `from_s`.
    pub to_s: i64,
    /// The mean level, in units.
    pub mean: f64,
}

impl Stretch {
    fn width_s(&self) -> f64 {
        (self.to_s - self.from_s) as f64
    }

    fn middle_after_s(&self, onset_s: i64) -> f64 {
        ((self.from_s - onset_s) + (self.to_s - onset_s)) as f64 / 2.0
    }
}

/// A steady level and a straight rise from `onset_s` on, fitted to stretches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rise {
    /// Where the rise begins.
    pub onset_s: i64,
    /// The end of the newest stretch.
    pub end_s: i64,
    /// The steady level before, in units.
    pub base: f64,
    /// Units per second after the onset; may be negative.
    pub rate: f64,
    /// The variance of `rate` that the noise around the line explains.
    pub rate_var: f64,
    /// The spectral density of the noise at long lags, in units² times seconds: divided by a
    /// length of time, the variance of the mean level over that time.
    pub noise: f64,
    /// The part of `rate_var` that is left if the noise is taken from before the onset, where
    /// growth at random adds none; `rate_var` if too little was before.
    pub rate_var_before: f64,
}

impl Rise {
    /// How long the level has risen, in seconds.
    pub fn length_s(&self) -> f64 {
        (self.end_s - self.onset_s) as f64
    }

    /// How far the level has risen above its base, in units.
    pub fn height(&self) -> f64 {
        self.rate * self.length_s()
    }

    /// The variance of [`Rise::height`] that the noise from before the onset explains, if a chance
    /// level lasts `memory_s`.
    ///
    /// The noise is taken as white, which for a short rise is too much: a level that forgets
    /// exponentially has the variance `noise / (2 memory_s)`, and a difference of two levels at
    /// most twice that. A memory longer than the rise was not seen to its end.
    pub fn height_var(&self, memory_s: f64) -> f64 {
        let length_s = self.length_s();
        let white = self.rate_var_before * length_s * length_s;
        let noise = self.noise * (self.rate_var_before / self.rate_var.max(f64::MIN_POSITIVE));
        white.min(noise / memory_s.min(length_s))
    }

    /// The line at `at_s`.
    pub fn level_at(&self, at_s: i64) -> f64 {
        self.base + self.rate * (at_s - self.onset_s).max(0) as f64
    }
}

/// The fewest stretches before an onset.
pub const BEFORE_LEAST: usize = 3;
/// The fewest stretches after an onset. Each scale is four times as wide as the one before, so
/// that nothing is missed: what is shorter here is long enough there.
pub const AFTER_LEAST: usize = 4;

/// The best fit of a steady level followed by a straight rise, by least squares weighted with
/// the stretches' widths.
///
/// `stretches` follow each other in time. The onset is one of the boundaries among the newest
/// `onsets` stretches that leaves [`BEFORE_LEAST`] and [`AFTER_LEAST`] of them; `None` if there is none.
///
/// Source of the least squares: Draper and Smith, *Applied Regression Analysis*, 3rd ed.,
/// chapter 9; a change of slope at an unknown place is their chapter 14.
pub fn fit(stretches: &[Stretch], onsets: usize) -> Option<Rise> {
    let first = stretches.len().saturating_sub(onsets).max(BEFORE_LEAST);
    let last = stretches.len().checked_sub(AFTER_LEAST)?;
    let mut best: Option<(f64, Rise)> = None;
    for place in first..=last {
        let (error, rise) = fit_at(stretches, place);
        if best.is_none_or(|(least, _)| error < least) {
            best = Some((error, rise));
        }
    }
    best.map(|(_, rise)| rise)
}

/// Units that the rise of a level has been missing since it stopped, if a steady level after the
/// rise fits clearly better than a rise that goes on: the units that its rate would have brought
/// since then.
///
/// The rise may begin and end at any two of the boundaries among the newest `onsets` stretches
/// that are at least two apart.
pub fn missing_since_plateau(stretches: &[Stretch], onsets: usize) -> Option<f64> {
    let first = stretches.len().saturating_sub(onsets).max(1);
    let end_s = stretches.last()?.to_s;
    let straight = (first..=stretches.len().checked_sub(AFTER_LEAST)?)
        .map(|place| fit_at(stretches, place).0)
        .fold(f64::INFINITY, f64::min);
    let (mut least, mut missing) = (straight * PLATEAU_CLEARER, None);
    for onset in first..stretches.len() - 2 {
        for stop in onset + 1..stretches.len() - 1 {
            let (from_s, to_s) = (stretches[onset].from_s, stretches[stop].from_s);
            let (error, rate) = bent_error(stretches, from_s, to_s);
            if error < least && rate > 0.0 {
                (least, missing) = (error, Some(rate * (end_s - to_s) as f64));
            }
        }
    }
    missing
}

/// The pauses of a level's growth, newest first: where each begins, and how many seconds it lasts.
///
/// A pause reaches back from its newest stretch as far as that one is at most `granted` units
/// higher than each; every stretch is part of one.
pub fn pauses_s(stretches: &[Stretch], granted: f64) -> impl Iterator<Item = (i64, i64)> {
    let mut end = stretches.len();
    std::iter::from_fn(move || {
        let newest = stretches[..end].last()?;
        let gained = |stretch: &Stretch| newest.mean - stretch.mean > granted;
        let begin = stretches[..end].iter().rposition(gained).map_or(0, |place| place + 1);
        let from_s = stretches[begin].from_s;
        end = begin;
        Some((from_s, newest.to_s - from_s))
    })
}

/// A plateau has less than this part of the squared error of a line.
const PLATEAU_CLEARER: f64 = 0.7;

/// The weighted squared error, and the rate, of a level that is steady, rises between two moments
/// and is steady again.
fn bent_error(stretches: &[Stretch], from_s: i64, to_s: i64) -> (f64, f64) {
    let (mut w, mut wh, mut whh, mut wy, mut why, mut wyy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for stretch in stretches {
        let width = stretch.width_s();
        let middle = (stretch.from_s + stretch.to_s) as f64 / 2.0;
        let height = (middle - from_s as f64).clamp(0.0, (to_s - from_s) as f64);
        w += width;
        wh += width * height;
        whh += width * height * height;
        wy += width * stretch.mean;
        why += width * height * stretch.mean;
        wyy += width * stretch.mean * stretch.mean;
    }
    let (determinant, product) = (w * whh - wh * wh, w * why - wh * wy);
    if determinant <= 0.0 {
        return (f64::INFINITY, 0.0);
    }
    let rate = product / determinant;
    ((wyy - wy * wy / w - rate * product / w).max(0.0), rate)
}

/// The mean and the variance of the rate over all onsets that the stretches leave plausible,
/// where the growth itself varies by `drift_var` per second.
///
/// Each onset of [`fit`] is weighed with its likelihood. Growth at random wanders off its line: at
/// the lowest frequency that `length` seconds can show, a random walk has the spectral density
/// `drift_var * (length / π)²`, which is added to the noise. The best onset alone would be chosen
/// where a burst begins, and too steep.
pub fn plausible_rate(stretches: &[Stretch], onsets: usize, drift_var: f64) -> Option<(f64, f64)> {
    let best = fit(stretches, onsets)?;
    let first = stretches.len().saturating_sub(onsets).max(BEFORE_LEAST);
    let walk = drift_var * (best.length_s() / std::f64::consts::PI).powi(2);
    let noise = (best.noise + walk).max(f64::MIN_POSITIVE);
    let least = (first..=stretches.len() - AFTER_LEAST)
        .map(|place| fit_at(stretches, place).0)
        .fold(f64::INFINITY, f64::min);
    let (mut weights, mut mean, mut square) = (0.0, 0.0, 0.0);
    for place in first..=stretches.len() - AFTER_LEAST {
        let (error, rise) = fit_at(stretches, place);
        let weight = (-(error - least) / (2.0 * noise)).exp();
        let rate = rise.rate.max(0.0);
        let variance = rise.rate_var + WALK_SLOPE * drift_var / rise.length_s();
        weights += weight;
        mean += weight * rate;
        square += weight * (rate * rate + variance);
    }
    let mean = mean / weights;
    Some((mean, (square / weights - mean * mean).max(0.0)))
}

/// The variance of the least-squares slope of a random walk over a time, in units of the walk's
/// variance per second divided by that time: 9 ∫∫ s u min(s, u) ds du over the unit square.
const WALK_SLOPE: f64 = 1.2;

/// The fit with the onset where stretch `place` begins, and its weighted squared error.
pub fn fit_at(stretches: &[Stretch], place: usize) -> (f64, Rise) {
    let onset_s = stretches[place].from_s;
    let (mut w, mut wh, mut whh, mut wy, mut why) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (index, stretch) in stretches.iter().enumerate() {
        let width = stretch.width_s();
        let height = if index < place { 0.0 } else { stretch.middle_after_s(onset_s) };
        w += width;
        wh += width * height;
        whh += width * height * height;
        wy += width * stretch.mean;
        why += width * height * stretch.mean;
    }
    let determinant = w * whh - wh * wh;
    let rate = (w * why - wh * wy) / determinant;
    let base = (wy - rate * wh) / w;

    let residual = |(index, stretch): (usize, &Stretch)| {
        let height = if index < place { 0.0 } else { stretch.middle_after_s(onset_s) };
        stretch.width_s().sqrt() * (stretch.mean - base - rate * height)
    };
    let residuals: Vec<f64> = stretches.iter().enumerate().map(residual).collect();
    let (error, noise) = spectral_density(&residuals, 3.0);
    let before = &residuals[..place];
    let noise_before =
        if place < BEFORE_MIN { noise } else { spectral_density(before, 1.0).1.min(noise) };
    let rise = Rise {
        onset_s,
        end_s: stretches[stretches.len() - 1].to_s,
        base,
        rate,
        rate_var: noise * w / determinant,
        rate_var_before: noise_before * w / determinant,
        noise,
    };
    (error, rise)
}

/// The sum of the squares, and the spectral density at zero of a first-order autoregression with
/// their variance and their correlation from one to the next. `fitted` parameters cost freedom.
fn spectral_density(residuals: &[f64], fitted: f64) -> (f64, f64) {
    let error: f64 = residuals.iter().map(|residual| residual * residual).sum();
    let product: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let lag = if error > 0.0 { (product / error).clamp(0.0, LAG_MAX) } else { 0.0 };
    let freedom = (residuals.len() as f64 - fitted).max(1.0);
    (error, error / freedom * (1.0 + lag) / (1.0 - lag))
}

/// Fewer stretches before an onset do not show how noisy they are.
const BEFORE_MIN: usize = 6;
/// The largest autocorrelation that a few dozen points can tell from a trend.
const LAG_MAX: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(means: &[f64]) -> Vec<Stretch> {
        let stretch = |(index, &mean): (usize, &f64)| {
            let from_s = 10 * index as i64;
            Stretch { from_s, to_s: from_s + 10, mean }
        };
        means.iter().enumerate().map(stretch).collect()
    }

    /// Stretches of ten seconds; onset, base and rate compared to a billionth.
    #[track_caller]
    fn check(means: &[f64], onset_s: i64, base: f64, rate: f64) {
        let rise = fit(&stretches(means), means.len()).expect("there are enough stretches");
        assert_eq!(rise.onset_s, onset_s);
        assert!((rise.base - base).abs() < 1e-9, "{rise:?}");
        assert!((rise.rate - rate).abs() < 1e-9, "{rise:?}");
    }

    // Worked by hand: after the onset at 30 s the line is at 5, 15, 25 s times the rate.
    #[test]
    fn a_line_after_a_steady_level_is_found_exactly() {
        check(&[4.0, 4.0, 4.0, 4.5, 5.5, 6.5, 7.5], 30, 4.0, 0.1);
    }
    #[test]
    fn a_falling_level_has_a_negative_rate() {
        check(&[9.0, 9.0, 9.0, 9.0, 8.5, 7.5, 6.5, 5.5], 40, 9.0, -0.1);
    }
    #[test]
    fn a_flat_level_does_not_rise() {
        let rise = fit(&stretches(&[2.0; 8]), 8).expect("there are enough stretches");
        assert_eq!((rise.rate, rise.rate_var), (0.0, 0.0));
    }
    // By hand: the level rises by 1 in each of two stretches and then stays for four: at 0.1 units
    // per second, 40 seconds have brought nothing.
    #[test]
    fn a_rise_that_stopped_misses_what_its_rate_would_have_brought() {
        let level = stretches(&[4.0, 4.0, 4.0, 4.5, 5.5, 6.0, 6.0, 6.0, 6.0]);
        let missing = missing_since_plateau(&level, 9).expect("a plateau");
        assert!((missing - 4.0).abs() < 1e-9, "{missing}");
        assert_eq!(missing_since_plateau(&level[..5], 5), None);
    }
    // By hand: two stretches at nine, two at seven with a dip, one at five.
    #[test]
    fn pauses_are_told_newest_first() {
        let level = stretches(&[5.0, 7.0, 6.8, 9.0, 9.1]);
        let pauses: Vec<(i64, i64)> = pauses_s(&level, 0.5).collect();
        assert_eq!(pauses, [(30, 20), (10, 20), (0, 10)]);
    }
    #[test]
    fn too_few_stretches_have_no_fit() {
        assert_eq!(fit(&stretches(&[1.0; 5]), 5), None);
    }
}
