//! The pipeline, live: readers and parsers before the engine, one loop for each sink after it.
//!
//! Threads: one polls Kafka, a few parse, one judges. Tasks: one for each sink, the HTTP listener,
//! the signals. Channels are bounded; everything ends on one cancellation token.

mod follow;
mod judge;
mod kafka;
mod sinks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plimsoll_console::{Health, State};
use plimsoll_store::{Options, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Config;
use crate::engine::{Definition, Engine, SharedStore, locked};
use crate::metric;

pub use judge::Event;

/// How long a stop may take until everything is durable.
pub const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Runs the pipeline until `cancel`. When it returns, everything judged is durable.
pub async fn run(config: Config, cancel: CancellationToken) -> anyhow::Result<()> {
    let store = Store::open(&config.data, Options::for_pipeline(&config.name))
        .with_context(|| format!("data directory `{}`", config.data.display()))?;
    let store: SharedStore = Arc::new(std::sync::Mutex::new(store));
    let health = Health::default();
    let wake = Arc::new(Notify::new());
    let listener = plimsoll_console::bind(config.listen).await?;
    let prometheus = metric::install()?;
    tracing::info!(address = %listener.local_addr()?, pipeline = config.name, "listening");

    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(plimsoll_console::serve(
        listener,
        health.clone(),
        move || prometheus.render(),
        crate::version::version(),
        cancel.clone(),
    ));
    for sink in sinks::open(&config)? {
        let outlet = sinks::Outlet {
            sink,
            store: Arc::clone(&store),
            wake: Arc::clone(&wake),
            health: health.clone(),
        };
        tasks.spawn(sinks::deliver(outlet, cancel.clone()));
    }
    let judge = judge::Judging {
        store: Arc::clone(&store),
        health: health.clone(),
        wake,
        cancel: cancel.clone(),
    };
    let judged = tokio::task::spawn_blocking(move || judge::judge(&config, judge));
    let outcome = tokio::select! {
        outcome = judged => outcome.context("the judge's thread ended")?,
        Some(ended) = tasks.join_next() => ended.context("a task ended")?,
    };
    health.set_draining();
    cancel.cancel();
    let drained = tokio::time::timeout(Duration::from_secs(5), async {
        while tasks.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!("deliveries were still under way; they are repeated at the next start");
    }
    outcome
}

/// The engine over what the store holds, with the partitions that are read.
fn open_engine(
    config: &Config,
    partitions: Vec<(plimsoll_model::PartitionId, plimsoll_ingest::merge::PartitionSettings)>,
    store: &SharedStore,
) -> anyhow::Result<Engine> {
    let definition = Definition {
        settings: config.settings(),
        partitions,
        build: crate::version::build(),
        config_hash: config.hash(),
    };
    Engine::open(definition, Arc::clone(store), config.planner(), clock::now())
}

/// Marks a dependency as working or failing.
fn report(health: &Health, name: &str, error: Option<String>) {
    match error {
        None => health.set(name, State::Ok),
        Some(error) => health.set(name, State::Failing { error, since: clock::now() }),
    }
}

/// What a loop does with the store when it only reads.
fn with_store<T>(store: &SharedStore, read: impl FnOnce(&mut Store) -> T) -> T {
    tokio::task::block_in_place(|| read(&mut locked(store)))
}
