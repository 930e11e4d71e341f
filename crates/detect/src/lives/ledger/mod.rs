//! The life ledger of one resource: which instance lives since when with what memory.
//!
//! `rows` reads what is told, `turns` makes lives begin and end. `docs/detectors.md`, "Lives", has
//! the rules and their reasons.

use std::collections::{BTreeMap, VecDeque};

use plimsoll_model::{OwnedHolder, Time};
use serde::{Deserialize, Serialize};

mod life;
mod rows;
mod service;
mod turns;

pub(crate) use life::{End, Life, Past};
pub(crate) use service::Service;

use rows::Word;

/// The most instances of a resource that are told apart; rows of others are counted.
pub const INSTANCES_MAX: usize = 4_096;

/// The most ended lives that are remembered per program, 0.7 KB each.
pub const PAST_MAX: usize = 96;

/// The most deploys, scalings, newcomers and returns that are remembered per program.
const MARKS_MAX: usize = 32;

/// How long a deploy may take: it explains an end this long before and after.
pub const DEPLOY_S: i64 = 900;

/// One instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub holder: OwnedHolder,
    pub service: u32,
    pub first_seen: Time,
    pub life: Option<Life>,
    /// How the life before ended.
    pub end: Option<End>,
    /// The limit that samples tell, and that of its collected heap.
    limits: [Option<f64>; 2],
    /// Whether its rows say when it began, so that nothing is inferred from the level.
    tells_start: bool,
}

/// The ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    pub instances: Vec<Instance>,
    pub services: Vec<Service>,
    /// Instance by the key of a row's holder: a cache that is bounded and may be emptied.
    known: BTreeMap<u64, u32>,
    /// Rows of instances beyond [`INSTANCES_MAX`].
    pub beyond: u64,
    /// The limit of every instance, told by a sample without a holder or a context event.
    pub limit: Option<f64>,
    /// The newest sample of all.
    newest: Time,
    /// When samples came again after nobody had any: who is not back yet may be on the way.
    pub resumed: Time,
    /// What this tick's rows say, in their order.
    #[serde(skip)]
    words: Vec<(Time, u32, Word)>,
    /// What changed in this tick.
    #[serde(skip)]
    pub news: News,
}

/// What changed in a tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// Instances with a new sample, and the scales that have a new complete stretch.
    pub sampled: Vec<(u32, u8)>,
    /// Instances whose life began or ended.
    pub turned: Vec<u32>,
    /// Programs with a new ended life.
    pub ended: Vec<u32>,
    /// A deploy or a scaling was told.
    pub marked: bool,
}

impl News {
    pub fn is_empty(&self) -> bool {
        self.sampled.is_empty() && self.turned.is_empty() && !self.marked
    }
}

impl Ledger {
    /// The limit of an instance, in bytes.
    pub fn limit_of(&self, instance: u32, configured: Option<u64>) -> Option<f64> {
        let own = &self.instances[instance as usize];
        let heap = own.limits[1].filter(|_| own.life.as_ref().is_some_and(|life| life.kind == 2));
        heap.or(own.limits[0]).or(self.limit).or(configured.map(|limit| limit as f64))
    }

    /// Whether `instance` has been heard of within its bound.
    pub fn is_alive(&self, instance: u32, now: Time) -> bool {
        let own = &self.instances[instance as usize];
        let bound_us = self.services[own.service as usize].bound_s() * 1_000_000;
        own.life.as_ref().is_some_and(|life| now.micros_since(life.last) < bound_us)
    }
}

/// Keeps the newest `most` of a list.
fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(item);
}

/// The middle one, the lower of two; 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    if values.is_empty() { 0.0 } else { values[(values.len() - 1) / 2] }
}
