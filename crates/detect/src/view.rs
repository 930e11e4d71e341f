//! What detectors are shown: one resource at the end of a tick.

use plimsoll_model::lives::LifeEvent;
use plimsoll_model::{OwnedHolder, Second, Time};
use serde::{Deserialize, Serialize};

use crate::open_ages::OpenAges;

/// One holder's account of one resource. Counters only grow, except after [`ResourceView::reset_at`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderLevel {
    /// Who.
    pub holder: OwnedHolder,
    /// Units held now.
    pub held: u64,
    /// The moments at which they were opened, summed, in microseconds since 1970.
    pub held_since_us: i128,
    /// Units opened so far.
    pub opened: u64,
    /// Units closed so far.
    pub closed: u64,
    /// The ages of the closed units, summed, in microseconds: divided by `closed`, the mean hold
    /// time. Units that never close are not in it.
    pub closed_age_us: u64,
    /// The ages of the closed units, sorted into powers of two: see [`age_s`].
    pub ages: Ages,
    /// Requests so far that waited for their unit.
    pub waited: u64,
    /// How long they waited, summed, in microseconds.
    pub waited_us: u64,
    /// Requests refused so far.
    pub refused: u64,
    /// The tick of the first row about this holder.
    pub first_seen: Second,
}

/// How many powers of two an age may have: the last place takes everything above 19 hours.
pub const AGES: usize = 32;

/// Counts by the power of two of an age in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages(pub [u32; AGES]);

impl Ages {
    /// Counts one age.
    pub fn add(&mut self, age_us: u64) {
        let place = (63 - age_us.max(1).leading_zeros() as usize).saturating_sub(AGES_FROM);
        let count = &mut self.0[place.min(AGES - 1)];
        *count = count.saturating_add(1);
    }
}

/// Everything below 2^6 microseconds is in the first place.
const AGES_FROM: usize = 5;

/// The shortest age in place `place`, in seconds.
pub fn age_s(place: usize) -> f64 {
    if place == 0 { 0.0 } else { (1_u64 << (place + AGES_FROM)) as f64 / 1e6 }
}

/// What the rows of a resource say of its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Connections, or only counts: units may be held for long without any work.
    Sessions,
    /// Calls, from their start to their end.
    Calls,
    /// Calls, only once they have ended.
    EndedCalls,
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
    /// What kind of rows there are.
    pub told: Told,
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
    /// How old what is held is, where only ended calls are logged.
    pub ages: Option<&'a OpenAges>,
    /// What the ledger does not know, in words; empty if nothing.
    pub doubts: &'a [String],
}
