//! Picking the mapped fields out of a JSON object in one pass.

use std::borrow::Cow;
use std::fmt;

use plimsoll_model::RejectReason;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::map::MAP_FIELDS_MAX;
use crate::parser::Fault;
use crate::scalar::Scalar;

/// Which fields are wanted, by their paths.
#[derive(Default)]
pub(crate) struct Plan {
    paths: Vec<String>,
    /// The members that are wanted of the object itself (the first node) and of objects inside.
    nodes: Vec<Vec<Member>>,
}

/// One wanted member of an object: its value, or something inside of it, or both.
struct Member {
    key: String,
    slot: Option<Slot>,
    node: Option<usize>,
}

/// The place of one field among the captured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

impl Plan {
    /// The slot of the field `path`, which is wanted from now on.
    ///
    /// At most [`MAP_FIELDS_MAX`] different paths: the configuration was checked.
    pub(crate) fn slot(&mut self, path: &str) -> Slot {
        if let Some(known) = self.paths.iter().position(|each| each == path) {
            return Slot(known);
        }
        let slot = Slot(self.paths.len());
        self.paths.push(path.to_owned());
        if self.nodes.is_empty() {
            self.nodes.push(Vec::new());
        }
        self.insert(0, path, slot);
        slot
    }

    /// [`Plan::slot`] of a path that may not be configured.
    pub(crate) fn optional(&mut self, path: &Option<String>) -> Option<Slot> {
        path.as_ref().map(|path| self.slot(path))
    }

    /// Makes `a.b.c` reachable as `a.b.c`, as `b.c` in `a`, as `c` in `a.b`, and as `c` in `b` in
    /// `a`: names with dots and nested objects are both common.
    fn insert(&mut self, node: usize, path: &str, slot: Slot) {
        self.member(node, path).slot = Some(slot);
        for (dot, _) in path.match_indices('.') {
            let inner = match self.member(node, &path[..dot]).node {
                Some(inner) => inner,
                None => {
                    self.nodes.push(Vec::new());
                    let inner = self.nodes.len() - 1;
                    self.member(node, &path[..dot]).node = Some(inner);
                    inner
                }
            };
            self.insert(inner, &path[dot + 1..], slot);
        }
    }

    fn member(&mut self, node: usize, key: &str) -> &mut Member {
        let members = &mut self.nodes[node];
        let known = members.iter().position(|member| member.key == key);
        let place = known.unwrap_or_else(|| {
            members.push(Member { key: key.to_owned(), slot: None, node: None });
            members.len() - 1
        });
        &mut members[place]
    }

    /// The wanted fields of one line. Where a member occurs twice the last one counts.
    pub(crate) fn capture<'a>(&'a self, line: &'a str) -> Result<Captured<'a>, Fault> {
        let mut slots: [Scalar<'a>; MAP_FIELDS_MAX] = [const { Scalar::Absent }; MAP_FIELDS_MAX];
        let mut deserializer = sonic_rs::Deserializer::from_str(line);
        let object = ObjectSeed { plan: self, node: 0, slots: &mut slots };
        object
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| Fault::malformed(&error))?;
        Ok(Captured { plan: self, slots })
    }
}

/// The wanted fields of one line.
pub(crate) struct Captured<'a> {
    plan: &'a Plan,
    slots: [Scalar<'a>; MAP_FIELDS_MAX],
}

impl Captured<'_> {
    pub(crate) fn value(&self, field: Slot) -> &Scalar<'_> {
        &self.slots[field.0]
    }

    /// The field as a name; `None` if it is absent.
    pub(crate) fn name(&self, field: Slot) -> Result<Option<Cow<'_, str>>, Fault> {
        let value = self.value(field);
        if value.has_nul() {
            let detail = format!("`{}` has a NUL", self.path(field));
            return Err(Fault::new(RejectReason::Encoding, detail));
        }
        value.to_name().map_err(|problem| self.bad_value(field, problem))
    }

    /// The field as a name, or `None` if it is absent or not configured.
    pub(crate) fn optional_name(&self, field: Option<Slot>) -> Result<Option<Cow<'_, str>>, Fault> {
        field.map_or(Ok(None), |field| self.name(field))
    }

    /// The field as a finite number, or `None` if it is absent or not configured.
    pub(crate) fn optional_number(&self, field: Option<Slot>) -> Result<Option<f64>, Fault> {
        let Some(field) = field else { return Ok(None) };
        self.value(field).to_number().map_err(|problem| self.bad_value(field, problem))
    }

    pub(crate) fn missing(&self, field: Slot) -> Fault {
        Fault::missing(self.path(field))
    }

    pub(crate) fn bad_value(&self, field: Slot, problem: &str) -> Fault {
        let path = self.path(field);
        Fault::new(RejectReason::BadValue, format!("`{path}` {problem}"))
    }

    fn path(&self, field: Slot) -> &str {
        &self.plan.paths[field.0]
    }
}

/// Reads one object of the line; also its visitor.
struct ObjectSeed<'p, 's, 'de> {
    plan: &'p Plan,
    node: usize,
    slots: &'s mut [Scalar<'de>],
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let members = &self.plan.nodes[self.node];
        while let Some(member) = object.next_key_seed(KeySeed(members))? {
            match member {
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
                Some(Member { slot: Some(slot), node: None, .. }) => {
                    self.slots[slot.0] = object.next_value()?;
                }
                Some(member) => {
                    let (plan, slots) = (self.plan, &mut *self.slots);
                    object.next_value_seed(InsideSeed { plan, member, slots })?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a value of which something inside is wanted, if it is an object.
struct InsideSeed<'p, 's, 'de> {
    plan: &'p Plan,
    member: &'p Member,
    slots: &'s mut [Scalar<'de>],
}

impl<'de> InsideSeed<'_, '_, 'de> {
    fn set(&mut self, value: Scalar<'de>) {
        if let Some(slot) = self.member.slot {
            self.slots[slot.0] = value;
        }
    }
}

impl<'de> DeserializeSeed<'de> for InsideSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InsideSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, object: A) -> Result<(), A::Error> {
        self.set(Scalar::Nested);
        let node = self.member.node.expect("a member without a slot has a node");
        ObjectSeed { plan: self.plan, node, slots: self.slots }.visit_map(object)
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.set(Scalar::Nested);
        Ok(())
    }
    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.set(Scalar::Absent);
        Ok(())
    }
    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        self.set(Scalar::Bool(value));
        Ok(())
    }
    fn visit_i64<E: de::Error>(mut self, number: i64) -> Result<(), E> {
        self.set(Scalar::Integer(number));
        Ok(())
    }
    fn visit_u64<E: de::Error>(mut self, number: u64) -> Result<(), E> {
        self.set(Scalar::of_unsigned(number));
        Ok(())
    }
    fn visit_f64<E: de::Error>(mut self, number: f64) -> Result<(), E> {
        self.set(Scalar::Fraction(number));
        Ok(())
    }
    fn visit_borrowed_str<E: de::Error>(mut self, text: &'de str) -> Result<(), E> {
        self.set(Scalar::of_text(Cow::Borrowed(text)));
        Ok(())
    }
    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        self.set(Scalar::of_text(Cow::Owned(text.to_owned())));
        Ok(())
    }
}

/// Finds a key among the wanted members.
struct KeySeed<'p>(&'p [Member]);

impl<'p, 'de> DeserializeSeed<'de> for KeySeed<'p> {
    type Value = Option<&'p Member>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'p> Visitor<'_> for KeySeed<'p> {
    type Value = Option<&'p Member>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|member| member.key == key))
    }
}
