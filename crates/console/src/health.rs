//! What the engine says of itself and its dependencies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_model::Time;
use serde::Serialize;

/// How long the engine's loop may go without a [`Health::beat`] before `/livez` says that it
/// hangs. A commit on a slow disk must fit in.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// How many dependencies are remembered; a name beyond is dropped.
pub const DEPENDENCIES_MAX: usize = 256;

/// The state of one dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not tried yet, or being tried for the first time.
    Starting,
    /// It works.
    Ok,
    /// Nothing had to be asked of it yet, and asking would not be harmless. It may work.
    Unused,
    /// It does not work; the pipeline retries.
    Failing {
        /// What is wrong: what, where, and what to do; no secrets.
        error: String,
        /// Since when.
        since: Time,
    },
}

/// Shared between the engine, which writes, and the server, which reads. Clones are one handle.
#[derive(Clone, Debug)]
pub struct Health {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    dependencies: BTreeMap<String, State>,
    draining: bool,
    beat: Instant,
    beats: u64,
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

impl Health {
    /// A health without dependencies, whose loop has just made progress.
    pub fn new() -> Health {
        let inner = Inner {
            dependencies: BTreeMap::new(),
            draining: false,
            beat: Instant::now(),
            beats: 0,
        };
        Health { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Says how `name` is: `kafka`, `clickhouse`, `store`, the name of a receiver.
    ///
    /// A dependency that was failing already keeps its `since`; only its error changes.
    pub fn set(&self, name: &str, state: State) {
        let mut inner = self.lock();
        let state = match (inner.dependencies.get(name), state) {
            (Some(State::Failing { since, .. }), State::Failing { error, .. }) => {
                State::Failing { error, since: *since }
            }
            (_, state) => state,
        };
        if inner.dependencies.contains_key(name) || inner.dependencies.len() < DEPENDENCIES_MAX {
            inner.dependencies.insert(name.to_owned(), state);
        }
    }

    /// Why `name` is failing; `None` if it is not.
    pub fn error(&self, name: &str) -> Option<String> {
        match self.lock().dependencies.get(name) {
            Some(State::Failing { error, .. }) => Some(error.clone()),
            _ => None,
        }
    }

    /// Says that the engine's loop made progress.
    pub fn beat(&self) {
        let mut inner = self.lock();
        inner.beat = Instant::now();
        inner.beats += 1;
    }

    /// How often the loop has made progress so far.
    pub fn beats(&self) -> u64 {
        self.lock().beats
    }

    /// Says that the pipeline is ending: it is not ready any more, whatever its dependencies are.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Whether the loop has made progress within [`STALLED_AFTER`] before `now`.
    pub fn is_alive_at(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.lock().beat) <= STALLED_AFTER
    }

    /// Whether every dependency is [`State::Ok`] or [`State::Unused`] and the pipeline is not
    /// ending.
    pub fn is_ready(&self) -> bool {
        self.report().ready
    }

    /// What `/readyz` answers.
    pub(crate) fn report(&self) -> Report {
        let inner = self.lock();
        let dependencies: BTreeMap<_, _> =
            inner.dependencies.iter().map(|(name, state)| (name.clone(), line(state))).collect();
        let is_well = |state: &State| matches!(state, State::Ok | State::Unused);
        let well = inner.dependencies.values().all(is_well);
        Report { ready: well && !inner.draining, draining: inner.draining, dependencies }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nobody panics while holding it; if it happened, the values are whole all the same.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) ready: bool,
    draining: bool,
    dependencies: BTreeMap<String, Line>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Line {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

fn line(state: &State) -> Line {
    match state {
        State::Starting => Line { state: "starting", error: None, since: None },
        State::Ok => Line { state: "ok", error: None, since: None },
        State::Unused => Line { state: "unused", error: None, since: None },
        State::Failing { error, since } => {
            Line { state: "failing", error: Some(error.clone()), since: Some(since.to_string()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(error: &str, seconds: i64) -> State {
        State::Failing { error: error.to_owned(), since: Time::from_seconds(seconds) }
    }

    #[test]
    fn ready_means_every_dependency_and_not_ending() {
        let health = Health::new();
        health.set("kafka", State::Starting);
        assert!(!health.is_ready());
        health.set("kafka", State::Ok);
        assert!(health.is_ready());
        health.set("clickhouse", failing("refused", 1));
        assert!(!health.is_ready());
        health.set("clickhouse", State::Ok);
        health.set("oncall", State::Unused);
        assert!(health.is_ready());
        health.drain();
        assert!(!health.is_ready());
    }

    #[test]
    fn a_failure_that_goes_on_keeps_its_beginning() {
        let health = Health::new();
        health.set("kafka", failing("refused", 1_700_000_000));
        health.set("kafka", failing("timed out", 1_700_000_060));
        let report = serde_json::to_string(&health.report()).unwrap();
        assert_eq!(
            report,
            r#"{"ready":false,"draining":false,"dependencies":{"kafka":{"state":"failing","error":"timed out","since":"2023-11-14T22:13:20.000000Z"}}}"#
        );
    }

    #[test]
    fn a_loop_without_progress_is_not_alive() {
        let health = Health::new();
        let now = Instant::now();
        assert!(health.is_alive_at(now));
        assert!(!health.is_alive_at(now + STALLED_AFTER + Duration::from_secs(1)));
    }

    #[test]
    fn the_number_of_dependencies_is_bounded() {
        let health = Health::new();
        for number in 0..=DEPENDENCIES_MAX {
            health.set(&number.to_string(), State::Ok);
        }
        assert_eq!(health.report().dependencies.len(), DEPENDENCIES_MAX);
    }
}
