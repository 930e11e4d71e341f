//! What detectors are shown: one resource at the end of a tick.

use plimsoll_model::lives::LifeEvent;
use plimsoll_model::{OwnedHolder, Second, Time};
use serde::{Deserialize, Serialize};

/// One holder's account of one resource. Counters only grow, except after [`ResourceView::reset_at`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderLevel {
    /// Who.
    pub holder: OwnedHolder,
    /// Units held now.
    pub held: u64,
    /// Units opened so far.
    pub opened: u64,
    /// Units closed so far.
    pub closed: u64,
    /// The ages of the closed units, summed, in microseconds: divided by `closed`, the mean hold
    /// time. Units that never close are not in it.
    pub closed_age_us: u64,
    /// Requests refused so far.
    pub refused: u64,
    /// The tick of the first row about this holder.
    pub first_seen: Second,
}

/// A deploy, restart, scaling or limit change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifeMark {
    /// When.
    pub time: Time,
    /// What.
    pub event: LifeEvent,
    /// The program, release, instance.
    pub holder: OwnedHolder,
    /// The new limit or number of instances.
    pub value: Option<f64>,
}

/// One resource as the ledger knows it at the end of a tick.
#[derive(Clone, Copy, Debug)]
pub struct ResourceView<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// What its units are called.
    pub unit: &'a str,
    /// Units that can be held: the limit minus what is reserved; `None` while no limit is known.
    pub usable: Option<u64>,
    /// Units held by everybody, as far as known: the ledger's count, corrected by the newest
    /// polled count if there is one. May exceed the sum over `holders`.
    pub held: u64,
    /// Every holder that the ledger remembers. An index stays the same holder while the resource
    /// is remembered; new holders are appended.
    pub holders: &'a [HolderLevel],
    /// The holders whose account changed in this tick, ascending and unique.
    pub changed: &'a [u32],
    /// Deploys, restarts, scaling and limit changes of the last two days that may concern the
    /// resource, oldest first.
    pub lives: &'a [LifeMark],
    /// The tick of the last restart of the resource itself, when all its sessions ended.
    pub reset_at: Option<Second>,
    /// The tick of the first row about the resource: nothing is known of the time before.
    pub first_seen: Second,
    /// What the ledger does not know, in words; empty if nothing.
    pub doubts: &'a [String],
}
