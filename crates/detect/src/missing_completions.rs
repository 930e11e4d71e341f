//! Missing completions: calls begin and do not end, which is seen before any of them has ended.
//!
//! `docs/detectors.md`, "Missing completions".

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::calls::Calls;
use crate::detector::Verdict;
use crate::held_open::{HeldOpenSettings, Part, Spell, judge};
use crate::view::{ResourceView, Told};

/// Over so many seconds the ends of calls are looked for, where their beginnings are not logged.
const SPANS_S: [i64; 5] = [3, 6, 12, 24, 48];

/// The detector's state for one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MissingCompletions {
    spell: Spell,
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
        let parts = match view.told {
            Told::Sessions => return Verdict::Quiet,
            _ if !calls.is_known() => return Verdict::Quiet,
            Told::Calls => open_too_long(now, view, calls),
            Told::EndedCalls => never_ended(now, view, calls),
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
    let part = |(holder, track): (usize, &crate::calls::Track)| Part {
        observed: view.holders[holder].held as f64,
        expected: track.expected_open(now, &calls.usual(holder)),
    };
    calls.tracks().iter().enumerate().map(part).collect()
}

/// Of each holder: the ends that are usual in a span, and those that came; as much as the count of
/// all that is open has risen, which says that the calls hang and were not left out.
fn never_ended(now: Second, view: &ResourceView<'_>, calls: &Calls) -> Vec<Part> {
    let usual = &calls.all.usual;
    let usually_held = usual.rate_per_s() * usual.hold_s();
    let rise = view.held as f64 - usually_held;
    // When nothing is free others wait too, and their ends stay away as well.
    let is_full = view.usable.is_some_and(|usable| view.held >= usable);
    if rise < 3.0 || is_full {
        return Vec::new();
    }
    for span_s in SPANS_S {
        let part = |track: &crate::calls::Track| Part {
            observed: track.usual.rate_per_s() * span_s as f64,
            expected: track.since(now, span_s).ended as f64,
        };
        let parts: Vec<Part> = calls.tracks().iter().map(part).collect();
        let missing: f64 = parts.iter().map(|part| (part.observed - part.expected).max(0.0)).sum();
        // Chance alone leaves ends out here and there; it must not explain the rise.
        if missing >= rise {
            return parts;
        }
    }
    Vec::new()
}
