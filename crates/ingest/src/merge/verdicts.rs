//! What was decided about the records that would be read again after a restart.

use std::collections::{BTreeMap, VecDeque};

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

use super::guard::Fate;

/// The decisions about one partition's records from where it would be read again.
///
/// A record is decided once. Whoever reads it again looks here, so that it gets the same tick, and
/// whether that tick is closed says whether it was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdicts {
    /// Records from this offset on were believed at once, and are applied at this tick or at their
    /// own, whichever is later.
    runs: VecDeque<(i64, Second)>,
    /// Records that were held before they were decided.
    later: BTreeMap<i64, Fate>,
    /// Oldest first.
    gaps: Vec<Gap>,
}

/// Records that the clock did not wait for, although they had been judged: their partition was set
/// aside before it was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    from: i64,
    to: i64,
    /// The first tick that was not closed when the partition left: rows before it were applied.
    open: Option<Second>,
    /// The first tick that was not closed when it came back: the other rows are applied there, or
    /// later. `None` while it is away.
    floor: Option<Second>,
}

impl Verdicts {
    /// The record was believed when it was read.
    #[inline]
    pub fn believed(&mut self, offset: i64, earliest: Second) {
        if self.runs.back().is_none_or(|(_, last)| *last != earliest) {
            self.runs.push_back((offset, earliest));
        }
    }

    /// The record had been held.
    pub fn decided_later(&mut self, offset: i64, fate: Fate) {
        self.later.insert(offset, fate);
    }

    /// What was decided about a record that is not held.
    pub fn fate(&self, offset: i64) -> Option<Fate> {
        let run = || {
            let after = self.runs.partition_point(|(from, _)| *from <= offset);
            let (_, earliest) = self.runs.get(after.checked_sub(1)?)?;
            Some(Fate::Believed(*earliest))
        };
        self.later.get(&offset).copied().or_else(run)
    }

    /// The partition left when it stood at `from`, and had once been judged up to `to`.
    pub fn leave(&mut self, from: i64, to: i64, open: Option<Second>) {
        self.gaps.push(Gap { from, to, open, floor: None });
    }

    /// If it left like that, it came back.
    pub fn rejoin(&mut self, floor: Second) {
        if let Some(gap) = self.gaps.last_mut() {
            gap.floor.get_or_insert(floor);
        }
    }

    /// The tick of a row that was judged to belong to `tick`; `None` if it was applied there before
    /// its partition left.
    pub fn behind_gaps(&self, offset: i64, mut tick: Second) -> Option<Second> {
        for gap in self.gaps.iter().filter(|gap| gap.from <= offset && offset < gap.to) {
            if gap.open.is_some_and(|open| tick < open) {
                return None;
            }
            tick = tick.max(gap.floor.unwrap_or(tick));
        }
        Some(tick)
    }

    /// Records before `offset` will not be read again.
    pub fn forget_before(&mut self, offset: i64) {
        while self.runs.get(1).is_some_and(|(from, _)| *from <= offset) {
            self.runs.pop_front();
        }
        while self.later.first_key_value().is_some_and(|(at, _)| *at < offset) {
            self.later.pop_first();
        }
        self.gaps.retain(|gap| gap.to > offset);
    }

    /// Gives every record its own tick, whatever had closed when it came.
    #[cfg(feature = "planted-faults")]
    pub fn forget_floors(&mut self) {
        for (_, earliest) in &mut self.runs {
            *earliest = plimsoll_model::Time::EARLIEST.second();
        }
    }
}
