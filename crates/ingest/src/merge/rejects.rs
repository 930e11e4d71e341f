//! Records that the merge refuses because of their time.

use plimsoll_model::{PartitionId, Reject, RejectReason, Time};

use super::buckets::Refused;

/// How many rejects are kept between two calls of [`super::Merge::take_rejects`]; the others are
/// counted.
pub const REJECTS_MAX: usize = 1_000;

/// Records that were refused because of their time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejects {
    /// The first [`REJECTS_MAX`].
    pub kept: Vec<Reject>,
    /// How many more there were, by reason, in the order of [`RejectReason::ALL`].
    pub beyond: [u64; RejectReason::ALL.len()],
}

impl Rejects {
    pub(super) fn refused(&mut self, partition: PartitionId, refused: &Refused) {
        let detail = match refused.reason {
            RejectReason::Late => format!("{} is too late to be applied", refused.time),
            _ => format!("{} is far ahead of the records around it", refused.time),
        };
        self.add(partition, refused.offset, refused.reason, detail);
    }

    pub(super) fn future(&mut self, partition: PartitionId, offset: i64, time: Time, end: Time) {
        let is_known = |last: &Reject| last.partition == partition && last.offset == offset;
        if !self.kept.last().is_some_and(is_known) {
            let detail = format!("{time} is after the end of all input, {end}");
            self.add(partition, offset, RejectReason::Future, detail);
        }
    }

    fn add(&mut self, partition: PartitionId, offset: i64, reason: RejectReason, detail: String) {
        if self.kept.len() < REJECTS_MAX {
            let excerpt = String::new();
            self.kept.push(Reject { partition, offset, reason, detail, excerpt });
        } else {
            let place = RejectReason::ALL.iter().position(|known| *known == reason);
            self.beyond[place.expect("the list has every reason")] += 1;
        }
    }
}
