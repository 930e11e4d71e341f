//! The rows that prove incidents: one table for each of [`plimsoll_model::evidence::Table`].

use super::{PIPELINE, count, text, time};
use crate::schema::{Column, Kind, Table};

/// The table `panes`.
pub const PANES: Table = Table {
    name: "panes",
    comment: "who held how many units over time: one row per incident, pane of 10 s and holder that changed in it",
    columns: &[PANES_OWN, HOLDER],
};

/// The table `samples`.
pub const SAMPLES: Table = Table {
    name: "samples",
    comment: "values around incidents: one row per incident, holder, metric and moment",
    columns: &[SAMPLES_OWN, HOLDER],
};

/// The table `lives`.
pub const LIVES: Table = Table {
    name: "lives",
    comment: "lives of instances around incidents: one row per incident, instance and beginning",
    columns: &[LIVES_OWN, HOLDER],
};

/// The table `sessions`.
pub const SESSIONS: Table = Table {
    name: "sessions",
    comment: "single sessions around incidents: one row per incident and session",
    columns: &[SESSIONS_OWN, HOLDER],
};

const INCIDENT: Column = text("incident", "the incident that the row proves: incidents.incident");

const PANES_OWN: &[Column] = &[
    PIPELINE,
    INCIDENT,
    time("pane", "start of the pane, event time; a pane is 10 seconds wide"),
    text("resource", "the finite resource, by its name in the configuration"),
    count("opened", "units opened during the pane"),
    count("closed", "units closed during the pane"),
    count("refused", "requests refused during the pane"),
    count("held", "units held at the end of the pane"),
];

const SAMPLES_OWN: &[Column] = &[
    PIPELINE,
    INCIDENT,
    time("time", "when it was measured, event time"),
    text("resource", "the finite resource, by its name in the configuration"),
    text("metric", "what was measured: memory, limit"),
    Column::new("value", Kind::Number, "the value, in the unit of the next column"),
    text("unit", "the unit of the value: bytes"),
];

const LIVES_OWN: &[Column] = &[
    PIPELINE,
    INCIDENT,
    text("resource", "the finite resource, by its name in the configuration"),
    time("started_at", "when the life began, or was first seen, event time"),
    Column::new("start_known", Kind::Flag, "whether started_at is its beginning"),
    time("ended_at", "when it ended, event time; NULL while it lives").or_null(),
    text("cause", "why it ended; empty while it lives"),
];

const SESSIONS_OWN: &[Column] = &[
    PIPELINE,
    INCIDENT,
    text("resource", "the finite resource, by its name in the configuration"),
    text("session", "id of the session in its log"),
    time("started_at", "when it began to hold a unit, or was refused, event time"),
    time("ended_at", "when it ended, event time; NULL while it holds its unit").or_null(),
    count("waited_us", "how long it waited for its unit, microseconds"),
    Column::new("refused", Kind::Flag, "whether it was refused"),
];

/// Who, in every table of evidence.
const HOLDER: &[Column] = &[
    text("tenant", "tenant of the holder; empty if unknown, as in the seven columns below"),
    text("service_name", "service.name of the holder: PostgreSQL application_name"),
    text("service_version", "service.version of the holder"),
    text("service_instance_id", "service.instance.id of the holder"),
    text("host_name", "host.name of the holder"),
    text("db_namespace", "db.namespace: the database inside the server"),
    text("user_name", "user.name: the account"),
    text("client_address", "client.address: where the holder connects from, without port"),
    count("holder_key", "XXH3-64 of the eight columns above; a lookup key, not shown to people"),
];
