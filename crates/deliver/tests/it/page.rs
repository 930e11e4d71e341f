//! Pages at a receiver with PagerDuty's semantics.

use std::time::Duration;

use plimsoll_deliver::{PagerDuty, PagerDutyConfig, Secret};
use plimsoll_model::{Outcome, PageAction, Payload};

use crate::deliveries;
use crate::receiver::{Alert, Behaviour, Receiver};

const KEY: &str = "R0123456789abcdef0123456789abcde";

fn sink(url: String) -> PagerDuty {
    sink_with(url, Duration::from_secs(20))
}

fn sink_with(url: String, timeout: Duration) -> PagerDuty {
    let mut config = PagerDutyConfig::new(Secret::new(KEY));
    config.url = url;
    config.timeout = timeout;
    PagerDuty::new("oncall", config).unwrap()
}

/// What one attempt to trigger ends with when the receiver behaves like this, in a word, and how
/// many requests it took.
#[track_caller]
fn check(behaviours: &[Behaviour], expected: &str, expected_requests: usize) {
    let receiver = Receiver::start();
    receiver.script(behaviours.iter().cloned());
    let timeout_ms = if behaviours.contains(&Behaviour::Hang) { 1_000 } else { 20_000 };
    let sink = sink_with(receiver.url(), Duration::from_millis(timeout_ms));
    let outcome = block_on(sink.deliver(&deliveries::page(PageAction::Trigger)));
    let (word, text) = match &outcome {
        Outcome::Accepted { answer } => ("accepted".to_owned(), answer),
        Outcome::Later { after: None, error } => ("later".to_owned(), error),
        Outcome::Later { after: Some(after), error } => (format!("later, {after:?}"), error),
        Outcome::Refused { error } => ("refused".to_owned(), error),
    };
    assert_eq!(word, expected, "{text}");
    assert_eq!(receiver.requests().len(), expected_requests);
    assert!(text.contains("127.0.0.1:") && !text.contains(KEY), "{text}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn an_event_that_is_taken_is_accepted() {
    check(&[Behaviour::Accept], "accepted", 1);
}

#[test]
fn a_busy_receiver_says_when_to_come_back() {
    check(&[Behaviour::TooMany("30".into())], "later, 30s", 1);
    // The receiver's own clock says 08:49:37.
    check(&[Behaviour::TooMany("Sun, 06 Nov 1994 08:51:37 GMT".into())], "later, 120s", 1);
    check(&[Behaviour::TooMany("soon".into())], "later", 1);
}

#[test]
fn a_broken_receiver_is_tried_again() {
    for status in [408, 500, 502, 503, 599] {
        check(&[Behaviour::Status(status)], "later", 1);
    }
}

#[test]
fn no_answer_is_tried_again() {
    check(&[Behaviour::Hang], "later", 1);
    check(&[Behaviour::DropAnswer], "later", 1);
}

#[test]
fn a_wrong_key_is_refused() {
    for status in [401, 403, 404, 410] {
        check(&[Behaviour::Status(status)], "refused", 1);
    }
}

#[test]
fn an_unreadable_event_is_sent_once_more_in_its_smallest_form() {
    check(&[Behaviour::Status(400), Behaviour::Accept], "accepted", 2);
    check(&[Behaviour::Status(413), Behaviour::Accept], "accepted", 2);
    check(&[Behaviour::Status(400), Behaviour::Status(400)], "refused", 2);
    check(&[Behaviour::Status(400), Behaviour::Status(500)], "later", 2);
}

#[test]
fn a_redirect_is_not_followed() {
    check(&[Behaviour::Status(307)], "refused", 1);
}

#[test]
fn nobody_listening_is_tried_again() {
    let receiver = Receiver::start();
    let sink = sink(receiver.url());
    drop(receiver);
    let outcome = block_on(sink.deliver(&deliveries::page(PageAction::Trigger)));
    assert!(
        matches!(&outcome, Outcome::Later { error, .. } if !error.contains(KEY)),
        "{outcome:?}"
    );
}

#[test]
fn one_incident_is_one_alert_whatever_is_repeated() {
    let receiver = Receiver::start();
    let sink = sink(receiver.url());
    receiver.script([Behaviour::DropAnswer]);
    let actions = [
        PageAction::Trigger,
        PageAction::Trigger,
        PageAction::Update,
        PageAction::Resolve,
        PageAction::Resolve,
    ];
    for action in actions {
        block_on(sink.deliver(&deliveries::page(action)));
    }
    let key = deliveries::page(PageAction::Trigger).key;
    let alert = Alert { key, opened: 1, resolved: 1, events: 5, dropped: 1 };
    assert_eq!(receiver.alerts(), [alert]);
    // The first event was taken although its answer was lost, and repeated byte for byte.
    let requests = receiver.requests();
    assert_eq!(requests[0].event, requests[1].event);
}

#[test]
fn a_page_goes_through_when_the_receiver_is_back() {
    let receiver = Receiver::start();
    let sink = sink(receiver.url());
    let trigger = deliveries::page(PageAction::Trigger);
    receiver.otherwise(Behaviour::Status(503));
    for _ in 0..3 {
        assert!(matches!(block_on(sink.deliver(&trigger)), Outcome::Later { .. }));
    }
    assert_eq!(receiver.alerts(), []);
    receiver.otherwise(Behaviour::Accept);
    assert!(matches!(block_on(sink.deliver(&trigger)), Outcome::Accepted { .. }));
    assert!(receiver.wait(Duration::from_secs(5), |alerts, requests| {
        requests == 4 && alerts.len() == 1 && alerts[0].is_open()
    }));
}

/// The layout of the three kinds of event. A change here is a change for people who route on
/// the fields, so it needs a line in the changelog.
#[test]
fn the_events_look_like_this() {
    let sink = sink("http://127.0.0.1:1".into());
    let shown = |action| {
        let body = sink.body(&deliveries::page(action)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        (body, value)
    };
    let (trigger, _) = shown(PageAction::Trigger);
    assert_eq!(trigger, include_str!("trigger.json").replace("\n", ""));
    let (_, update) = shown(PageAction::Update);
    assert_eq!(update["event_action"], "trigger");
    assert_eq!(update["payload"]["custom_details"]["change"], "updated");
    let (resolve, _) = shown(PageAction::Resolve);
    assert_eq!(
        resolve,
        r#"{"routing_key":"[redacted]","event_action":"resolve","dedup_key":"0000000000000000000000000000002a","client":"Plimsoll"}"#
    );
}

#[test]
fn a_page_about_a_hostile_name_stays_within_the_limits() {
    let mut delivery = deliveries::page(PageAction::Trigger);
    let Payload::Page { transition, .. } = &mut delivery.payload else { unreachable!() };
    let hostile = "\u{202e}\"\\\u{1b}[31m\u{10FFFF}".repeat(1 << 16);
    let finding = &mut transition.finding;
    for text in [
        &mut finding.resource,
        &mut finding.unit,
        &mut transition.pipeline,
        &mut transition.headline,
        &mut transition.advice,
    ] {
        text.clone_from(&hostile);
    }
    finding.owner = plimsoll_model::Owner::Holder {
        dimension: plimsoll_model::Dimension::ServiceName,
        value: hostile.clone(),
    };
    finding.release = Some(plimsoll_model::Release {
        service: hostile.clone(),
        version: Some(hostile.clone()),
        deployed_at: plimsoll_model::Time::EARLIEST,
    });
    finding.doubts = vec![hostile; 1000];
    let body = sink("http://127.0.0.1:1".into()).body(&delivery).unwrap();
    assert!(body.len() < 512_000, "{} bytes", body.len());
    assert!(!body.contains('\u{202e}') && !body.contains('\u{1b}'));
    let event: serde_json::Value = serde_json::from_str(&body).unwrap();
    let summary = event["payload"]["summary"].as_str().unwrap();
    assert_eq!(summary.chars().count(), 1024);
    assert!(summary.contains("shortened from"), "{summary}");
}

#[test]
fn rows_are_not_pages() {
    let delivery = deliveries::rows("k", &[], &[]);
    let sink = sink("http://127.0.0.1:1".into());
    assert!(matches!(block_on(sink.deliver(&delivery)), Outcome::Refused { .. }));
    assert_eq!(sink.body(&delivery), None);
}
