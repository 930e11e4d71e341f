//! Configurations that a user may write.

use std::time::Duration;

use plimsoll_ingest::config::Role;
use plimsoll_ingest::{Parser, SourceConfig};

use crate::shown::source;

/// The problems of a source called `x`, in full.
#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    let config = source(yaml);
    assert_eq!(config.validate("x"), expected);
    assert_eq!(Parser::new("x", &config).is_err(), !expected.is_empty());
}

#[test]
fn the_examples_of_the_documentation_are_right() {
    check(
        "{kafka: pg-logs, format: postgres_jsonlog, timezone: UTC, resource: orders-db, reorder: 2s}",
        &[],
    );
    check(
        "{kafka: [metrics, metrics-2], format: json, resource: r, map: {time: ts, holder: {service.instance.id: pod}, value: {used: active}}}",
        &[],
    );
    check("{file: deploys.jsonl, format: json, role: context}", &[]);
    check(
        "{kafka: edge-log, format: haproxy_http, resource: r, haproxy: {holder: {tenant: request.0}}}",
        &[],
    );
}

#[test]
fn a_balancers_log_needs_to_know_its_slots() {
    check(
        "{file: a, format: haproxy_http, role: context}",
        &[
            "source `x`: needs `resource`: the name of the slots that it hands out",
            "source `x`: has `role: context`, but a balancer's log is data",
        ],
    );
    check(
        "{file: a, format: postgres_jsonlog, resource: db, haproxy: {}}",
        &["source `x`: has `haproxy`, which belongs to `format: haproxy_http`"],
    );
}

#[test]
fn a_part_of_a_line_has_a_known_name() {
    let read = |part: &str| {
        let yaml =
            format!("{{file: a, format: haproxy_http, haproxy: {{holder: {{tenant: {part}}}}}}}");
        serde_saphyr::from_str::<SourceConfig>(&yaml).map_err(|error| error.to_string())
    };
    assert!(read("request.31").is_ok());
    assert!(read("request.32").unwrap_err().contains("must be 0 to 31"));
    assert!(read("header").unwrap_err().contains("expected one of `client`, `frontend`"));
}

#[test]
fn defaults() {
    let data = source("{kafka: a, format: json, map: {time: t}}");
    assert_eq!(data.reorder, Duration::from_secs(2));
    assert_eq!(data.idle_after(), Duration::from_secs(10));
    assert_eq!(data.max_ahead, Duration::from_secs(300));
    let context = source("{file: [a, b], format: json, role: context}");
    assert_eq!((context.role, context.idle_after()), (Role::Context, Duration::ZERO));
    assert_eq!(context.file, ["a", "b"]);
    let set = source("{file: a, format: json, role: context, idle_after: 1m 30s, reorder: 0s}");
    assert_eq!((set.idle_after(), set.reorder), (Duration::from_secs(90), Duration::ZERO));
}

#[test]
fn a_configuration_survives_being_written() {
    let config = source(
        "{file: a, format: json, resource: r, idle_after: 5s, map: {time: t, value: {used: v}}}",
    );
    let written = serde_saphyr::to_string(&config).unwrap();
    let read: SourceConfig = serde_saphyr::from_str(&written).unwrap();
    assert_eq!(format!("{config:?}"), format!("{read:?}"));
}

#[test]
fn a_source_has_one_place() {
    check(
        "{format: postgres_jsonlog, resource: db}",
        &["source `x`: needs `kafka: TOPIC` or `file: PATH`"],
    );
    check(
        "{kafka: a, file: b, format: postgres_jsonlog, resource: db}",
        &["source `x`: has both `kafka` and `file`; keep one of them"],
    );
}

#[test]
fn a_zone_must_exist() {
    check(
        "{kafka: a, format: postgres_jsonlog, resource: db, timezone: Mars/Olympus}",
        &[
            "source `x`: timezone `Mars/Olympus` is neither an IANA name (Europe/Berlin) nor an offset (+01:00)",
        ],
    );
}

#[test]
fn a_database_needs_its_name() {
    check(
        "{kafka: a, format: postgres_jsonlog}",
        &["source `x`: needs `resource`: the name of the database server it logs for"],
    );
}

#[test]
fn a_map_makes_one_kind_of_rows() {
    check(
        "{kafka: a, format: json, resource: r}",
        &["source `x`: needs a `map` that says what its fields mean"],
    );
    check(
        "{kafka: a, format: json, resource: r, map: {time: t}}",
        &["source `x`: `map` needs exactly one of `value`, `session` and `context`"],
    );
}

#[test]
fn a_map_says_its_events() {
    check(
        "{kafka: a, format: json, resource: r, map: {time: t, session: {id: i, events: {opened: [a]}}}}",
        &[
            "source `x`: `map.session` needs `event`, or `events` with one event and an empty list if all records are that event",
        ],
    );
    check(
        "{kafka: a, format: json, resource: r, map: {time: t, session: {id: i, event: e, events: {opened: [a], closed: [a]}}}}",
        &["source `x`: `map.session.events` has the value `a` twice"],
    );
    check(
        "{kafka: a, format: json, resource: r, map: {time: t, session: {event: e, events: {opened: [a]}}}}",
        &["source `x`: `map.session` needs `id`: the field with the session's id"],
    );
}

#[test]
fn paths_have_no_empty_part() {
    check(
        "{kafka: a, format: json, resource: r, map: {time: a..b, value: {used: v}}}",
        &["source `x`: `map` names the field `a..b`; a path has no empty part"],
    );
}

#[test]
fn unknown_keys_and_dimensions_are_refused() {
    for (yaml, word) in [
        ("{kafka: a, format: json, tiemzone: UTC}", "tiemzone"),
        ("{kafka: a, format: json, map: {time: t, holder: {pod: p}}}", "pod"),
        ("{kafka: a, format: json, map: {time: t, session: {events: {ended: []}}}}", "ended"),
        ("{kafka: a, format: csv}", "csv"),
    ] {
        let error = serde_saphyr::from_str::<SourceConfig>(yaml).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
