//! The console and `plimsoll replay` say a transition with the same keys.

use std::collections::BTreeSet;

use plimsoll_console::{Health, Pipeline, Sources, Version, Watched};
use plimsoll_model::{
    Change, Finding, IncidentId, Interval, Kind, Owner, Reason, Second, Severity, Time, Transition,
};
use plimsoll_store::{Commit, Options, Store};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

fn transition() -> Transition {
    Transition {
        incident: IncidentId(7),
        sequence: 1,
        change: Change::Opened,
        reason: Reason::ExhaustionForecast,
        as_of: Second(1_772_636_400),
        pipeline: "payments".to_owned(),
        opened_at: Second(1_772_636_400),
        severity_peak: Severity::Page,
        finding: Finding {
            kind: Kind::GrowthToLimit,
            resource: "orders-db".to_owned(),
            unit: "connections".to_owned(),
            owner: Owner::Nobody,
            severity: Severity::Page,
            since: Second(1_772_636_000),
            level: 148,
            usable: Some(197),
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: Some(2.5),
            exhaustion: Some(Interval { from: Time::from_seconds(1_772_637_000), to: None }),
            release: None,
            refused: 0,
            doubts: vec!["a doubt".to_owned()],
            detail: None,
        },
        headline: "148 of 197 are in use.".to_owned(),
        advice: "Look.".to_owned(),
        proof: "SELECT 1".to_owned(),
    }
}

#[tokio::test]
async fn the_console_says_a_transition_as_replay_does() {
    let decided_at = Time::from_seconds(1_772_636_402);
    let folder = tempfile::tempdir().unwrap();
    let options = Options { ballast_bytes: 0, ..Options::new("payments") };
    let mut store = Store::open(folder.path(), options).unwrap();
    let transitions = vec![(transition(), decided_at)];
    store.commit(&Commit { tick: transition().as_of, transitions, ..Commit::default() }).unwrap();
    let pipeline = Pipeline::new("payments", move || store.snapshot(), Watched::new());
    let sources = Sources::new(Health::new(), String::new, Version::default(), vec![pipeline]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(plimsoll_console::serve(listener, sources, cancel.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/incidents/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        IncidentId(7)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let answer: Value = serde_json::from_str(body).unwrap();
    cancel.cancel();
    server.await.unwrap().unwrap();

    let mut said = answer["transitions"][0].as_object().unwrap().clone();
    assert_eq!(said.remove("state"), Some(Value::from("open")));
    let line = plimsoll::output::json_line(&transition(), decided_at);
    let line: Value = serde_json::from_str(&line).unwrap();
    let keys = |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&said), keys(line.as_object().unwrap()));
    assert_eq!(Value::Object(said), line);
}
