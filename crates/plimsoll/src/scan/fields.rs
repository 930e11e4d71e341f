//! The fields of JSON lines: where they are, and what their values can be.

use plimsoll_ingest::timestamp::{TimestampReader, time_of_fraction, time_of_integer};
use plimsoll_model::Time;
use serde_json::{Map, Value};

use super::words::plain;

/// Fields that are looked at; further ones are not.
pub const FIELDS_MAX: usize = 256;

/// How deep objects inside of objects are looked at; a map cannot name deeper fields.
const DEPTH_MAX: usize = plimsoll_ingest::map::PATH_PARTS_MAX;

/// Different texts of one field that are kept.
const TEXTS_MAX: usize = 32;

/// A field must be there, and fit, in this part of the objects.
const SHARE_MIN: f64 = 0.9;

/// One field of the objects.
pub(super) struct Field {
    pub(super) path: String,
    pub(super) present: usize,
    pub(super) numbers: usize,
    /// Whole numbers and texts: what a name can be.
    pub(super) names: usize,
    pub(super) times: usize,
    /// Texts that are times and do not say their zone.
    pub(super) without_zone: usize,
    pub(super) largest: f64,
    pub(super) texts: Vec<String>,
}

/// The fields of all objects, in the order in which they were met.
pub(super) struct Fields {
    pub(super) objects: usize,
    pub(super) all: Vec<Field>,
}

impl Fields {
    pub(super) fn of(objects: &[&Map<String, Value>]) -> Fields {
        let mut fields = Fields { objects: objects.len(), all: Vec::new() };
        for object in objects {
            fields.take(object, "", 1);
        }
        fields
    }

    pub(super) fn take(&mut self, object: &Map<String, Value>, before: &str, depth: usize) {
        for (key, value) in object {
            let path = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
            match value {
                Value::Object(inner) if depth < DEPTH_MAX => self.take(inner, &path, depth + 1),
                Value::Object(_) | Value::Array(_) | Value::Null => {}
                _ if key.is_empty() => {}
                scalar => self.count(path, scalar),
            }
        }
    }

    pub(super) fn count(&mut self, path: String, value: &Value) {
        let at = match self.all.iter().position(|field| field.path == path) {
            Some(at) => at,
            None if self.all.len() < FIELDS_MAX => {
                self.all.push(Field::new(path));
                self.all.len() - 1
            }
            None => return,
        };
        self.all[at].count(value);
    }

    /// The field of the first name in `words` for which there is one that is in most objects and
    /// `fits`. The whole path counts before its last part alone.
    pub(super) fn named(&self, words: &[&str], fits: impl Fn(&Field) -> bool) -> Option<&Field> {
        let candidates: Vec<&Field> =
            self.all.iter().filter(|field| self.is_common(field.present) && fits(field)).collect();
        words.iter().find_map(|word| {
            let whole = candidates.iter().find(|field| plain(&field.path) == *word);
            let last = || candidates.iter().find(|field| field.last() == *word);
            whole.or_else(last).copied()
        })
    }

    pub(super) fn ending(&self, ends: &[&str], fits: impl Fn(&Field) -> bool) -> Option<&Field> {
        let mut all = self.all.iter().filter(|field| self.is_common(field.present) && fits(field));
        all.find(|field| ends.iter().any(|end| field.last().ends_with(end)))
    }

    pub(super) fn is_common(&self, count: usize) -> bool {
        count as f64 >= SHARE_MIN * self.objects as f64
    }
}

impl Field {
    pub(super) fn new(path: String) -> Field {
        Field {
            path,
            present: 0,
            numbers: 0,
            names: 0,
            times: 0,
            without_zone: 0,
            largest: f64::NEG_INFINITY,
            texts: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, value: &Value) {
        self.present += 1;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        if let Some(number) = number.filter(|number| number.is_finite()) {
            self.numbers += 1;
            self.largest = self.largest.max(number);
        }
        self.names += usize::from(value.is_string() || value.is_i64() || value.is_u64());
        self.times += usize::from(is_time(value));
        if let Some(text) = value.as_str() {
            let without_zone =
                TimestampReader::new("+01:00").and_then(|mut reader| reader.read(text));
            let utc = TimestampReader::new("UTC").and_then(|mut reader| reader.read(text));
            self.without_zone += usize::from(without_zone.is_ok() && without_zone != utc);
            if self.texts.len() < TEXTS_MAX && !self.texts.iter().any(|each| each == text) {
                self.texts.push(text.to_owned());
            }
        }
    }

    /// The last part of the path, in one spelling.
    pub(super) fn last(&self) -> String {
        plain(self.path.rsplit('.').next().unwrap_or_default())
    }

    pub(super) fn are_numbers(&self) -> bool {
        self.numbers == self.present
    }

    pub(super) fn are_times(&self) -> bool {
        self.times as f64 >= SHARE_MIN * self.present as f64
    }

    pub(super) fn are_names(&self) -> bool {
        self.names == self.present
    }
}

fn is_time(value: &Value) -> bool {
    let time = match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(time_of_integer(whole, None)),
            None => number.as_f64().and_then(|number| time_of_fraction(number, None)),
        },
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => time_of_fraction(number, None),
            // In a zone of its own an abbreviation such as CET is readable too.
            Err(_) => TimestampReader::new("+01:00").and_then(|mut it| it.read(text)).ok(),
        },
        _ => None,
    };
    time.is_some_and(Time::is_plausible)
}
