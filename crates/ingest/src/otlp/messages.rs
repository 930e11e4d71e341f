//! The messages of OTLP metrics, as far as they are read, for protobuf and for JSON.
//!
//! Field numbers and names are those of `opentelemetry/proto/metrics/v1/metrics.proto` and
//! `common.proto`, version 1. The fields of a `oneof` are optional fields here: on the wire they
//! are the same, and in JSON they are members of the message around them. What is not declared
//! (histograms, exemplars, lists of attributes) is skipped.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// What an exporter sends: `ExportMetricsServiceRequest`, the same on the wire as `MetricsData`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Request {
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ScopeMetrics {
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metric {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "5")]
    pub gauge: Option<Gauge>,
    #[prost(message, optional, tag = "7")]
    pub sum: Option<Sum>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Gauge {
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<Point>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Sum {
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<Point>,
    /// 0 unspecified, 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "temporality")]
    pub aggregation_temporality: i32,
}

/// The temporality in which each point is a difference to the one before.
pub(super) const DELTA: i32 = 1;

/// The flag of a point without a value.
pub(super) const NO_RECORDED_VALUE: u32 = 1;

/// `NumberDataPoint`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Point {
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "whole")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "whole")]
    pub time_unix_nano: u64,
    #[prost(double, optional, tag = "4")]
    #[serde(deserialize_with = "fraction")]
    pub as_double: Option<f64>,
    #[prost(sfixed64, optional, tag = "6")]
    #[serde(deserialize_with = "signed")]
    pub as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<Attribute>,
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// `KeyValue`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// The values that may be a name; others are skipped.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AnyValue {
    #[prost(string, optional, tag = "1")]
    pub string_value: Option<String>,
    #[prost(bool, optional, tag = "2")]
    pub bool_value: Option<bool>,
    #[prost(int64, optional, tag = "3")]
    #[serde(deserialize_with = "signed")]
    pub int_value: Option<i64>,
}

/// A number that JSON may write as a number or as text. Its visitor takes both and knows the
/// three words that protobuf's JSON has for values which are not finite.
struct NumberVisitor;

enum Number {
    None,
    Whole(i128),
    Fraction(f64),
}

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a number as text")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Number, E> {
        Ok(Number::None)
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number::Whole(number.into()))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number::Whole(number.into()))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number::Fraction(number))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        if let Ok(whole) = text.parse() {
            return Ok(Number::Whole(whole));
        }
        // Rust reads "Infinity" and "NaN" as JSON of protobuf writes them.
        text.parse().map(Number::Fraction).map_err(|_| {
            let text: String = text.chars().take(40).collect();
            E::custom(format!("`{text}` is not a number"))
        })
    }
}

fn out_of_range<E: de::Error>() -> E {
    E::custom("a whole number of 64 bits was expected")
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match deserializer.deserialize_any(NumberVisitor)? {
        Number::None => Ok(0),
        Number::Whole(number) => u64::try_from(number).map_err(|_| out_of_range()),
        Number::Fraction(_) => Err(out_of_range()),
    }
}

fn signed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match deserializer.deserialize_any(NumberVisitor)? {
        Number::None => Ok(None),
        Number::Whole(number) => i64::try_from(number).map(Some).map_err(|_| out_of_range()),
        Number::Fraction(_) => Err(out_of_range()),
    }
}

fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match deserializer.deserialize_any(NumberVisitor)? {
        Number::None => None,
        Number::Whole(number) => Some(number as f64),
        Number::Fraction(number) => Some(number),
    })
}

/// The number of the temporality; some exporters write its name.
fn temporality<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    struct TemporalityVisitor;
    impl Visitor<'_> for TemporalityVisitor {
        type Value = i32;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an aggregation temporality")
        }
        fn visit_unit<E: de::Error>(self) -> Result<i32, E> {
            Ok(0)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<i32, E> {
            i32::try_from(number).map_err(|_| out_of_range())
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<i32, E> {
            i32::try_from(number).map_err(|_| out_of_range())
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<i32, E> {
            Ok(i32::from(text.ends_with("_DELTA")))
        }
    }
    deserializer.deserialize_any(TemporalityVisitor)
}
