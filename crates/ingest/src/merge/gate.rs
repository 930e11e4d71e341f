//! Where a partition left the clock behind, and where it came back.

use plimsoll_model::Second;
use serde::{Deserialize, Serialize};

/// The offset at which a partition stopped holding the clock, and the tick at which it held it
/// again; `None` while that has not been decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gate {
    pub offset: i64,
    pub floor: Option<Second>,
    /// What had come before, if the partition left before it was read again after a restart.
    pub before: Option<Before>,
}

/// What the records from a gate on had come to in an earlier life of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// The first record that was held when the partition left.
    pub held_from: i64,
    /// Records before this offset took part in the ticks through `through`.
    pub applied_to: i64,
    pub through: Second,
    /// Records before this offset are judged as they were then: the floor counts only for when
    /// they are applied.
    pub judged_to: i64,
}

impl Gate {
    /// A gate that stands where reading had come to.
    pub fn new(offset: i64, floor: Option<Second>) -> Gate {
        Gate { offset, floor, before: None }
    }

    /// The first record that was not applied when the clock passed the gate without it.
    pub fn from(&self) -> i64 {
        self.before.map_or(self.offset, |before| before.held_from)
    }

    /// The first offset to which the gate is an ordinary one.
    pub fn end(&self) -> i64 {
        self.before.map_or(self.offset, |before| before.judged_to)
    }

    /// Whether reading again from `resume_offset` comes to the gate, or to what it says.
    pub fn is_needed(&self, resume_offset: i64) -> bool {
        self.offset >= resume_offset || self.end() > resume_offset
    }
}

/// The tick of a row that was judged to belong to `tick`, or `None` if it was applied there
/// before its partition left.
pub(super) fn not_yet_applied(passed: &[Gate], offset: i64, mut tick: Second) -> Option<Second> {
    let of = |gate: &Gate| gate.before.map(|before| (before, gate.floor));
    let gates = passed.iter().filter_map(of);
    let mut gates: Vec<_> = gates.filter(|(before, _)| offset < before.judged_to).collect();
    // By when they were left, which need not be the order of their offsets: a floor says nothing
    // about what was applied before it.
    gates.sort_by_key(|(before, _)| before.through);
    for (before, floor) in gates {
        if offset < before.applied_to && tick <= before.through {
            return None;
        }
        tick = tick.max(floor.unwrap_or(tick));
    }
    Some(tick)
}
