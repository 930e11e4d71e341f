//! The configuration of a map: how the fields of a JSON object become rows.

use std::collections::BTreeMap;

use plimsoll_model::Dimension;
use plimsoll_model::lives::{EndCause, LifeEvent};
use plimsoll_model::sessions::SessionEvent;
use serde::{Deserialize, Serialize};

use crate::timestamp::TimeUnit;

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
    /// The field that names the running copy: short for `holder: {service.instance.id: …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Samples: metric to field. `used`, `limit`, and of memory `memory`, `memory_anonymous`,
    /// `memory_after_collection`, `limit_after_collection`, `uptime` and `started` are known to
    /// detectors; others are stored. A number may be written as text.
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
    /// The field with how long the unit was waited for before it was held or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<String>,
    /// The unit of `age` and `waited`. Default: seconds.
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
    /// Event to the values of `event` that mean it. Events: deploy, restart, scale, limit_change,
    /// start, end. Without it the values are those names, and any other value is a reject; with it, a value
    /// that stands in no list means nothing here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<LifeEvent, Vec<String>>,
    /// The field with the new limit, the new number of instances, or the exit code of an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The field that says why an instance ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Cause to the values of `cause` that mean it. Causes: out_of_memory, crash, stopped, unknown.
    /// Those names always mean themselves; a value that stands nowhere is `unknown`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub causes: BTreeMap<EndCause, Vec<String>>,
    /// The field with the instance in whose place one started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<String>,
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

/// The most fields that one map may name.
pub const MAP_FIELDS_MAX: usize = 32;

/// The most parts that the path of a field may have: `a.b.c` has three.
pub const PATH_PARTS_MAX: usize = 6;

impl MapConfig {
    /// Adds what is wrong, one sentence each.
    pub(crate) fn validate(&self, source_has_resource: bool, problems: &mut Vec<String>) {
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
            let has: Vec<String> = self.value.keys().map(|metric| format!("`{metric}`")).collect();
            let has = if has.is_empty() { "nothing".to_owned() } else { has.join(", ") };
            problems.push(format!(
                "`map.unit` names `{metric}`, which `map.value` does not have: it has {has}"
            ));
        }
        if self.instance.is_some() && self.holder.contains_key(&Dimension::ServiceInstanceId) {
            problems.push(
                "`map.instance` is short for `map.holder.service.instance.id`; keep one".into(),
            );
        }
        if let Some(session) = &self.session {
            session.validate(problems);
        }
        if let Some(context) = &self.context {
            check_events("context", context.event.is_some(), &context.events, problems);
            if context.cause.is_none() && !context.causes.is_empty() {
                problems.push("`map.context` has `causes` and needs `cause`: their field".into());
            }
        }
    }

    /// Every field path of the map.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let session = self.session.iter().flat_map(|session| {
            let SessionMap { id, event, age, waited, started, reason, .. } = session;
            [id, event, age, waited, started, reason]
        });
        let context = self.context.iter().flat_map(|context| {
            [&context.event, &context.value, &context.note, &context.cause, &context.predecessor]
        });
        [&self.time]
            .into_iter()
            .chain(&self.resource)
            .chain(&self.instance)
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

fn seconds() -> TimeUnit {
    TimeUnit::Seconds
}
