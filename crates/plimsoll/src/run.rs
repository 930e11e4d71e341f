//! The pipeline, live: readers and parsers before the engine, one loop for each sink after it.
//!
//! Threads: one polls Kafka, a few parse, one judges. Tasks: one for each sink, the HTTP listener,
//! the signals. Channels are bounded; everything ends on one cancellation token.

mod follow;
mod gauges;
mod judge;
mod kafka;
mod refusals;
mod sinks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plimsoll_console::{Health, Pipeline, Sources, State, Watched};
use plimsoll_ingest::merge::PartitionSettings;
use plimsoll_model::PartitionId;
use plimsoll_store::{Options, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::engine::{Definition, Engine, SharedStore, locked};
use crate::plan::{Planner, Route};
use crate::service::ServiceManager;
use crate::{clock, feed};

pub use judge::Event;

/// How long a stop may take until everything is durable.
pub const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Runs the pipeline until `cancel`. When it returns, everything judged is durable.
pub async fn run(config: Config, cancel: CancellationToken) -> anyhow::Result<()> {
    let store = Store::open(&config.data, Options::new(&config.name))
        .with_context(|| format!("cannot open `{}`", config.data.display()))?;
    let store: SharedStore = Arc::new(std::sync::Mutex::new(store));
    let health = Health::default();
    health.set(judge::JUDGE, State::Starting);
    health.set(judge::STORE, State::Ok);
    let wake = Arc::new(Notify::new());
    let listener = tokio::net::TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on `{}`: choose another `listen`", config.listen)
    })?;
    let prometheus = gauges::install(&config)?;
    tracing::info!(address = %listener.local_addr()?, pipeline = config.name, "listening");

    // Every dependency is named before the first question is answered.
    for source in kafka::dependency(&config)
        .into_iter()
        .chain(feed::file_partitions(&config).iter().filter_map(follow::dependency))
    {
        health.set(&source, State::Starting);
    }
    let sinks = sinks::open(&config)?;
    for sink in &sinks {
        health.set(sink.name(), sinks::first_state(sink));
    }

    let version = plimsoll_console::Version {
        version: crate::version::version(),
        commit: crate::version::commit().map(str::to_owned),
        pipeline: config.name.clone(),
        config: config.hash(),
    };
    let mut tasks = tokio::task::JoinSet::new();
    let watched = Watched::new();
    let shown = Arc::clone(&store);
    let snapshots = move || locked(&shown).snapshot();
    let pipeline = Pipeline::new(config.name.clone(), snapshots, watched.clone());
    let metrics = move || prometheus.render();
    let sources = Sources::new(health.clone(), metrics, version, vec![pipeline]);
    let console = plimsoll_console::serve(listener, sources, cancel.clone());
    tasks.spawn(async move { Ok(console.await?) });
    for sink in sinks {
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
        watched,
        wake,
        cancel: cancel.clone(),
    };
    let manager = ServiceManager::of_environment();
    manager.ready(&config.name);
    tasks.spawn(manager.accompany(health.clone(), cancel.clone()));
    let mut judged = tokio::task::spawn_blocking(move || judge::judge(&config, judge));
    let outcome = tokio::select! {
        outcome = &mut judged => outcome.context("the judge's thread ended")?,
        Some(ended) = tasks.join_next() => {
            health.drain();
            cancel.cancel();
            let judged = tokio::time::timeout(STOP_WITHIN, judged).await;
            let judged = judged
                .with_context(|| format!("the judge did not end in {} s", STOP_WITHIN.as_secs()))?
                .context("the judge's thread ended")?;
            ended.context("a task ended")?.and(judged)
        }
    };
    health.drain();
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
    partitions: BTreeMap<PartitionId, PartitionSettings>,
    store: &SharedStore,
) -> anyhow::Result<Engine> {
    let definition = Definition {
        settings: config.settings(),
        partitions,
        build: crate::version::build(),
        config_hash: config.hash(),
    };
    Engine::open(definition, Arc::clone(store), planner(config), clock::now())
}

/// Who is told what, by the configuration's routes.
fn planner(config: &Config) -> Planner {
    let route = |route: &crate::config::Route| Route {
        severity: route.severity,
        receiver: route.to.clone(),
    };
    Planner::new(config.routes.iter().map(route).collect(), config.clickhouse.is_some())
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
