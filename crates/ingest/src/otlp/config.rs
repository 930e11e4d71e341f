//! The configuration of OTLP metrics: which of them are read, and who is meant.

use std::collections::BTreeMap;

use plimsoll_model::Dimension;
use plimsoll_model::samples::metric;
use serde::{Deserialize, Serialize};

/// Which OTLP metrics become samples, and which resource attributes say whose they are.
///
/// ```yaml
/// otlp:
///   value:  {memory: my.rss, limit: [my.limit, container.memory.limit]}
///   holder: {service.instance.id: k8s.pod.uid}
/// ```
///
/// A metric or dimension that stands here replaces its line of [`VALUES`] or [`HOLDERS`]; an empty
/// list switches it off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// Metric of ours to OTLP metrics: the first that a resource has counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub value: BTreeMap<String, Names>,
    /// Dimension to resource attributes: the first that a resource has counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub holder: BTreeMap<Dimension, Names>,
}

/// A name, or a list of names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(
    /// The names, the preferred one first.
    #[serde(deserialize_with = "crate::config::one_or_many")]
    pub Vec<String>,
);

/// The OTLP metrics that are read unless the configuration says otherwise. Names are those of the
/// semantic conventions 1.44, with `container.memory.limit` of receivers that do not follow them.
///
/// Collected heap says more than resident memory, and resident memory more than what includes
/// the page cache; each kind is a metric of ours, and the life ledger takes the best.
pub const VALUES: [(&str, &[&str]); 6] = [
    (
        metric::MEMORY_AFTER_COLLECTION,
        &["jvm.memory.used_after_last_gc", "dotnet.gc.last_collection.heap.size"],
    ),
    (
        metric::MEMORY_ANONYMOUS,
        &["process.memory.usage", "container.memory.rss", "k8s.pod.memory.rss"],
    ),
    (
        metric::MEMORY,
        &[
            "container.memory.working_set",
            "k8s.pod.memory.working_set",
            "container.memory.usage",
            "k8s.pod.memory.usage",
        ],
    ),
    (
        metric::LIMIT,
        &[
            "k8s.container.memory.limit.current",
            "k8s.container.memory.limit.desired",
            "k8s.container.memory_limit",
            "container.memory.limit",
            "container.memory.usage.limit",
        ],
    ),
    (metric::LIMIT_AFTER_COLLECTION, &["jvm.memory.limit"]),
    (metric::UPTIME, &["process.uptime", "container.uptime", "k8s.pod.uptime"]),
];

/// The resource attributes that are read unless the configuration says otherwise.
pub const HOLDERS: [(Dimension, &[&str]); Dimension::COUNT] = [
    (Dimension::Tenant, &["tenant", "tenant.id"]),
    (
        Dimension::ServiceName,
        &[
            "service.name",
            "k8s.container.name",
            "k8s.deployment.name",
            "k8s.statefulset.name",
            "k8s.daemonset.name",
            "container.name",
            "process.executable.name",
        ],
    ),
    (Dimension::ServiceVersion, &["service.version", "container.image.tag"]),
    (
        Dimension::ServiceInstanceId,
        &["service.instance.id", "k8s.pod.name", "container.id", "process.pid"],
    ),
    (Dimension::HostName, &["host.name", "k8s.node.name"]),
    (Dimension::DbNamespace, &["db.namespace"]),
    (Dimension::UserName, &["user.name", "process.owner"]),
    (Dimension::ClientAddress, &["client.address"]),
];

/// The most OTLP names that one source may read.
pub const NAMES_MAX: usize = 128;

impl OtlpConfig {
    /// The OTLP metrics of each metric of ours, as they are read, sorted.
    pub fn values(&self) -> BTreeMap<String, Vec<String>> {
        let own = self.value.iter().map(|(metric, names)| (metric.clone(), names.0.clone()));
        let shipped = VALUES.iter().filter(|(metric, _)| !self.value.contains_key(*metric));
        own.chain(shipped.map(|(metric, names)| ((*metric).to_owned(), owned(names)))).collect()
    }

    /// The resource attributes of each dimension, as they are read.
    pub fn holders(&self) -> [(Dimension, Vec<String>); Dimension::COUNT] {
        HOLDERS.map(|(dimension, shipped)| match self.holder.get(&dimension) {
            Some(names) => (dimension, names.0.clone()),
            None => (dimension, owned(shipped)),
        })
    }

    /// Adds what is wrong, one sentence each.
    pub(crate) fn validate(&self, problems: &mut Vec<String>) {
        let names = || self.value.values().chain(self.holder.values()).flat_map(|names| &names.0);
        if names().any(String::is_empty) || self.value.contains_key("") {
            problems.push("`otlp` has an empty name".into());
        }
        if names().count() > NAMES_MAX {
            problems
                .push(format!("`otlp` has {} names; {NAMES_MAX} are possible", names().count()));
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
