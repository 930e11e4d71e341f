use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use jiff::fmt::strtime;
use plimsoll_model::Time;
use tokio_postgres::error::SqlState;

use crate::parts::estate::{self, Count, Estate};
use crate::parts::postgres::PostgresPart;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_logs_sessions() {
    let mut postgres = PostgresPart::start(10, 2).await.unwrap();
    postgres.create_user("web").await.unwrap();

    let session = postgres.connect("shop", "web").await.unwrap();
    let opened =
        postgres.logged(&["connection authorized", "application_name=shop"]).await.unwrap();
    assert_eq!(opened["user"], "web");
    session.close().await;
    let id = opened["session_id"].as_str().unwrap();
    let closed = postgres.logged(&["disconnection: session time", id]).await.unwrap();
    assert_eq!(closed["application_name"], "shop");

    // Ten slots, two of them for superusers: the ninth session is refused.
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(postgres.connect("shop", "web").await.unwrap());
    }
    let refusal = postgres.connect("shop", "web").await.err().expect("no slot is left");
    assert_eq!(refusal.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    let refused = postgres.logged(&["\"53300\""]).await.unwrap();
    assert_eq!(refused["error_severity"], "FATAL");
    let superuser = postgres.connect("psql", "postgres").await.expect("a reserved slot");

    superuser.close().await;
    for session in held {
        session.close().await;
    }
    postgres.stop();
    postgres.logged(&["database system is shut down"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estate_leaks_until_the_server_refuses() {
    let mut postgres = PostgresPart::start(60, 3).await.unwrap();
    let mut estate = Estate::start(&postgres, 7).await.unwrap();
    let patience = Duration::from_secs(60);
    let full = |estate: &Estate| estate.counts().last().is_some_and(|count| count.sessions > 20);
    estate.until(patience, full).await.unwrap();
    assert_eq!(estate.refused(), []);

    estate.leak("issuer", Duration::from_millis(50));
    estate.until(patience, |estate| !estate.refused().is_empty()).await.unwrap();
    assert!(estate.stop_leak().await >= 57 - estate::ORDINARY);

    let counts = estate.stop().await.unwrap();
    assert!(counts.is_sorted_by_key(|count| count.at));
    assert!(counts.iter().all(|count| count.sessions <= 60));
    postgres.stop();
    check_against_log(&counts, &postgres.log_path());
}

/// Every count must equal the sessions that the log says were open, but for those that opened or
/// closed within 200 ms of it. The ledger here is the plainest there is: a sum over all lines.
#[track_caller]
fn check_against_log(counts: &[Count], log: &Path) {
    let mut open = HashSet::new();
    let mut changes: Vec<(Time, i64)> = Vec::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let at = logged_at(row["timestamp"].as_str().unwrap());
        let session = row["session_id"].as_str().unwrap().to_owned();
        let message = row["message"].as_str().unwrap();
        if message.starts_with("connection authorized") {
            open.insert(session);
            changes.push((at, 1));
        } else if (message.starts_with("disconnection") || row["state_code"] == "53300")
            && open.remove(&session)
        {
            changes.push((at, -1));
        }
    }
    assert!(open.is_empty(), "{open:?} never ended");
    for count in counts {
        let before = changes.iter().filter(|(at, _)| *at <= count.at);
        let level: i64 = before.map(|(_, change)| change).sum();
        let near = |at: &Time| at.micros_since(count.at).abs() <= 200_000;
        let changing = changes.iter().filter(|(at, _)| near(at)).count() as i64;
        let off = (level - count.sessions as i64).abs();
        assert!(off <= changing, "log {level}, {count:?}, {changing} changes nearby");
    }
}

fn logged_at(timestamp: &str) -> Time {
    let local = strtime::parse("%Y-%m-%d %H:%M:%S%.f UTC", timestamp).unwrap().to_datetime();
    let zoned = local.unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    Time::from_micros(zoned.timestamp().as_microsecond())
}
