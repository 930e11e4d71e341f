//! Hold-time shift: calls that ended took longer than they usually do, by so much that it explains
//! the slots that are held.
//!
//! `docs/detectors.md`, "Hold-time shift".

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use crate::calls::{Calls, Track, is_usual};
use crate::detector::Verdict;
use crate::excess::Excess;
use crate::held_open::{Found, HeldOpenSettings, Part, Spell, distance, excess_min, judge};
use crate::view::{ResourceView, Told};

/// The spans over which ended calls are looked at, in seconds.
const SPANS_S: [i64; 5] = [4, 15, 60, 240, 900];

/// The newest part of a span that must show the shift, in seconds, at most.
const NEWEST_S: i64 = 15;

/// The detector's state for one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HoldTimeShift {
    spell: Spell,
}

impl HoldTimeShift {
    /// The verdict at the end of the tick `now`.
    pub fn step(
        &mut self,
        settings: &HeldOpenSettings,
        now: Second,
        view: &ResourceView<'_>,
        calls: &Calls,
        excess: &Excess,
    ) -> Verdict {
        if view.told == Told::Sessions || !calls.is_known() {
            return Verdict::Quiet;
        }
        // What is over by now is not told, however long ago a span reaches.
        let is_over = match view.told {
            Told::Calls => {
                let expected = calls.all.expected_open(now, &calls.all.usual);
                view.held > 0 && is_usual(view.held, expected)
            }
            _ => false,
        };
        let found = match view.told {
            _ if is_over => None,
            Told::EndedCalls => self.held_still(settings, now, view, calls, excess),
            _ => shifted(settings, now, view, calls, 0.0),
        };
        self.spell.step(settings, now, view, calls, found)
    }

    /// Where only ended calls are logged: whose ended calls took longer, as far as more is held
    /// than is usual now. Where that may be chance, the number of long calls must be none.
    fn held_still(
        &self,
        settings: &HeldOpenSettings,
        now: Second,
        view: &ResourceView<'_>,
        calls: &Calls,
        excess: &Excess,
    ) -> Option<Found> {
        let look = excess.look()?;
        let nats = match look.is_evident(self.spell.is_told()) {
            true => 0.0,
            // Every holder is looked at.
            false => look.needed() + (calls.tracks().len() as f64).ln(),
        };
        let units = look.units().max(excess.units());
        let comes_again = excess.came_before() && !self.spell.is_told();
        if units < excess_min(settings, view) || comes_again {
            return None;
        }
        let found = shifted(settings, now, view, calls, nats)?.at_most(units);
        Some(Found { ahead: Some(excess.ahead()), ..found })
    }

    /// What it sees.
    pub fn spell(&self) -> &Spell {
        &self.spell
    }
}

/// Whose ended calls took longer than they usually do, with the evidence `nats` in the number of
/// long ones: minus the logarithm of the chance of as many.
pub(crate) fn shifted(
    settings: &HeldOpenSettings,
    now: Second,
    view: &ResourceView<'_>,
    calls: &Calls,
    nats: f64,
) -> Option<Found> {
    SPANS_S.into_iter().find_map(|span_s| shift(settings, now, span_s, view, calls, nats))
}

/// Little's law over one span: of each holder the slots that its ended calls held in the mean, and
/// those that as many calls usually hold.
fn shift(
    settings: &HeldOpenSettings,
    now: Second,
    span_s: i64,
    view: &ResourceView<'_>,
    calls: &Calls,
    nats: f64,
) -> Option<Found> {
    let slots = |age_s: f64| age_s / span_s as f64;
    let sums = calls.all.since(now, span_s);
    let usually_s = sums.ended as f64 * calls.all.usual.hold_s();
    let is_load = view.usable.is_some_and(|usable| slots(usually_s) >= usable as f64);
    let newest_span_s = (span_s / 4).clamp(2, NEWEST_S);
    let newest = calls.all.since(now, newest_span_s);
    let newest_s = newest.age_us as f64 / 1e6 - newest.ended as f64 * calls.all.usual.hold_s();
    let excess_s = sums.age_us as f64 / 1e6 - usually_s;
    // The newest part must have its share: what is over by now is not told.
    let newest_min_s = excess_s / span_s as f64 * newest_span_s as f64 / 2.0;
    if is_load || slots(excess_s) < 2.0 || newest_s < newest_min_s {
        return None;
    }
    let part = |(holder, track): (usize, &Track)| {
        let sums = track.since(now, span_s);
        let expected = slots(sums.ended as f64 * calls.usual(holder).hold_s());
        // Calls that ended together held no more slots than they were, however long.
        let mean_s = sums.age_us as f64 / 1e6 / sums.ended.max(1) as f64;
        let together = track.since(now, span_s.max(mean_s.ceil() as i64)).ended;
        let observed = slots(sums.age_us as f64 / 1e6).min(together as f64);
        // A few calls that took very long are chance: many must be longer than nearly all were.
        let count = (sums.long as f64, track.long_share * sums.ended as f64 + 0.1);
        Part { observed, expected, count }
    };
    let parts: Vec<Part> = calls.tracks().iter().enumerate().map(part).collect();
    let found = judge(settings, view, &parts)?;
    let (long, usual) = found.part.count;
    (distance(long, usual).powi(2) / 2.0 >= nats).then_some(found)
}
