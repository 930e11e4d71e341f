//! Receivers that answer in ways that could hold or fill a client.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_deliver::{ClickHouse, ClickHouseConfig, PagerDuty, PagerDutyConfig, Secret, Sink};
use plimsoll_model::{Change, Outcome, PageAction};

use crate::deliveries;

const KEY: &str = "R0123456789abcdef0123456789abcde";

/// A listener that answers each connection with `head`, then with `more` again and again, a
/// pause after each, until the client goes away; an empty `more` is silence. Returns its address.
fn listen(head: &'static str, more: &'static str, pause: Duration) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || drop(converse(stream, head, more, pause)));
        }
    });
    format!("http://{address}")
}

fn converse(
    stream: std::io::Result<TcpStream>,
    head: &str,
    more: &str,
    pause: Duration,
) -> std::io::Result<()> {
    let mut stream = stream?;
    // The beginning of the request is enough; the rest stays in the socket.
    let _ = stream.read(&mut [0; 64])?;
    stream.write_all(head.as_bytes())?;
    while !more.is_empty() {
        stream.write_all(more.as_bytes())?;
        thread::park_timeout(pause);
    }
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// What each kind of sink makes of such a receiver, in a word: the pager, then the table.
#[track_caller]
fn check(head: &'static str, more: &'static str, pause_ms: u64, expected: [&str; 2]) {
    check_at(listen(head, more, Duration::from_millis(pause_ms)), expected);
}

/// The same for a receiver at `url`.
#[track_caller]
fn check_at(url: String, expected: [&str; 2]) {
    let timeout = Duration::from_secs(1);
    let pager =
        PagerDutyConfig { url: url.clone(), timeout, ..PagerDutyConfig::new(Secret::new(KEY)) };
    let tables = ClickHouseConfig {
        timeout,
        password: Some(Secret::new(KEY)),
        ..ClickHouseConfig::new(url)
    };
    let transitions = [deliveries::transition(1, Change::Opened)];
    let attempts = [
        (
            Sink::from(PagerDuty::new("oncall", pager).unwrap()),
            deliveries::page(PageAction::Trigger),
        ),
        (
            Sink::from(ClickHouse::new("history", tables).unwrap()),
            deliveries::rows("k", &transitions, &[]),
        ),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for ((sink, delivery), expected) in attempts.iter().zip(expected) {
        let began = Instant::now();
        let outcome = runtime.block_on(sink.deliver(delivery, &[]));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let (word, text) = match outcome {
            Outcome::Accepted { answer } => ("accepted", answer),
            Outcome::Later { error, .. } => ("later", error),
            Outcome::Refused { error } => ("refused", error),
        };
        assert_eq!(word, expected, "{}: {text}", sink.name());
        assert!(text.len() < 800 && !text.contains(KEY), "{text}");
    }
}

#[test]
fn headers_that_drip_are_given_up() {
    check("HTTP/1.1 202 Accepted\r\nX-Slow: ", "a", 10, ["later", "later"]);
}

#[test]
fn headers_without_end_are_given_up() {
    check(
        "HTTP/1.1 202 Accepted\r\n",
        "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        0,
        ["later", "later"],
    );
}

#[test]
fn silence_is_given_up() {
    check("", "", 0, ["later", "later"]);
}

#[test]
fn another_protocol_is_given_up() {
    check("SSH-2.0-OpenSSH_9.2\r\n", "", 0, ["later", "later"]);
}

#[test]
fn a_receiver_without_tls_is_not_told_anything() {
    let url = listen("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "", Duration::ZERO);
    check_at(url.replace("http://", "https://"), ["later", "later"]);
}

/// The status says it all; a pager whose body never ends has still taken the event.
#[test]
fn a_body_that_drips_does_not_hold_the_answer() {
    let head = "HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n";
    check(head, "a", 10, ["accepted", "later"]);
}

#[test]
fn a_body_without_end_does_not_hold_the_answer() {
    let head = "HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\n";
    check(head, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, ["accepted", "later"]);
}

#[test]
fn a_redirect_is_not_followed() {
    let head = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\n\
                Content-Length: 0\r\n\r\n";
    check(head, "", 0, ["refused", "later"]);
}

#[test]
fn a_receiver_that_repeats_the_key_does_not_bring_it_into_a_log() {
    let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: 44\r\n\r\n\
                {\"key\":\"R0123456789abcdef0123456789abcde\"}  ";
    check(head, "", 0, ["refused", "later"]);
}
