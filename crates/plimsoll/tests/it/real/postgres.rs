use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::parts::estate::{self, Estate};
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
    let postgres = PostgresPart::start(60, 3).await.unwrap();
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
}
