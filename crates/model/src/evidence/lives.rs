//! The table `lives`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::{around, times, words};
use crate::{IncidentId, OwnedHolder, Time, columns};

/// One life of one instance, as it was known at the decision. A later row of the same incident,
/// resource, instance and `started_at` replaces this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The incident that the row proves.
    pub incident: IncidentId,
    /// The resource that the life used.
    pub resource: String,
    /// When it began, or when it was first seen.
    pub started_at: Time,
    /// Whether `started_at` is its beginning.
    pub start_known: bool,
    /// When it ended; `None` while it lives.
    pub ended_at: Option<Time>,
    /// Why it ended; empty while it lives.
    pub cause: String,
    /// The instance, its program and release.
    pub holder: OwnedHolder,
}

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("resource", columns::dictionary_type(), false),
        Field::new("started_at", columns::time_type(), false),
        Field::new("start_known", DataType::Boolean, false),
        Field::new("ended_at", columns::time_type(), true),
        Field::new("cause", columns::dictionary_type(), false),
    ]
}

pub(super) fn columns(rows: &[Life]) -> Vec<ArrayRef> {
    let start_known: BooleanArray = rows.iter().map(|row| Some(row.start_known)).collect();
    let own = vec![
        words(rows.iter().map(|row| row.resource.as_str())),
        times(rows.iter().map(|row| Some(row.started_at))),
        Arc::new(start_known) as ArrayRef,
        times(rows.iter().map(|row| row.ended_at)),
        words(rows.iter().map(|row| row.cause.as_str())),
    ];
    around(rows, |row| row.incident, |row| &row.holder, own)
}
