//! What `/metrics` says, from what the engine and the store know. `metric.rs` has the names.

use std::collections::BTreeMap;
use std::path::Path;

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use plimsoll_model::{Change, Outcome, Payload, RejectReason, Severity, Time};
use plimsoll_store::{Ordered, Snapshot};

use crate::config::Config;
use crate::engine::{Engine, SharedStore, SourceTotals, locked};
use crate::live::{Liveness, Standing};
use crate::{feed, metric};

/// The upper bounds of the buckets of a commit's duration, in seconds.
const COMMIT_BUCKETS_S: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Installs the recorder that `/metrics` renders.
pub(super) fn install(config: &Config) -> anyhow::Result<PrometheusHandle> {
    let handle = builder()?.install_recorder()?;
    begin(config);
    Ok(handle)
}

fn builder() -> anyhow::Result<PrometheusBuilder> {
    Ok(PrometheusBuilder::new().set_buckets(COMMIT_BUCKETS_S)?)
}

/// What is known before anything happens.
fn begin(config: &Config) {
    metric::describe();
    gauge!(metric::BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for sink in sinks(config) {
        for outcome in ["accepted", "later", "refused"] {
            counter!(metric::DELIVERIES.name, "sink" => sink.to_owned(), "outcome" => outcome)
                .absolute(0);
        }
        gauge!(metric::OUTBOX_REFUSED.name, "sink" => sink.to_owned()).set(0.0);
    }
}

/// The names of the sinks, as the outbox knows them.
fn sinks(config: &Config) -> impl Iterator<Item = &str> {
    let tables = config.clickhouse.is_some().then_some(crate::plan::CLICKHOUSE);
    config.receivers.keys().map(String::as_str).chain(tables)
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
    liveness: &Liveness,
    store: &SharedStore,
    now: Time,
) -> anyhow::Result<()> {
    read(config, engine, liveness);
    judged(engine, now);
    gauge!(metric::STORE_BYTES.name).set(folder_bytes(&config.data) as f64);
    let snapshot = match locked(store).snapshot() {
        // It can be read again when there is space; the last figures stay until then.
        Err(plimsoll_store::Error::Full { .. }) => return Ok(()),
        snapshot => snapshot?,
    };
    owed(config, &snapshot, now)
}

/// What was read, and how the partitions stand.
fn read(config: &Config, engine: &Engine, liveness: &Liveness) {
    let totals = engine.totals();
    let mut standings: BTreeMap<_, u64> = BTreeMap::new();
    for (partition, standing) in liveness.standings() {
        *standings.entry((partition.source, standing)).or_default() += 1;
    }
    for name in config.sources.keys() {
        let source = feed::source_id(config, name);
        let read: SourceTotals = totals.sources.get(&source).copied().unwrap_or_default();
        counter!(metric::RECORDS_READ.name, "source" => name.clone()).absolute(read.records);
        counter!(metric::BYTES_READ.name, "source" => name.clone()).absolute(read.bytes);
        counter!(metric::RECORDS_USED.name, "source" => name.clone()).absolute(read.used());
        counter!(metric::RECORDS_IRRELEVANT.name, "source" => name.clone())
            .absolute(read.irrelevant);
        for (reason, count) in RejectReason::ALL.iter().zip(read.rejects) {
            let labels = [("source", name.clone()), ("reason", reason.name().to_owned())];
            counter!(metric::RECORDS_REJECTED.name, &labels).absolute(count);
        }
        for standing in Standing::ALL {
            let count = standings.get(&(source, standing)).copied().unwrap_or(0);
            let labels = [("source", name.clone()), ("state", standing.name().to_owned())];
            gauge!(metric::PARTITIONS.name, &labels).set(count as f64);
        }
    }
    gauge!(metric::ROWS_PENDING.name).set(engine.merge().pending_rows() as f64);
}

/// What was judged, and what it says.
fn judged(engine: &Engine, now: Time) {
    let totals = engine.totals();
    counter!(metric::TICKS_CLOSED.name).absolute(totals.ticks);
    counter!(metric::COMMITS.name).absolute(totals.commits);
    counter!(metric::EVIDENCE_SHED.name).absolute(totals.segments_shed);
    counter!(metric::COMMIT_FAILURES.name).absolute(totals.commit_failures);
    let changes = [Change::Opened, Change::Updated, Change::Resolved];
    for (change, count) in changes.into_iter().zip(totals.transitions) {
        counter!(metric::TRANSITIONS.name, "change" => change.name()).absolute(count);
    }
    if let Some(tick) = engine.last_tick() {
        gauge!(metric::LAG.name).set(now.micros_since(tick.end()) as f64 / 1e6);
    }
    let severities = [Severity::Notify, Severity::Ticket, Severity::Page];
    for (severity, open) in severities.into_iter().zip(engine.open_by_severity()) {
        gauge!(metric::INCIDENTS_OPEN.name, "severity" => severity.name()).set(open as f64);
    }
    for held in engine.judge().held() {
        let resource = held.resource.to_owned();
        gauge!(metric::RESOURCE_HELD.name, "resource" => resource.clone()).set(held.held as f64);
        gauge!(metric::HOLDERS.name, "resource" => resource.clone()).set(held.holders.len() as f64);
        gauge!(metric::LEDGER_DOUBT.name, "resource" => resource.clone()).set(held.doubts as f64);
        if let Some(usable) = held.usable {
            gauge!(metric::RESOURCE_USABLE.name, "resource" => resource).set(usable as f64);
        }
    }
    let rejects = [("rejects", totals.late_beyond)];
    for (limit, count) in engine.judge().beyond().into_iter().chain(rejects) {
        counter!(metric::LIMITS_HIT.name, "limit" => limit).absolute(count);
    }
}

/// What the sinks have not accepted yet.
fn owed(config: &Config, snapshot: &Snapshot, now: Time) -> anyhow::Result<()> {
    for sink in sinks(config) {
        let oldest = snapshot.next_deliveries(sink, 1)?;
        let age_us = oldest.first().and_then(decided_at).map_or(0, |at| now.micros_since(at));
        gauge!(metric::OUTBOX_PENDING.name, "sink" => sink.to_owned())
            .set(snapshot.pending(sink)? as f64);
        gauge!(metric::OUTBOX_OLDEST.name, "sink" => sink.to_owned())
            .set(age_us.max(0) as f64 / 1e6);
    }
    Ok(())
}

fn decided_at(ordered: &Ordered) -> Option<Time> {
    match &ordered.delivery.payload {
        Payload::Page { decided_at, .. } => Some(*decided_at),
        Payload::Rows { transitions, .. } => transitions.iter().map(|(_, at)| *at).min(),
    }
}

/// The bytes of the files in `folder`; those that vanish meanwhile count nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plimsoll_ingest::{Parser, RawBatch};
    use plimsoll_store::{Options, Store};

    use super::*;
    use crate::config::Purpose;

    const DEFINITION: &str = "version: 1\nname: p\nsources: {db: {file: db.jsonl, format: postgres_jsonlog, resource: r}}\nresources: {r: {connections: {limit: 9}}}\nclickhouse: {url: 'http://127.0.0.1:1'}\n";

    /// One session that begins, and one that begins a minute later.
    const LOG: &str = r#"{"timestamp":"2026-03-03 14:00:00.000 UTC","pid":7,"session_id":"a.7","session_start":"2026-03-03 14:00:00 UTC","error_severity":"LOG","message":"connection authorized: user=u database=d application_name=web","backend_type":"client backend"}
{"timestamp":"2026-03-03 14:01:00.000 UTC","pid":8,"session_id":"a.8","session_start":"2026-03-03 14:01:00 UTC","error_severity":"LOG","message":"connection authorized: user=u database=d application_name=web","backend_type":"client backend"}"#;

    #[test]
    fn every_documented_metric_is_served_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        let loaded = Config::from_text(&path, DEFINITION, Purpose::Run, &|_| None);
        let (config, _) = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            begin(&config);
            let store = Store::open(&config.data, Options::new("p")).unwrap();
            let store = SharedStore::new(store.into());
            let file = feed::file_partitions(&config).remove(0);
            let partitions = [(file.id, feed::partition_settings(&file.config))].into();
            let mut engine = super::super::open_engine(&config, partitions, &store).unwrap();
            let mut liveness = Liveness::default();
            liveness.add(file.id, file.config.idle_after(), std::time::Duration::ZERO);
            let mut raw = RawBatch::new(file.id);
            for (offset, line) in (0..).zip(LOG.lines()) {
                raw.push(offset, line.as_bytes());
            }
            engine.push(Parser::new("db", &file.config).unwrap().parse(&raw));
            engine.finish(file.id);
            engine.step(Time::from_seconds(1_772_547_000), false).unwrap();
            engine.checkpoint(Time::from_seconds(1_772_547_000)).unwrap();
            publish(&config, &engine, &liveness, &store, Time::from_seconds(1_772_547_000))
                .unwrap();
        });
        let page = handle.render();
        let served: BTreeSet<&str> = (page.lines())
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        assert_eq!(served, metric::ALL.iter().map(|metric| metric.name).collect(), "{page}");
        assert!(page.contains("plimsoll_records_used_total{source=\"db\"} 2\n"), "{page}");
        assert!(page.contains("plimsoll_resource_units_held{resource=\"r\"} 2\n"), "{page}");
        assert!(page.contains("plimsoll_partitions{source=\"db\",state=\"alive\"} 1\n"), "{page}");
    }
}
