//! Every metric that the program serves: its name, unit, meaning, and what to do when it moves.
//!
//! `docs/operations.md` lists the same table; a test compares them.

use metrics::Unit;

/// What the value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Shape {
    /// The name in the exposition format.
    pub const fn name(self) -> &'static str {
        match self {
            Shape::Counter => "counter",
            Shape::Gauge => "gauge",
            Shape::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name that scrapers see.
    pub name: &'static str,
    /// What the value does.
    pub shape: Shape,
    /// What is counted.
    pub unit: Unit,
    /// The labels of its series.
    pub labels: &'static [&'static str],
    /// What it says; one sentence without a final stop.
    pub meaning: &'static str,
    /// What to do when it moves; empty if nothing ever has to be done.
    pub action: &'static str,
}

macro_rules! metrics_table {
    ($($id:ident: $name:literal, $shape:ident, $unit:ident, [$($label:literal),*], $meaning:literal, $action:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $id: Metric = Metric {
                name: $name,
                shape: Shape::$shape,
                unit: Unit::$unit,
                labels: &[$($label),*],
                meaning: $meaning,
                action: $action,
            };
        )*
        /// Every metric, in the order of a record's way through the program.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics_table! {
    RECORDS_READ: "plimsoll_records_read_total", Counter, Count, ["source"],
        "Records read from a source", "Stands still while others grow: look at the producer, then at /readyz.";
    BYTES_READ: "plimsoll_read_bytes_total", Counter, Bytes, ["source"],
        "Bytes of the records read from a source", "";
    RECORDS_USED: "plimsoll_records_used_total", Counter, Count, ["source"],
        "Records that became rows", "Zero while records are read: the format or the mapping is wrong.";
    RECORDS_IRRELEVANT: "plimsoll_records_irrelevant_total", Counter, Count, ["source"],
        "Records that were read well and say nothing about a resource", "";
    RECORDS_REJECTED: "plimsoll_records_rejected_total", Counter, Count, ["source", "reason"],
        "Records that could not be used, by reason", "Read the kept excerpts; `lost` means that retention was faster than we were.";
    PARTITIONS: "plimsoll_partitions", Gauge, Count, ["source", "state"],
        "Partitions by state: alive, idle, set_aside", "Any in `set_aside`: it has unread records but makes no progress; look at the broker.";
    LAG: "plimsoll_lag_seconds", Gauge, Seconds, [],
        "Wall clock minus the last closed tick: how old the newest verdict can be", "Above a minute: a partition holds the clock, see plimsoll_partitions; or more arrives than this machine judges, give it more cores.";
    TICKS_CLOSED: "plimsoll_ticks_closed_total", Counter, Count, [],
        "Seconds of event time that were judged", "Stands still: nothing is judged; see plimsoll_lag_seconds.";
    ROWS_PENDING: "plimsoll_rows_pending", Gauge, Count, [],
        "Rows that wait in the merge for their tick to close", "Near its bound: one partition is far behind the others; readers are held back until it catches up.";
    LIMITS_HIT: "plimsoll_limits_hit_total", Counter, Count, ["limit"],
        "How often a named bound was reached (holders, sessions, rejects kept, …)", "Grows: something is larger than planned for; docs/config.md names each bound.";
    RESOURCE_HELD: "plimsoll_resource_units_held", Gauge, Count, ["resource"],
        "Units of a resource that are held now", "";
    RESOURCE_USABLE: "plimsoll_resource_units_usable", Gauge, Count, ["resource"],
        "Units of a resource that can be held: its limit minus what is reserved", "Absent: no limit is known, so no time to exhaustion can be given; set `limit`.";
    HOLDERS: "plimsoll_holders", Gauge, Count, ["resource"],
        "Holders that hold something now", "";
    LEDGER_DOUBT: "plimsoll_ledger_doubts", Gauge, Count, ["resource"],
        "Reasons why the ledger's count may be off", "Not zero for long: the incident texts say why; often a log that lacks connection lines.";
    INCIDENTS_OPEN: "plimsoll_incidents_open", Gauge, Count, ["severity"],
        "Incidents that are open", "";
    TRANSITIONS: "plimsoll_transitions_total", Counter, Count, ["change"],
        "Changes of incidents that are durable: opened, updated, resolved", "";
    COMMITS: "plimsoll_commits_total", Counter, Count, [],
        "Transactions of the store", "";
    COMMIT_SECONDS: "plimsoll_commit_seconds", Histogram, Seconds, [],
        "Time that one durable commit took", "Above a second: the disk is slow or full; pages are late by as much.";
    COMMIT_FAILURES: "plimsoll_commit_failures_total", Counter, Count, [],
        "Commits that failed", "Any: free the disk or repair it; /readyz says which. Nothing new is judged and nothing is lost meanwhile.";
    EVIDENCE_SHED: "plimsoll_evidence_segments_shed_total", Counter, Count, [],
        "Segments of evidence removed before `retention`, because evidence took more than 4 GiB", "Grows: proofs of old incidents lose rows; shorten `retention`, or ask ClickHouse about them.";
    STORE_BYTES: "plimsoll_store_bytes", Gauge, Bytes, [],
        "Size of everything in the data directory", "";
    OUTBOX_PENDING: "plimsoll_outbox_pending", Gauge, Count, ["sink"],
        "Deliveries that a sink has not accepted yet", "Grows: the sink is down or refuses; see plimsoll_deliveries_total and /readyz.";
    OUTBOX_OLDEST: "plimsoll_outbox_oldest_seconds", Gauge, Seconds, ["sink"],
        "Time since the oldest delivery that a sink has not accepted was decided; 0 if there is none", "Above a minute for a pager: people are not being told; use another channel now.";
    OUTBOX_REFUSED: "plimsoll_outbox_refused", Gauge, Count, ["sink"],
        "Deliveries that a sink has refused and that wait for their next retry", "Any: correct the key, address or table that the log names; they are sent again every 10 minutes and at the next start.";
    DELIVERIES: "plimsoll_deliveries_total", Counter, Count, ["sink", "outcome"],
        "Attempts to deliver, by outcome: accepted, later, refused", "Any `refused`: somebody must correct a key, address or table; see plimsoll_outbox_refused.";
    BUILD_INFO: "plimsoll_build_info", Gauge, Count, ["version"],
        "Always 1; the label says which build runs", "";
}

/// Tells the recorder every name, unit and meaning. Call it once, after the recorder stands.
pub fn describe() {
    for metric in ALL {
        match metric.shape {
            Shape::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.meaning),
            Shape::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.meaning),
            Shape::Histogram => {
                metrics::describe_histogram!(metric.name, metric.unit, metric.meaning);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn names_follow_the_conventions_that_promtool_checks() {
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("plimsoll_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.shape == Shape::Counter, "{name}");
            for reserved in ["_count", "_sum", "_bucket"] {
                assert!(!name.ends_with(reserved), "{name}");
            }
            match metric.unit {
                Unit::Seconds => assert!(name.contains("_seconds"), "{name}"),
                Unit::Bytes => assert!(name.contains("_bytes"), "{name}"),
                _ => assert!(!name.contains("_seconds") && !name.contains("_bytes"), "{name}"),
            }
            assert!(!metric.meaning.is_empty() && !metric.meaning.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn every_name_stands_once() {
        for (at, metric) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }

    #[test]
    fn the_page_shows_each_metric_under_its_own_name() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(RECORDS_READ.name, "source" => "db").increment(3);
            metrics::gauge!(LAG.name).set(1.5);
        });
        let page = handle.render();
        assert!(page.contains("# HELP plimsoll_lag_seconds Wall clock minus"), "{page}");
        assert!(page.contains("# TYPE plimsoll_records_read_total counter"), "{page}");
        assert!(page.contains("plimsoll_records_read_total{source=\"db\"} 3"), "{page}");
        assert!(page.contains("plimsoll_lag_seconds 1.5"), "{page}");
    }

    #[test]
    fn the_documentation_lists_every_metric_as_it_is() {
        let docs = include_str!("../../../docs/operations.md");
        for metric in ALL {
            let Metric { name, shape, labels, meaning, action, .. } = metric;
            let (shape, labels) = (shape.name(), labels.join(", "));
            let row = format!("| `{name}` | {shape} | {labels} | {meaning} | {action} |");
            assert!(docs.contains(&row), "docs/operations.md lacks this row:\n{row}");
        }
        assert_eq!(docs.matches("| `plimsoll_").count(), ALL.len());
    }
}
