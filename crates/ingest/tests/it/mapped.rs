//! Mapped JSON lines: a map, a line, and what it says.

use crate::shown::{parse, shown};

/// `map` as in a source of `format: json` about the resource `slots`.
#[track_caller]
fn check(map: &str, line: &str, expected: &[&str]) {
    let source = format!("{{file: a.jsonl, format: json, resource: slots, map: {map}}}");
    assert_eq!(shown(&parse(&source, &[line])), expected);
}

#[track_caller]
fn check_context(line: &str, expected: &[&str]) {
    let source = "{file: deploys.jsonl, format: json, role: context}";
    assert_eq!(shown(&parse(source, &[line])), expected);
}

const SAMPLES: &str =
    "{time: ts, holder: {service.instance.id: pod}, value: {used: active, limit: max}}";

#[test]
fn samples_of_one_record() {
    check(
        SAMPLES,
        r#"{"ts":1700000000,"pod":"web-1","active":12,"max":"40"}"#,
        &["slots limit=40 service.instance.id=web-1", "slots used=12 service.instance.id=web-1"],
    );
}

#[test]
fn an_absent_value_is_no_row() {
    check(SAMPLES, r#"{"ts":1700000000,"active":12,"max":null}"#, &["slots used=12"]);
}

#[test]
fn a_limit_of_zero_is_a_reject_and_hides_nothing() {
    check(
        SAMPLES,
        r#"{"ts":1700000000,"active":12,"max":0}"#,
        &[
            "slots used=12",
            "reject bad_value: `max` is a limit below 1; leave it out where there is none",
        ],
    );
}

#[test]
fn paths_are_nested_members_or_names_with_dots() {
    let map = "{time: a.b.t, value: {used: m.used}}";
    for line in [
        r#"{"a":{"b":{"t":1700000000}},"m":{"used":3,"x":[{}]}}"#,
        r#"{"a.b.t":1700000000,"m.used":3}"#,
        r#"{"a":{"b.t":1700000000},"m":{"used":3}}"#,
        r#"{"a.b":{"t":1700000000},"m":{"used":3}}"#,
    ] {
        check(map, line, &["slots used=3"]);
    }
}

#[test]
fn a_member_may_be_wanted_whole_and_inside() {
    let map = "{time: t, holder: {tenant: m, user.name: m.user}, value: {used: v}}";
    check(map, r#"{"t":1700000000,"v":1,"m":"acme"}"#, &["slots used=1 tenant=acme"]);
    check(
        map,
        r#"{"t":1700000000,"v":1,"m":{"user":"eve"}}"#,
        &["reject bad_value: `m` is a list or an object, not a name"],
    );
}

#[test]
fn units_become_bytes_and_seconds() {
    let map = "{time: t, value: {used: a, memory: b, wait: c}, unit: {memory: MiB, wait: ms}}";
    check(
        map,
        r#"{"t":1700000000,"a":1,"b":2.5,"c":1500}"#,
        &["slots memory=2621440", "slots used=1", "slots wait=1.5"],
    );
}

#[test]
fn the_record_may_name_the_resource() {
    let map = "{time: t, resource: pool, value: {used: v}}";
    check(map, r#"{"t":1700000000,"v":1,"pool":"orders"}"#, &["orders used=1"]);
    check(map, r#"{"t":1700000000,"v":1}"#, &["slots used=1"]);
}

#[test]
fn times_in_all_their_forms() {
    for time in [
        "1700000000",
        "1700000000000",
        "1700000000.0",
        "\"1700000000\"",
        "\"2023-11-14T22:13:20Z\"",
        "\"2023-11-14 22:13:20.000 UTC\"",
        "\"2023-11-14T23:13:20+01:00\"",
    ] {
        let source = "{file: a, format: json, resource: r, map: {time: t, value: {used: v}}}";
        let batch = parse(source, &[format!(r#"{{"t":{time},"v":1}}"#)]);
        assert_eq!(batch.samples.time(0).as_micros(), 1_700_000_000_000_000, "{time}");
    }
}

#[test]
fn a_named_unit_of_time_overrules_the_size() {
    let map = "{time: t, time_unit: ms, value: {used: v}}";
    check(
        map,
        r#"{"t":1700000000,"v":1}"#,
        &["reject implausible_time: 1970-01-20T16:13:20.000000Z lies outside 2000 to 2099"],
    );
}

const SESSIONS: &str = "{time: t, holder: {tenant: customer}, session: {id: call, event: what, \
    events: {opened: [open, accept], closed: [close], refused: [reject]}, age: took, waited: queued, age_unit: ms, \
    reason: why}}";

#[test]
fn session_rows() {
    check(
        SESSIONS,
        r#"{"t":1700000000,"call":17,"what":"accept","customer":"acme"}"#,
        &["opened slots session=17 tenant=acme"],
    );
    check(
        SESSIONS,
        r#"{"t":1700000000,"call":"17","what":"close","took":"1500"}"#,
        &["closed slots session=17 age_us=1500000"],
    );
    check(
        SESSIONS,
        r#"{"t":1700000000,"what":"reject","why":"limit","queued":20}"#,
        &["refused slots waited_us=20000 reason=limit"],
    );
}

#[test]
fn an_event_that_is_not_listed_means_nothing() {
    check(SESSIONS, r#"{"t":1700000000,"call":17,"what":"ping"}"#, &["irrelevant 1"]);
}

#[test]
fn session_rows_that_miss_something() {
    check(
        SESSIONS,
        r#"{"t":1700000000,"what":"open"}"#,
        &["reject missing_field: there is no `call`"],
    );
    check(SESSIONS, r#"{"t":1700000000,"call":17}"#, &["reject missing_field: there is no `what`"]);
    check(
        SESSIONS,
        r#"{"t":1700000000,"call":17,"what":"close","took":-1}"#,
        &["reject bad_value: `took` is a negative age"],
    );
    check(
        SESSIONS,
        r#"{"t":1700000000,"what":"reject","queued":-1}"#,
        &["reject bad_value: `queued` is a negative wait"],
    );
}

#[test]
fn a_log_of_one_event() {
    let map = "{time: t, session: {id: call, events: {finished: []}, age: took}}";
    check(
        map,
        r#"{"t":1700000000,"call":"c1","took":0.25}"#,
        &["finished slots session=c1 age_us=250000"],
    );
}

#[test]
fn context_in_its_canonical_form() {
    check_context(
        r#"{"time":"2026-11-22T18:00:00Z","event":"deploy","service.name":"issuer","service.version":"2.14","note":"by ci"}"#,
        &["deploy note=by ci service.name=issuer service.version=2.14"],
    );
    check_context(
        r#"{"time":"2026-11-22T18:00:00Z","event":"limit_change","resource":"db","value":400}"#,
        &["limit_change resource=db value=400"],
    );
    check_context(
        r#"{"time":1700000000,"event":"restart","service":{"name":"web","instance":{"id":"web-1"}}}"#,
        &["restart service.name=web service.instance.id=web-1"],
    );
}

#[test]
fn context_that_cannot_be_used() {
    check_context(
        r#"{"time":1700000000,"event":"party"}"#,
        &["reject bad_value: `event` is not a known event"],
    );
    check_context(
        r#"{"time":1700000000,"event":"limit_change","resource":"db"}"#,
        &["reject missing_field: there is no `value`"],
    );
    check_context(
        r#"{"time":1700000000,"event":"limit_change","resource":"db","value":0}"#,
        &["reject bad_value: `value` is a limit below 1"],
    );
    check_context(
        r#"{"time":1700000000,"event":"limit_change","value":10}"#,
        &["reject missing_field: there is no `resource`"],
    );
}

#[test]
fn context_by_a_map() {
    let map = "{time: at, holder: {service.name: app, service.version: tag}, \
        context: {event: kind, events: {deploy: [released, rolled_back]}}}";
    check(
        map,
        r#"{"at":1700000000,"kind":"released","app":"web","tag":"v2"}"#,
        &["deploy resource=slots service.name=web service.version=v2"],
    );
    check(map, r#"{"at":1700000000,"kind":"built"}"#, &["irrelevant 1"]);
}

#[test]
fn memory_of_an_instance() {
    check(
        "{time: ts, instance: pod, value: {memory: rss_bytes, uptime: up}, unit: {memory: KiB}}",
        r#"{"ts":1700000000,"pod":"web-1","rss_bytes":3,"up":60.5}"#,
        &[
            "slots memory=3072 service.instance.id=web-1",
            "slots uptime=60.5 service.instance.id=web-1",
        ],
    );
    check(
        "{time: ts, value: {memory: rss}}",
        r#"{"ts":1700000000,"rss":-3}"#,
        &["reject bad_value: `rss` is a negative amount of memory"],
    );
}

#[test]
fn lives_begin_and_end() {
    check_context(
        r#"{"time":1700000000,"event":"end","cause":"out_of_memory","value":137,"service.instance.id":"web-1"}"#,
        &["end value=137 cause=out_of_memory service.instance.id=web-1"],
    );
    check_context(
        r#"{"time":1700000000,"event":"end","cause":"struck by lightning"}"#,
        &["end cause=unknown"],
    );
    check_context(
        r#"{"time":1700000000,"event":"start","predecessor":"web-1","service.instance.id":"web-9"}"#,
        &["start predecessor=web-1 service.instance.id=web-9"],
    );
}

#[test]
fn causes_have_the_names_that_the_records_have() {
    let map = "{time: t, instance: pod, context: {event: what, events: {end: [Terminated]},
        cause: reason, causes: {out_of_memory: [OOMKilled], stopped: [Completed]}}}";
    for (reason, cause) in
        [("OOMKilled", "out_of_memory"), ("Completed", "stopped"), ("crash", "crash")]
    {
        let line =
            format!(r#"{{"t":1700000000,"pod":"a","what":"Terminated","reason":"{reason}"}}"#);
        check(map, &line, &[&format!("end resource=slots cause={cause} service.instance.id=a")]);
    }
}
