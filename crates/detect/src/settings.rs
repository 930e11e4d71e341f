//! What the user sets: resources with their limits, detectors, the response time.
//!
//! Every default is written here, once. Unknown keys are errors.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

use crate::detector::Switch;
use crate::growth::GrowthSettings;
use crate::held_open::HeldOpenSettings;
use crate::lives::across::AcrossSettings;
use crate::lives::not_back::NotBackSettings;
use crate::lives::within::WithinSettings;
use crate::refusal::RefusalSettings;

/// What a judge needs to know of its pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The pipeline's name: part of every incident's id.
    pub pipeline: String,
    /// How long people need from a page to its cure; scales every horizon. 30 minutes if not set.
    #[serde(default = "response_time", with = "friendly")]
    pub response_time: Duration,
    /// The finite resources by name. Rows may name others: those have no limit.
    #[serde(default)]
    pub resources: BTreeMap<String, ResourceConfig>,
    /// The detectors by name.
    #[serde(default)]
    pub detectors: Detectors,
    /// How late a row may come and still correct what is known: closed sessions are remembered
    /// for so long. 10 minutes if not set.
    #[serde(default = "correct_within", with = "friendly")]
    pub correct_within: Duration,
}

fn response_time() -> Duration {
    Duration::from_secs(30 * 60)
}

fn correct_within() -> Duration {
    Duration::from_secs(10 * 60)
}

impl Settings {
    /// The defaults for a pipeline of this name, without any resource.
    pub fn new(pipeline: impl Into<String>) -> Settings {
        Settings {
            pipeline: pipeline.into(),
            response_time: response_time(),
            resources: BTreeMap::new(),
            detectors: Detectors::default(),
            correct_within: correct_within(),
        }
    }

    /// What growth to the limit goes by, unless it is off: its own settings and the pipeline's
    /// response time.
    pub fn growth(&self) -> Option<GrowthSettings> {
        let settings = self.detectors.growth_to_limit.on()?.clone();
        Some(GrowthSettings { response_time: self.response_time, ..settings })
    }

    /// The pause that keeps people from being told twice of one thing: a tenth of the response
    /// time, at least a minute. Something that returns within it is the same trouble to whoever
    /// is working on it.
    pub fn pause_seconds(&self) -> i64 {
        let tenth = self.response_time.as_secs() / 10;
        i64::try_from(tenth).unwrap_or(i64::MAX).max(60)
    }
}

/// The detectors' settings, by the kind of incident that they find.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detectors {
    /// Growth to the limit.
    pub growth_to_limit: Switch<GrowthSettings>,
    /// Calls that are held open.
    pub held_open: Switch<HeldOpenSettings>,
    /// Refusals at the hard limit.
    pub refusal_at_limit: Switch<RefusalSettings>,
    /// Growth of memory within a life.
    pub growth_within_life: Switch<WithinSettings>,
    /// Growth of memory across lives.
    pub growth_across_lives: Switch<AcrossSettings>,
    /// Instances that do not come back.
    pub not_back: Switch<NotBackSettings>,
}

/// What the units of a resource are called. The list is closed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Connections of a server or a pool.
    #[default]
    Connections,
    /// Places for requests at a time.
    Slots,
    /// Threads of a pool.
    Threads,
    /// Worker processes.
    Workers,
    /// Handles of an operating system.
    Handles,
    /// Bytes of memory of each instance: `{memory: {limit: 2GiB}}`.
    #[serde(rename = "memory")]
    Bytes,
}

impl Unit {
    /// The name in configuration and sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Connections => "connections",
            Unit::Slots => "slots",
            Unit::Threads => "threads",
            Unit::Workers => "workers",
            Unit::Handles => "handles",
            Unit::Bytes => "bytes",
        }
    }
}

/// One finite resource: `{connections: {limit: 200, reserved: 3}}`.
///
/// The default is what a resource is that only rows name: connections, without a known limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Unit, Limits>", into = "BTreeMap<Unit, Limits>")]
pub struct ResourceConfig {
    /// What its units are called.
    pub unit: Unit,
    /// How many units there are, at least one; `None` if that is not known.
    pub limit: Option<u64>,
    /// How many of them ordinary users cannot get; fewer than `limit`.
    pub reserved: u64,
}

/// The part of a [`ResourceConfig`] that stands behind its unit.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    #[serde(deserialize_with = "amount")]
    limit: Option<Amount>,
    reserved: u64,
}

/// How many units, and whether that was written in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
struct Amount {
    count: u64,
    #[serde(skip)]
    are_bytes: bool,
}

/// A number, or a text with one and a unit of bytes: `200`, `"200"`, `2GiB`, `1.5 GiB`.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Amount>, D::Error> {
    const fn units(count: u64) -> Amount {
        Amount { count, are_bytes: false }
    }
    struct Written;
    impl Visitor<'_> for Written {
        type Value = Option<Amount>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number, or for memory one of bytes such as `2GiB`")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Option<Amount>, E> {
            Ok(None)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<Amount>, E> {
            Ok(Some(units(number)))
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<Amount>, E> {
            let number = u64::try_from(number);
            number.map(units).map(Some).map_err(|_| E::custom("a limit is not negative"))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Amount>, E> {
            let wrong = || E::invalid_value(Unexpected::Str(text), &self);
            let at = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
            let (number, unit) = text.split_at(at);
            if unit.is_empty() {
                return number.parse().map(units).map(Some).map_err(|_| wrong());
            }
            let bytes = BYTES.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?.1;
            let number: f64 = number.parse().map_err(|_| wrong())?;
            Ok(Some(Amount { count: (number * bytes).round() as u64, are_bytes: true }))
        }
    }
    deserializer.deserialize_any(Written)
}

/// Units of bytes.
const BYTES: [(&str, f64); 9] = [
    ("B", 1.0),
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
];

impl TryFrom<BTreeMap<Unit, Limits>> for ResourceConfig {
    type Error = String;

    fn try_from(units: BTreeMap<Unit, Limits>) -> Result<ResourceConfig, String> {
        let mut units = units.into_iter();
        let (Some((unit, limits)), None) = (units.next(), units.next()) else {
            return Err("a resource must have exactly one unit, such as `connections`".into());
        };
        let Limits { limit, reserved } = limits;
        if limit.is_some_and(|limit| limit.are_bytes) && unit != Unit::Bytes {
            return Err(format!(
                "`{}` are counted and not measured in bytes: their limit is a number such as 200",
                unit.name()
            ));
        }
        let limit = limit.map(|limit| limit.count);
        match limit {
            Some(0) => {
                Err("limit `0` must be at least 1; leave it out if it is not known".to_owned())
            }
            Some(limit) if reserved >= limit => {
                Err(format!("reserved `{reserved}` must be less than the limit ({limit})"))
            }
            _ => Ok(ResourceConfig { unit, limit, reserved }),
        }
    }
}

impl From<ResourceConfig> for BTreeMap<Unit, Limits> {
    fn from(config: ResourceConfig) -> Self {
        let are_bytes = config.unit == Unit::Bytes;
        let limit = config.limit.map(|count| Amount { count, are_bytes });
        let limits = Limits { limit, reserved: config.reserved };
        BTreeMap::from([(config.unit, limits)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads settings from JSON with single quotes; returns the error's text, or nothing.
    fn read(text: &str) -> Result<Settings, String> {
        serde_json::from_str(&text.replace('\'', "\"")).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn only_the_name_is_needed() {
        assert_eq!(read("{'pipeline': 'p'}"), Ok(Settings::new("p")));
    }

    #[test]
    fn everything_can_be_set_and_is_written_as_it_is_read() {
        let settings = read(
            "{'pipeline': 'p', 'response_time': '1h', 'correct_within': '90s',
              'resources': {'db': {'connections': {'limit': 200, 'reserved': 3}}, 'g': {'slots': {}}},
              'detectors': {'refusal_at_limit': {'severity': 'ticket'}, 'growth_to_limit': 'off'}}",
        )
        .unwrap();
        let db = settings.resources["db"];
        assert_eq!((db.unit, db.limit, db.reserved), (Unit::Connections, Some(200), 3));
        let gateway = settings.resources["g"];
        assert_eq!((gateway.unit, gateway.limit), (Unit::Slots, None));
        assert_eq!((settings.pause_seconds(), settings.growth()), (360, None));
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(read(&text), Ok(settings));
    }

    #[test]
    fn bytes_may_have_a_unit() {
        let limit = |text: &str| {
            let resource = format!("{{'memory': {{'limit': {text}}}}}");
            let settings = format!("{{'pipeline': 'p', 'resources': {{'m': {resource}}}}}");
            read(&settings).map(|settings| settings.resources["m"].limit)
        };
        assert_eq!(limit("'2GiB'"), Ok(Some(2_147_483_648)));
        assert_eq!(limit("'1.5 MiB'"), Ok(Some(1_572_864)));
        assert_eq!(limit("'200'"), Ok(Some(200)));
        assert!(limit("'2 apples'").unwrap_err().contains("such as `2GiB`"));
    }

    #[test]
    fn growth_goes_by_the_pipelines_response_time() {
        let settings = read("{'pipeline': 'p', 'response_time': '1h'}").unwrap();
        assert_eq!(settings.growth().unwrap().response_time, Duration::from_secs(3_600));
    }

    #[test]
    fn wrong_settings_say_what_would_be_right() {
        let resource = |text: &str| format!("{{'pipeline': 'p', 'resources': {{'db': {text}}}}}");
        check_error(&resource("{'connections': {'limit': 0}}"), "limit `0` must be at least 1");
        check_error(&resource("{'slots': {'limit': '2GiB'}}"), "`slots` are counted");
        check_error(
            &resource("{'connections': {'limit': 3, 'reserved': 3}}"),
            "reserved `3` must be less than the limit (3)",
        );
        check_error(&resource("{'conections': {}}"), "expected one of `connections`, `slots`");
        check_error(&resource("{}"), "exactly one unit");
        check_error(&resource("{'slots': {'limits': 3}}"), "unknown field `limits`");
        check_error(
            "{'pipeline': 'p', 'detectors': {'arrivals': 'off'}}",
            "unknown field `arrivals`",
        );
        let detector = "{'pipeline': 'p', 'detectors': {'refusal_at_limit': ";
        check_error(&format!("{detector}'on'}}}}"), "expected `off` or the detector's settings");
        check_error(&format!("{detector}{{'severty': 'page'}}}}}}"), "unknown field `severty`");
    }
}
