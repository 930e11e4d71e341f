//! What is remembered of the calls of a resource: how many began and ended lately, and how long
//! they usually take.
//!
//! `docs/detectors.md`, "Held open".

use std::collections::VecDeque;

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::view::{AGES, Ages, HolderLevel, ResourceView, age_s};

/// Buckets of one width; beyond it the two oldest become one of twice the width.
const BUCKETS_PER_WIDTH: usize = 8;
/// The widest buckets have 2^12 seconds: nine hours are remembered.
const WIDTHS: u8 = 12;
/// What was learned half an hour ago counts half.
pub(crate) const HALF_LIFE_S: f64 = 1_800.0;
/// How often what is usual is learned anew, in seconds.
const LEARN_EVERY_S: i64 = 10;
/// So many calls of all holders together stand in for those that a holder has not made yet.
const BORROWED: f64 = 20.0;
/// Fewer calls do not say what is usual.
const CALLS_MIN: f64 = 50.0;
/// Nor does a log that is younger than this, and than so many mean hold times.
const KNOWN_S: f64 = 60.0;
const KNOWN_HOLDS: f64 = 20.0;
/// At most this part of a holder's calls is usually as long as its bar.
const LONG_SHARE: f64 = 0.15;

/// What happened in a run of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Calls that began.
    pub began: u64,
    /// Calls that ended.
    pub ended: u64,
    /// The time that the ended ones took, in microseconds.
    pub age_us: u64,
    /// Those of the ended that took longer than the bar.
    pub long: u64,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.began += other.began;
        self.ended += other.ended;
        self.age_us += other.age_us;
        self.long += other.long;
    }

    /// `inside` parts of `whole`, rounded.
    fn part(self, inside: u64, whole: u64) -> Sums {
        let part = |sum: u64| (sum.saturating_mul(inside) + whole / 2) / whole;
        Sums {
            began: part(self.began),
            ended: part(self.ended),
            age_us: part(self.age_us),
            long: part(self.long),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    /// Its first and its last second.
    from: i64,
    to: i64,
    width: u8,
    sums: Sums,
}

/// Sums by age, coarser with it.
///
/// Source of the merging: Datar, Gionis, Indyk and Motwani, "Maintaining stream statistics over
/// sliding windows" (2002).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Recent(VecDeque<Bucket>);

impl Recent {
    fn push(&mut self, now: i64, sums: Sums) {
        self.0.push_back(Bucket { from: now, to: now, width: 0, sums });
        let mut end = self.0.len();
        for width in 0..=WIDTHS {
            let same = self.0.range(..end).rev().take_while(|bucket| bucket.width == width);
            let count = same.count();
            if count <= BUCKETS_PER_WIDTH {
                return;
            }
            let oldest = end - count;
            if width == WIDTHS {
                self.0.remove(oldest);
                return;
            }
            let Some(second) = self.0.remove(oldest + 1) else { return };
            let merged = &mut self.0[oldest];
            merged.sums.add(second.sums);
            merged.to = second.to;
            merged.width += 1;
            end = oldest + 1;
        }
    }

    /// What happened in the `seconds` that end with the tick `now`. Of a bucket that lies half
    /// outside, half counts.
    fn since(&self, now: i64, seconds: i64) -> Sums {
        let before = now - seconds;
        let mut sums = Sums::default();
        for bucket in self.0.iter().rev().take_while(|bucket| bucket.to > before) {
            let (inside, whole) = (bucket.to - before, bucket.to + 1 - bucket.from);
            sums.add(match inside < whole {
                true => bucket.sums.part(inside as u64, whole as u64),
                false => bucket.sums,
            });
        }
        sums
    }
}

/// How long calls usually take, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    ages: [f32; AGES],
    /// Ended calls that were learned from, by their weights.
    pub calls: f64,
    age_s: f64,
    /// Seconds that were learned from, by their weights.
    seconds: f64,
}

impl Usual {
    fn fade(&mut self, seconds: f64) {
        let factor = (-seconds * std::f64::consts::LN_2 / HALF_LIFE_S).exp();
        self.ages.iter_mut().for_each(|count| *count *= factor as f32);
        self.calls *= factor;
        self.age_s *= factor;
        self.seconds = self.seconds * factor + seconds;
    }

    fn learn(&mut self, counts: &[u32; AGES], ended: u64, age_us: u64) {
        for (usual, count) in self.ages.iter_mut().zip(counts) {
            *usual += *count as f32;
        }
        self.calls += ended as f64;
        self.age_s += age_us as f64 / 1e6;
    }

    /// This with `share` of the mean call of `all`.
    fn with(&self, all: &Usual, share: f64) -> Usual {
        let mut sum = self.clone();
        let part = share / all.calls.max(1.0);
        for (own, other) in sum.ages.iter_mut().zip(&all.ages) {
            *own += *other * part as f32;
        }
        sum.calls += all.calls * part;
        sum.age_s += all.age_s * part;
        sum
    }

    /// The usual mean time of a call, in seconds.
    pub fn hold_s(&self) -> f64 {
        self.age_s / self.calls.max(1e-9)
    }

    /// The seconds that were learned from; what is older counts less.
    pub fn learned_s(&self) -> f64 {
        self.seconds
    }

    /// How many calls a second usually end.
    pub fn rate_per_s(&self) -> f64 {
        self.calls / self.seconds.max(1.0)
    }

    /// How many of a call's seconds usually lie before its age `age_s`: the integral of the part
    /// of calls that are still open.
    pub fn open_s(&self, until_s: f64) -> f64 {
        let (mut open, mut all) = (0.0, 0.0);
        for (place, count) in self.ages.iter().enumerate() {
            let (from, to) = (age_s(place), age_s(place + 1));
            let count = f64::from(*count);
            let middle = (from + to) / 2.0;
            all += count * middle;
            open += count
                * match until_s {
                    age if age <= from => age,
                    age if age >= to => middle,
                    age => age - (age - from).powi(2) / (2.0 * (to - from)),
                };
        }
        // Inside a place ages are taken as evenly spread; the mean is known better than that.
        if all > 0.0 { open / all * self.hold_s() } else { 0.0 }
    }

    /// The first place whose calls are longer than nearly all, and the part that they usually are.
    fn bar(&self) -> (usize, f64) {
        let all: f64 = self.ages.iter().map(|count| f64::from(*count)).sum();
        let mut above = 0.0;
        for place in (0..AGES).rev() {
            let with = above + f64::from(self.ages[place]);
            if with > LONG_SHARE * all {
                return (place + 1, above / all.max(1e-9));
            }
            above = with;
        }
        (AGES, 0.0)
    }
}

/// One holder's calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    recent: Recent,
    seen: (u64, u64, u64),
    seen_ages: Ages,
    learned: (u64, u64),
    learned_ages: Ages,
    /// What is usual of it.
    pub usual: Usual,
    bar: usize,
    /// The part of its calls that usually exceeds the bar.
    pub long_share: f64,
    /// Waits and refusals when nothing was unusual: number, microseconds, refusals.
    pub calm: (u64, u64, u64),
}

impl Track {
    fn observe(&mut self, now: i64, level: &HolderLevel) {
        let (began, ended, age_us) = self.seen;
        let counts = level.ages.0.iter().zip(&self.seen_ages.0).skip(self.bar);
        let sums = Sums {
            began: level.opened - began,
            ended: level.closed - ended,
            age_us: level.closed_age_us - age_us,
            long: counts.map(|(now, before)| u64::from(now - before)).sum(),
        };
        self.seen = (level.opened, level.closed, level.closed_age_us);
        self.seen_ages = level.ages;
        if sums != Sums::default() {
            self.recent.push(now, sums);
        }
    }

    /// What happened in the last `seconds`.
    pub fn since(&self, now: Second, seconds: i64) -> Sums {
        self.recent.since(now.0, seconds)
    }

    /// How many units it usually holds, by Little's law.
    pub fn usual_held(&self) -> f64 {
        self.usual.rate_per_s() * self.usual.hold_s()
    }

    /// How many of its calls would be open now if they took as long as `usual`.
    pub fn expected_open(&self, now: Second, usual: &Usual) -> f64 {
        let mut expected = 0.0;
        for bucket in self.recent.0.iter().rev() {
            let (from, to) = ((now.0 - bucket.to) as f64, (now.0 + 1 - bucket.from) as f64);
            let open = (usual.open_s(to) - usual.open_s(from)) / (to - from);
            expected += bucket.sums.began as f64 * open;
            if open < 1e-9 && from > 4.0 * usual.hold_s() {
                break;
            }
        }
        expected
    }
}

/// Whether a level is hardly above the expected one.
pub fn is_usual(held: u64, expected: f64) -> bool {
    (held as f64) < expected * 1.2 + 2.0
}

/// The calls of one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    tracks: Vec<Track>,
    /// The calls of all together.
    pub all: Track,
    learned_at: Option<Second>,
}

impl Calls {
    /// The calls of each holder, by its index.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// What is usual of a holder; with calls of others while it has made few.
    pub fn usual(&self, holder: usize) -> Usual {
        let own = &self.tracks[holder].usual;
        match BORROWED - own.calls {
            missing if missing > 0.0 => own.with(&self.all.usual, missing),
            _ => own.clone(),
        }
    }

    /// Whether enough is known to say what is usual: long calls are seen to end later than short
    /// ones, so a young log knows the short ones only.
    pub fn is_known(&self) -> bool {
        let Usual { calls, seconds, .. } = &self.all.usual;
        *calls >= CALLS_MIN && *seconds >= KNOWN_S + KNOWN_HOLDS * self.all.usual.hold_s()
    }

    /// Takes over what changed in the tick `now`.
    pub fn observe(&mut self, now: Second, view: &ResourceView<'_>) {
        self.tracks.resize_with(view.holders.len(), Track::default);
        let mut sums = Sums::default();
        for &holder in view.changed {
            let (track, level) =
                (&mut self.tracks[holder as usize], &view.holders[holder as usize]);
            track.observe(now.0, level);
            if let Some(bucket) = track.recent.0.back().filter(|bucket| bucket.from == now.0) {
                sums.add(bucket.sums);
            }
        }
        if sums != Sums::default() {
            self.all.recent.push(now.0, sums);
        }
    }

    /// Learns what is usual, but not from the holders of which `is_unusual`.
    pub fn learn(
        &mut self,
        now: Second,
        view: &ResourceView<'_>,
        is_calm: bool,
        is_unusual: impl Fn(&HolderLevel) -> bool,
    ) {
        let since = self.learned_at.map_or(LEARN_EVERY_S, |at| now.since(at));
        if since < LEARN_EVERY_S {
            return;
        }
        self.learned_at = Some(now);
        self.all.usual.fade(since as f64);
        for (track, level) in self.tracks.iter_mut().zip(view.holders) {
            let (ended, age_us) = track.learned;
            let learned_ages = track.learned_ages;
            track.learned = (level.closed, level.closed_age_us);
            track.learned_ages = level.ages;
            if is_unusual(level) {
                continue;
            }
            if is_calm {
                track.calm = (level.waited, level.waited_us, level.refused);
            }
            let mut counts = level.ages.0;
            counts.iter_mut().zip(learned_ages.0).for_each(|(count, before)| *count -= before);
            let (ended, age_us) = (level.closed - ended, level.closed_age_us - age_us);
            track.usual.fade(since as f64);
            track.usual.learn(&counts, ended, age_us);
            self.all.usual.learn(&counts, ended, age_us);
        }
        for holder in 0..self.tracks.len() {
            (self.tracks[holder].bar, self.tracks[holder].long_share) = self.usual(holder).bar();
        }
    }
}
