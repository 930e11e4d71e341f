//! Missing completions: calls begin and do not end, which is seen before any of them has ended.
//!
//! `docs/detectors.md`, "Missing completions".

use std::collections::VecDeque;

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::calls::{Calls, Track};
use crate::detector::Verdict;
use crate::held_open::{Found, HeldOpenSettings, Part, Spell, distance, judge};
use crate::view::{ResourceView, Told};

/// Over so many seconds the ends of calls are looked for, where their beginnings are not logged.
const SPANS_S: [i64; 9] = [3, 6, 12, 24, 48, 96, 192, 384, 768];
/// A smaller rise of the count is not looked at.
const RISE_MIN: f64 = 3.0;
/// Ends are missing from so many standard deviations below the usual on: with many holders some
/// end less by chance at any time, and their sum would exceed any rise.
const CHANCE: f64 = 4.0;
/// What the calls that end hold is measured over so many of their usual times, at least.
const HOLDS: f64 = 4.0;
/// What is missing may be so many of its standard deviations less than the rise.
const RISE_CHANCE: f64 = 2.0;

/// The detector's state for one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MissingCompletions {
    spell: Spell,
    /// The level at the end of each of the last ticks, where only ended calls are logged.
    levels: VecDeque<u64>,
}

impl MissingCompletions {
    /// The verdict at the end of the tick `now`.
    pub fn step(
        &mut self,
        settings: &HeldOpenSettings,
        now: Second,
        view: &ResourceView<'_>,
        calls: &Calls,
    ) -> Verdict {
        if view.told == Told::EndedCalls {
            self.levels.push_back(view.held);
            if self.levels.len() > SPANS_S[SPANS_S.len() - 1] as usize + 1 {
                self.levels.pop_front();
            }
        }
        let found = match view.told {
            Told::Sessions => return Verdict::Quiet,
            _ if !calls.is_known() => return Verdict::Quiet,
            Told::Calls => judge(settings, view, &open_too_long(now, view, calls)),
            Told::EndedCalls => never_ended(settings, now, view, calls, &self.levels),
        };
        self.spell.step(settings, now, view, calls, found)
    }

    /// What it sees.
    pub fn spell(&self) -> &Spell {
        &self.spell
    }
}

/// Of each holder: the calls that are open, and those that would be if calls took as long as usual.
fn open_too_long(now: Second, view: &ResourceView<'_>, calls: &Calls) -> Vec<Part> {
    // Looking at everybody costs something; the sum says if it is worth it.
    let expected = calls.all.expected_open(now, &calls.all.usual);
    let is_load = view.usable.is_some_and(|usable| expected >= usable as f64);
    if is_load || (view.held as f64) < expected * 0.9 + 2.0 {
        return Vec::new();
    }
    let part = |(holder, track): (usize, &Track)| {
        let expected = track.expected_open(now, &calls.usual(holder));
        Part::counted(view.holders[holder].held as f64, expected)
    };
    calls.tracks().iter().enumerate().map(part).collect()
}

/// Of each holder: the ends that are usual in a span, and those that came; as much as the count of
/// all that is open has risen in it, which says that the calls hang and were not left out.
///
/// The span with the largest excess decides: it reaches back to where the hang began.
fn never_ended(
    settings: &HeldOpenSettings,
    now: Second,
    view: &ResourceView<'_>,
    calls: &Calls,
    levels: &VecDeque<u64>,
) -> Option<Found> {
    // When nothing is free others wait too, and their ends stay away as well.
    if view.usable.is_some_and(|usable| view.held >= usable) {
        return None;
    }
    let mut most: Option<Found> = None;
    for span_s in SPANS_S {
        let Some(before) = levels.iter().rev().nth(span_s as usize) else { break };
        let rise = view.held.saturating_sub(*before) as f64;
        let known = most.as_ref().map_or(0.0, |found| found.part.excess());
        if rise < RISE_MIN || rise <= known {
            continue;
        }
        let parts = explained(now, span_s, rise, calls);
        let found = parts.and_then(|parts| judge(settings, view, &parts));
        most = found.filter(|found| found.part.excess() > known).or(most);
    }
    most.filter(|_| distance(view.held as f64, explicable(now, calls)) >= settings.evidence)
}

/// How many units calls usually hold, or those that end as often as lately, the larger number. A
/// level that is not evidently above it has risen by chance, or come back after a pause, and
/// whoever's ends are missing has only stopped calling.
fn explicable(now: Second, calls: &Calls) -> f64 {
    let window_s = SPANS_S[0].max((HOLDS * calls.all.usual.hold_s()).ceil() as i64);
    let tracks = calls.tracks().iter().enumerate();
    let held_s = tracks.map(|(holder, track)| match track.since(now, window_s).ended {
        0 => 0.0,
        ended => ended as f64 * calls.usual(holder).hold_s(),
    });
    calls.all.usual_held().max(held_s.sum::<f64>() / window_s as f64)
}

/// The parts of holders in a rise of the count within a span; `None` if what is missing does not
/// explain it. Holders whose ends are each missing beyond chance have their own part; the others
/// are asked together, and share theirs by their usual rates.
fn explained(now: Second, span_s: i64, rise: f64, calls: &Calls) -> Option<Vec<Part>> {
    let ends = |track: &Track| {
        let usual = track.usual.rate_per_s() * span_s as f64;
        (usual, track.since(now, span_s).ended as f64)
    };
    let ends: Vec<(f64, f64)> = calls.tracks().iter().map(ends).collect();
    let is_missing = |(usual, came): (f64, f64)| shortfall(came, usual) >= CHANCE;
    let (mut usual, mut missing, mut rest) = (0.0, 0.0, (0.0, 0.0));
    for &(own, came) in &ends {
        if is_missing((own, came)) {
            usual += own;
            missing += own - came;
        } else {
            rest = (rest.0 + own, rest.1 + came);
        }
    }
    let rest_missing = if is_missing(rest) { rest.0 - rest.1 } else { 0.0 };
    if rest_missing > 0.0 {
        usual += rest.0;
        missing += rest_missing;
    }
    // What is missing is known as well as what is usual in so short a time.
    if missing <= 0.0 || missing + RISE_CHANCE * usual.sqrt() < rise {
        return None;
    }
    let scale = (rise / missing).min(1.0);
    let part = |&(own, came): &(f64, f64)| {
        let excess = match is_missing((own, came)) {
            true => own - came,
            false => rest_missing * own / rest.0.max(1e-9),
        };
        Part::counted(came + excess * scale, came)
    };
    Some(ends.iter().map(part).collect())
}

/// How many standard deviations a count lies below the usual one: as
/// [`crate::held_open::distance`], below it.
fn shortfall(count: f64, usual: f64) -> f64 {
    if count >= usual {
        return 0.0;
    }
    let ratio = if count > 0.0 { count * (count / usual).ln() } else { 0.0 };
    (2.0 * (ratio + usual - count)).sqrt()
}
