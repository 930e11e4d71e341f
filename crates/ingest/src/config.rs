//! The configuration of a source: where its records are, and how they are understood.

use std::fmt;
use std::time::Duration;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::haproxy::HaproxyConfig;
use crate::map::MapConfig;
use crate::otlp::config::OtlpConfig;
use crate::timestamp::parse_zone;

/// One source of a pipeline: topics or files whose records have one format.
///
/// ```yaml
/// sources:
///   db:      {kafka: pg-logs, format: postgres_jsonlog, timezone: UTC, resource: orders-db}
///   slots:   {kafka: [metrics, metrics-2], format: json, resource: orders-db,
///             map: {time: ts, holder: {service.instance.id: pod}, value: {used: active}}}
///   edge:    {kafka: edge-log, format: haproxy_http, resource: gateway-slots,
///             haproxy: {holder: {tenant: request.0}}}
///   deploys: {file: deploys.jsonl, format: json, role: context}
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The Kafka topic, or a list of topics. Either this or `file`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub kafka: Vec<String>,
    /// The file, or a list of files; `-` is standard input. Plain, gzip or zstd: the first bytes
    /// say which. Either this or `kafka`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<String>,
    /// How a record is understood.
    pub format: Format,
    /// Whether the records are what is judged, or what explains it.
    #[serde(default)]
    pub role: Role,
    /// The zone of times that do not carry an offset: an IANA name (`Europe/Berlin`) or a fixed
    /// offset (`+03:00`). Times marked `UTC`, `GMT` or `Z` are UTC whatever stands here.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The resource that the records are about. Every format but `json` needs it; there it stands
    /// in for `map.resource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// How far records of one partition may be out of order; `0s` for a source that never is.
    #[serde(
        default = "reorder",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub reorder: Duration,
    /// How long a partition may be silent at its end before the clock goes on without it.
    /// Default: 10 s, or at once (`0s`) for `role: context`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub idle_after: Option<Duration>,
    /// How far a record may be ahead of everything around it before its time is doubted.
    #[serde(
        default = "max_ahead",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub max_ahead: Duration,
    /// How the fields of `format: json` become rows. May be left out with `role: context`, which
    /// then reads the canonical form of context events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapConfig>,
    /// Which metrics of `format: otlp_proto` or `otlp_json` are read, beyond or instead of those
    /// that are read anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpConfig>,
    /// Which part of a line of `format: haproxy_http` says what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub haproxy: Option<HaproxyConfig>,
}

/// How a record is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PostgreSQL's `log_destination = jsonlog` (15 and later).
    PostgresJsonlog,
    /// HAProxy's `option httplog`, with captured headers.
    HaproxyHttp,
    /// One JSON object per line, understood by `map`.
    Json,
    /// OTLP metrics in protobuf, one request per record of Kafka.
    OtlpProto,
    /// OTLP metrics in JSON, one request per record or line.
    OtlpJson,
}

/// What the records are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// They are judged, and their partitions hold the clock.
    #[default]
    Data,
    /// They explain (deploys, restarts, scaling, limit changes), are rare, and hold the clock
    /// only while there is something to read.
    Context,
}

impl SourceConfig {
    /// How long a partition may be silent at its end: `idle_after`, or its default by `role`.
    pub fn idle_after(&self) -> Duration {
        let by_role = match self.role {
            Role::Data => Duration::from_secs(10),
            Role::Context => Duration::ZERO,
        };
        self.idle_after.unwrap_or(by_role)
    }

    /// What is wrong with the configuration of the source `name`, one sentence each; empty if
    /// nothing is.
    pub fn validate(&self, name: &str) -> Vec<String> {
        let problems = self.problems().into_iter();
        problems.map(|problem| format!("source `{name}`: {problem}")).collect()
    }

    /// What is wrong, without the name of the source.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (self.kafka.is_empty(), self.file.is_empty()) {
            (true, true) => problems.push("needs `kafka: TOPIC` or `file: PATH`".into()),
            (false, false) => problems.push("has both `kafka` and `file`; keep one of them".into()),
            _ => {}
        }
        if self.kafka.iter().chain(&self.file).any(String::is_empty) {
            problems.push("names an empty topic or file".into());
        }
        if let Err(problem) = parse_zone(&self.timezone) {
            problems.push(problem);
        }
        match self.format {
            Format::PostgresJsonlog => self.validate_postgres(&mut problems),
            Format::HaproxyHttp => self.validate_haproxy(&mut problems),
            Format::Json => self.validate_json(&mut problems),
            Format::OtlpProto | Format::OtlpJson => self.validate_otlp(&mut problems),
        }
        if self.otlp.is_some() && !matches!(self.format, Format::OtlpProto | Format::OtlpJson) {
            problems
                .push("has `otlp`, which belongs to `format: otlp_proto` or `otlp_json`".into());
        }
        if self.haproxy.is_some() && self.format != Format::HaproxyHttp {
            problems.push("has `haproxy`, which belongs to `format: haproxy_http`".into());
        }
        problems
    }

    fn validate_postgres(&self, problems: &mut Vec<String>) {
        if self.resource.is_none() {
            problems.push("needs `resource`: the name of the database server it logs for".into());
        }
        if self.map.is_some() {
            problems.push("has a `map`, which belongs to `format: json`".into());
        }
        if self.role == Role::Context {
            problems.push("has `role: context`, but a database's log is data".into());
        }
    }

    fn validate_otlp(&self, problems: &mut Vec<String>) {
        if self.resource.is_none() {
            problems.push("needs `resource`: the name of the memory that it measures".into());
        }
        if self.map.is_some() {
            problems.push("has a `map`, which belongs to `format: json`".into());
        }
        if self.role == Role::Context {
            problems.push("has `role: context`, but metrics are data".into());
        }
        if self.format == Format::OtlpProto && !self.file.is_empty() {
            problems.push(
                "reads protobuf from a file, which has no lines; use `otlp_json`, or Kafka".into(),
            );
        }
        if let Some(otlp) = &self.otlp {
            otlp.validate(problems);
        }
    }

    fn validate_haproxy(&self, problems: &mut Vec<String>) {
        if self.resource.is_none() {
            problems.push("needs `resource`: the name of the slots that it hands out".into());
        }
        if self.map.is_some() {
            problems.push("has a `map`, which belongs to `format: json`".into());
        }
        if self.role == Role::Context {
            problems.push("has `role: context`, but a balancer's log is data".into());
        }
    }

    fn validate_json(&self, problems: &mut Vec<String>) {
        match &self.map {
            Some(map) => map.validate(self.resource.is_some(), problems),
            None if self.role == Role::Data => {
                problems.push("needs a `map` that says what its fields mean".into());
            }
            None => {}
        }
    }
}

fn utc() -> String {
    "UTC".into()
}

fn reorder() -> Duration {
    Duration::from_secs(2)
}

fn max_ahead() -> Duration {
    Duration::from_secs(300)
}

/// A text, or a list of texts.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name or a list of names")
        }
        fn visit_str<E: de::Error>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(vec![one.to_owned()])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut many: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = many.next_element()? {
                names.push(name);
            }
            Ok(names)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}
