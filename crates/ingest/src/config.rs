//! The configuration of a source: where its records are, and how they are understood.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use plimsoll_model::Dimension;
use plimsoll_model::lives::LifeEvent;
use plimsoll_model::sessions::SessionEvent;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::timestamp::{TimeUnit, parse_zone};

/// One source of a pipeline: topics or files whose records have one format.
///
/// ```yaml
/// sources:
///   db:      {kafka: pg-logs, format: postgres_jsonlog, timezone: UTC, resource: orders-db}
///   slots:   {kafka: [metrics, metrics-2], format: json, resource: orders-db,
///             map: {time: ts, holder: {service.instance.id: pod}, value: {used: active}}}
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
    /// The resource that the records are about. `postgres_jsonlog` needs it; for `json` it stands
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
}

/// How a record is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PostgreSQL's `log_destination = jsonlog` (15 and later).
    PostgresJsonlog,
    /// One JSON object per line, understood by `map`.
    Json,
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

/// How the fields of a JSON object become rows.
///
/// A field is named by its path: `labels.pod` is the member `pod` of the object `labels`, or a
/// member whose name is `labels.pod` as it stands. Members of arrays cannot be named. Where a
/// member occurs twice the last one counts; `null` and the empty text count as absent.
///
/// Exactly one of `value`, `session` and `context` says what kind of rows there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapConfig {
    /// The field with the time: a number, or text in RFC 3339 or `YYYY-MM-DD HH:MM:SS[.f] ZONE`.
    pub time: String,
    /// The unit of a time that is a number. Without it the size decides: seconds, milliseconds,
    /// microseconds or nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
    /// The field with the resource's name. Without it, or where it is absent, the source's
    /// `resource` stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Who holds: dimension to field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holder: BTreeMap<Dimension, String>,
    /// Samples: metric to field. `used` and `limit` are known to detectors; others are stored. A
    /// number may be written as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub value: BTreeMap<String, String>,
    /// The units of `value`, metric to unit; stored values are in bytes and seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unit: BTreeMap<String, Unit>,
    /// Session rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionMap>,
    /// Context events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextMap>,
}

/// How an object becomes a session row: one unit opened, closed, refused, started or finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionMap {
    /// The field with the session's id: text or a whole number. Only refusals and resets may do
    /// without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The field whose value says what happened. Left out when every record is the same event:
    /// then `events` names that one event with an empty list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Event to the values of `event` that mean it: `{opened: [open, accept], closed: [close]}`.
    /// Events: attempted, opened, closed, refused, started, finished, reset. A value that stands
    /// in no list is an ordinary record that means nothing here.
    pub events: BTreeMap<SessionEvent, Vec<String>>,
    /// The field with the age of a closed or finished unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<String>,
    /// The unit of `age`. Default: seconds.
    #[serde(default = "seconds")]
    pub age_unit: TimeUnit,
    /// The field with the time at which the session began; read like `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// The field with the reason of a refusal or a close. Detectors know `limit`, `reserved`,
    /// `role_limit` and `database_limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How an object becomes a context event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextMap {
    /// The field whose value says what happened. Left out when every record is the same event:
    /// then `events` names that one event with an empty list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Event to the values of `event` that mean it. Events: deploy, restart, scale, limit_change.
    /// Without it the values are those names, and any other value is a reject; with it, a value
    /// that stands in no list means nothing here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<LifeEvent, Vec<String>>,
    /// The field with the new limit or the new number of instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The field with a text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The unit of a sample as it stands in the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// A plain number.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// 1,024 bytes.
    #[serde(rename = "KiB")]
    Kibibytes,
    /// 1,024² bytes.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// 1,024³ bytes.
    #[serde(rename = "GiB")]
    Gibibytes,
    /// 1,000 bytes.
    #[serde(rename = "kB")]
    Kilobytes,
    /// 1,000² bytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// 1,000³ bytes.
    #[serde(rename = "GB")]
    Gigabytes,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
}

impl Unit {
    /// `value` of this unit in the base unit: bytes, seconds, or as it is.
    pub fn to_base(self, value: f64) -> f64 {
        match self {
            Unit::None | Unit::Bytes | Unit::Seconds => value,
            Unit::Kibibytes => value * 1_024.0,
            Unit::Mebibytes => value * 1_048_576.0,
            Unit::Gibibytes => value * 1_073_741_824.0,
            Unit::Kilobytes => value * 1e3,
            Unit::Megabytes => value * 1e6,
            Unit::Gigabytes => value * 1e9,
            Unit::Milliseconds => value / 1e3,
        }
    }
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
            Format::Json => self.validate_json(&mut problems),
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

/// The most fields that one map may name.
pub const MAP_FIELDS_MAX: usize = 32;

/// The most parts that the path of a field may have: `a.b.c` has three.
pub const PATH_PARTS_MAX: usize = 6;

impl MapConfig {
    fn validate(&self, source_has_resource: bool, problems: &mut Vec<String>) {
        let kinds = usize::from(!self.value.is_empty())
            + usize::from(self.session.is_some())
            + usize::from(self.context.is_some());
        if kinds != 1 {
            problems.push("`map` needs exactly one of `value`, `session` and `context`".into());
        }
        if self.context.is_none() && self.resource.is_none() && !source_has_resource {
            problems
                .push("needs `resource`, or `map.resource` with the field that names it".into());
        }
        let paths: Vec<&str> = self.paths().collect();
        if paths.len() > MAP_FIELDS_MAX {
            problems
                .push(format!("`map` names {} fields; {MAP_FIELDS_MAX} are possible", paths.len()));
        }
        for path in paths {
            if path.split('.').any(str::is_empty) {
                problems.push(format!("`map` names the field `{path}`; a path has no empty part"));
            }
            if path.split('.').count() > PATH_PARTS_MAX {
                problems.push(format!("the path `{path}` has more than {PATH_PARTS_MAX} parts"));
            }
        }
        for metric in self.unit.keys().filter(|metric| !self.value.contains_key(*metric)) {
            problems.push(format!("`map.unit` names `{metric}`, which `map.value` does not have"));
        }
        if let Some(session) = &self.session {
            session.validate(problems);
        }
        if let Some(context) = &self.context {
            check_events("context", context.event.is_some(), &context.events, problems);
        }
    }

    /// Every field path of the map.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let session = self.session.iter().flat_map(|session| {
            [&session.id, &session.event, &session.age, &session.started, &session.reason]
        });
        let context =
            self.context.iter().flat_map(|context| [&context.event, &context.value, &context.note]);
        [&self.time]
            .into_iter()
            .chain(&self.resource)
            .chain(self.holder.values())
            .chain(self.value.values())
            .chain(session.flatten())
            .chain(context.flatten())
            .map(String::as_str)
    }
}

impl SessionMap {
    fn validate(&self, problems: &mut Vec<String>) {
        if self.events.is_empty() {
            problems.push("`map.session.events` is empty: it says which events there are".into());
        } else {
            check_events("session", self.event.is_some(), &self.events, problems);
        }
        let needs_id =
            |event: &SessionEvent| !matches!(event, SessionEvent::Refused | SessionEvent::Reset);
        if self.id.is_none() && self.events.keys().any(needs_id) {
            problems.push("`map.session` needs `id`: the field with the session's id".into());
        }
    }
}

/// Problems of `events`: with an event field each event lists values, none of them twice; without
/// one there is a single event with an empty list.
fn check_events<E>(
    kind: &str,
    has_field: bool,
    events: &BTreeMap<E, Vec<String>>,
    problems: &mut Vec<String>,
) {
    let constant = events.len() == 1 && events.values().all(Vec::is_empty);
    if !has_field && !constant {
        problems.push(format!(
            "`map.{kind}` needs `event`, or `events` with one event and an empty list if all \
             records are that event"
        ));
    }
    if has_field && events.values().any(Vec::is_empty) {
        problems.push(format!("`map.{kind}.events` has an event without values"));
    }
    let mut values: Vec<&String> = events.values().flatten().collect();
    values.sort();
    if let Some(pair) = values.windows(2).find(|pair| pair[0] == pair[1]) {
        problems.push(format!("`map.{kind}.events` has the value `{}` twice", pair[0]));
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

fn seconds() -> TimeUnit {
    TimeUnit::Seconds
}

/// A text, or a list of texts.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
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
