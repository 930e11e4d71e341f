//! A receiver of pages with PagerDuty's semantics (Events API v2), for tests.
//!
//! Per key there is at most one open alert. A trigger while it is open updates it; a trigger
//! after its resolve opens a *new* alert; a resolve with nothing open is dropped. So a page that
//! is opened twice, or resolved before it was opened, shows in [`Receiver::alerts`].

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// What the receiver does with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes the event and answers 202.
    Accept,
    /// Takes the event and closes the connection without an answer.
    DropAnswer,
    /// Does not take the event and answers with this status.
    Status(u16),
    /// Does not take the event and answers 429 with this `Retry-After`.
    TooMany(String),
    /// Does not take the event and answers nothing while the client waits.
    Hang,
}

/// One request, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Request {
    /// `event_action`.
    pub action: String,
    /// `dedup_key`.
    pub key: String,
    /// What was done with it.
    pub behaviour: Behaviour,
    /// The whole event.
    pub event: Value,
}

/// What became of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// The key.
    pub key: String,
    /// How many alerts were opened under it: 1 is right, more are repeated pages.
    pub opened: u32,
    /// How many of them were resolved.
    pub resolved: u32,
    /// Events taken, those that changed nothing included.
    pub events: u32,
    /// Resolves that came while nothing was open.
    pub dropped: u32,
}

impl Alert {
    /// Whether an alert is open now.
    pub fn is_open(&self) -> bool {
        self.opened > self.resolved
    }
}

/// The receiver. It listens until it is dropped.
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    script: VecDeque<Behaviour>,
    otherwise: Option<Behaviour>,
    requests: Vec<Request>,
    alerts: BTreeMap<String, Alert>,
}

impl Receiver {
    /// A receiver on a free loopback port, that accepts everything until told otherwise.
    pub fn start() -> Receiver {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&listener, &shared)
        });
        Receiver { port, shared, listening: Some(listening) }
    }

    /// The address for `url` in the configuration.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v2/enqueue", self.port)
    }

    /// What to do with the next requests, one each; later ones go by [`Receiver::otherwise`].
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.lock().script.extend(behaviours);
    }

    /// What to do with every request that no script speaks of; at first, accept it.
    pub fn otherwise(&self, behaviour: Behaviour) {
        self.shared.lock().otherwise = Some(behaviour);
    }

    /// The requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// What became of each key, in the order of keys.
    pub fn alerts(&self) -> Vec<Alert> {
        self.shared.lock().alerts.values().cloned().collect()
    }

    /// Waits until `condition` holds for the alerts and the number of requests. Returns whether
    /// it did within `longest`.
    pub fn wait(&self, longest: Duration, condition: impl Fn(&[Alert], usize) -> bool) -> bool {
        let unmet = |state: &mut State| {
            let alerts: Vec<Alert> = state.alerts.values().cloned().collect();
            !condition(&alerts, state.requests.len())
        };
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), longest, unmet);
        !waited.expect("no handler panics").1.timed_out()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener, which looks at `over` after each connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no handler panics")
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // A client that went away in the middle is no concern of the receiver.
        thread::spawn(move || drop(converse(stream, &shared)));
    }
}

/// One connection: request after request until the client closes it.
fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(body) = read_request(&mut reader)? {
        let Ok(event) = serde_json::from_slice::<Value>(&body) else {
            answer(&mut writer, 400, "")?;
            continue;
        };
        match shared.take(event) {
            Behaviour::Accept => answer(&mut writer, 202, "")?,
            Behaviour::Status(status) => answer(&mut writer, status, "")?,
            Behaviour::TooMany(wait) => {
                answer(&mut writer, 429, &format!("Retry-After: {wait}\r\n"))?;
            }
            Behaviour::DropAnswer => return Ok(()),
            Behaviour::Hang => {
                // Until the client gives up.
                reader.read_to_end(&mut Vec::new())?;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The body of the next request, or `None` if the client closed the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    while line != "\r\n" {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

/// The `Date` is fixed, so that a test can write a `Retry-After` date relative to it.
fn answer(writer: &mut TcpStream, status: u16, header: &str) -> std::io::Result<()> {
    let body = r#"{"status":"success","message":"Event processed"}"#;
    let body = if status == 202 { body } else { r#"{"status":"error"}"# };
    write!(
        writer,
        "HTTP/1.1 {status} Status\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n{header}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Shared {
    /// Decides about one event, records it, and applies it if it is taken.
    fn take(&self, event: Value) -> Behaviour {
        let mut state = self.lock();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (action, key) = (text("event_action"), text("dedup_key"));
        let scripted = state.script.pop_front().or_else(|| state.otherwise.clone());
        let behaviour = scripted.unwrap_or(Behaviour::Accept);
        if matches!(behaviour, Behaviour::Accept | Behaviour::DropAnswer) {
            let alert = state.alerts.entry(key.clone()).or_default();
            alert.key.clone_from(&key);
            alert.events += 1;
            match (action.as_str(), alert.is_open()) {
                ("trigger", false) => alert.opened += 1,
                ("resolve", true) => alert.resolved += 1,
                ("resolve", false) => alert.dropped += 1,
                _ => {}
            }
        }
        state.requests.push(Request { action, key, behaviour: behaviour.clone(), event });
        drop(state);
        self.changed.notify_all();
        behaviour
    }
}
