//! What was said to receivers, and what could not be used.

use super::{PIPELINE, count, text, time};
use crate::schema::{Column, Kind, Table};

/// One row per order to a sink.
pub const DELIVERIES: Table = Table {
    name: "deliveries",
    comment: "every order to a receiver or a table sink, and what became of it",
    columns: &[&[
        PIPELINE,
        count("delivery", "its place in the outbox"),
        text("sink", "the receiver or table sink, by its name in the configuration"),
        text("key", "the name of the order at the receiver: the incident's id for pages"),
        text("action", "trigger, update or resolve; rows for a table sink"),
        text("incident", "the incident that it tells: incidents.incident; empty for rows"),
        Column::new(
            "sequence",
            Kind::Small,
            "the transition that it tells: incident_events.sequence; NULL for rows",
        )
        .or_null(),
        time("ordered_at", "the tick that ordered it, event time"),
        text("state", "pending, held, accepted, refused, superseded"),
        Column::new("attempts", Kind::Small, "attempts recorded so far; NULL when it is settled")
            .or_null(),
        time("answered_at", "when its answer was recorded, wall clock; NULL before").or_null(),
        text("answer", "what the receiver answered, or the error of the last attempt"),
    ]],
};

/// One row per kept reject.
pub const REJECTS: Table = Table {
    name: "rejects",
    comment: "records that could not be used; of each partition the last ones are kept",
    columns: &[&[
        PIPELINE,
        text(
            "source",
            "the source, by its name in the configuration, or its number if only the data directory is known",
        ),
        Column::new("partition", Kind::Small, "the partition of the source"),
        Column::new(
            "record_offset",
            Kind::Whole,
            "offset of the record in its topic, or the byte at which its line begins in its file",
        ),
        text("reason", "why: a name of the closed list in docs"),
        text("detail", "what exactly is wrong"),
        text("excerpt", "its first bytes, made printable"),
    ]],
};
