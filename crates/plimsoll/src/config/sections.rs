//! The sections of a definition, and those of them that no other crate owns.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use plimsoll_deliver::{ClickHouseConfig, PagerDutyConfig, Secret};
use plimsoll_detect::settings::{Detectors, ResourceConfig, Settings};
use plimsoll_ingest::SourceConfig;
use plimsoll_model::Severity;
use serde::{Deserialize, Serialize};

/// A definition as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) version: u64,
    pub(super) name: String,
    #[serde(default = "response_time", with = "friendly")]
    pub(super) response_time: Duration,
    #[serde(default = "correct_within", with = "friendly")]
    pub(super) correct_within: Duration,
    #[serde(default = "retention", with = "friendly", skip_serializing)]
    pub(super) retention: Duration,
    #[serde(default, skip_serializing)]
    pub(super) data: Option<PathBuf>,
    #[serde(default = "listen", skip_serializing)]
    pub(super) listen: String,
    #[serde(default)]
    pub(super) kafka: Option<KafkaConfig>,
    #[serde(default)]
    pub(super) clickhouse: Option<ClickHouseConfig>,
    pub(super) sources: BTreeMap<String, SourceConfig>,
    #[serde(default)]
    pub(super) resources: BTreeMap<String, ResourceConfig>,
    #[serde(default)]
    pub(super) detectors: Detectors,
    #[serde(default)]
    pub(super) receivers: BTreeMap<String, ReceiverConfig>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
}

/// The version of the format that this build reads.
pub(super) const VERSION: u64 = 1;

fn response_time() -> Duration {
    Settings::new("").response_time
}

fn correct_within() -> Duration {
    Settings::new("").correct_within
}

/// As long as ClickHouse keeps evidence.
fn retention() -> Duration {
    Duration::from_secs(90 * 86_400)
}

fn listen() -> String {
    "127.0.0.1:9464".to_owned()
}

/// How the brokers are reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// The brokers to ask first: `host:port`, separated by commas.
    pub brokers: String,
    /// Where a partition begins that was never read.
    #[serde(default)]
    pub start: Start,
    /// Settings of librdkafka, by their own names: `security.protocol`, `sasl.password`, … The
    /// values are treated as secrets, because some are.
    #[serde(default)]
    pub options: BTreeMap<String, Secret>,
}

/// Where a partition begins that was never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest record that the broker has.
    #[default]
    Earliest,
    /// At the first record that comes after the start.
    Latest,
}

/// A receiver of pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverConfig {
    /// PagerDuty, or whoever speaks its Events API v2.
    PagerDuty(PagerDutyConfig),
}

/// Incidents of a severity go to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The severity.
    pub severity: Severity,
    /// The receiver's name.
    pub to: String,
}
