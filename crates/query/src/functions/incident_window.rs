//! `incident_window(incident, margin)`: the panes around one incident.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::error::Result;
use plimsoll_model::{IncidentId, Second};
use plimsoll_store::Decided;

use super::{Function, arguments, panes_where};
use crate::scan::{Source, from_store};
use crate::schema::{Column, Kind, Table};
use crate::tables::{self, PANES};

/// `incident_window`, as people are told of it.
pub const INCIDENT_WINDOW: Function = Function {
    call: "incident_window(incident, margin)",
    comment: "the panes of one incident, or of 'latest', from margin before it began to margin after its last \
              transition, with the level at the end of each pane and whether it is before, during or after",
    example: "select pane, service_name, held, level from incident_window('latest', '15m')",
};

/// The columns of `panes` and two more.
const WINDOW: Table = Table {
    name: "incident_window",
    comment: INCIDENT_WINDOW.comment,
    columns: &[
        PANES.columns[0],
        PANES.columns[1],
        &[
            Column::new("level", Kind::Count, "units held by everybody at the end of the pane"),
            Column::new(
                "phase",
                Kind::Text,
                "before the incident began, during it, or after its end",
            ),
        ],
    ],
};

pub(super) struct IncidentWindow(pub Arc<Source>);

impl std::fmt::Debug for IncidentWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(INCIDENT_WINDOW.call)
    }
}

impl TableFunctionImpl for IncidentWindow {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let [incident, margin] = arguments.exprs() else {
            return plan_err!(
                "{} takes two arguments; for example {}",
                INCIDENT_WINDOW.call,
                INCIDENT_WINDOW.example
            );
        };
        let incident = arguments::text(incident, "the incident", "'latest'")?;
        let margin_s = arguments::margin(margin)?.as_secs() as i64;
        let transitions = transitions(&self.0, incident)?;
        let rows = match transitions.as_slice() {
            [] => RecordBatch::new_empty(WINDOW.schema()),
            [first, ..] => {
                let begin = transitions.iter().map(|row| row.transition.finding.since).min();
                let begin = begin.unwrap_or(first.transition.opened_at);
                let end = transitions.last().unwrap_or(first).transition.as_of;
                window(&self.0, &first.transition.incident.to_string(), (begin, end), margin_s)?
            }
        };
        Ok(Arc::new(MemTable::try_new(WINDOW.schema(), vec![vec![rows]])?))
    }
}

/// The transitions of the incident that is named, or of the newest; none if there is no incident.
fn transitions(source: &Source, incident: &str) -> Result<Vec<Decided>> {
    let id = if incident == "latest" {
        let incidents = source.snapshot.incidents().map_err(from_store)?;
        let newest =
            incidents.iter().map(|row| (row.transition.opened_at, row.transition.incident));
        match newest.max() {
            Some((_, id)) => id,
            None => return Ok(Vec::new()),
        }
    } else {
        match incident.parse::<IncidentId>() {
            Ok(id) => id,
            Err(error) => return plan_err!("{error}, or `latest`"),
        }
    };
    let transitions = source.snapshot.transitions_of(id).map_err(from_store)?;
    if transitions.is_empty() {
        return plan_err!(
            "no incident `{id}`; `select incident, headline from incidents` lists them"
        );
    }
    Ok(transitions)
}

fn window(
    source: &Arc<Source>,
    incident: &str,
    (begin, end): (Second, Second),
    margin_s: i64,
) -> Result<RecordBatch> {
    let micros = |second: Second| second.start().as_micros();
    let from = micros(Second(begin.0.saturating_sub(margin_s)));
    let to = micros(Second(end.0.saturating_add(margin_s)));
    let panes = panes_where(source, "incident", incident)?;
    let (mut kept, mut levels, mut phases) = (Vec::new(), Vec::new(), Vec::new());
    // What each holder holds: its newest row says it until the next one.
    let mut held: BTreeMap<u64, u64> = BTreeMap::new();
    let mut row = 0;
    while row < panes.len() {
        let pane = panes.pane_us(row);
        let first = row;
        while row < panes.len() && panes.pane_us(row) == pane {
            held.insert(panes.holder(row), panes.held(row));
            row += 1;
        }
        if !(from..=to).contains(&pane) {
            continue;
        }
        let level: u64 = held.values().sum();
        let width = tables::PANE_US;
        let phase = if pane + width <= micros(begin) {
            "before"
        } else if pane > micros(end) {
            "after"
        } else {
            "during"
        };
        for place in first..row {
            kept.push(place as u64);
            levels.push(level);
            phases.push(phase);
        }
    }
    let schema = WINDOW.schema();
    let mut columns = panes.take(&schema, &kept)?;
    columns.push(Arc::new(UInt64Array::from(levels)) as ArrayRef);
    columns.push(Arc::new(StringArray::from(phases)));
    Ok(RecordBatch::try_new(schema, columns)?)
}
