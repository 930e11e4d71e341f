//! What a detector says, and how it is switched on and off.

use std::fmt;
use std::marker::PhantomData;

use plimsoll_model::{Finding, Reason};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// What a detector says of one resource at the end of a tick.
///
/// A detector says `Found` at every tick while it sees the fault, then `Ended` once, then
/// `Quiet`. A detector that only falls `Quiet` without having said `Ended` is taken to see nothing
/// more, and the incident book closes the incident after its hold.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one per resource and tick, and never stored")]
pub enum Verdict {
    /// Nothing to say.
    Quiet,
    /// The fault, as it looks now.
    Found(Finding),
    /// The fault that was found before is over, and why.
    Ended(Reason),
}

/// A detector's section of the configuration: `off`, or its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Switch<T> {
    /// It does not run.
    Off,
    /// It runs with these settings.
    On(T),
}

impl<T> Switch<T> {
    /// The settings, unless the detector is off.
    pub fn on(&self) -> Option<&T> {
        match self {
            Switch::Off => None,
            Switch::On(settings) => Some(settings),
        }
    }
}

impl<T: Default> Default for Switch<T> {
    fn default() -> Self {
        Switch::On(T::default())
    }
}

impl<T: Serialize> Serialize for Switch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Switch::Off => serializer.serialize_str("off"),
            Switch::On(settings) => settings.serialize(serializer),
        }
    }
}

/// Written by hand rather than untagged, so that an error names the key at fault.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Switch<T>, D::Error> {
        struct SwitchVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SwitchVisitor<T> {
            type Value = Switch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off` or the detector's settings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Switch<T>, E> {
                match text {
                    "off" => Ok(Switch::Off),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            /// YAML 1.1 reads `off` as a truth value.
            fn visit_bool<E: Error>(self, on: bool) -> Result<Switch<T>, E> {
                match on {
                    false => Ok(Switch::Off),
                    true => Err(E::invalid_value(Unexpected::Bool(on), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Switch<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Switch::On)
            }
        }

        deserializer.deserialize_any(SwitchVisitor(PhantomData))
    }
}
