//! `GET /api/incidents`.

use std::cmp::Reverse;

use plimsoll_model::Change;
use plimsoll_store::{Decided, Error};
use serde::Serialize;

use super::transition::Shown;
use crate::sources::Pipeline;

/// Incidents in one answer; older ones are left off and counted.
pub const INCIDENTS_SHOWN_MAX: usize = 200;

/// The body.
#[derive(Debug, Serialize)]
pub(super) struct List {
    incidents: Vec<Shown>,
    left_off: usize,
}

/// Each incident's last transition: open ones first, the loudest and newest at the top.
pub(super) fn answer(pipelines: &[Pipeline]) -> Result<List, Error> {
    let mut incidents = Vec::new();
    for pipeline in pipelines {
        let of_this = (pipeline.snapshots)()?.incidents()?;
        incidents.extend(of_this.into_iter().map(|decided| (pipeline, decided)));
    }
    incidents.sort_by_key(|(_, decided)| place(decided));
    let left_off = incidents.len().saturating_sub(INCIDENTS_SHOWN_MAX);
    incidents.truncate(INCIDENTS_SHOWN_MAX);
    let lines = incidents.into_iter().map(|(pipeline, decided)| {
        let now = pipeline.watched.newest(decided.transition.incident);
        Shown::listed(decided, now)
    });
    Ok(List { incidents: lines.collect(), left_off })
}

fn place(decided: &Decided) -> impl Ord + use<> {
    let transition = &decided.transition;
    let is_resolved = transition.change == Change::Resolved;
    let (loudness, moment) = match is_resolved {
        false => (Some(transition.severity_peak), transition.opened_at),
        true => (None, transition.as_of),
    };
    (is_resolved, Reverse(loudness), Reverse(moment), transition.incident)
}
