//! A YAML document as a tree in which every value knows where it stands.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

/// The deepest nesting that a definition may have.
const DEPTH_MAX: usize = 32;

/// Where something stands: lines and columns count from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// How many characters it covers.
    pub width: usize,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number, with the text that it was written as.
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// A key, its place, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    /// The entries, if it is a map.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of `key`, if it is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value below `keys`.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.entry(key).map(|entry| &entry.node))
    }

    /// The nearest place to what `keys` name, if not all of them exist.
    pub(crate) fn place_of(&self, keys: &[&str]) -> Place {
        let mut place = self.place;
        let mut node = self;
        for key in keys {
            let Some(entry) = node.entry(key) else { break };
            (place, node) = (entry.place, &entry.node);
        }
        place
    }

    /// The text of a scalar as it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(_, text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            _ => None,
        }
    }

    /// Takes out what stands at `path`: positions in maps and lists, from the outside in.
    /// `None` if the path is empty or leads nowhere.
    pub(crate) fn remove(&mut self, path: &[usize]) -> Option<Removed> {
        let (&first, rest) = path.split_first()?;
        match &mut self.value {
            Value::Map(entries) if first < entries.len() => match rest {
                [] => Some(Removed(Some(entries.remove(first).key))),
                _ => entries[first].node.remove(rest),
            },
            Value::List(nodes) if first < nodes.len() => match rest {
                [] => {
                    nodes.remove(first);
                    Some(Removed(None))
                }
                _ => nodes[first].remove(rest),
            },
            _ => None,
        }
    }
}

/// What was taken out: the key, if it was an entry of a map.
pub(crate) struct Removed(pub(crate) Option<String>);

/// Why there is no tree.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
}

/// Reads `text` as one YAML document.
///
/// A key that stands twice in a map stands twice in the tree.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(node(raw, text)),
        Err(error) => Err(SyntaxError {
            place: error.location().and_then(|location| place(&location)),
            message: error.without_snippet().to_string(),
        }),
    }
}

/// The tree as the parser gives it.
enum Raw {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(truth) => Value::Bool(truth),
        Raw::Number(number) => {
            let span = raw.defined.span();
            let written = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
                let (offset, length) =
                    (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
                text.get(offset..offset.checked_add(length)?)
            });
            Value::Number(number, written.map_or_else(|| number.to_string(), str::to_owned))
        }
        Raw::Text(words) => Value::Text(words),
        Raw::List(nodes) => Value::List(nodes.into_iter().map(|raw| node(raw, text)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, raw)| Entry {
                    place: place(&key.referenced).unwrap_or_default(),
                    key: key.value,
                    node: node(raw, text),
                })
                .collect(),
        ),
    };
    Node { value, place: place(&raw.referenced).unwrap_or_default() }
}

fn place(location: &Location) -> Option<Place> {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    (location.line() > 0).then(|| Place {
        line: number(location.line()),
        column: number(location.column()).max(1),
        width: number(location.span().len()).max(1),
    })
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Signed(number) => number.fmt(f),
            Number::Unsigned(number) => number.fmt(f),
            Number::Float(number) => number.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        struct RawVisitor;

        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Raw, D::Error> {
                Raw::deserialize(inner)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
                Ok(Raw::Number(Number::Signed(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
                Ok(Raw::Number(Number::Unsigned(number)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
                Ok(Raw::Number(Number::Float(number)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = items.next_element()? {
                    nodes.push(node);
                }
                Ok(Raw::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Raw::Map(entries))
            }
        }

        deserializer.deserialize_any(RawVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, keys: &[&str], expected: &str) {
        let tree = parse(text).unwrap_or_else(|error| panic!("{error:?}"));
        let node = tree.at(keys).expect("the keys must lead somewhere");
        let Place { line, column, width } = node.place;
        let shown = match &node.value {
            Value::Text(text) => format!("text {text}"),
            Value::Number(_, text) => format!("number {text}"),
            other => format!("{other:?}"),
        };
        assert_eq!(format!("{line}:{column}+{width} {shown}"), expected);
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        check("a: 1.10", &["a"], "1:4+4 number 1.10");
        check("a: '1'", &["a"], "1:4+3 text 1");
        check("x: 1\na:\n  bé: 0x1F", &["a", "bé"], "3:7+4 number 0x1F");
        check("a: {b: off}", &["a", "b"], "1:8+3 text off");
        check("a: true", &["a"], "1:4+4 Bool(true)");
        check("a: ~", &["a"], "1:4+1 Null");
        check("a: 2024-01-01", &["a"], "1:4+10 text 2024-01-01");
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        check("a: &x {n: 7}\nb: {<<: *x}", &["b", "n"], "2:9+2 number 7");
        check("a: &x 1.50\nb: *x", &["b"], "2:4+2 number 1.50");
    }

    #[test]
    fn a_key_that_stands_twice_is_in_the_tree_twice() {
        let tree = parse("a: 1\nb: 2\na: 3").unwrap();
        let keys: Vec<_> =
            tree.entries().iter().map(|entry| (&*entry.key, entry.place.line)).collect();
        assert_eq!(keys, [("a", 1), ("b", 2), ("a", 3)]);
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        for text in ["a: [1, 2", "a: b: c", "a:\n\t- 1\n b", "a: \"x", "---\na: 1\n---\nb: 2"] {
            let error = parse(text).expect_err(text);
            assert!(error.place.is_some(), "{text:?}: {error:?}");
        }
    }

    #[test]
    fn deep_nesting_and_alias_bombs_end_early() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let list = vec![before; 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(parse(&bomb).is_err());
    }
}
