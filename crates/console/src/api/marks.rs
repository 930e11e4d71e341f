//! What happened to a resource and its holders: deploys, and lives that began or ended.

use std::collections::BTreeSet;

use plimsoll_model::evidence::Table;
use plimsoll_model::{Dimension, IncidentId, Time};
use plimsoll_store::{Decided, Error, Snapshot};
use serde::Serialize;

use super::evidence::{Columns, Segments};

/// Marks in one answer: the newest.
pub const MARKS_MAX: usize = 100;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Mark {
    time: String,
    /// `deploy`, `start` or `end`.
    kind: &'static str,
    /// Whom it concerns.
    subject: String,
    version: Option<String>,
    /// Why a life ended, as far as known.
    cause: Option<String>,
}

/// The newest marks of incident `id`, in the order of time.
pub(super) fn read(
    snapshot: &Snapshot,
    id: IncidentId,
    transitions: &[Decided],
) -> Result<Vec<Mark>, Error> {
    let releases = transitions.iter().filter_map(|it| it.transition.finding.release.as_ref());
    let mut marks: BTreeSet<Mark> = releases
        .map(|release| Mark {
            time: release.deployed_at.to_string(),
            kind: "deploy",
            subject: release.service.clone(),
            version: release.version.clone(),
            cause: None,
        })
        .collect();
    let lives = Segments::read(snapshot, Table::Lives, id, transitions)?;
    marks.extend(lives.rows(start).into_iter().chain(lives.rows(end)));
    let beyond = marks.len().saturating_sub(MARKS_MAX);
    Ok(marks.into_iter().skip(beyond).collect())
}

fn start(columns: &Columns<'_>, row: usize) -> Option<Mark> {
    columns.is("start_known", row)?.then_some(())?;
    Some(mark(columns, row, "start", columns.time("started_at", row)?, None))
}

fn end(columns: &Columns<'_>, row: usize) -> Option<Mark> {
    let cause = columns.word("cause", row).filter(|cause| !cause.is_empty());
    Some(mark(columns, row, "end", columns.time("ended_at", row)?, cause))
}

fn mark(
    columns: &Columns<'_>,
    row: usize,
    kind: &'static str,
    time: Time,
    cause: Option<&str>,
) -> Mark {
    let subject = [Dimension::ServiceInstanceId, Dimension::HostName, Dimension::ServiceName];
    let subject = subject.into_iter().find_map(|dimension| columns.holder(dimension, row));
    Mark {
        time: time.to_string(),
        kind,
        subject: subject.unwrap_or("?").to_owned(),
        version: columns.holder(Dimension::ServiceVersion, row).map(str::to_owned),
        cause: cause.map(str::to_owned),
    }
}
