//! Marks: how the wall clock may move event time, written down so that it can be explained.

use serde::{Deserialize, Serialize};

use crate::{PartitionId, Second};

/// A decision that depended on the wall clock or on arrival.
///
/// Marks enter the journal in the transaction of the first transitions they could have
/// influenced, so they are durable before any effect. With the records they say why a tick has the
/// rows it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// The partition stood at its end for `idle_after` (context sources: at once). It no longer
    /// holds the clock until it delivers again.
    Idle {
        /// The silent partition.
        partition: PartitionId,
        /// The first offset that it had not yet delivered.
        next_offset: i64,
    },
    /// The partition has unread records but made no progress. It is set aside like an idle one,
    /// and Plimsoll says so about itself.
    SetAside {
        /// The stuck partition.
        partition: PartitionId,
        /// The first offset that it had not yet delivered.
        next_offset: i64,
    },
    /// An idle partition delivered again: its rows from `next_offset` on are applied at tick
    /// `floor` or later, because the ticks before it had closed without the partition.
    Rejoined {
        /// The partition.
        partition: PartitionId,
        /// The offset of its first record after the silence.
        next_offset: i64,
        /// The first tick that was still open.
        floor: Second,
    },
    /// Every partition was idle and the clock advanced by itself: ticks through `until` closed,
    /// so that silence can be seen.
    Advance {
        /// The last tick that closed.
        until: Second,
    },
}
