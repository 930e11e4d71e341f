//! HAProxy's HTTP log: one line and what it says.

use plimsoll_model::Time;

use crate::shown::{parse, shown};

const SOURCE: &str = "{file: edge.log, format: haproxy_http, resource: slots, haproxy: {backend: app, \
     holder: {tenant: request.0, service.version: response.0}, session: request.1}}";

/// Lines that HAProxy 2.6.12 wrote: `server a1 maxconn 2`, queue timeout 500 ms, server timeout
/// 1,500 ms.
const RECORDED: &str = include_str!("haproxy-2.6.log");

/// The line with this number among the recorded ones.
#[track_caller]
fn check(number: usize, expected: &[&str]) {
    check_line(RECORDED.lines().nth(number).unwrap(), expected);
}

#[track_caller]
fn check_line(line: &str, expected: &[&str]) {
    assert_eq!(shown(&parse(SOURCE, &[line])), expected);
}

#[test]
fn a_request_that_did_not_wait() {
    check(
        0,
        &[
            "finished slots session=r1 age_us=101000 waited_us=0 tenant=acme service.version=2.1",
            "slots used_of_part=0 service.instance.id=a1",
        ],
    );
}

/// It waited 96 ms of its 197 ms and held a slot for the rest; one other is with the server and
/// two are in the queue.
#[test]
fn a_wait_is_not_part_of_the_hold_time() {
    check(
        3,
        &[
            "finished slots session=r6 age_us=101000 waited_us=96000 tenant=initech service.version=2.1",
            "slots used_of_part=1 service.instance.id=a1",
        ],
    );
}

#[test]
fn a_queue_that_timed_out_is_a_refusal_at_the_limit() {
    check(4, &["refused slots session=r2 waited_us=502000 reason=limit"]);
}

#[test]
fn a_server_that_timed_out_held_its_slot_until_then() {
    check(
        8,
        &[
            "finished slots session=r8 age_us=1501000 waited_us=0 reason=sH-- tenant=q1",
            "slots used_of_part=1 service.instance.id=a1",
        ],
    );
}

#[test]
fn lines_of_other_backends_mean_nothing_here() {
    check(10, &["irrelevant 1"]);
}

#[test]
fn what_was_escaped_is_itself_again() {
    let line = RECORDED.lines().nth(1).unwrap();
    let rows = shown(&parse(SOURCE, &[line]));
    assert!(rows[0].starts_with("finished slots session=we|ird}{ age_us=51000"), "{rows:?}");
}

#[test]
fn a_row_stands_at_the_end_of_its_request() {
    let batch = parse(SOURCE, &[RECORDED.lines().nth(3).unwrap()]);
    // 20:58:20.759 + 197 ms; the slot was held since 96 ms after the first byte.
    let ended = Time::from_millis(1_795_381_100_956);
    assert_eq!(ended.to_string(), "2026-11-22T20:58:20.956000Z");
    let rows = &batch.sessions;
    assert_eq!((rows.time(0), batch.samples.time(0), batch.times[0].1), (ended, ended, ended));
    assert_eq!(rows.started(0), Some(Time::from_millis(1_795_381_100_855)));
}

/// A line with these last fields, of a client that waited 10 ms in the queue.
#[track_caller]
fn check_ended(server: &str, timers: &str, ended: &str, expected: &str) {
    let line = format!(
        "10.0.0.7:4 [22/Nov/2026:20:58:20.000] edge~ app/{server} {timers} 200 9 - - {ended} \
         9/8/7/6/0 0/0 {{acme|r1}} \"GET / HTTP/1.1\""
    );
    let said = shown(&parse(SOURCE, &[line]));
    assert_eq!(said.first().map(String::as_str), Some(expected));
}

#[test]
fn how_a_request_may_end() {
    check_ended(
        "a1",
        "0/10/-1/-1/30",
        "sC--",
        "finished slots session=r1 age_us=20000 waited_us=10000 reason=sC-- tenant=acme",
    );
    check_ended(
        "a1",
        "5/10/0/5/30",
        "cD--",
        "finished slots session=r1 age_us=15000 waited_us=10000 reason=cD-- tenant=acme",
    );
    check_ended(
        "<NOSRV>",
        "0/10/-1/-1/10",
        "CQ--",
        "refused slots session=r1 waited_us=10000 reason=left the queue tenant=acme",
    );
    // It never asked for a slot: a bad request, an answer of HAProxy's own.
    check_ended("<NOSRV>", "-1/-1/-1/-1/0", "PR--", "irrelevant 1");
    check_ended("<NOSRV>", "0/-1/-1/-1/0", "LR--", "irrelevant 1");
    // `option logasap`: it goes on.
    check_ended("a1", "0/0/0/5/+5", "----", "irrelevant 1");
}

#[test]
fn slots_of_the_frontend_are_held_from_the_first_byte_on() {
    let source = "{file: a, format: haproxy_http, resource: r, haproxy: {slots: frontend}}";
    let line = "<134>Nov 22 20:58:22 lb-1 haproxy[7]: 2001:db8::7:4 [22/Nov/2026:20:58:20.000] edge \
                app/a1 3/96/0/1/100 200 9 - - ---- 9/8/7/6/0 0/0 \"GET / HTTP/1.1\"";
    let rows = shown(&parse(source, &[line]));
    assert!(
        rows[0].ends_with("age_us=100000 waited_us=96000 client.address=2001:db8::7"),
        "{rows:?}"
    );
    assert_eq!(rows[1], "r used=7");
}

#[test]
fn a_request_without_an_id_is_known_by_its_line() {
    let source = "{file: a, format: haproxy_http, resource: r}";
    let batch = parse(source, &RECORDED.lines().collect::<Vec<_>>());
    let again =
        parse(source, &[format!("<134>x haproxy[7]: {}", RECORDED.lines().next().unwrap())]);
    let ids: Vec<_> =
        (0..batch.sessions.len()).filter_map(|row| batch.sessions.session(row)).collect();
    assert_eq!(ids.len(), 13);
    assert!((1..13).all(|at| !ids[..at].contains(&ids[at])));
    assert_eq!(again.sessions.session(0), Some(ids[0]));
}

#[test]
fn what_the_balancer_writes_about_itself_means_nothing() {
    for line in [
        "Proxy edge started.",
        "<133>Nov 22 20:58:22 lb-1 haproxy[7]: Server app/a1 is DOWN, reason: Layer4 timeout.",
        "10.0.0.7:4 [22/Nov/2026:20:58:20.000] edge/1: SSL handshake failure",
    ] {
        check_line(line, &["irrelevant 1"]);
    }
}

#[test]
fn lines_that_cannot_be_used() {
    let reject = |line: &str, expected: &str| check_line(line, &[expected]);
    reject("once upon a time", "reject malformed: there is no `[date]` of HAProxy's HTTP log");
    reject(
        "10.0.0.7:4 [22/Nov/2026:20:58:20.000] edge app/a1 0/0/7 9 -- 9/8/7/6/0 0/0",
        "reject malformed: three timers are those of `option tcplog`; `option httplog` has five",
    );
    reject(
        "10.0.0.7:4 [22/Nov/2026:20:58:20.000] edge app/a1 0/0/x/0/9 200 9 - - ---- 1/1/1/1/0 0/0",
        "reject malformed: timers `0/0/x/0/9` must be five numbers",
    );
    reject(
        "10.0.0.7:4 [22/Nov/2026:20:58:20.000] edge app/a1 0/0/0/0/9 200 9 - - ---- 1/1/1",
        "reject malformed: cut short, or not of `option httplog`",
    );
    reject(
        "10.0.0.7:4 [31/Feb/2026:20:58:20.000] edge app/a1 0/0/0/0/9 200 9 - - ---- 1/1/1/1/0 0/0",
        "reject bad_value: cannot read the time `2026-02-31 20:58:20.000`",
    );
    reject(
        "10.0.0.7:4 [22/Nov/2026:20:58:20.000] edge app/a1 0/0/0/0/9223372036854775807 200 9 - - ---- 1/1/1/1/0 0/0",
        "reject implausible_time: 9223372036854775807 µs lies outside 2000 to 2099",
    );
}
