//! The table `sessions`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::{around, times, words};
use crate::{IncidentId, OwnedHolder, Time, columns};

/// One session, as it was known at the decision. A later row of the same incident, resource,
/// `started_at` and `session` replaces this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The incident that the row proves.
    pub incident: IncidentId,
    /// The resource.
    pub resource: String,
    /// The session's id in the log.
    pub session: String,
    /// When it began to hold a unit, or was refused.
    pub started_at: Time,
    /// When it ended; `None` while it holds its unit.
    pub ended_at: Option<Time>,
    /// How long it waited for its unit, in microseconds.
    pub waited_us: u64,
    /// Whether it was refused.
    pub refused: bool,
    /// Who.
    pub holder: OwnedHolder,
}

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("resource", columns::dictionary_type(), false),
        Field::new("session", DataType::Utf8, false),
        Field::new("started_at", columns::time_type(), false),
        Field::new("ended_at", columns::time_type(), true),
        Field::new("waited_us", DataType::UInt64, false),
        Field::new("refused", DataType::Boolean, false),
    ]
}

pub(super) fn columns(rows: &[Session]) -> Vec<ArrayRef> {
    let refused: BooleanArray = rows.iter().map(|row| Some(row.refused)).collect();
    let own = vec![
        words(rows.iter().map(|row| row.resource.as_str())),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.session.as_str())))
            as ArrayRef,
        times(rows.iter().map(|row| Some(row.started_at))),
        times(rows.iter().map(|row| row.ended_at)),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.waited_us))),
        Arc::new(refused) as ArrayRef,
    ];
    around(rows, |row| row.incident, |row| &row.holder, own)
}
