//! Those who may be said to grow, and how sure their growth is.
//!
//! `docs/detectors.md`, "Growth to the limit".

use plimsoll_model::Owner;

use crate::history::HolderHistory;
use crate::trend::{Rise, Stretch};
use crate::view::HolderLevel;

/// A holder with its history.
pub type Member<'a> = (&'a HolderLevel, &'a HolderHistory);

/// Those who are said to grow, and how.
#[derive(Clone, Debug)]
pub struct Suspect<'a> {
    /// Who.
    pub owner: Owner,
    /// The holders that belong to it.
    pub members: Vec<Member<'a>>,
    /// Their level, added up.
    pub stretches: Vec<Stretch>,
    /// The rise of that level.
    pub rise: Rise,
    /// The mean time between opening and closing, in seconds; `None` if too few have closed.
    pub hold_s: Option<f64>,
    /// The level that is not in `stretches`, because they are differences from the day before.
    pub usual: f64,
}

impl<'a> Suspect<'a> {
    /// `members` under one name, with their level and the rise in it.
    pub fn new(
        owner: Owner,
        members: Vec<Member<'a>>,
        stretches: Vec<Stretch>,
        rise: Rise,
    ) -> Suspect<'a> {
        let (closed, age_us) = members.iter().fold((0, 0), |(closed, age_us), (level, _)| {
            (closed + level.closed, age_us + level.closed_age_us)
        });
        let hold_s = (closed >= CLOSED_MIN).then(|| (age_us as f64 / closed as f64 / 1e6).max(1.0));
        Suspect { owner, members, stretches, rise, hold_s, usual: 0.0 }
    }

    /// How many standard deviations the level now is above what chance explains.
    ///
    /// Chance is the larger of the noise around the line and of the Poisson noise of sessions
    /// that come and go; `2 (√(v + height) − √v)` is the variance-stabilised distance.
    pub fn deviations(&self) -> f64 {
        let rise = &self.rise;
        let length_s = rise.length_s();
        let fitted = rise.height_var(self.hold_s.unwrap_or(0.0));
        let (base, poisson) = match self.hold_s {
            Some(hold_s) => {
                let base = self.cautious_base(hold_s);
                let before_s = (rise.onset_s - self.stretches[0].from_s) as f64;
                // A difference has the noise of two days.
                let level = base.max(0.0) + 2.0 * self.usual;
                (base, level * difference_var(length_s, before_s, hold_s))
            }
            None => (rise.base.max(-self.usual), 0.0),
        };
        let variance = fitted.max(poisson);
        distance(variance, self.recent() - base)
    }

    /// The mean level over the newest quarter of the rise, in units: unlike the line's end, no
    /// slope can exaggerate it.
    pub fn recent(&self) -> f64 {
        recent(&self.stretches, &self.rise)
    }

    /// How far the level has certainly risen, in units.
    pub fn height(&self) -> f64 {
        self.rise.height().min(self.recent() - self.rise.base)
    }

    /// The mean level between two moments of the rise, in seconds after its onset.
    pub fn mean_since_onset(&self, from_s: f64, to_s: f64) -> f64 {
        mean_since_onset(&self.stretches, &self.rise, from_s, to_s)
    }

    /// The level before the rise, drawn towards the mean of all as if one more independent level
    /// had been seen there: an onset is chosen where the level is low, and a base that was seen
    /// for less than a few hold times is low by chance.
    fn cautious_base(&self, hold_s: f64) -> f64 {
        let before_s = (self.rise.onset_s - self.stretches[0].from_s) as f64;
        let seen = 1.0 + before_s / (2.0 * hold_s);
        let base = (seen * self.rise.base + mean(&self.stretches)) / (seen + 1.0);
        base.max(-self.usual)
    }

    /// Units held now.
    pub fn held(&self) -> u64 {
        self.members.iter().map(|(level, _)| level.held).sum()
    }
}

/// The most [`Suspect::deviations`] that a level with this rise can have, whoever holds it and
/// for however long.
pub fn deviations_at_most(stretches: &[Stretch], rise: &Rise, usual: f64) -> f64 {
    let lowest = -usual;
    let fitted = rise.height_var(f64::INFINITY);
    // Whatever the hold time is, the base is drawn towards the mean.
    let base = rise.base.min(mean(stretches)).max(lowest);
    distance(fitted, recent(stretches, rise) - base) + ROUNDING
}

/// More than the rounding of the bound and of what it bounds.
const ROUNDING: f64 = 1e-6;

/// The largest level, in whole units, that has fewer than `evidence` deviations whatever it was
/// before; `None` if no level has.
pub fn quiet_level(evidence: f64) -> Option<u64> {
    let most = (evidence - ROUNDING) / 2.0;
    (most > 0.0).then_some((most * most) as u64)
}

/// The variance-stabilised distance of a level that is `height` above what is expected, with a
/// variance besides that of its own units.
fn distance(variance: f64, height: f64) -> f64 {
    2.0 * ((variance + height.max(0.0)).sqrt() - variance.sqrt())
}

fn recent(stretches: &[Stretch], rise: &Rise) -> f64 {
    mean_since_onset(stretches, rise, rise.length_s() * 0.75, rise.length_s())
}

fn mean_since_onset(stretches: &[Stretch], rise: &Rise, from_s: f64, to_s: f64) -> f64 {
    let (mut sum, mut width) = (0.0, 0.0);
    for stretch in stretches {
        let from = (stretch.from_s - rise.onset_s) as f64;
        let to = (stretch.to_s - rise.onset_s) as f64;
        let shared = (to.min(to_s) - from.max(from_s)).max(0.0);
        sum += shared * stretch.mean;
        width += shared;
    }
    sum / width.max(1e-9)
}

/// The mean level over all stretches.
fn mean(stretches: &[Stretch]) -> f64 {
    let (mut sum, mut width) = (0.0, 0.0);
    for stretch in stretches {
        let seconds = (stretch.to_s - stretch.from_s) as f64;
        sum += seconds * stretch.mean;
        width += seconds;
    }
    sum / width
}

/// Fewer closed sessions do not say how long sessions last.
const CLOSED_MIN: u64 = 10;

/// The variance of the difference between the mean level over the newest quarter of `length_s` and
/// that over `before_s` before it, in units of the variance of the level itself.
///
/// Both are parts of one history: what is near in time is alike.
fn difference_var(length_s: f64, before_s: f64, hold_s: f64) -> f64 {
    let means = mean_var(length_s / 4.0 / hold_s) + mean_var(before_s / hold_s);
    means * (1.0 - (-length_s / 2.0 / hold_s).exp())
}

/// The variance of the mean of a level over `holds` hold times, in units of the variance of the
/// level itself, which forgets exponentially.
///
/// Source: Cochran, *Sampling Techniques*, 3rd ed., chapter 8, for exponential correlation.
fn mean_var(holds: f64) -> f64 {
    if holds < 1e-3 {
        return 1.0;
    }
    2.0 / holds * (1.0 - (1.0 - (-holds).exp()) / holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2 √4 = 4, so four units can have four deviations above nothing, and three cannot.
    #[test]
    fn a_level_is_quiet_if_all_of_it_is_too_little() {
        assert_eq!(quiet_level(4.0), Some(3));
        assert_eq!(quiet_level(4.1), Some(4));
        assert_eq!(quiet_level(0.5), Some(0));
        assert_eq!(quiet_level(0.0), None);
        assert_eq!(quiet_level(f64::NAN), None);
    }
}
