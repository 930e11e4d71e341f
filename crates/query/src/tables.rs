//! The tables: one list, which the engine, `DESCRIBE` and the docs' test walk.
//!
//! Names, order and meaning are those of the tables in `deploy/clickhouse`.

mod decisions;
mod evidence;
mod outbox;

pub use decisions::{INCIDENT_EVENTS, INCIDENTS};
pub use evidence::{LIVES, PANES, SAMPLES, SESSIONS};
pub use outbox::{DELIVERIES, REJECTS};

use crate::schema::{Column, Kind, Table};

/// All tables, in the order in which they are listed.
pub const TABLES: &[Table] =
    &[INCIDENTS, INCIDENT_EVENTS, DELIVERIES, PANES, SAMPLES, SESSIONS, LIVES, REJECTS];

pub(crate) const fn text(name: &'static str, comment: &'static str) -> Column {
    Column::new(name, Kind::Text, comment)
}

pub(crate) const fn time(name: &'static str, comment: &'static str) -> Column {
    Column::new(name, Kind::Time, comment)
}

pub(crate) const fn count(name: &'static str, comment: &'static str) -> Column {
    Column::new(name, Kind::Count, comment)
}

pub(crate) const PIPELINE: Column =
    text("pipeline", "the pipeline that judged, by its name in the configuration");

/// The width of a pane, in microseconds.
pub(crate) const PANE_US: i64 = plimsoll_model::evidence::PANE_SECONDS * 1_000_000;
