//! How an open incident went on after its last transition: one level for each step since it was
//! first watched, in a bounded place.

use plimsoll_model::evidence::PANE_SECONDS;
use plimsoll_model::{IncidentId, Second};

/// Steps that are kept. When there would be more, each becomes twice as wide.
pub const FOLLOWED_STEPS_MAX: usize = 480;

/// One open incident, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// Units that count against its limit, held by everybody; of memory, by the fullest instance
    /// that it is about. `None` while there is nobody to measure.
    pub level: Option<u64>,
    /// Units held by its owner, if it has one.
    pub owner_level: Option<u64>,
    /// Whether the lowest level of a step is kept rather than the last: memory that a collector
    /// frees says nothing at its peaks.
    pub lowest: bool,
}

/// The levels of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its beginning.
    pub start: Second,
    pub level: Option<u64>,
    pub owner_level: Option<u64>,
}

/// One incident since it was first watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    pub step_seconds: i64,
    pub steps: Vec<Step>,
}

impl Default for Followed {
    fn default() -> Followed {
        Followed { step_seconds: PANE_SECONDS, steps: Vec::new() }
    }
}

impl Followed {
    /// Takes the levels at `second`; those of a step before the newest are not taken.
    pub(crate) fn take(&mut self, second: Second, now: &Incident) {
        let Incident { level, owner_level, lowest, .. } = *now;
        let step = Step { start: self.begin(second), level, owner_level };
        match self.steps.last_mut() {
            Some(last) if last.start > step.start => {}
            Some(last) if last.start == step.start => *last = last.and(step, lowest),
            _ => self.steps.push(step),
        }
        while self.steps.len() > FOLLOWED_STEPS_MAX {
            self.widen(lowest);
        }
    }

    fn begin(&self, second: Second) -> Second {
        Second(second.0 - second.0.rem_euclid(self.step_seconds))
    }

    fn widen(&mut self, lowest: bool) {
        self.step_seconds *= 2;
        let mut wide: Vec<Step> = Vec::with_capacity(FOLLOWED_STEPS_MAX);
        for step in std::mem::take(&mut self.steps) {
            let step = Step { start: self.begin(step.start), ..step };
            match wide.last_mut() {
                Some(last) if last.start == step.start => *last = last.and(step, lowest),
                _ => wide.push(step),
            }
        }
        self.steps = wide;
    }
}

impl Step {
    fn and(self, later: Step, lowest: bool) -> Step {
        let one = |before: Option<u64>, after: Option<u64>| match (before, after) {
            (Some(before), Some(after)) if lowest => Some(before.min(after)),
            (_, after) => after,
        };
        Step {
            start: self.start,
            level: one(self.level, later.level),
            owner_level: one(self.owner_level, later.owner_level),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of levels at their seconds, as `width: start level…`.
    #[track_caller]
    fn check(levels: &[(i64, u64)], lowest: bool, expected: &str) {
        let mut followed = Followed::default();
        for (second, level) in levels {
            let level = Some(*level);
            let now = Incident { id: IncidentId(7), level, owner_level: None, lowest };
            followed.take(Second(*second), &now);
        }
        let steps: Vec<String> = (followed.steps.iter())
            .map(|step| format!("{} {}", step.start.0, step.level.unwrap()))
            .collect();
        assert_eq!(format!("{}: {}", followed.step_seconds, steps.join(", ")), expected);
    }

    #[test]
    fn a_step_ends_with_its_last_level() {
        check(&[(100, 1), (109, 2), (110, 3), (125, 4)], false, "10: 100 2, 110 3, 120 4");
    }

    #[test]
    fn of_memory_the_floor_of_a_step_is_kept() {
        check(&[(100, 9), (105, 2), (109, 7), (110, 3)], true, "10: 100 2, 110 3");
    }

    #[test]
    fn what_comes_late_is_not_taken() {
        check(&[(110, 3), (100, 1)], false, "10: 110 3");
    }

    #[test]
    fn a_long_time_has_wider_steps_and_a_bounded_number() {
        let mut followed = Followed::default();
        let now =
            Incident { id: IncidentId(7), level: Some(1), owner_level: Some(1), lowest: false };
        // A week has 604,800 s: 945 steps of 640 s, or 472.5 of 1,280 s.
        for pane in 0..60_480 {
            followed.take(Second(pane * 10), &now);
            assert!(followed.steps.len() <= FOLLOWED_STEPS_MAX);
        }
        assert_eq!((followed.step_seconds, followed.steps.len()), (1_280, 473));
        assert_eq!(followed.steps[0].start, Second(0));
    }
}
