//! PostgreSQL's jsonlog: one line and what it says.

use std::collections::BTreeMap;

use plimsoll_model::sessions::SessionEvent;
use plimsoll_model::{RejectReason, Time};

use crate::shown::{parse, shown};

const SOURCE: &str = "{kafka: pg-logs, format: postgres_jsonlog, resource: db}";

/// Lines that PostgreSQL 15.18 wrote: max_connections 6, superuser_reserved_connections 2.
const RECORDED: &str = include_str!("postgres-15.18.jsonl");

/// A client's line with these members besides a time, a session, an address, a user and a
/// database.
#[track_caller]
fn check(members: &str, expected: &[&str]) {
    let line = format!(
        r#"{{"timestamp":"2026-11-22 18:14:09.016 UTC","user":"app","dbname":"shop",
        "remote_host":"10.0.0.7","session_id":"6b.1",{members}}}"#
    );
    check_line(&line.replace('\n', ""), expected);
}

#[track_caller]
fn check_line(line: &str, expected: &[&str]) {
    assert_eq!(shown(&parse(SOURCE, &[line])), expected);
}

const HOLDER: &str = "service.name=web db.namespace=shop user.name=app client.address=10.0.0.7";

#[test]
fn an_attempt_has_only_its_address() {
    check(
        r#""message":"connection received: host=10.0.0.7 port=4","application_name":"claimed""#,
        &["attempted db session=6b.1 client.address=10.0.0.7"],
    );
}

#[test]
fn an_authorization_names_the_application_in_its_text() {
    check(
        r#""message":"connection authorized: user=app database=shop application_name=web""#,
        &[&format!("opened db session=6b.1 {HOLDER}")],
    );
}

#[test]
fn the_text_after_the_application_is_not_its_name() {
    check(
        r#""message":"connection authorized: user=app database=shop application_name=web SSL enabled (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)""#,
        &[&format!("opened db session=6b.1 {HOLDER}")],
    );
}

#[test]
fn a_database_named_like_a_key_misleads_nobody() {
    check(
        r#""dbname":"x application_name=y","message":"connection authorized: user=app database=x application_name=y application_name=web""#,
        &[
            "opened db session=6b.1 service.name=web db.namespace=x application_name=y user.name=app client.address=10.0.0.7",
        ],
    );
}

#[test]
fn an_application_may_be_unnamed() {
    check(
        r#""message":"connection authorized: user=app database=shop""#,
        &["opened db session=6b.1 db.namespace=shop user.name=app client.address=10.0.0.7"],
    );
}

#[test]
fn names_with_escapes() {
    check(
        r#""message":"connection authorized: user=app database=shop application_name=bill \"api\"\\ \u007a""#,
        &[
            r#"opened db session=6b.1 service.name=bill "api"\ z db.namespace=shop user.name=app client.address=10.0.0.7"#,
        ],
    );
}

#[test]
fn replication_is_a_session_too() {
    check(
        r#""backend_type":"walsender","message":"replication connection authorized: user=app application_name=standby1""#,
        &[
            "opened db session=6b.1 service.name=standby1 db.namespace=shop user.name=app client.address=10.0.0.7",
        ],
    );
}

/// 1 h 2 min 3.004 s is 3,723,004,000 µs.
#[test]
fn a_disconnection_has_its_age() {
    check(
        r#""application_name":"web","message":"disconnection: session time: 1:02:03.004 user=app database=shop host=10.0.0.7 port=4""#,
        &[&format!("closed db session=6b.1 age_us=3723004000 {HOLDER}")],
    );
}

#[test]
fn a_disconnection_with_an_unreadable_age_still_closes() {
    check(
        r#""application_name":"web","message":"disconnection: session time: soon""#,
        &[&format!("closed db session=6b.1 {HOLDER}")],
    );
}

#[test]
fn refusals_by_their_limit() {
    let reasons = [
        ("sorry, too many clients already", "limit"),
        (
            "remaining connection slots are reserved for roles with the SUPERUSER attribute",
            "reserved",
        ),
        ("too many connections for role \\\"app\\\"", "role_limit"),
        ("too many connections for database \\\"shop\\\"", "database_limit"),
        ("zu viele Verbindungen", "zu viele Verbindungen"),
    ];
    for (message, reason) in reasons {
        let refused = format!("refused db session=6b.1 reason={reason} {HOLDER}");
        let line = format!(
            r#""application_name":"web","error_severity":"FATAL","state_code":"53300","message":"{message}""#
        );
        check(&line, &[&refused]);
    }
}

#[test]
fn a_refusal_in_another_language_is_known_by_the_function() {
    check(
        r#""error_severity":"FATAL","state_code":"53300","message":"tut mir leid","func_name":"InitProcess","application_name":"web""#,
        &[&format!("refused db session=6b.1 reason=limit {HOLDER}")],
    );
}

#[test]
fn an_error_that_a_session_survives_is_no_refusal() {
    check(
        r#""error_severity":"ERROR","state_code":"53300","message":"raised by a function""#,
        &["irrelevant 1"],
    );
}

#[test]
fn a_session_that_fails_at_startup_never_disconnects() {
    check(
        r#""ps":"startup","error_severity":"FATAL","state_code":"3D000","message":"database \"shop\" does not exist","application_name":"web""#,
        &[&format!("closed db session=6b.1 reason=database \"shop\" does not exist {HOLDER}")],
    );
}

#[test]
fn a_session_that_is_terminated_disconnects_by_itself() {
    check(
        r#""ps":"idle in transaction","error_severity":"FATAL","state_code":"25P03","message":"terminating connection due to idle-in-transaction timeout""#,
        &["irrelevant 1"],
    );
}

#[test]
fn restarts_end_everybody() {
    for message in [
        "all server processes terminated; reinitializing",
        "database system is ready to accept connections",
        "database system is shut down",
    ] {
        let line = format!(
            r#"{{"message":"{message}","timestamp":"2026-11-22 18:14:09.016 UTC","backend_type":"postmaster"}}"#
        );
        check_line(&line, &["reset db"]);
    }
}

#[test]
fn a_shutdown_of_the_past_is_no_restart() {
    check(r#""message":"database system was shut down at 2026-11-22""#, &["irrelevant 1"]);
}

#[test]
fn an_event_without_its_session_is_a_reject() {
    check_line(
        r#"{"timestamp":"2026-11-22 18:14:09.016 UTC","message":"connection received: host=a"}"#,
        &["reject missing_field: there is no `session_id`"],
    );
}

#[test]
fn a_line_without_a_time_is_a_reject() {
    check_line(r#"{"message":"x"}"#, &["reject missing_field: there is no `timestamp`"]);
    check_line(r#"{"timestamp":"soon"}"#, &["reject bad_value: cannot read the time `soon`"]);
    check_line(r#"{"timestamp":null}"#, &["reject missing_field: there is no `timestamp`"]);
}

#[test]
fn a_line_in_an_unnamed_zone_is_a_reject() {
    check_line(
        r#"{"timestamp":"2026-11-22 18:14:09.016 CET"}"#,
        &[
            "reject bad_value: the time is in zone `CET`: name the server's zone as the source's `timezone`",
        ],
    );
}

#[test]
fn the_last_of_two_members_counts() {
    check(r#""message":"database system is shut down","message":"x""#, &["irrelevant 1"]);
}

#[test]
fn a_port_may_be_a_number_or_a_text() {
    for port in ["4711", "\"4711\"", "null"] {
        let line = format!(r#""remote_port":{port},"message":"connection received: ""#);
        check(&line, &["attempted db session=6b.1 client.address=10.0.0.7"]);
    }
}

#[test]
fn local_clients_keep_their_mark() {
    check(
        r#""remote_host":"[local]","message":"connection received: host=[local]""#,
        &["attempted db session=6b.1 client.address=[local]"],
    );
}

#[test]
fn ordinary_lines_still_tell_the_time() {
    let line = r#"{"timestamp":"2026-11-22 18:14:09.016 UTC","message":"checkpoint starting"}"#;
    let batch = parse(SOURCE, &[line, "", line]);
    // 2026-11-22 18:14:09 UTC is 1,795,371,249 s after the epoch (`date -u +%s -d …`).
    let time = Time::from_millis(1_795_371_249_016);
    assert_eq!(batch.times, [(0, time), (2, time)]);
    assert_eq!((batch.rows(), batch.irrelevant, batch.records), (0, 3, 3));
}

#[test]
fn a_record_of_several_lines_repeats_its_offset() {
    let line =
        r#"{"timestamp":"2026-11-22 18:14:09 UTC","message":"database system is shut down"}"#;
    let batch = parse(SOURCE, &[format!("{line}\n{line}\r\n"), line.to_owned()]);
    let offsets: Vec<i64> =
        (0..batch.sessions.len()).map(|row| batch.sessions.offset(row)).collect();
    assert_eq!((offsets, batch.records), (vec![0, 0, 1], 3));
    assert_eq!(batch.times.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 0, 1]);
}

/// Counted by hand in the recording: twelve clients, of which one met the hard limit and one a
/// server in recovery; four refused; one database that does not exist; two starts of the server.
#[test]
fn a_real_servers_lines() {
    let lines: Vec<&str> = RECORDED.lines().collect();
    let batch = parse(SOURCE, &lines);
    let mut events: BTreeMap<SessionEvent, usize> = BTreeMap::new();
    for row in 0..batch.sessions.len() {
        *events.entry(batch.sessions.event(row)).or_default() += 1;
    }
    let expected = [
        (SessionEvent::Attempted, 12),
        (SessionEvent::Opened, 10),
        (SessionEvent::Closed, 6),
        (SessionEvent::Refused, 4),
        (SessionEvent::Reset, 2),
    ];
    assert_eq!(events, BTreeMap::from(expected));
    assert_eq!(batch.rejects, []);
    assert_eq!(batch.times.len(), lines.len());
}

/// Every session that the recorded server opened before it crashed was closed or refused, except
/// the one that was killed.
#[test]
fn a_real_servers_sessions_add_up() {
    let lines: Vec<&str> = RECORDED.lines().collect();
    let rows = parse(SOURCE, &lines).sessions;
    let mut open = BTreeMap::new();
    for row in 0..rows.len() {
        match rows.event(row) {
            SessionEvent::Opened => {
                let holder = rows.holder(row).to_owned();
                open.insert(rows.session(row).map(str::to_owned), holder);
            }
            SessionEvent::Closed | SessionEvent::Refused => {
                open.remove(&rows.session(row).map(str::to_owned));
            }
            _ => {}
        }
    }
    let left: Vec<_> = open.values().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].get(plimsoll_model::Dimension::ServiceName), Some("crasher"));
}

#[test]
fn times_of_1970_and_2999() {
    for year in ["1970", "2999"] {
        let line = format!(r#"{{"timestamp":"{year}-01-01 00:00:00 UTC"}}"#);
        let batch = parse(SOURCE, &[line]);
        assert_eq!(batch.rejects[0].reason, RejectReason::ImplausibleTime);
        assert_eq!(batch.times, []);
    }
}
