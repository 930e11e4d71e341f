//! One loop for each sink: a sink that is down delays nothing else.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::gauge;
use plimsoll_console::{Health, State};
use plimsoll_deliver::{ClickHouse, PagerDuty, Sink};
use plimsoll_model::{Delivery, Outcome};
use plimsoll_store::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::copies::Copies;
use super::refusals::Refusals;
use super::{report, with_store};
use crate::config::{Config, ReceiverConfig};
use crate::engine::{FULL_RETRY_MAX, SharedStore};
use crate::outbox::{self, Next};
use crate::{clock, metric};

/// A sink's loop looks into the outbox at least this often, even if nobody woke it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A sink that has nothing to do is asked this often whether it would take a delivery.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// A sink with what its loop needs.
pub(super) struct Outlet {
    pub sink: Sink,
    pub store: SharedStore,
    pub wake: Arc<Notify>,
    pub health: Health,
    /// The names of the sources by their numbers.
    pub sources: Arc<[String]>,
}

/// The sinks of the configuration.
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Sink>> {
    let mut sinks = Vec::new();
    if let Some(clickhouse) = &config.clickhouse {
        sinks.push(ClickHouse::new(crate::plan::CLICKHOUSE, clickhouse.clone())?.into());
    }
    for (name, receiver) in &config.receivers {
        let ReceiverConfig::PagerDuty(pager) = receiver;
        sinks.push(PagerDuty::new(name.clone(), pager.clone())?.into());
    }
    Ok(sinks)
}

/// How a sink stands in `/readyz` before anything was asked of it.
pub(super) fn first_state(sink: &Sink) -> State {
    if sink.is_probed() { State::Starting } else { State::Unused }
}

/// Delivers what the sink owes, in order, until `cancel`.
pub(super) async fn deliver(outlet: Outlet, cancel: CancellationToken) -> anyhow::Result<()> {
    let name = outlet.sink.name().to_owned();
    let started = Instant::now();
    let mut refusals = with_store(&outlet.store, |store| Refusals::open(store, &name))?;
    let mut asked_at: Option<Instant> = None;
    let mut copies = Copies::new(&outlet.sink);
    loop {
        copies.copy(&outlet, &cancel).await?;
        let refused = gauge!(metric::OUTBOX_REFUSED.name, "sink" => name.clone());
        refused.set(refusals.len() as f64);
        let woken = outlet.wake.notified();
        let due = with_store(&outlet.store, |store| {
            match refusals.retry(store, started.elapsed()) {
                // What is owed already needs no space to be sent.
                Err(Error::Full { .. }) => {}
                retried => retried?,
            }
            outbox::next(store, &name)
        });
        let due = match due {
            // The judge opens the store again as soon as the disk has space.
            Err(Error::Full { .. }) => None,
            due => due?,
        };
        let pause = match due {
            Some((delivery, attempts)) => {
                asked_at = Some(Instant::now());
                let (ended, pause) = attempt(&outlet, &name, &delivery, attempts, &cancel).await?;
                if let Some(outcome) = ended {
                    refusals.note(&delivery, &outcome, started.elapsed());
                }
                pause
            }
            None => {
                if asked_at.is_none_or(|at| at.elapsed() >= PROBE_EVERY) {
                    asked_at = Some(Instant::now());
                    tokio::select! {
                        () = cancel.cancelled() => return Ok(()),
                        () = probe(&outlet, &name) => {}
                    }
                }
                (!copies.is_due()).then_some(LOOK_EVERY)
            }
        };
        let Some(pause) = pause else { continue };
        let idle = pause == LOOK_EVERY;
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
            // A new order does not shorten the pause after a failure.
            () = woken, if idle => {}
        }
    }
}

/// Says in `/readyz` whether the sink would take a delivery, although there is none.
async fn probe(outlet: &Outlet, name: &str) {
    if !outlet.sink.is_probed() {
        return;
    }
    let error = outlet.sink.probe().await.err().map(|error| error.to_string());
    let was_known = outlet.health.error(name);
    match &error {
        Some(error) if was_known.as_ref() != Some(error) => {
            tracing::warn!(sink = name, error, "the sink would take no delivery now");
        }
        None if was_known.is_some() => tracing::info!(sink = name, "the sink works again"),
        _ => {}
    }
    report(&outlet.health, name, error);
}

/// One attempt and its record: how it ended, if that is durable, and the pause before the next.
async fn attempt(
    outlet: &Outlet,
    name: &str,
    delivery: &Delivery,
    attempts: u32,
    cancel: &CancellationToken,
) -> anyhow::Result<(Option<Outcome>, Option<Duration>)> {
    let evidence = match with_store(&outlet.store, |store| outbox::evidence(store, delivery)) {
        Err(Error::Full { .. }) => return Ok((None, Some(LOOK_EVERY))),
        evidence => evidence?,
    };
    let outcome = tokio::select! {
        outcome = outlet.sink.deliver(delivery, &evidence) => outcome,
        () = stopped_for(cancel, Duration::from_secs(4)) => return Ok((None, Some(LOOK_EVERY))),
    };
    super::gauges::delivery(name, &outcome);
    match &outcome {
        Outcome::Accepted { .. } => report(&outlet.health, name, None),
        Outcome::Later { error, .. } => {
            report(&outlet.health, name, Some(error.clone()));
            tracing::warn!(
                sink = name,
                delivery = delivery.sequence,
                attempts,
                error,
                "delivery failed; it will be repeated"
            );
        }
        Outcome::Refused { error } => {
            report(&outlet.health, name, Some(error.clone()));
            tracing::error!(
                sink = name,
                delivery = delivery.sequence,
                key = delivery.key,
                error,
                "delivery refused; it is kept, and sent again every 10 minutes and at the next start"
            );
        }
    }
    Ok(match record(outlet, delivery, attempts, &outcome, cancel).await? {
        Some(Next::Proceed) => (Some(outcome), None),
        Some(Next::RetryAfter(delay)) => (Some(outcome), Some(delay)),
        None => (None, Some(LOOK_EVERY)),
    })
}

/// Makes the answer durable. A full disk does not make us send again: it is waited for, until the
/// program ends; then `None`, and the receiver is asked once more after the next start.
async fn record(
    outlet: &Outlet,
    delivery: &Delivery,
    attempts: u32,
    outcome: &Outcome,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Next>> {
    let random = RandomState::new().hash_one(delivery.sequence);
    loop {
        let recorded = with_store(&outlet.store, |store| {
            outbox::record(store, delivery, attempts, outcome.clone(), clock::now(), random)
        });
        match recorded {
            Err(Error::Full { .. }) => {}
            recorded => return Ok(Some(recorded?)),
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(None),
            () = tokio::time::sleep(FULL_RETRY_MAX) => {}
        }
    }
}

/// Completes `grace` after the stop, so that an attempt under way may still end well.
pub(super) async fn stopped_for(cancel: &CancellationToken, grace: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(grace).await;
}
