//! Missing completions: calls begin and do not end, which is seen before any of them has ended.
//!
//! `docs/detectors.md`, "Missing completions".

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::calls::{Calls, Track};
use crate::detector::Verdict;
use crate::excess::Excess;
use crate::held_open::{HeldOpenSettings, Part, Spell, judge};
use crate::missing_ends;
use crate::view::{ResourceView, Told};

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
        excess: &Excess,
    ) -> Verdict {
        let found = match view.told {
            Told::Sessions => return Verdict::Quiet,
            _ if !calls.is_known() => return Verdict::Quiet,
            Told::Calls => judge(settings, view, &open_too_long(now, view, calls)),
            Told::EndedCalls => {
                missing_ends::found(settings, now, view, calls, excess, self.spell.is_told())
            }
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
