//! Reconciliation of the ledger with counts that somebody polled.

use plimsoll_model::Time;
use serde::{Deserialize, Serialize};

/// The newest polled count of all units held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Polled {
    /// When it was polled.
    pub time: Time,
    /// The count.
    pub count: u64,
    /// The ledger's count at that moment, with what became known of it later.
    pub ledger: u64,
}

impl Polled {
    /// The ledger's count changed by `change` through a row stamped `time`. What happened before
    /// the poll is in the polled count already.
    pub fn correct(&mut self, time: Time, change: i64) {
        if time <= self.time {
            self.ledger = self.ledger.saturating_add_signed(change);
        }
    }

    /// Units held: the polled count plus the ledger's changes since.
    pub fn held(&self, ledger: u64) -> u64 {
        (self.count + ledger).saturating_sub(self.ledger)
    }

    /// How far apart the two counts are, if that is more than sessions that come and go between
    /// the poll and the log explain: more than three, and more than one in fifty.
    pub fn disagreement(&self) -> Option<String> {
        let apart = self.count.abs_diff(self.ledger);
        let Polled { count, ledger, .. } = self;
        (apart > 3 && apart > count / 50).then(|| format!("ledger {ledger}, polled {count}"))
    }
}
