//! Missing completions: calls begin and do not end, which is seen before any of them has ended.
//!
//! `docs/detectors.md`, "Missing completions".

use std::collections::VecDeque;

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::calls::{Calls, Track};
use crate::detector::Verdict;
use crate::held_open::{HeldOpenSettings, Part, Spell, judge};
use crate::view::{ResourceView, Told};

/// Over so many seconds the ends of calls are looked for, where their beginnings are not logged.
const SPANS_S: [i64; 5] = [3, 6, 12, 24, 48];

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
        let parts = match view.told {
            Told::Sessions => return Verdict::Quiet,
            _ if !calls.is_known() => return Verdict::Quiet,
            Told::Calls => open_too_long(now, view, calls),
            Told::EndedCalls => never_ended(now, view, calls, &self.levels),
        };
        let found = judge(settings, view, &parts);
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
fn never_ended(
    now: Second,
    view: &ResourceView<'_>,
    calls: &Calls,
    levels: &VecDeque<u64>,
) -> Vec<Part> {
    // When nothing is free others wait too, and their ends stay away as well.
    if view.usable.is_some_and(|usable| view.held >= usable) {
        return Vec::new();
    }
    for span_s in SPANS_S {
        let Some(before) = levels.iter().rev().nth(span_s as usize) else { return Vec::new() };
        let rise = view.held.saturating_sub(*before) as f64;
        let part = |track: &Track| {
            let usual = track.usual.rate_per_s() * span_s as f64;
            Part::counted(usual, track.since(now, span_s).ended as f64)
        };
        let mut parts: Vec<Part> = calls.tracks().iter().map(part).collect();
        let missing: f64 = parts.iter().map(|part| part.excess().max(0.0)).sum();
        // Chance leaves ends out here and there: it must not explain the rise, nor exceed it.
        if rise >= 3.0 && missing >= rise {
            for part in &mut parts {
                part.observed = part.expected + part.excess() * rise / missing;
            }
            return parts;
        }
    }
    Vec::new()
}
