//! Rows in a real ClickHouse engine. These tests install it if it is missing (0.9 GB).

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use plimsoll_deliver::{ClickHouse, ClickHouseConfig, Error, Secret};
use plimsoll_model::evidence::Table;
use plimsoll_model::{Change, Interval, Outcome, Time};

use crate::clickhouse::{ACCOUNT, ClickHouseFault, ClickHousePart};
use crate::deliveries;

fn sink(part: &ClickHousePart) -> ClickHouse {
    ClickHouse::new("history", ClickHouseConfig::new(part.url())).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[track_caller]
fn assert_accepted(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
}

/// The text of an outcome that asks for a repetition.
#[track_caller]
fn later(outcome: Outcome) -> String {
    match outcome {
        Outcome::Later { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn migrations_are_applied_once_and_a_changed_one_is_an_error() {
    let part = ClickHousePart::start();
    let sink = sink(&part);
    let runtime = runtime();
    let version = runtime.block_on(sink.ping()).unwrap();
    assert!(version.starts_with("26."), "{version}");

    let planned = runtime.block_on(sink.migrate(true)).unwrap();
    assert_eq!(part.query("SELECT count() FROM system.databases WHERE name = 'plimsoll'"), "0\n");
    let applied = runtime.block_on(sink.migrate(false)).unwrap();
    assert_eq!(applied, planned);
    assert_eq!(applied.first().map(|file| file.name), Some("0001_incident_rows"));
    assert_eq!(runtime.block_on(sink.migrate(false)).unwrap(), []);
    assert_eq!(runtime.block_on(sink.migrate(true)).unwrap(), []);
    let columns = "SELECT count() FROM system.columns WHERE database = 'plimsoll' \
                   AND table IN ('incident_rows', 'incident_event_rows', 'pane_rows', 'sample_rows', 'life_rows', 'session_rows', 'delivery_rows', 'reject_rows') AND comment = ''";
    assert_eq!(part.query(columns), "0\n");

    part.query(
        "INSERT INTO plimsoll.schema_migrations (version, name, checksum) \
         VALUES (1, '0001_incident_rows', 'other')",
    );
    let error = runtime.block_on(sink.migrate(false)).unwrap_err();
    assert!(matches!(error, Error::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("`0001_incident_rows.sql` was changed"), "{error}");

    part.query(
        "INSERT INTO plimsoll.schema_migrations (version, name, checksum) \
         VALUES (9999, '9999_future', 'other')",
    );
    let error = runtime.block_on(sink.migrate(false)).unwrap_err();
    assert!(error.to_string().contains("`9999_future`"), "{error}");
}

#[test]
fn rows_come_back_by_sql_and_a_repetition_adds_none() {
    let part = ClickHousePart::start();
    let sink = sink(&part);
    let runtime = runtime();
    let opened = deliveries::transition(1, Change::Opened);
    let first = deliveries::rows("block-1", &[opened], &["segment-1"]);
    let evidence = deliveries::evidence();

    // Before the tables exist nothing is lost, and the text says what to do.
    let error = later(runtime.block_on(sink.deliver(&first, &evidence)));
    assert!(error.contains("run `plimsoll clickhouse migrate`"), "{error}");
    runtime.block_on(sink.migrate(false)).unwrap();

    for _ in 0..3 {
        assert_accepted(&runtime.block_on(sink.deliver(&first, &evidence)));
    }
    let raw = "SELECT (SELECT count() FROM plimsoll.incident_rows), \
               (SELECT count() FROM plimsoll.incident_event_rows), \
               (SELECT count() FROM plimsoll.pane_rows)";
    // Counted without FINAL: the token alone has dropped the repetitions.
    assert_eq!(part.query(raw), "1\t1\t4\n");
    let shown = "SELECT pipeline, incident, sequence, change, reason, as_of, decided_at, owner, \
                 owner_dimension, owner_value, level, usable, growth_per_minute, \
                 exhaustion_from, exhaustion_to, release_version, deployed_at, doubts, is_open, \
                 resolved_at FROM plimsoll.incidents";
    assert_eq!(
        part.query(shown),
        "issuance\t0000000000000000000000000000002a\t1\topened\texhaustion_forecast\t\
         2024-03-11 15:12:00.000000\t2024-03-11 15:12:01.000000\tservice.name issuer\t\
         service.name\tissuer\t160\t197\t2.5\t2024-03-11 15:21:00.000000\t\
         2024-03-11 15:29:00.000000\t2.14\t2024-03-11 14:58:00.000000\t\
         ['3 sessions are older than the log']\ttrue\t\\N\n"
    );
    let level = "SELECT pane, sum(held) FROM plimsoll.panes \
                 WHERE pipeline = 'issuance' GROUP BY pane ORDER BY pane";
    let level = part.query(level);
    assert_eq!(level, "2024-03-11 15:12:00.000000\t112\n2024-03-11 15:12:10.000000\t160\n");
    let holders = "SELECT DISTINCT tenant, service_name, host_name, \
                   holder_key = (SELECT any(holder_key) FROM plimsoll.pane_rows \
                   WHERE tenant = 'acme') FROM plimsoll.panes ORDER BY tenant";
    assert_eq!(part.query(holders), "\t\t\t0\nacme\tissuer\t\t1\n");

    // The rest of the story, in one block; then the first block again, outside any window.
    let mut endless = deliveries::transition(2, Change::Updated);
    let to = Some(Time::from_micros(i64::MAX));
    endless.finding.exhaustion = Some(Interval { from: Time::EARLIEST, to });
    endless.headline = "a 'quoted'\ttext\u{0}with \\ everything".into();
    let rest = [endless, deliveries::transition(3, Change::Resolved)];
    assert_accepted(&runtime.block_on(sink.deliver(&deliveries::rows("block-2", &rest, &[]), &[])));
    let mut repeated = first;
    repeated.key = "block-1 after the window has passed".into();
    assert_accepted(&runtime.block_on(sink.deliver(&repeated, &evidence)));
    let state = "SELECT sequence, change, is_open, resolved_at FROM plimsoll.incidents";
    assert_eq!(part.query(state), "3\tresolved\tfalse\t2024-03-11 15:14:00.000000\n");
    let events = "SELECT sequence, change FROM plimsoll.incident_events ORDER BY sequence";
    assert_eq!(part.query(events), "1\topened\n2\tupdated\n3\tresolved\n");
    assert_eq!(part.query("SELECT count() FROM plimsoll.panes"), "4\n");
    let endless = "SELECT exhaustion_to, headline FROM plimsoll.incident_events \
                   WHERE sequence = 2";
    // The server's tab-separated format escapes what stands in the text.
    let text = r"a \'quoted\'\ttext\0with \\ everything";
    assert_eq!(part.query(endless), format!("2299-12-31 23:59:59.999999\t{text}\n"));
}

#[test]
fn an_answer_that_is_lost_costs_no_row_and_adds_none() {
    let part = ClickHousePart::start();
    let runtime = runtime();
    let mut config = ClickHouseConfig::new(part.url());
    config.timeout = Duration::from_secs(30);
    let sink = ClickHouse::new("history", config.clone()).unwrap();
    runtime.block_on(sink.migrate(false)).unwrap();
    let opened = deliveries::transition(1, Change::Opened);
    let delivery = deliveries::rows("block-1", &[opened], &["segment-1"]);
    let evidence = deliveries::evidence();
    let deliver = |sink: &ClickHouse| runtime.block_on(sink.deliver(&delivery, &evidence));

    part.spoil(ClickHouseFault::Error, 1);
    assert!(later(deliver(&sink)).contains("Too many parts"));
    assert_eq!(part.query("SELECT count() FROM plimsoll.pane_rows"), "0\n");

    part.spoil(ClickHouseFault::DropAnswer, 1);
    later(deliver(&sink));
    assert_eq!(part.query("SELECT count() FROM plimsoll.pane_rows"), "4\n");

    config.timeout = Duration::from_secs(4);
    let hurried = ClickHouse::new("history", config).unwrap();
    part.spoil(ClickHouseFault::Hang, 1);
    assert!(later(deliver(&hurried)).contains("did not answer within 4s"));

    assert_accepted(&deliver(&sink));
    let raw = "SELECT (SELECT count() FROM plimsoll.incident_rows), \
               (SELECT count() FROM plimsoll.incident_event_rows), \
               (SELECT count() FROM plimsoll.pane_rows)";
    assert_eq!(part.query(raw), "1\t1\t4\n");
}

/// Two data directories may write to one database.
#[test]
fn other_rows_under_the_same_key_are_kept() {
    let part = ClickHousePart::start();
    let runtime = runtime();
    let sink = sink(&part);
    runtime.block_on(sink.migrate(false)).unwrap();
    for pipeline in ["issuance", "payments", "issuance"] {
        let mut opened = deliveries::transition(1, Change::Opened);
        opened.pipeline = pipeline.into();
        let delivery = deliveries::rows("block-1", &[opened], &[]);
        assert_accepted(&runtime.block_on(sink.deliver(&delivery, &[])));
    }
    let pipelines = "SELECT pipeline FROM plimsoll.incident_events ORDER BY pipeline";
    assert_eq!(part.query(pipelines), "issuance\npayments\n");
}

#[test]
fn a_server_that_comes_back_still_knows_the_block() {
    let mut part = ClickHousePart::start();
    let runtime = runtime();
    let sink = sink(&part);
    runtime.block_on(sink.migrate(false)).unwrap();
    let opened = deliveries::transition(1, Change::Opened);
    let delivery = deliveries::rows("block-1", &[opened], &[]);
    assert_accepted(&runtime.block_on(sink.deliver(&delivery, &[])));
    part.stop();
    later(runtime.block_on(sink.deliver(&delivery, &[])));
    part.restart();
    assert_accepted(&runtime.block_on(sink.deliver(&delivery, &[])));
    assert_eq!(part.query("SELECT count() FROM plimsoll.incident_event_rows"), "1\n");
}

/// A delivery's state and a reject, each as of `revision`; columns that the server can fill are left
/// out.
fn copy(revision: u64, state: &str) -> (RecordBatch, RecordBatch) {
    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let revision = Arc::new(UInt64Array::from(vec![revision])) as ArrayRef;
    let delivery = Arc::new(UInt64Array::from(vec![7])) as ArrayRef;
    let deliveries = vec![
        ("pipeline", text("issuance")),
        ("delivery", delivery),
        ("sink", text("oncall")),
        ("state", text(state)),
        ("revision", Arc::clone(&revision)),
    ];
    let rejects = vec![
        ("pipeline", text("issuance")),
        ("source", text("log")),
        ("detail", text(state)),
        ("revision", revision),
    ];
    (batch(deliveries), batch(rejects))
}

#[test]
fn of_two_copies_the_newer_one_is_shown_whichever_comes_last() {
    let part = ClickHousePart::start();
    let runtime = runtime();
    let sink = sink(&part);
    let copied = |(deliveries, rejects): &(RecordBatch, RecordBatch)| {
        runtime.block_on(sink.copy(deliveries, rejects))
    };
    let (pending, accepted) = (copy(100, "pending"), copy(102, "accepted"));
    let error = copied(&pending).unwrap_err();
    assert!(error.to_string().contains("run `plimsoll clickhouse migrate`"), "{error}");
    runtime.block_on(sink.migrate(false)).unwrap();

    let raw = "SELECT (SELECT count() FROM plimsoll.delivery_rows), \
               (SELECT count() FROM plimsoll.reject_rows)";
    part.spoil(ClickHouseFault::DropAnswer, 1);
    copied(&pending).unwrap_err();
    assert_eq!(part.query(raw), "1\t0\n");
    copied(&pending).unwrap();
    // Counted without FINAL: the token alone has dropped the repetition.
    assert_eq!(part.query(raw), "1\t1\n");

    let shown = "SELECT delivery, sink, state, (SELECT groupArray(detail) FROM plimsoll.rejects) \
                 FROM plimsoll.deliveries";
    for late in [&accepted, &copy(101, "refused")] {
        copied(late).unwrap();
        assert_eq!(part.query(shown), "7\toncall\taccepted\t['accepted']\n");
    }
}

#[test]
fn what_can_never_be_written_is_refused() {
    let part = ClickHousePart::start();
    let runtime = runtime();
    let sink = sink(&part);
    runtime.block_on(sink.migrate(false)).unwrap();
    let page = deliveries::page(plimsoll_model::PageAction::Trigger);
    assert!(matches!(runtime.block_on(sink.deliver(&page, &[])), Outcome::Refused { .. }));
    let rows = deliveries::rows("k", &[], &["segment-1"]);
    let strange = arrow::array::RecordBatch::new_empty(plimsoll_model::sessions::schema());
    let outcome = runtime.block_on(sink.deliver(&rows, &[(Table::Panes, strange)]));
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    let proof = deliveries::evidence();
    let outcome = runtime.block_on(sink.deliver(&rows, &proof));
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

#[test]
fn tls_and_the_account_are_checked_and_each_failure_says_what_to_do() {
    let (part, ca) = ClickHousePart::secured();
    let runtime = runtime();
    let mut config = ClickHouseConfig::new(part.tls_url());
    config.user = ACCOUNT.0.to_owned();
    config.password = Some(Secret::new(ACCOUNT.1));
    config.ca = Some(ca);
    let open = |config: &ClickHouseConfig| ClickHouse::new("history", config.clone()).unwrap();
    let refused = |config: &ClickHouseConfig| {
        let error = runtime.block_on(open(config).ping()).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        error.to_string()
    };

    let sink = open(&config);
    let error = runtime.block_on(sink.probe()).unwrap_err();
    assert!(error.to_string().contains("run `plimsoll clickhouse migrate`"), "{error}");
    runtime.block_on(sink.migrate(false)).unwrap();
    runtime.block_on(sink.probe()).unwrap();
    let opened = deliveries::transition(1, Change::Opened);
    let delivery = deliveries::rows("block-1", &[opened], &[]);
    assert_accepted(&runtime.block_on(sink.deliver(&delivery, &[])));
    assert_eq!(part.query("SELECT count() FROM plimsoll.incident_event_rows"), "1\n");

    // A wrong password can be corrected at the server, so the rows wait.
    let mut wrong = config.clone();
    wrong.password = Some(Secret::new("wrong-password"));
    let error = refused(&wrong);
    assert!(error.contains("Authentication failed"), "{error}");
    assert!(error.contains("check `user`, `password`"), "{error}");
    assert!(!error.contains("wrong-password"), "{error}");
    let waits = later(runtime.block_on(open(&wrong).deliver(&delivery, &[])));
    assert!(waits.contains("check `user`, `password`"), "{waits}");

    let mut stranger = config.clone();
    stranger.ca = None;
    let error = refused(&stranger);
    assert!(error.contains("invalid peer certificate: UnknownIssuer"), "{error}");
    assert!(error.contains("name its authority in `ca`"), "{error}");

    let mut other = config;
    other.url = other.url.replace("127.0.0.1", "localhost");
    let error = refused(&other);
    assert!(error.contains("check `url` and the server's certificate"), "{error}");
}
