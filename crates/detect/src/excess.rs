//! What is held beyond what calls of the usual length explain, where only ended calls are logged.
//!
//! A test with a known rate of false alarms; who it is stands elsewhere. `docs/detectors.md`,
//! "Missing completions".

use std::collections::VecDeque;

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::calls::{Calls, HALF_LIFE_S};
use crate::open_ages::Older;
use crate::view::{ResourceView, Told};

/// Calls are looked at that are older than 0, 1, 2, 4 … 1,024 seconds.
const AGES: usize = 12;
/// In so many days of ordinary traffic at most one false alarm is expected.
const QUIET_DAYS: f64 = 30.0;
const DAY_S: f64 = 86_400.0;
/// Calls are looked at once the log is so many times as old.
const KNOWN_AGES: i64 = 8;
/// What was told goes on while this part of the evidence is left.
const LEFT: f64 = 0.25;
/// An excess of young calls counts with so much evidence: three standard deviations.
const YOUNG_NATS: f64 = 4.5;
/// The excess of so many seconds is remembered.
const TREND_S: usize = 240;
/// Fewer seconds show no trend.
const TREND_MIN_S: usize = 6;
/// An excess is over when none was seen for so long, in seconds.
const OVER_S: i64 = 60;
/// So many that were over without harm are remembered, and for how long, in seconds.
const PAST_MAX: usize = 64;
const PAST_S: i64 = 8 * 86_400;
/// From this part of the limit on an excess does harm.
const HARM: f64 = 0.9;
/// One that comes again is as high as before, give or take this part and so many units.
const ALIKE: f64 = 1.25;
const ALIKE_UNITS: f64 = 2.0;
/// One that comes again at the same time of day is at most so many seconds early or late; one that
/// comes at intervals of its own, this part of them.
const CLOCK_S: i64 = 1_200;
const INTERVAL: i64 = 10;
/// Shorter intervals are none.
const INTERVAL_MIN_S: i64 = 600;
/// The 80 % interval of a normal quantity has so many standard deviations on each side.
const DEVIATIONS: f64 = 1.2816;

/// What is learned and remembered of one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    /// Of every age: calls that were older in calm times, and those that were expected, each call
    /// once.
    calm: [(f64, f64); AGES],
    /// Seconds in which nothing was free, and all seconds, faded alike.
    full: (f64, f64),
    /// The excess of calls older than the usual, of the last seconds.
    trend: VecDeque<f32>,
    /// The newest look.
    look: Option<Look>,
    /// The excess that is going on.
    episode: Option<Episode>,
    /// Those that were over without harm, the oldest first.
    past: VecDeque<Episode>,
    /// What it is made of.
    #[serde(skip)]
    profile: [(f64, f64); AGES],
}

/// What is seen in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Units held, of the calls that are looked at.
    pub held: f64,
    /// Those that calls of the usual length would hold.
    pub expected: f64,
    /// Minus the logarithm of a bound of the chance that as many are held.
    nats: f64,
    /// From how many on it is no chance.
    needed: f64,
}

impl Look {
    /// Units beyond what is usual.
    pub fn units(&self) -> f64 {
        self.held - self.expected
    }

    /// The evidence that is no chance.
    pub fn needed(&self) -> f64 {
        self.needed
    }

    /// Whether it is no chance; what `goes_on` needs less.
    pub fn is_evident(&self, goes_on: bool) -> bool {
        self.nats >= self.needed * if goes_on { LEFT } else { 1.0 }
    }
}

/// A time in which more was held than is usual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Episode {
    from: Second,
    until: Second,
    /// The most units of it.
    peak: f64,
    harm: bool,
}

/// How an excess goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ahead {
    /// Units a second; zero if it is not sure that it grows.
    pub rate_per_s: f64,
    /// The units that this was seen from.
    pub gain: f64,
    /// How many units it still grows by at most, if it grows more slowly than before.
    pub settles_within: Option<f64>,
}

impl Excess {
    /// Looks at the second that ends.
    pub fn step(&mut self, now: Second, view: &ResourceView<'_>, calls: &Calls) {
        self.look = None;
        let (Told::EndedCalls, Some(ages), true) = (view.told, view.ages, calls.is_known()) else {
            return;
        };
        let is_full = view.usable.is_some_and(|usable| view.held >= usable);
        self.fade();
        self.full.0 += f64::from(u8::from(is_full));
        self.full.1 += 1.0;
        let mut profile = profile(ages.older(), calls);
        let (known_s, learned_s) =
            (now.since(view.first_seen), calls.all.usual.learned_s().max(1.0));
        for ((held, expected), age) in profile.iter_mut().zip(age_of()) {
            // A log knows of long calls only what can have ended in it.
            if age * KNOWN_AGES > known_s {
                (*held, *expected) = (0.0, 0.0);
            }
            // One call more than was ever seen, for as long again: no length is impossible.
            *expected += age as f64 / learned_s;
        }
        self.profile = profile;
        let needed = self.needed(is_full, calls);
        let mut best: Option<(usize, Look)> = None;
        self.look = Some(Look { needed, ..Look::default() });
        for (place, (held, expected)) in profile.iter().copied().enumerate() {
            let Some((usual, nats)) = self.surprise(place, held, expected) else { continue };
            let look = Look { held, expected: usual, nats, needed };
            if best.is_none_or(|(_, known)| look.nats > known.nats) {
                best = Some((place, look));
            }
        }
        if let Some((place, best)) = &mut best {
            // Younger calls belong to it as well, as far as they are no chance.
            for (young, (held, expected)) in profile.iter().copied().enumerate().take(*place) {
                let Some((usual, nats)) = self.surprise(young, held, expected) else { continue };
                if nats >= YOUNG_NATS && held - usual > best.held - best.expected {
                    (best.held, best.expected) = (held, usual);
                }
            }
        }
        let usual = profile
            .iter()
            .zip(age_of())
            .rposition(|(_, age)| age as f64 <= calls.all.usual.hold_s());
        let (held, expected) = profile[usual.unwrap_or(0)];
        self.trend.push_back((held - expected) as f32);
        let beyond = self.trend.len().saturating_sub(TREND_S);
        self.trend.drain(..beyond);
        self.look = best.map(|(_, look)| look).or(self.look);
        self.follow(now, view);
    }

    /// Follows the excess that is going on, if one is.
    fn follow(&mut self, now: Second, view: &ResourceView<'_>) {
        let going_on = self.episode.is_some();
        let seen = self.look.filter(|look| look.is_evident(going_on));
        if let Some(look) = seen {
            let new = Episode { from: now, until: now, peak: 0.0, harm: false };
            let episode = self.episode.get_or_insert(new);
            episode.until = now;
            episode.peak = episode.peak.max(look.units());
            let harm = |usable: u64| view.held as f64 >= HARM * usable as f64;
            episode.harm |= view.usable.is_some_and(harm);
        }
        if let Some(over) = self.episode.filter(|episode| now.since(episode.until) >= OVER_S) {
            self.episode = None;
            if !over.harm {
                self.past.push_back(over);
            }
            let beyond = self.past.len().saturating_sub(PAST_MAX);
            self.past.drain(..beyond);
            self.past.retain(|past| now.since(past.until) < PAST_S);
        }
    }

    /// Whether the excess that is going on came before and was over without harm: about as high,
    /// at this time of an earlier day or at a regular interval.
    pub fn came_before(&self) -> bool {
        let (Some(episode), Some(look)) = (self.episode, self.look) else { return false };
        let is_alike = |past: &Episode| look.units() <= ALIKE * past.peak + ALIKE_UNITS;
        let began_before = |other: &Episode| episode.from.since(other.from);
        self.past.iter().filter(|past| is_alike(past)).any(|past| {
            let ago_s = began_before(past);
            let off_s = (ago_s + 43_200).rem_euclid(86_400) - 43_200;
            let is_daily = ago_s > 43_200 && off_s.abs() <= CLOCK_S;
            is_daily
                || self.past.iter().any(|first| {
                    let interval_s = past.from.since(first.from);
                    interval_s >= INTERVAL_MIN_S
                        && (ago_s - interval_s).abs() <= interval_s / INTERVAL
                })
        })
    }

    /// Learns that the newest look was an ordinary one.
    pub fn learn(&mut self, calls: &Calls) {
        // What may be the beginning of an excess is not an ordinary look.
        if self.look.is_none_or(|look| look.is_evident(true)) {
            return;
        }
        let hold_s = calls.all.usual.hold_s();
        for ((calm, seen), age) in self.calm.iter_mut().zip(self.profile).zip(age_of()) {
            // A call is seen every second for as long as it is older; it counts once.
            let each = 1.0 / hold_s.max(age as f64).max(1.0);
            calm.0 += seen.0.max(0.0) * each;
            calm.1 += seen.1.max(0.0) * each;
        }
    }

    /// What the newest second shows.
    pub fn look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    /// Units that are held now beyond what as many calls usually hold, be it by chance.
    pub fn units(&self) -> f64 {
        self.trend.back().map_or(0.0, |units| f64::from(*units))
    }

    fn fade(&mut self) {
        let factor = (-std::f64::consts::LN_2 / HALF_LIFE_S).exp();
        for (seen, expected) in &mut self.calm {
            (*seen, *expected) = (*seen * factor, *expected * factor);
        }
        self.full = (self.full.0 * factor, self.full.1 * factor);
    }

    /// The evidence from which on chance alone explains less than one case in [`QUIET_DAYS`], by
    /// the sum of the chances of every look at every age. Where everything is taken, only the
    /// looks at such seconds are counted.
    fn needed(&self, is_full: bool, calls: &Calls) -> f64 {
        // Levels forget within a hold time, so that seconds of one are one look.
        let look_s = calls.all.usual.hold_s().max(1.0);
        let part = (self.full.0 + look_s) / (self.full.1 + look_s);
        let looks = AGES as f64 * QUIET_DAYS * DAY_S * if is_full { part } else { 1.0 };
        looks.ln()
    }

    /// How many calls are expected, and minus the logarithm of a bound of the chance that `held`
    /// are open: of two Poisson counts with the expectations `expected` now and the calm one, given
    /// their sum, one is binomial, and its tail is at most exp(−n KL) (Chernoff).
    ///
    /// What was seen in calm times corrects what is expected, and says how well it is known. One
    /// call as expected stands in for what was not seen yet.
    fn surprise(&self, place: usize, held: f64, expected: f64) -> Option<(f64, f64)> {
        let (calm, usual) = (self.calm[place].0 + 1.0, self.calm[place].1 + 1.0);
        let expected = expected.max(1e-6);
        let part = expected / (expected + usual);
        let sum = held + calm;
        if held <= sum * part {
            return None;
        }
        let nats = held * (held / (sum * part)).ln() + calm * (calm / (sum * (1.0 - part))).ln();
        Some((expected * calm / usual, nats))
    }

    /// How the excess goes on: the newer half of its rise against the older one.
    pub fn ahead(&self) -> Ahead {
        // The rise begins where there was no excess.
        let newest_first = self.trend.iter().rev();
        let length = newest_first.take_while(|excess| **excess > 1.0).count();
        let half = (length / 2).max(TREND_MIN_S / 2);
        let at = |back: usize| {
            let place = self.trend.len().checked_sub(back + 1);
            let excess = place.and_then(|place| self.trend.get(place));
            excess.map_or(0.0, |excess| f64::from(*excess).max(0.0))
        };
        let (newer, older) = (at(0) - at(half), at(half) - at(2 * half));
        // Each gain is a count.
        let chance = |gain: f64| DEVIATIONS * gain.abs().max(1.0).sqrt();
        let is_even = (newer - older).abs() <= chance(newer + older);
        let (gain, seconds) = if is_even { (newer + older, 2 * half) } else { (newer, half) };
        // A level that settles does so by the same part in every such time.
        let (newer_most, older_least) = (newer.max(0.0) + chance(newer), older - chance(older));
        let settles = length >= 2 * TREND_MIN_S && newer_most < older_least;
        let settles_within = settles.then(|| {
            let part = newer_most / older_least;
            newer_most * part / (1.0 - part)
        });
        let gain = if gain > chance(gain) { gain } else { 0.0 };
        Ahead { rate_per_s: gain / seconds as f64, gain, settles_within }
    }
}

fn age_of() -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator {
    (0..AGES).map(|place| if place == 0 { 0 } else { 1_i64 << (place - 1) })
}

/// Of every age: the calls that are open and older, and those of all calls that began before that
/// would be if they took as long as usual.
fn profile(older: impl Iterator<Item = Older>, calls: &Calls) -> [(f64, f64); AGES] {
    let usual = &calls.all.usual;
    // Where ages are told apart: a quarter of each age, and no finer than they are known.
    let mut points: Vec<Older> = Vec::new();
    for point in older {
        // Half a second less: counts are not made at the same part of every second.
        let is_apart = |last: &Older| point.age_s >= last.age_s + (last.age_s / 4.0).max(1.0) - 0.5;
        if points.last().is_none_or(is_apart) {
            points.push(point);
        }
    }
    let mut profile = [(0.0, 0.0); AGES];
    let Some(oldest) = points.last() else { return profile };
    let rest_s = usual.hold_s() - usual.open_s(oldest.age_s);
    let mut expected = usual.rate_per_s() * rest_s.max(0.0);
    let mut before = *oldest;
    for point in points.iter().rev() {
        let (from, to) = (point.age_s, before.age_s);
        if to > from {
            let open = (usual.open_s(to) - usual.open_s(from)) / (to - from);
            expected += (before.began_since - point.began_since) as f64 * open;
        }
        // The youngest point that is as old has the last word.
        for (known, _) in
            profile.iter_mut().zip(age_of()).filter(|(_, age)| *age as f64 <= point.age_s)
        {
            *known = (point.open as f64, expected);
        }
        before = *point;
    }
    profile
}
