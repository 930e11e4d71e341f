//! The members of one line of jsonlog that matter.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::scalar::Scalar;

/// The members of a line that matter; the last one counts where one occurs twice.
#[derive(Default)]
pub(super) struct Line<'a> {
    pub(super) timestamp: Scalar<'a>,
    pub(super) user: Scalar<'a>,
    pub(super) dbname: Scalar<'a>,
    pub(super) remote_host: Scalar<'a>,
    pub(super) session_id: Scalar<'a>,
    pub(super) ps: Scalar<'a>,
    pub(super) session_start: Scalar<'a>,
    pub(super) error_severity: Scalar<'a>,
    pub(super) state_code: Scalar<'a>,
    pub(super) message: Scalar<'a>,
    pub(super) func_name: Scalar<'a>,
    pub(super) application_name: Scalar<'a>,
}

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line<'de>, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Line<'de>, A::Error> {
        let mut fields = Line::default();
        while let Some(Key(key)) = object.next_key()? {
            let field = match key {
                Some(Field::Timestamp) => &mut fields.timestamp,
                Some(Field::User) => &mut fields.user,
                Some(Field::Dbname) => &mut fields.dbname,
                Some(Field::RemoteHost) => &mut fields.remote_host,
                Some(Field::SessionId) => &mut fields.session_id,
                Some(Field::Ps) => &mut fields.ps,
                Some(Field::SessionStart) => &mut fields.session_start,
                Some(Field::ErrorSeverity) => &mut fields.error_severity,
                Some(Field::StateCode) => &mut fields.state_code,
                Some(Field::Message) => &mut fields.message,
                Some(Field::Function) => &mut fields.func_name,
                Some(Field::Application) => &mut fields.application_name,
                None => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = object.next_value()?;
        }
        Ok(fields)
    }
}

#[derive(Clone, Copy)]
enum Field {
    Timestamp,
    User,
    Dbname,
    RemoteHost,
    SessionId,
    Ps,
    SessionStart,
    ErrorSeverity,
    StateCode,
    Message,
    Function,
    Application,
}

struct Key(Option<Field>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                // One jump by the length leaves one or two names to compare; most keys of a line
                // are none of these.
                Ok(Key(match (key.len(), key) {
                    (9, "timestamp") => Some(Field::Timestamp),
                    (4, "user") => Some(Field::User),
                    (6, "dbname") => Some(Field::Dbname),
                    (11, "remote_host") => Some(Field::RemoteHost),
                    (10, "session_id") => Some(Field::SessionId),
                    (2, "ps") => Some(Field::Ps),
                    (13, "session_start") => Some(Field::SessionStart),
                    (14, "error_severity") => Some(Field::ErrorSeverity),
                    (10, "state_code") => Some(Field::StateCode),
                    (7, "message") => Some(Field::Message),
                    (9, "func_name") => Some(Field::Function),
                    (16, "application_name") => Some(Field::Application),
                    _ => None,
                }))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}
