//! The table `panes`.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::{around, times, words};
use crate::{IncidentId, OwnedHolder, Second, columns};

/// The width of a pane, in seconds. Panes begin at multiples of it.
pub const PANE_SECONDS: i64 = 10;

/// One holder's use of one resource during one pane.
///
/// An incident has at most one row per (holder, pane). The level at the end of a pane is the sum
/// over the holders of the newest `held` of each. Where an incident changed twice within a pane,
/// what happened between is a row of its own, which begins in the tick after the first change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pane {
    /// The incident that the row proves.
    pub incident: IncidentId,
    /// The first second of the pane, or of a part of it.
    pub pane: Second,
    /// The resource.
    pub resource: String,
    /// Units opened during the pane.
    pub opened: u64,
    /// Units closed during the pane.
    pub closed: u64,
    /// Requests refused during the pane.
    pub refused: u64,
    /// Units held at the end of the pane.
    pub held: u64,
    /// Who.
    pub holder: OwnedHolder,
}

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("pane", columns::time_type(), false),
        Field::new("resource", columns::dictionary_type(), false),
        Field::new("opened", DataType::UInt64, false),
        Field::new("closed", DataType::UInt64, false),
        Field::new("refused", DataType::UInt64, false),
        Field::new("held", DataType::UInt64, false),
    ]
}

pub(super) fn columns(rows: &[Pane]) -> Vec<ArrayRef> {
    let count = |of: fn(&Pane) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(of)))
    };
    let own = vec![
        times(rows.iter().map(|row| Some(row.pane.start()))),
        words(rows.iter().map(|row| row.resource.as_str())),
        count(|row| row.opened),
        count(|row| row.closed),
        count(|row| row.refused),
        count(|row| row.held),
    ];
    around(rows, |row| row.incident, |row| &row.holder, own)
}
