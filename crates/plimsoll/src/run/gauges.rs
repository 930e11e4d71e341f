//! What `/metrics` says, from what the engine and the store know. `metric.rs` has the names.

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use plimsoll_model::{Outcome, RejectReason, Severity, Time};

use crate::config::Config;
use crate::engine::{Engine, SharedStore, locked};
use crate::metric;

/// The upper bounds of the buckets of a commit's duration, in seconds.
const COMMIT_BUCKETS_S: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Installs the recorder that `/metrics` renders.
pub(super) fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().set_buckets(COMMIT_BUCKETS_S)?.install_recorder()?;
    metric::describe();
    gauge!(metric::BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Counts one attempt of a sink.
pub(super) fn delivery(sink: &str, outcome: &Outcome) {
    let outcome = match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Later { .. } => "later",
        Outcome::Refused { .. } => "refused",
    };
    counter!(metric::DELIVERIES.name, "sink" => sink.to_owned(), "outcome" => outcome).increment(1);
}

/// Says everything that the engine has counted. Called about once a second.
pub(super) fn publish(
    config: &Config,
    engine: &Engine,
    store: &SharedStore,
    now: Time,
) -> anyhow::Result<()> {
    let totals = engine.totals();
    for (name, (source, read)) in config.sources.keys().zip(&totals.sources) {
        debug_assert!(usize::from(source.0) < config.sources.len(), "sources are ranked by name");
        let name = config.sources.keys().nth(usize::from(source.0)).unwrap_or(name);
        counter!(metric::RECORDS_READ.name, "source" => name.clone()).absolute(read.records);
        counter!(metric::BYTES_READ.name, "source" => name.clone()).absolute(read.bytes);
        counter!(metric::RECORDS_USED.name, "source" => name.clone()).absolute(read.used());
        counter!(metric::RECORDS_IRRELEVANT.name, "source" => name.clone())
            .absolute(read.irrelevant);
        for (reason, count) in RejectReason::ALL.iter().zip(read.rejects) {
            let labels = [("source", name.clone()), ("reason", reason.name().to_owned())];
            counter!(metric::RECORDS_REJECTED.name, &labels).absolute(count);
        }
    }
    counter!(metric::TICKS_CLOSED.name).absolute(totals.ticks);
    counter!(metric::COMMITS.name).absolute(totals.commits);
    counter!(metric::TRANSITIONS.name).absolute(totals.transitions);
    if let Some(tick) = engine.last_tick() {
        gauge!(metric::LAG.name).set(now.micros_since(tick.end()) as f64 / 1e6);
    }
    for (severity, open) in [Severity::Notify, Severity::Ticket, Severity::Page]
        .into_iter()
        .zip(engine.open_by_severity())
    {
        gauge!(metric::INCIDENTS_OPEN.name, "severity" => severity.name()).set(open as f64);
    }
    for held in engine.judge().held() {
        let resource = held.resource.to_owned();
        gauge!(metric::RESOURCE_HELD.name, "resource" => resource.clone()).set(held.held as f64);
        gauge!(metric::HOLDERS.name, "resource" => resource.clone()).set(held.holders.len() as f64);
        if let Some(usable) = held.usable {
            gauge!(metric::RESOURCE_USABLE.name, "resource" => resource).set(usable as f64);
        }
    }
    for (limit, count) in engine.judge().beyond() {
        counter!(metric::LIMITS_HIT.name, "limit" => limit).absolute(count);
    }
    let snapshot = locked(store).snapshot()?;
    let sinks = config.receivers.keys().map(String::as_str);
    for sink in sinks.chain(config.clickhouse.is_some().then_some(crate::plan::CLICKHOUSE)) {
        let pending = snapshot.pending(sink)?;
        gauge!(metric::OUTBOX_PENDING.name, "sink" => sink.to_owned()).set(pending as f64);
    }
    Ok(())
}
