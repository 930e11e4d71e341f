//! One loop for each sink: a sink that is down delays nothing else.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_console::Health;
use plimsoll_deliver::{ClickHouse, PagerDuty, Sink};
use plimsoll_model::{Delivery, Outcome};
use plimsoll_store::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{report, with_store};
use crate::clock;
use crate::config::{Config, ReceiverConfig};
use crate::engine::{FULL_RETRY_MAX, SharedStore};
use crate::outbox::{self, Next};

/// A sink's loop looks into the outbox at least this often, even if nobody woke it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A sink with what its loop needs.
pub(super) struct Outlet {
    pub sink: Sink,
    pub store: SharedStore,
    pub wake: Arc<Notify>,
    pub health: Health,
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

/// Delivers what the sink owes, in order, until `cancel`.
pub(super) async fn deliver(outlet: Outlet, cancel: CancellationToken) -> anyhow::Result<()> {
    let name = outlet.sink.name().to_owned();
    loop {
        let woken = outlet.wake.notified();
        let due = match with_store(&outlet.store, |store| outbox::next(store, &name)) {
            // The judge opens the store again as soon as the disk has space.
            Err(Error::Full { .. }) => None,
            due => due?,
        };
        let pause = match due {
            Some((delivery, attempts)) => {
                attempt(&outlet, &name, &delivery, attempts, &cancel).await?
            }
            None => Some(LOOK_EVERY),
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

/// One attempt and its record; the pause before the next, if any.
async fn attempt(
    outlet: &Outlet,
    name: &str,
    delivery: &Delivery,
    attempts: u32,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<Duration>> {
    let evidence = match with_store(&outlet.store, |store| outbox::evidence(store, delivery)) {
        Err(Error::Full { .. }) => return Ok(Some(LOOK_EVERY)),
        evidence => evidence?,
    };
    let outcome = tokio::select! {
        outcome = outlet.sink.deliver(delivery, &evidence) => outcome,
        () = stopped_for(cancel, Duration::from_secs(4)) => return Ok(Some(LOOK_EVERY)),
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
                "delivery refused; it stays in the outbox as refused"
            );
        }
    }
    Ok(match record(outlet, delivery, attempts, &outcome, cancel).await? {
        Some(Next::Proceed) => None,
        Some(Next::RetryAfter(delay)) => Some(delay),
        None => Some(LOOK_EVERY),
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
async fn stopped_for(cancel: &CancellationToken, grace: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(grace).await;
}
