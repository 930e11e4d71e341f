//! The table `samples`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::{around, times, words};
use crate::{IncidentId, OwnedHolder, Time, columns};

/// One measured value, or what a ledger made of several: the metric's name says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The incident that the row proves.
    pub incident: IncidentId,
    /// When it was measured.
    pub time: Time,
    /// The resource.
    pub resource: String,
    /// What was measured.
    pub metric: String,
    /// The value; finite.
    pub value: f64,
    /// The value's unit.
    pub unit: String,
    /// Whose value it is.
    pub holder: OwnedHolder,
}

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("time", columns::time_type(), false),
        Field::new("resource", columns::dictionary_type(), false),
        Field::new("metric", columns::dictionary_type(), false),
        Field::new("value", DataType::Float64, false),
        Field::new("unit", columns::dictionary_type(), false),
    ]
}

pub(super) fn columns(rows: &[Sample]) -> Vec<ArrayRef> {
    let own = vec![
        times(rows.iter().map(|row| Some(row.time))),
        words(rows.iter().map(|row| row.resource.as_str())),
        words(rows.iter().map(|row| row.metric.as_str())),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.value))),
        words(rows.iter().map(|row| row.unit.as_str())),
    ];
    around(rows, |row| row.incident, |row| &row.holder, own)
}
