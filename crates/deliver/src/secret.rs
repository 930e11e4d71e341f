//! A text that must not be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands in a secret's place wherever it is shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// A text that is sent to its receiver and shown to nobody else.
///
/// `Debug`, `Display` and `Serialize` print a placeholder, so a configuration can be logged,
/// exported and compared without care. Only [`Secret::reveal`] gives the text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself: for the request that needs it, nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` with a placeholder wherever it contains the secret.
    pub(crate) fn redact(&self, text: &str) -> String {
        match self.is_empty() {
            true => text.to_owned(),
            false => text.replace(&self.0, REDACTED),
        }
    }

    /// Whether the text is empty: a reference that resolved to nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_showing_a_secret_shows_it() {
        let secret: Secret = serde_json::from_str(r#""hunter2""#).unwrap();
        assert_eq!(secret.reveal(), "hunter2");
        let json = serde_json::to_string(&secret).unwrap();
        for shown in [format!("{secret}"), format!("{secret:?}"), format!("{secret:#?}"), json] {
            assert!(shown.contains("redacted") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
