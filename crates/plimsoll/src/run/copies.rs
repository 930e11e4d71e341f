//! What became of deliveries, and what could not be used, on its way to the tables.
//!
//! It follows the store by itself and is no delivery: otherwise each acceptance would be one more
//! thing to tell, and telling it one more acceptance.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use plimsoll_deliver::{Backoff, ClickHouse, Sink};
use plimsoll_store::{Changes, Error};
use tokio_util::sync::CancellationToken;

use super::sinks::{Outlet, stopped_for};
use super::{report, with_store};
use crate::outbox;

/// Changes are copied this often at most, so that they are a few blocks a minute.
pub(super) const COPY_EVERY: Duration = Duration::from_secs(5);

/// When a sink's tables are brought up to date the next time.
pub(super) struct Copies {
    /// `None` for a sink that has no tables.
    due_at: Option<Instant>,
    failures: u32,
}

impl Copies {
    /// The first time is at once.
    pub(super) fn new(sink: &Sink) -> Copies {
        let due_at = matches!(sink, Sink::ClickHouse(_)).then(Instant::now);
        Copies { due_at, failures: 0 }
    }

    /// Whether it is time.
    pub(super) fn is_due(&self) -> bool {
        self.due_at.is_some_and(|at| Instant::now() >= at)
    }

    /// Copies what has changed, if it is time: at most one block of each table.
    pub(super) async fn copy(
        &mut self,
        outlet: &Outlet,
        cancel: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Sink::ClickHouse(tables) = &outlet.sink else { return Ok(()) };
        if !self.is_due() {
            return Ok(());
        }
        self.wait(COPY_EVERY);
        let changes = match with_store(&outlet.store, outbox::changes) {
            // The judge opens the store again as soon as the disk has space.
            Err(Error::Full { .. }) => return Ok(()),
            changes => changes?,
        };
        let Some((pipeline, changes)) = changes else { return Ok(()) };
        let written = tokio::select! {
            written = write(tables, &pipeline, outlet, &changes) => written,
            () = stopped_for(cancel, Duration::from_secs(4)) => return Ok(()),
        };
        if let Err(error) = written {
            self.failures = self.failures.saturating_add(1);
            let random = RandomState::new().hash_one(self.failures);
            self.wait(Backoff::default().delay(self.failures, random, None));
            let (name, error) = (tables.name(), error.to_string());
            tracing::warn!(sink = name, error, "cannot copy states and rejects; retrying");
            report(&outlet.health, name, Some(error));
            return Ok(());
        }
        self.failures = 0;
        report(&outlet.health, tables.name(), None);
        if changes.is_full() {
            self.wait(Duration::ZERO);
        }
        match with_store(&outlet.store, |store| outbox::copied(store, &changes)) {
            // They are copied once more, which changes nothing.
            Err(Error::Full { .. }) => Ok(()),
            copied => Ok(copied?),
        }
    }

    fn wait(&mut self, pause: Duration) {
        self.due_at = Some(Instant::now() + pause);
    }
}

async fn write(
    tables: &ClickHouse,
    pipeline: &str,
    outlet: &Outlet,
    changes: &Changes,
) -> Result<(), plimsoll_deliver::Error> {
    let (deliveries, rejects) = plimsoll_query::copies(pipeline, &outlet.sources, changes);
    tables.copy(&deliveries, &rejects).await
}
