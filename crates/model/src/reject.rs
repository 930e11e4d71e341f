//! What could not be used, and why. A bad line never stops a good one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::PartitionId;

/// Why a record was not used. The list is closed; each has its own counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Not UTF-8, or a NUL byte inside.
    Encoding,
    /// Not JSON, or JSON cut short.
    Malformed,
    /// Longer than the limit for one record.
    TooLong,
    /// Nested deeper than the limit.
    TooDeep,
    /// A field that the format needs is absent.
    MissingField,
    /// A field has a value that cannot be used: NaN, infinity, a word where a number belongs.
    BadValue,
    /// A time before 2000 or after 2099.
    ImplausibleTime,
    /// A time far ahead of everything around it.
    Future,
    /// Later than `correct_within` allows.
    Late,
    /// A format or compression error that ended a file early.
    Truncated,
    /// The broker or file no longer has these records; `offset` is the first one lost.
    Lost,
}

impl RejectReason {
    /// All reasons, in the order of the type.
    pub const ALL: [RejectReason; 11] = [
        RejectReason::Encoding,
        RejectReason::Malformed,
        RejectReason::TooLong,
        RejectReason::TooDeep,
        RejectReason::MissingField,
        RejectReason::BadValue,
        RejectReason::ImplausibleTime,
        RejectReason::Future,
        RejectReason::Late,
        RejectReason::Truncated,
        RejectReason::Lost,
    ];

    /// The name in metrics, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            RejectReason::Encoding => "encoding",
            RejectReason::Malformed => "malformed",
            RejectReason::TooLong => "too_long",
            RejectReason::TooDeep => "too_deep",
            RejectReason::MissingField => "missing_field",
            RejectReason::BadValue => "bad_value",
            RejectReason::ImplausibleTime => "implausible_time",
            RejectReason::Future => "future",
            RejectReason::Late => "late",
            RejectReason::Truncated => "truncated",
            RejectReason::Lost => "lost",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The longest excerpt kept of a rejected record, in bytes.
pub const REJECT_EXCERPT_BYTES_MAX: usize = 512;

/// One record that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Where it came from.
    pub partition: PartitionId,
    /// Its offset (Kafka), or the byte at which its line begins (files).
    pub offset: i64,
    /// Why.
    pub reason: RejectReason,
    /// What exactly is wrong, for a person.
    pub detail: String,
    /// Its first bytes, made printable; see [`Reject::excerpt_of`].
    pub excerpt: String,
}

impl Reject {
    /// The first [`REJECT_EXCERPT_BYTES_MAX`] bytes of `record`: invalid UTF-8 replaced,
    /// control, bidirectional and zero-width characters shown as escapes.
    pub fn excerpt_of(record: &[u8]) -> String {
        let head = &record[..record.len().min(REJECT_EXCERPT_BYTES_MAX)];
        let mut excerpt = String::with_capacity(head.len());
        for character in String::from_utf8_lossy(head).chars() {
            if is_inert(character) {
                excerpt.push(character);
            } else {
                excerpt.extend(character.escape_unicode());
            }
        }
        excerpt
    }
}

fn is_inert(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_hostile_characters_and_is_bounded() {
        assert_eq!(Reject::excerpt_of(b"a\x1b[31m\xff"), "a\\u{1b}[31m\u{fffd}");
        assert_eq!(Reject::excerpt_of("\u{202e}x".as_bytes()), "\\u{202e}x");
        assert_eq!(Reject::excerpt_of(&[b'a'; 10_000]).len(), REJECT_EXCERPT_BYTES_MAX);
    }
}
