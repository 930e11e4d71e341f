//! From the tree to the types of the sections, with every problem and its place.
//!
//! Serde stops at the first problem. So what is at fault is taken out of the tree and the rest is
//! read again, until nothing is at fault any more.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::problem::{PROBLEMS_MAX, Reporter, suggestion};
use super::tree::{Entry, Node, Number, Place, Value};

/// Reads a `T` from `tree`, and reports everything that is at fault in it.
///
/// Parts at fault are gone from `tree` afterwards. `None` if what is left is not a `T`.
pub(crate) fn read<T: DeserializeOwned>(tree: &mut Node, reporter: &mut Reporter<'_>) -> Option<T> {
    // What follows from a fault that was reported is not reported.
    let mut removed = BTreeSet::new();
    let mut incomplete = BTreeSet::new();
    for _ in 0..PROBLEMS_MAX {
        let mut error = match T::deserialize(&*tree) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        error.path.reverse();
        let place = node_at(tree, &error.path).map(|node| node.place);
        let follows = match error.fault {
            Fault::MissingKey(field) => removed.contains(field),
            Fault::Other(_) => place.is_some_and(|place| incomplete.contains(&place)),
            _ => false,
        };
        if !follows {
            error.report(tree, reporter);
        }
        let (_, parent) = error.path.split_last()?;
        incomplete.extend(node_at(tree, parent).map(|node| node.place));
        removed.extend(tree.remove(&error.path)?.0);
    }
    None
}

/// What serde found at fault.
#[derive(Debug)]
pub(crate) struct Error {
    fault: Fault,
    place: Option<Place>,
    /// The way to the value at fault, from the inside out: positions in maps and lists.
    path: Vec<usize>,
}

#[derive(Debug)]
enum Fault {
    UnknownKey(String, &'static [&'static str]),
    UnknownValue(String, &'static [&'static str]),
    MissingKey(&'static str),
    DuplicateKey(&'static str),
    Other(String),
}

impl Error {
    fn new(fault: Fault) -> Error {
        Error { fault, place: None, path: Vec::new() }
    }

    /// The error as seen from outside: it happened at `place`, in position `position`.
    fn within(mut self, position: usize, place: Place) -> Error {
        self.place.get_or_insert(place);
        self.path.push(position);
        self
    }

    fn report(&self, tree: &Node, reporter: &mut Reporter<'_>) {
        let place = self.place.unwrap_or(tree.place);
        match &self.fault {
            Fault::UnknownKey(key, known) => reporter.add(
                place,
                format!("unknown key `{key}`"),
                suggestion(key, known.iter().copied()),
            ),
            Fault::UnknownValue(value, known) => reporter.add(
                place,
                format!("unknown value `{value}`"),
                suggestion(value, known.iter().copied()),
            ),
            Fault::MissingKey(key) => {
                reporter.add(
                    place,
                    format!("key `{key}` is missing"),
                    "add it; docs/config.md says what it means",
                );
            }
            Fault::DuplicateKey(key) => {
                reporter.add(place, format!("key `{key}` stands twice"), "keep one of them");
            }
            Fault::Other(message) => {
                let node = node_at(tree, &self.path);
                let place = node.and_then(|node| mentioned(node, message)).unwrap_or(place);
                match node.and_then(Node::text) {
                    Some(text) if is_duration(message) && text.trim().starts_with('-') => {
                        let advice = "write one such as `500ms`, `2s`, `30m` or `1h 30m`";
                        reporter.add(place, format!("duration `{text}` is negative"), advice);
                    }
                    Some(text) if is_duration(message) => reporter.add(
                        place,
                        format!("`{text}` is not a duration"),
                        "write one such as `500ms`, `2s`, `30m` or `1h 30m`",
                    ),
                    _ => reporter.add(place, message.clone(), ""),
                }
            }
        }
    }
}

/// Whether serde speaks of a duration that it cannot read.
fn is_duration(message: &str) -> bool {
    message.contains("\"friendly\" duration")
}

/// The value at `path`.
pub(crate) fn node_at<'a>(tree: &'a Node, path: &[usize]) -> Option<&'a Node> {
    path.iter().try_fold(tree, |node, &position| match &node.value {
        Value::Map(entries) => entries.get(position).map(|entry| &entry.node),
        Value::List(nodes) => nodes.get(position),
        _ => None,
    })
}

/// The place below `node` of the first key or value that `message` names between backquotes.
pub(crate) fn mentioned(node: &Node, message: &str) -> Option<Place> {
    fn find(node: &Node, word: &str) -> Option<Place> {
        match &node.value {
            Value::Map(entries) => entries.iter().find_map(|entry| {
                if entry.key == word { Some(entry.place) } else { find(&entry.node, word) }
            }),
            Value::List(nodes) => nodes.iter().find_map(|node| find(node, word)),
            _ => (node.text() == Some(word)).then_some(node.place),
        }
    }
    // ``reserved `3` must be …`` is about the 3 behind `reserved`, not about any 3.
    fn find_pair(node: &Node, key: &str, word: &str) -> Option<Place> {
        node.entries().iter().find_map(|entry| {
            if entry.key == key && entry.node.text() == Some(word) {
                return Some(entry.node.place);
            }
            find_pair(&entry.node, key, word)
        })
    }
    let parts: Vec<&str> = message.split('`').collect();
    for pair in parts.windows(2).step_by(2) {
        let key = pair[0].split_whitespace().last().unwrap_or_default();
        if let Some(place) = find_pair(node, key, pair[1]) {
            return Some(place);
        }
    }
    let words = parts.iter().copied().skip(1).step_by(2);
    let last_parts = words.clone().filter_map(|word| word.rsplit(['.', ' ']).next());
    words.clone().chain(last_parts).find_map(|word| find(node, word))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error::new(Fault::Other(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Error {
        let (found, expected) = (found(unexpected), wanted(expected));
        Error::new(Fault::Other(format!("{found} cannot stand here: it must be {expected}")))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Error {
        de::Error::invalid_type(unexpected, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Error {
        Error::new(Fault::UnknownKey(field.to_owned(), expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Error {
        Error::new(Fault::UnknownValue(variant.to_owned(), expected))
    }

    fn missing_field(field: &'static str) -> Error {
        Error::new(Fault::MissingKey(field))
    }

    fn duplicate_field(field: &'static str) -> Error {
        Error::new(Fault::DuplicateKey(field))
    }
}

/// What was found, in the words of YAML rather than Rust. Texts are not shown: they may be secret.
fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(truth) => format!("`{truth}`"),
        Unexpected::Unsigned(number) => format!("the number `{number}`"),
        Unexpected::Signed(number) => format!("the number `{number}`"),
        Unexpected::Float(number) => format!("the number `{number}`"),
        Unexpected::Str(_) => "this text".to_owned(),
        Unexpected::Unit | Unexpected::Option => "an empty value".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map of keys".to_owned(),
        other => other.to_string(),
    }
}

/// What serde wants, in the words of YAML rather than Rust.
fn wanted(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a map of keys".to_owned(),
        _ if expected.starts_with("struct ") => "a map of keys".to_owned(),
        _ => expected,
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(Number::Signed(number), _) => visitor.visit_i64(*number),
            Value::Number(Number::Unsigned(number), _) => visitor.visit_u64(*number),
            Value::Number(Number::Float(number), _) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => visitor.visit_seq(Items { nodes, position: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, position: 0 }),
        }
        .map_err(|mut error: Error| {
            error.place.get_or_insert(self.place);
            error
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // A number or truth value where a text belongs is that text.
        match self.text() {
            Some(text) => visitor.visit_borrowed_str(text).map_err(|mut error: Error| {
                error.place.get_or_insert(self.place);
                error
            }),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            // `sources:` with nothing behind it.
            Value::Null => visitor.visit_map(Entries { entries: &[], position: 0 }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match (&self.value, self.text()) {
            (_, Some(text)) => visitor.visit_enum(StrDeserializer::new(text)),
            (Value::Map(entries), _) if entries.len() == 1 => {
                visitor.visit_enum(Variant { entry: &entries[0] })
            }
            _ => {
                let known: Vec<_> = variants.iter().map(|word| format!("`{word}`")).collect();
                Err(de::Error::custom(format!("one of {} must stand here", known.join(", "))))
            }
        };
        result.map_err(|mut error| {
            error.place.get_or_insert(self.place);
            error
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct seq tuple tuple_struct ignored_any
    }
}

struct Items<'de> {
    nodes: &'de [Node],
    position: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let position = self.position;
        let Some(node) = self.nodes.get(position) else { return Ok(None) };
        self.position += 1;
        seed.deserialize(node).map(Some).map_err(|error| error.within(position, node.place))
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    position: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.get(self.position) else { return Ok(None) };
        let key = StrDeserializer::<Error>::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|error| error.within(self.position, entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let position = self.position;
        let entry = &self.entries[position];
        self.position += 1;
        seed.deserialize(&entry.node).map_err(|error| {
            let own = matches!(error.fault, Fault::MissingKey(_)) && error.path.is_empty();
            match own {
                // What is missing is missing below this key.
                true => Error { place: Some(entry.place), ..error }.within(position, entry.place),
                false => error.within(position, entry.node.place),
            }
        })
    }
}

/// `name: …` as a variant with content.
struct Variant<'de> {
    entry: &'de Entry,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = &'de Entry;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, &'de Entry), Error> {
        let name = StrDeserializer::<Error>::new(&self.entry.key);
        let name = seed.deserialize(name).map_err(|error| error.within(0, self.entry.place))?;
        Ok((name, self.entry))
    }
}

impl<'de> VariantAccess<'de> for &'de Entry {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.node.value {
            Value::Null => Ok(()),
            _ => Err(Error::new(Fault::Other(format!("`{}` takes no settings", self.key)))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&self.node).map_err(|error| error.within(0, self.place))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(&self.node, visitor)
            .map_err(|error| error.within(0, self.place))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_map(&self.node, visitor)
            .map_err(|error| error.within(0, self.place))
    }
}
