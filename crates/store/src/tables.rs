//! The tables of the database, and how a record becomes bytes.

use plimsoll_model::{Reject, RejectReason};
use redb::{TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The version of everything stored in a data directory: file names, tables, keys, records.
///
/// A store of another version is refused untouched. Version 1 was never released; from the first
/// release on, one of an older version is read by the code that reads that version.
pub const FORMAT_VERSION: u32 = 2;

/// The first byte of every record: which encoding follows. 1 is postcard.
const RECORD_VERSION: u8 = 1;

/// Single values: see [`meta`].
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Names of the single values.
pub(crate) mod meta {
    pub(crate) const FORMAT: &str = "format";
    pub(crate) const PIPELINE: &str = "pipeline";
    pub(crate) const DECIDED_THROUGH: &str = "decided_through";
    pub(crate) const CHECKPOINT: &str = "checkpoint";
    pub(crate) const OUTBOX_NEXT: &str = "outbox_next";
    pub(crate) const SEGMENTS_SHED: &str = "segments_shed";
    /// The next change's revision, and whether changes are remembered.
    pub(crate) const REVISION: &str = "revision";
}

/// (incident, sequence) to [`crate::Decided`].
pub(crate) const TRANSITIONS: TableDefinition<(u128, u32), &[u8]> =
    TableDefinition::new("transitions");

/// The transitions by (tick, incident, sequence).
pub(crate) const TRANSITIONS_BY_TICK: TableDefinition<(i64, u128, u32), ()> =
    TableDefinition::new("transitions_by_tick");

/// Incident to the sequence of its last transition.
pub(crate) const INCIDENTS: TableDefinition<u128, u32> = TableDefinition::new("incidents");

/// Those incidents of [`INCIDENTS`] that are not resolved.
pub(crate) const OPEN: TableDefinition<u128, ()> = TableDefinition::new("open");

/// Place in the outbox to [`plimsoll_model::Delivery`] with its tick.
pub(crate) const OUTBOX: TableDefinition<u64, &[u8]> = TableDefinition::new("outbox");

/// Place in the outbox to [`plimsoll_model::DeliveryState`].
pub(crate) const STATES: TableDefinition<u64, &[u8]> = TableDefinition::new("states");

/// (sink, place in the outbox) of the deliveries that are to be sent.
pub(crate) const PENDING: TableDefinition<(&str, u64), ()> = TableDefinition::new("pending");

/// What was ordered, so that it is not ordered twice, to its place in the outbox.
pub(crate) const ORDERS: TableDefinition<&str, u64> = TableDefinition::new("orders");

/// (tick, number) to [`plimsoll_model::Mark`].
pub(crate) const JOURNAL: TableDefinition<(i64, u32), &[u8]> = TableDefinition::new("journal");

/// Segment name to [`crate::SegmentEntry`].
pub(crate) const SEGMENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("segments");

/// The name of a reject: (source, partition, offset, reason).
pub(crate) type RejectKey = (u16, u32, i64, u8);

/// Names to [`plimsoll_model::Reject`].
pub(crate) const REJECTS: TableDefinition<RejectKey, &[u8]> = TableDefinition::new("rejects");

/// (source, partition, reason) to how many there were.
pub(crate) const REJECT_COUNTS: TableDefinition<(u16, u32, u8), u64> =
    TableDefinition::new("reject_counts");

/// (source, partition) to the offset through which rejects beyond the limit are counted.
pub(crate) const REJECTS_BEYOND_THROUGH: TableDefinition<(u16, u32), i64> =
    TableDefinition::new("rejects_beyond_through");

/// Place in the outbox to the revision of the last change, of what was not copied since.
pub(crate) const CHANGED_DELIVERIES: TableDefinition<u64, u64> =
    TableDefinition::new("changed_deliveries");

/// The same of rejects, by their names.
pub(crate) const CHANGED_REJECTS: TableDefinition<RejectKey, u64> =
    TableDefinition::new("changed_rejects");

/// Creates the tables that are absent.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), Error> {
    transaction.open_table(META)?;
    transaction.open_table(TRANSITIONS)?;
    transaction.open_table(TRANSITIONS_BY_TICK)?;
    transaction.open_table(INCIDENTS)?;
    transaction.open_table(OPEN)?;
    transaction.open_table(OUTBOX)?;
    transaction.open_table(STATES)?;
    transaction.open_table(PENDING)?;
    transaction.open_table(ORDERS)?;
    transaction.open_table(JOURNAL)?;
    transaction.open_table(SEGMENTS)?;
    transaction.open_table(REJECTS)?;
    transaction.open_table(REJECT_COUNTS)?;
    transaction.open_table(REJECTS_BEYOND_THROUGH)?;
    transaction.open_table(CHANGED_DELIVERIES)?;
    transaction.open_table(CHANGED_REJECTS)?;
    Ok(())
}

/// The name of `reject`.
pub(crate) fn reject_key(reject: &Reject) -> RejectKey {
    let (source, partition) = (reject.partition.source.0, reject.partition.partition);
    (source, partition, reject.offset, reason_number(reject.reason))
}

/// The place of `reason` in [`RejectReason::ALL`].
fn reason_number(reason: RejectReason) -> u8 {
    let place = RejectReason::ALL.iter().position(|known| *known == reason);
    place.expect("every reason stands in the list") as u8
}

/// `value` as a record: the version byte, then postcard.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![RECORD_VERSION]).expect("stored types have no unsized parts")
}

/// The value of a record.
pub(crate) fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, Error> {
    let Some((&RECORD_VERSION, body)) = record.split_first() else {
        let version = record.first().copied().unwrap_or(0);
        return Err(Error::Corrupt(format!("record version {version} must be {RECORD_VERSION}")));
    };
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Error::Corrupt("bytes after the end of a record".into())),
        Err(error) => Err(Error::Corrupt(format!("unreadable record: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{DeliveryState, Mark, Second, Time};

    use super::*;
    use crate::Checkpoint;

    /// The bytes of version 1, written by hand after postcard's wire format: variant numbers and
    /// lengths as varints, signed numbers zigzag.
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
        value: T,
        bytes: &[u8],
    ) {
        assert_eq!(encode(&value), bytes);
        assert_eq!(decode::<T>(bytes).unwrap(), value);
    }

    #[test]
    fn records_of_version_1_are_read() {
        check(DeliveryState::Pending { attempts: 1, last_error: None }, &[1, 0, 1, 0]);
        check(DeliveryState::Held, &[1, 1]);
        let accepted = DeliveryState::Accepted { at: Time::from_seconds(1), answer: "ok".into() };
        check(accepted, &[1, 2, 0x80, 0x89, 0x7A, 2, b'o', b'k']);
        check(Mark::Advance { until: Second(5) }, &[1, 3, 10]);
        let checkpoint = Checkpoint {
            tick: Second(1),
            build: "b".into(),
            config_hash: "c".into(),
            judge: vec![7],
            merge: Vec::new(),
        };
        check(checkpoint, &[1, 2, 1, b'b', 1, b'c', 1, 7, 0]);
    }

    #[test]
    fn a_record_of_another_version_or_with_more_or_less_bytes_is_an_error() {
        for bytes in [&[2, 1][..], &[1, 1, 0], &[1], &[]] {
            let error = decode::<DeliveryState>(bytes).unwrap_err();
            assert!(matches!(error, Error::Corrupt(_)), "{bytes:?}: {error}");
        }
    }
}
