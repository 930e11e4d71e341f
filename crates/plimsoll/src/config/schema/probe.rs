//! The schema of one type, by asking the code that reads it.
//!
//! Serde's code for a type asks for what it wants: a struct names its fields, an enum its
//! variants. [`Probe`] answers with made-up values and notes what was asked. Each reading learns
//! one thing (a field that may be left out, another form that is accepted) and ends with
//! [`Fault::Again`]; the type is read again until there is nothing more to learn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_json::{Map, Value, json};

/// Readings after which a type is taken to be beyond the probe.
const READINGS_MAX: usize = 20_000;

/// Texts that are tried until one is accepted, for types that are made from a text.
const TEXTS: &[&str] = &["text", "1s", "127.0.0.1:1", "client", "request.0", "2GiB"];

/// What a reference looks like; it may stand for any value.
const REFERENCE: &str = r"\$\{";

/// The schema of one type.
pub(super) fn shape<T: for<'de> Deserialize<'de>>() -> Result<Value, Fault> {
    let notes = Notes::default();
    for _ in 0..READINGS_MAX {
        match T::deserialize(Probe { notes: notes.clone(), path: String::new() }) {
            Ok(_) => return Ok(notes.schema_at("")),
            Err(Fault::Again) => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::Wrong("the type has no end".to_owned()))
}

/// Why a reading ended.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something was learned.
    Again,
    Missing(&'static str),
    Unknown(&'static [&'static str]),
    Wrong(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Again => f.write_str("something was learned"),
            Fault::Missing(field) => write!(f, "`{field}` is missing"),
            Fault::Unknown(known) => write!(f, "only {known:?} are known"),
            Fault::Wrong(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::Wrong(message.to_string())
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault::Missing(field)
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Fault {
        Fault::Unknown(expected)
    }
}

/// What is known of the value at each path.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<BTreeMap<String, Note>>>);

#[derive(Clone, Default)]
struct Note {
    /// What is tried next; what that means depends on the kind of value.
    step: usize,
    /// The forms that were accepted, each with the step that it was.
    accepted: Vec<(usize, Value)>,
    fields: Option<&'static [&'static str]>,
    required: Vec<&'static str>,
    is_text: bool,
    schema: Value,
}

impl Notes {
    fn at(&self, path: &str) -> Note {
        self.0.borrow().get(path).cloned().unwrap_or_default()
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Note)) {
        change(self.0.borrow_mut().entry(path.to_owned()).or_default());
    }

    fn schema_at(&self, path: &str) -> Value {
        self.at(path).schema
    }

    fn set(&self, path: &str, schema: Value) {
        self.change(path, |note| note.schema = schema);
    }
}

/// Answers a type that wants to be read.
struct Probe {
    notes: Notes,
    path: String,
}

impl Probe {
    fn child(&self, name: &str) -> Probe {
        Probe { notes: self.notes.clone(), path: format!("{}/{name}", self.path) }
    }

    /// Notes a simple schema, to which a reference is an alternative unless it is a text anyway.
    fn simple(&self, mut schema: Value) {
        if schema["type"] != "string" {
            schema["type"] = json!([schema["type"], "string"]);
            schema["pattern"] = REFERENCE.into();
        }
        self.notes.set(&self.path, schema);
    }

    /// An object with these fields: first with all of them, then without each, to see which are
    /// required.
    fn structure<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let note = self.notes.at(&self.path);
        let is_known = note.step > fields.len();
        let left_out = (!is_known).then(|| note.step.checked_sub(1)).flatten();
        let read = visitor.visit_map(Members { probe: &self, fields, at: 0, left_out });
        if is_known {
            let properties: Map<_, _> = fields
                .iter()
                .map(|field| ((*field).to_owned(), self.notes.schema_at(&self.child(field).path)))
                .collect();
            let mut schema = json!({ "type": "object", "properties": properties,
                "additionalProperties": false });
            if !note.required.is_empty() {
                schema["required"] = json!(note.required);
            }
            self.notes.set(&self.path, schema);
            return read;
        }
        match (left_out, read) {
            (None, Err(fault)) | (Some(_), Err(fault @ Fault::Again)) => return Err(fault),
            (Some(at), Err(Fault::Missing(_))) => {
                self.notes.change(&self.path, |note| note.required.push(fields[at]));
            }
            _ => {}
        }
        self.notes.change(&self.path, |note| note.step += 1);
        Err(Fault::Again)
    }

    /// Tries form after form, and at last gives the first one that was accepted.
    fn forms<'de, V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
        give: impl FnOnce(&Probe, usize, V) -> Result<(V::Value, Value), Fault>,
        compose: impl FnOnce(Vec<Value>) -> Value,
    ) -> Result<V::Value, Fault> {
        let note = self.notes.at(&self.path);
        if note.step < count {
            match give(&self, note.step, visitor) {
                Err(Fault::Again) => return Err(Fault::Again),
                Ok((_, schema)) => {
                    let accepted = (note.step, schema);
                    self.notes.change(&self.path, |note| note.accepted.push(accepted));
                }
                Err(_) => {}
            }
            self.notes.change(&self.path, |note| note.step += 1);
            return Err(Fault::Again);
        }
        let Some((first, _)) = note.accepted.first() else {
            return Err(Fault::Wrong(format!("no form is accepted at `{}`", self.path)));
        };
        let (value, _) = give(&self, *first, visitor)?;
        let schemas = note.accepted.into_iter().map(|(_, schema)| schema).collect();
        self.notes.set(&self.path, compose(schemas));
        Ok(value)
    }
}

/// One schema, or any of several.
fn any_of(mut schemas: Vec<Value>) -> Value {
    match schemas.len() {
        1 => schemas.remove(0),
        _ => json!({ "anyOf": schemas }),
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Fault;

    /// A type that takes several forms: each is tried.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        const FORMS: usize = 7;
        self.forms(
            FORMS,
            visitor,
            |probe, step, visitor| {
                Ok(match step {
                    0 => {
                        let inside = Probe { path: format!("{}#", probe.path), ..probe.child("") };
                        let path = inside.path.clone();
                        let Some(fields) = probe.notes.at(&path).fields else {
                            let stranger = Stranger;
                            let fault = match visitor.visit_map(stranger) {
                                Err(Fault::Unknown(fields)) => {
                                    probe.notes.change(&path, |note| note.fields = Some(fields));
                                    Fault::Again
                                }
                                Err(fault) => fault,
                                Ok(_) => Fault::Wrong("any key is accepted".to_owned()),
                            };
                            return Err(fault);
                        };
                        let value = inside.structure(fields, visitor)?;
                        (value, probe.notes.schema_at(&path))
                    }
                    1 => (visitor.visit_str("off")?, json!({ "const": "off" })),
                    2 => (visitor.visit_bool(false)?, json!({ "const": false })),
                    3 => (visitor.visit_str("text")?, json!({ "type": "string" })),
                    4 => (
                        visitor.visit_str("200")?,
                        json!({ "type": "string", "pattern": format!("^[0-9]|{REFERENCE}") }),
                    ),
                    5 => (visitor.visit_u64(1)?, json!({ "type": "integer", "minimum": 0 })),
                    _ => {
                        let value = visitor.visit_seq(Items { probe, given: false })?;
                        let items = probe.notes.schema_at(&probe.child("*").path);
                        (value, json!({ "type": "array", "items": items }))
                    }
                })
            },
            |schemas| {
                let all = schemas.iter().any(|schema| *schema == json!({ "type": "string" }));
                let is_covered = |schema: &Value| {
                    all && (schema["const"] == "off" || schema.get("pattern").is_some())
                };
                any_of(schemas.into_iter().filter(|schema| !is_covered(schema)).collect())
            },
        )
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.simple(json!({ "type": "boolean" }));
        visitor.visit_bool(true)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.simple(json!({ "type": "integer", "minimum": 0 }));
        // What is reserved must be less than the limit.
        visitor.visit_u64(u64::from(!self.path.ends_with("/reserved")))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.simple(json!({ "type": "integer" }));
        visitor.visit_i64(1)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.simple(json!({ "type": "number" }));
        visitor.visit_f64(0.5)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let expected = (&visitor as &dyn de::Expected).to_string();
        if expected == "an unsigned duration string" {
            let pattern = format!("^\\s*[0-9]|{REFERENCE}");
            self.simple(json!({ "type": "string", "pattern": pattern, "examples": ["500ms", "30m", "1h 30m"] }));
            return visitor.visit_str("1s");
        }
        // A number or truth value where a text belongs is that text.
        self.notes.set(&self.path, json!({ "type": ["string", "number", "boolean"] }));
        self.notes.change(&self.path, |note| note.is_text = true);
        let step = self.notes.at(&self.path).step;
        let text = TEXTS
            .get(step)
            .ok_or_else(|| Fault::Wrong(format!("no text fits at `{}`", self.path)))?;
        visitor.visit_str(text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = visitor.visit_seq(Items { probe: &self, given: false })?;
        let items = self.notes.schema_at(&self.child("*").path);
        self.notes.set(&self.path, json!({ "type": "array", "items": items }));
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut keys = None;
        let value = visitor.visit_map(Entry { probe: &self, keys: &mut keys, given: false })?;
        let inside = self.notes.schema_at(&self.child("*").path);
        self.notes.set(
            &self.path,
            match keys {
                None => json!({ "type": "object", "additionalProperties": inside }),
                Some(keys) => {
                    let properties = keys.iter().map(|key| ((*key).to_owned(), inside.clone()));
                    json!({ "type": "object", "properties": Map::from_iter(properties),
                        "additionalProperties": false })
                }
            },
        );
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.structure(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.forms(
            variants.len(),
            visitor,
            |probe, step, visitor| {
                let name = variants[step];
                let inside = probe.child(name);
                let path = inside.path.clone();
                let value = visitor.visit_enum(Variant { probe: inside, name })?;
                Ok((
                    value,
                    match probe.notes.schema_at(&path) {
                        Value::Null => json!({ "const": name }),
                        schema => json!({ "type": "object", "properties": { name: schema },
                        "required": [name], "additionalProperties": false }),
                    },
                ))
            },
            |schemas| {
                let (words, mut others): (Vec<_>, Vec<_>) =
                    schemas.into_iter().partition(|schema| schema.get("const").is_some());
                if !words.is_empty() {
                    let words: Vec<_> = words.iter().map(|schema| &schema["const"]).collect();
                    others.insert(0, json!({ "enum": words }));
                    others.push(json!({ "type": "string", "pattern": REFERENCE }));
                }
                any_of(others)
            },
        )
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_u64(visitor)
    }
    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_u64(visitor)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_u64(visitor)
    }
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }
    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }
    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

/// The fields of a struct, all but one.
struct Members<'a> {
    probe: &'a Probe,
    fields: &'static [&'static str],
    at: usize,
    left_out: Option<usize>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if self.left_out == Some(self.at) {
            self.at += 1;
        }
        let Some(field) = self.fields.get(self.at) else { return Ok(None) };
        self.at += 1;
        seed.deserialize(StrDeserializer::<Fault>::new(field)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        read(self.probe.child(self.fields[self.at - 1]), seed)
    }
}

/// Reads a value; where a type is made from a text and refuses this one, the next is tried.
fn read<'de, T: DeserializeSeed<'de>>(probe: Probe, seed: T) -> Result<T::Value, Fault> {
    let (notes, path) = (probe.notes.clone(), probe.path.clone());
    match seed.deserialize(probe) {
        Err(Fault::Wrong(_)) if notes.at(&path).is_text && notes.at(&path).step < TEXTS.len() => {
            notes.change(&path, |note| note.step += 1);
            Err(Fault::Again)
        }
        read => read,
    }
}

/// A map with one entry, whose key is any name.
struct Entry<'a> {
    probe: &'a Probe,
    keys: &'a mut Option<&'static [&'static str]>,
    given: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(None);
        }
        seed.deserialize(Key(self.keys)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        read(self.probe.child("*"), seed)
    }
}

/// A key: any name, or one of a list, which is noted.
struct Key<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str("name")
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        *self.0 = Some(variants);
        visitor.visit_enum(StrDeserializer::new(variants[0]))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A map with a key that no struct has: its error names those that it has.
struct Stranger;

impl<'de> MapAccess<'de> for Stranger {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        seed.deserialize(StrDeserializer::<Fault>::new("?")).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<T::Value, Fault> {
        Err(Fault::Wrong("any key is accepted".to_owned()))
    }
}

/// A list with one element.
struct Items<'a> {
    probe: &'a Probe,
    given: bool,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        match std::mem::replace(&mut self.given, true) {
            true => Ok(None),
            false => read(self.probe.child("*"), seed).map(Some),
        }
    }
}

/// One variant of an enum; a variant with content notes a schema at its path.
struct Variant {
    probe: Probe,
    name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Fault;
    type Variant = Probe;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Probe), Fault> {
        let name = seed.deserialize(StrDeserializer::<Fault>::new(self.name))?;
        Ok((name, self.probe))
    }
}

impl<'de> VariantAccess<'de> for Probe {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.structure(fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A type with each form that sections have.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "count")]
        _count: u64,
        #[serde(
            rename = "wait",
            with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
            default
        )]
        _wait: Option<Duration>,
        #[serde(rename = "by")]
        _by: BTreeMap<plimsoll_model::Severity, Vec<bool>>,
    }

    #[test]
    fn what_a_type_asks_for_is_its_schema() {
        let expected = json!({
            "type": "object",
            "properties": {
                "count": { "type": ["integer", "string"], "minimum": 0, "pattern": REFERENCE },
                "wait": { "type": "string", "pattern": "^\\s*[0-9]|\\$\\{", "examples": ["500ms", "30m", "1h 30m"] },
                "by": {
                    "type": "object",
                    "properties": Map::from_iter(["notify", "ticket", "page"].map(|it| (it.to_owned(), json!(
                        { "type": "array", "items": { "type": ["boolean", "string"], "pattern": REFERENCE } })))),
                    "additionalProperties": false,
                },
            },
            "required": ["count", "by"],
            "additionalProperties": false,
        });
        assert_eq!(shape::<Sample>().unwrap(), expected);
    }
}
