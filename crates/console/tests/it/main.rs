//! The console over real sockets.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod api;

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_console::{Error, Health, Sources, State, Version, serve, server};
use plimsoll_model::Time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddr,
    health: Health,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

async fn start(health: Health, sources: Sources) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(serve(listener, sources, cancel.clone()));
    Server { address, health, cancel, task }
}

/// A console without pipelines.
async fn start_bare() -> Server {
    let version = Version {
        version: "0.1.0".into(),
        commit: None,
        pipeline: "payments".into(),
        config: "abc".into(),
    };
    let metrics = || "plimsoll_build_info 1\n".to_owned();
    let health = Health::new();
    start(health.clone(), Sources::new(health, metrics, version, Vec::new())).await
}

impl Server {
    /// Sends `request` as it is and reads until the server closes.
    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("loopback works");
        stream.write_all(request.as_bytes()).await.expect("loopback works");
        let mut answer = String::new();
        let reading = stream.read_to_string(&mut answer);
        let read = tokio::time::timeout(Duration::from_secs(20), reading).await;
        read.expect("the server must answer and close").ok();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
            .await
    }
}

#[track_caller]
fn answers(answer: &str, status: &str, part: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    assert!(answer.contains(part), "{answer}");
}

#[tokio::test]
async fn each_address_answers() {
    let server = start_bare().await;
    answers(&server.get("/livez").await, "200", "ok");
    answers(
        &server.get("/readyz").await,
        "200",
        r#"{"ready":true,"draining":false,"dependencies":{}}"#,
    );
    let metrics = server.get("/metrics").await;
    answers(&metrics, "200", "plimsoll_build_info 1");
    answers(&metrics, "200", "content-type: text/plain; version=0.0.4");
    answers(
        &server.get("/version").await,
        "200",
        r#""version":"0.1.0","commit":null,"pipeline":"payments""#,
    );
    answers(&server.get("/favicon.ico").await, "404", "/readyz");
}

#[tokio::test]
async fn readiness_says_which_dependency_fails() {
    let server = start_bare().await;
    let since = Time::from_seconds(1_700_000_000);
    server.health.set("kafka", State::Failing { error: "127.0.0.1:9092 refused".into(), since });
    answers(
        &server.get("/readyz").await,
        "503",
        r#""kafka":{"state":"failing","error":"127.0.0.1:9092 refused","since":"2023-11-14T22:13:20.000000Z"}"#,
    );
    server.health.set("kafka", State::Ok);
    answers(&server.get("/readyz").await, "200", r#""kafka":{"state":"ok"}"#);
    server.health.drain();
    answers(&server.get("/readyz").await, "503", r#""draining":true"#);
}

#[tokio::test]
async fn every_answer_forbids_interpretation() {
    let server = start_bare().await;
    for path in ["/livez", "/nothing"] {
        let answer = server.get(path).await;
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    }
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let server = start_bare().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!(
            "{method} /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = server.send(&request).await;
        answers(&answer, "405", "allow: GET, HEAD");
    }
    let head = server.send("HEAD /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let head = head.await;
    answers(&head, "200", "content-length: 3");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_is_turned_away() {
    let server = start_bare().await;
    for host in
        ["Host: evil.example", "Host: 10.0.0.1:80", "X: y", "Host: localhost\r\nHost: evil.example"]
    {
        let request = format!("GET /metrics HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n");
        answers(&server.send(&request).await, "403", "loopback");
    }
    let named =
        "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    answers(&server.send(named).await, "403", "loopback");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = start_bare().await;
    let long = "a".repeat(2 * server::HEADER_BYTES_MAX);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n");
    answers(&server.send(&request).await, "431", "");
    let many = "X: y\r\n".repeat(server::HEADERS_MAX + 1);
    answers(&server.send(&format!("GET / HTTP/1.1\r\n{many}\r\n")).await, "431", "");
}

#[tokio::test]
async fn a_silent_crowd_does_not_shut_out_the_next_client_for_ever() {
    tokio::time::pause();
    let server = start_bare().await;
    let mut crowd = Vec::new();
    for _ in 0..server::CONNECTIONS_MAX {
        crowd.push(TcpStream::connect(server.address).await.unwrap());
    }
    answers(&server.get("/livez").await, "200", "ok");
}

#[tokio::test]
async fn an_address_open_to_others_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let sources = Sources::new(Health::new(), String::new, Version::default(), Vec::new());
    let served = serve(listener, sources, CancellationToken::new());
    assert!(matches!(served.await, Err(Error::NotLoopback(_))));
}

#[tokio::test]
async fn cancelling_ends_the_server_though_a_client_stays() {
    let server = start_bare().await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    answers(&server.get("/livez").await, "200", "ok");
    server.cancel.cancel();
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
