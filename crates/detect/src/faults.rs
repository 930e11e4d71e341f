//! Faults that are over: what was reached while one lasted is no usual level.
//!
//! `docs/detectors.md`, "Look-alikes".

use std::collections::VecDeque;

use plimsoll_model::Owner;
use serde::{Deserialize, Serialize};

use crate::trend::Stretch;

/// The most that are remembered per resource; the oldest is forgotten first.
pub const FAULTS_MAX: usize = 16;

/// One fault that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Who grew.
    pub owner: Owner,
    /// When it began, in seconds.
    pub from_s: i64,
    /// When it had ended, in seconds.
    pub to_s: i64,
    /// Units that the owner held then.
    pub held: u64,
    /// Somebody was woken.
    pub paged: bool,
    /// The limit was all but reached.
    pub filled: bool,
}

/// The faults of one resource, in the order in which they ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Faults(VecDeque<Fault>);

impl Faults {
    /// Remembers one more.
    pub fn add(&mut self, fault: Fault) {
        if self.0.len() >= FAULTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(fault);
    }

    /// When the newest one that was paged, and is at least `least_s` long, was over.
    pub fn over_s(&self, least_s: i64) -> Option<i64> {
        let long = |fault: &&Fault| fault.paged && fault.to_s - fault.from_s >= least_s;
        self.0.iter().rfind(long).map(|fault| fault.to_s)
    }

    /// What `owner` held at the end of its newest fault that ended after `onset_s`: a rise that
    /// began before has been told up to there.
    pub fn told(&self, owner: &Owner, onset_s: i64) -> Option<u64> {
        let newest = self.0.iter().rfind(|fault| fault.owner == *owner)?;
        (newest.to_s > onset_s).then_some(newest.held)
    }

    /// Whether somebody was woken because of `owner` before.
    pub fn has(&self, owner: &Owner) -> bool {
        self.0.iter().any(|fault| fault.paged && fault.owner == *owner)
    }

    /// Whether `owner`'s level in a stretch is that of a fault somebody was woken for.
    pub fn spoils(&self, owner: &Owner, stretch: &Stretch) -> bool {
        let in_it = |fault: &Fault| fault.from_s < stretch.to_s && stretch.from_s < fault.to_s;
        self.0.iter().any(|fault| fault.paged && fault.owner == *owner && in_it(fault))
    }

    /// Whether the limit was all but reached by a fault between two moments, in seconds.
    pub fn filled(&self, from_s: i64, to_s: i64) -> bool {
        self.0.iter().any(|fault| fault.filled && fault.from_s < to_s && from_s < fault.to_s)
    }
}
