//! One JSON value that is not a list or an object, borrowed from the line where possible.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// No such field, `null`, or an empty text.
    #[default]
    Absent,
    Bool(bool),
    Integer(i64),
    /// A whole number that is no `i64`, or a number with a fraction or exponent.
    Fraction(f64),
    Text(Cow<'a, str>),
    /// A list or an object.
    Nested,
}

impl<'a> Scalar<'a> {
    pub(crate) fn of_text(text: Cow<'a, str>) -> Scalar<'a> {
        if text.is_empty() { Scalar::Absent } else { Scalar::Text(text) }
    }

    pub(crate) fn of_unsigned(number: u64) -> Scalar<'a> {
        i64::try_from(number).map_or(Scalar::Fraction(number as f64), Scalar::Integer)
    }

    /// The value as text for a name: text, whole numbers and booleans. `None` if absent; an error
    /// for a list, an object, or a number with a fraction.
    pub(crate) fn to_name(&self) -> Result<Option<Cow<'_, str>>, &'static str> {
        match self {
            Scalar::Absent => Ok(None),
            Scalar::Text(text) => Ok(Some(Cow::Borrowed(text))),
            Scalar::Integer(number) => Ok(Some(Cow::Owned(number.to_string()))),
            Scalar::Bool(value) => Ok(Some(Cow::Borrowed(if *value { "true" } else { "false" }))),
            Scalar::Fraction(_) => Err("is a number with a fraction, not a name"),
            Scalar::Nested => Err("is a list or an object, not a name"),
        }
    }

    /// The value as a finite number; numbers may be written as text. `None` if absent.
    pub(crate) fn to_number(&self) -> Result<Option<f64>, &'static str> {
        let number = match self {
            Scalar::Absent => return Ok(None),
            Scalar::Integer(number) => *number as f64,
            Scalar::Fraction(number) => *number,
            // Rust's own reader knows "inf" and "nan" too; they fail the check for finite below.
            Scalar::Text(text) => text.trim().parse().map_err(|_| "is not a number")?,
            Scalar::Bool(_) => return Err("is a boolean, not a number"),
            Scalar::Nested => return Err("is a list or an object, not a number"),
        };
        if number.is_finite() { Ok(Some(number)) } else { Err("is not a finite number") }
    }

    /// The text, or the empty text for everything else.
    pub(crate) fn text(&self) -> &str {
        if let Scalar::Text(text) = self { text } else { "" }
    }

    /// Whether an escape of the value brought a NUL into it.
    pub(crate) fn has_nul(&self) -> bool {
        // A borrowed text stands in the line as it is, and lines with NUL bytes were refused.
        matches!(self, Scalar::Text(Cow::Owned(text)) if text.contains('\0'))
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'de>, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Absent)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(number))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::of_unsigned(number))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Fraction(number))
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::of_text(Cow::Borrowed(text)))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::of_text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar<'de>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}
