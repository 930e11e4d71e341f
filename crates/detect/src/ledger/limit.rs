//! The limit of one resource: set, told, or learned.

use plimsoll_model::Time;
use serde::{Deserialize, Serialize};

use crate::settings::ResourceConfig;

/// What rows have said of a limit. What the user set is in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// The newest limit that a sample or a context event told, and when.
    told: Option<(Time, u64)>,
    /// The highest level at which the resource refused: that many units can be held.
    learned: Option<u64>,
}

impl Limit {
    /// A sample or an event says that the limit is `value` since `time`.
    ///
    /// Older news than what is known, and a value below one, change nothing.
    pub fn tell(&mut self, time: Time, value: f64) {
        let newer = self.told.is_none_or(|(newest, _)| time >= newest);
        if newer && value >= 1.0 && value <= u32::MAX.into() {
            self.told = Some((time, value as u64));
        }
    }

    /// The resource refused while `level` units were held.
    pub fn learn(&mut self, level: u64) {
        self.learned = self.learned.max(Some(level.max(1)));
    }

    /// More units are held than a learned limit allows: it was raised, or never was that low.
    pub fn exceed(&mut self, level: u64) {
        if let Some(learned) = &mut self.learned {
            *learned = (*learned).max(level);
        }
    }

    /// Units that can be held: what was told, else what is configured, each without what is
    /// reserved; else what was learned, which ordinary users ran into and so has no reserve.
    pub fn usable(&self, config: &ResourceConfig) -> Option<u64> {
        let limit = self.told.map(|(_, limit)| limit).or(config.limit);
        match limit {
            Some(limit) => Some(limit.saturating_sub(config.reserved).max(1)),
            None => self.learned,
        }
    }
}
