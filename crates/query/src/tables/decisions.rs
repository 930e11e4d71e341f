//! What was decided: `incidents` and `incident_events`.

use super::{PIPELINE, count, text, time};
use crate::schema::{Column, Kind, Table};

/// One row per incident: its last transition.
pub const INCIDENTS: Table = Table {
    name: "incidents",
    comment: "every incident once, in its current state: its last transition",
    columns: &[TRANSITION, NOW],
};

/// One row per transition.
pub const INCIDENT_EVENTS: Table = Table {
    name: "incident_events",
    comment: "every transition of every incident",
    columns: &[TRANSITION],
};

const TRANSITION: &[Column] = &[
    PIPELINE,
    text(
        "incident",
        "id of the incident: 32 hexadecimal digits, also the key at the receivers of pages",
    ),
    Column::new(
        "sequence",
        Kind::Small,
        "number of the transition inside the incident: 1, 2, 3 without gaps",
    ),
    text("change", "opened, updated or resolved"),
    text("reason", "why it changed: a name of the closed list in docs"),
    time("as_of", "the tick at which it was decided, event time"),
    time("decided_at", "when it was decided, wall clock"),
    time("opened_at", "the tick of the first transition, event time"),
    text(
        "kind",
        "what is happening: growth_to_limit, refusal_at_limit, held_open, growth_within_life, growth_across_lives, not_back",
    ),
    text("severity", "how loudly to speak now: notify, ticket, page"),
    text("severity_peak", "the loudest severity so far"),
    text("resource", "the finite resource, by its name in the configuration"),
    text("unit", "what its units are called: connections, slots, threads, bytes"),
    text("owner", "who is to blame, for people: dimension and value, nobody, or unknown"),
    text(
        "owner_dimension",
        "the dimension that tells the owner from the others, such as service.name; empty for nobody and unknown",
    ),
    text("owner_value", "its value; empty for nobody and unknown"),
    time("since", "when it began, event time"),
    count("level", "units held at as_of, by everybody"),
    count("usable", "units that can be held: limit minus reserved; NULL while no limit is known")
        .or_null(),
    count("owner_level", "units held at as_of by the owner").or_null(),
    count("owner_level_before", "units that the owner held at since").or_null(),
    Column::new("growth_per_minute", Kind::Number, "growth of the level, units per minute")
        .or_null(),
    time(
        "exhaustion_from",
        "start of the 80 % interval in which the usable units run out (10 % quantile)",
    )
    .or_null(),
    time(
        "exhaustion_to",
        "end of that interval (90 % quantile); NULL if it lies beyond what can be said",
    )
    .or_null(),
    text("release_service", "program of the newest release that precedes since; empty if none"),
    text("release_version", "that release, if the deploy event said it"),
    time("deployed_at", "when it was rolled out, event time").or_null(),
    count("refused", "requests refused from since to as_of"),
    Column::new(
        "doubts",
        Kind::Texts,
        "why the numbers may be off; empty if nothing is known to be missing",
    ),
    text("headline", "what, how far, since when, until when, who: one or two sentences"),
    text("advice", "what to do next"),
    text("detail", "what only incidents of this kind say, as JSON; empty if nothing"),
    text(
        "proof",
        "SQL over the tables of evidence that reproduces the numbers; empty while there is no evidence",
    ),
];

const NOW: &[Column] = &[
    Column::new("is_open", Kind::Flag, "whether it is not resolved"),
    time("resolved_at", "when it was resolved, event time; NULL while it is open").or_null(),
];
