//! Dimensions: the closed list of ways to say who holds something.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One way to name a holder. Names are OpenTelemetry's, plus `tenant`.
///
/// The list is closed: pages, tables and receivers may rely on it, and it changes only with a
/// version of the configuration format. The order is the order of columns in every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Dimension {
    /// The customer on whose behalf the unit is held.
    #[serde(rename = "tenant")]
    Tenant,
    /// The program; PostgreSQL's `application_name`.
    #[serde(rename = "service.name")]
    ServiceName,
    /// The release of the program.
    #[serde(rename = "service.version")]
    ServiceVersion,
    /// One running copy of the program.
    #[serde(rename = "service.instance.id")]
    ServiceInstanceId,
    /// The machine.
    #[serde(rename = "host.name")]
    HostName,
    /// The database inside the server.
    #[serde(rename = "db.namespace")]
    DbNamespace,
    /// The account.
    #[serde(rename = "user.name")]
    UserName,
    /// The address that a client connects from, without its port.
    #[serde(rename = "client.address")]
    ClientAddress,
}

impl Dimension {
    /// How many dimensions there are.
    pub const COUNT: usize = 8;

    /// All dimensions, in column order.
    pub const ALL: [Dimension; Dimension::COUNT] = [
        Dimension::Tenant,
        Dimension::ServiceName,
        Dimension::ServiceVersion,
        Dimension::ServiceInstanceId,
        Dimension::HostName,
        Dimension::DbNamespace,
        Dimension::UserName,
        Dimension::ClientAddress,
    ];

    /// The dotted name that configuration and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Dimension::Tenant => "tenant",
            Dimension::ServiceName => "service.name",
            Dimension::ServiceVersion => "service.version",
            Dimension::ServiceInstanceId => "service.instance.id",
            Dimension::HostName => "host.name",
            Dimension::DbNamespace => "db.namespace",
            Dimension::UserName => "user.name",
            Dimension::ClientAddress => "client.address",
        }
    }

    /// The column name in Arrow, Parquet and SQL: the dotted name with underscores.
    pub const fn column(self) -> &'static str {
        match self {
            Dimension::Tenant => "tenant",
            Dimension::ServiceName => "service_name",
            Dimension::ServiceVersion => "service_version",
            Dimension::ServiceInstanceId => "service_instance_id",
            Dimension::HostName => "host_name",
            Dimension::DbNamespace => "db_namespace",
            Dimension::UserName => "user_name",
            Dimension::ClientAddress => "client_address",
        }
    }

    /// The dimension of a dotted name, or `None`.
    pub fn from_name(name: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Up to so many bytes a holder's values are hashed at once.
const KEY_BYTES_MAX: usize = 256;

const SEPARATOR_BYTES: usize = 2;

/// What follows each value of a holder where it is hashed. 0xFF never occurs in UTF-8, so no two
/// holders write the same bytes.
const fn separator(is_known: bool) -> [u8; SEPARATOR_BYTES] {
    [0xFF, is_known as u8]
}

/// Who holds a unit, as far as the record says: at most one value per dimension, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder<'a> {
    values: [Option<&'a str>; Dimension::COUNT],
}

impl<'a> Holder<'a> {
    /// This holder with `dimension` set to `value`; an empty value counts as absent.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, value: &'a str) -> Holder<'a> {
        self.set(dimension, value);
        self
    }

    /// Sets `dimension` to `value`; an empty value counts as absent.
    pub fn set(&mut self, dimension: Dimension, value: &'a str) {
        self.values[dimension as usize] = (!value.is_empty()).then_some(value);
    }

    /// The value of `dimension`, if the record carried one.
    pub fn get(&self, dimension: Dimension) -> Option<&'a str> {
        self.values[dimension as usize]
    }

    /// The values in column order.
    pub fn values(&self) -> &[Option<&'a str>; Dimension::COUNT] {
        &self.values
    }

    /// Whether nothing is known of the holder.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    /// A 64-bit key of the holder, the same in every process: XXH3 over the values in column
    /// order, each followed by a separator. Two holders share a key with a chance of about
    /// n²/2⁶⁵ (3·10⁻¹⁰ at 100,000 holders).
    pub fn key(&self) -> u64 {
        // Hashing one run of bytes costs a third of feeding a hasher piece by piece.
        let mut bytes = [0; KEY_BYTES_MAX];
        let mut length = 0;
        for value in &self.values {
            let text = value.unwrap_or_default().as_bytes();
            let end = length + text.len();
            let Some(place) = bytes.get_mut(length..end + SEPARATOR_BYTES) else {
                return self.key_of_many_bytes();
            };
            place[..text.len()].copy_from_slice(text);
            place[text.len()..].copy_from_slice(&separator(value.is_some()));
            length = end + SEPARATOR_BYTES;
        }
        xxhash_rust::xxh3::xxh3_64(&bytes[..length])
    }

    /// [`Holder::key`] of a holder that does not fit into [`KEY_BYTES_MAX`].
    fn key_of_many_bytes(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
        for value in &self.values {
            hasher.update(value.unwrap_or_default().as_bytes());
            hasher.update(&separator(value.is_some()));
        }
        hasher.digest()
    }

    /// A copy that owns its values.
    pub fn to_owned(&self) -> OwnedHolder {
        OwnedHolder { values: self.values.map(|value| value.map(str::to_owned)) }
    }
}

/// A [`Holder`] that owns its values; ordered by them in column order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OwnedHolder {
    values: [Option<String>; Dimension::COUNT],
}

impl OwnedHolder {
    /// The value of `dimension`, if known.
    pub fn get(&self, dimension: Dimension) -> Option<&str> {
        self.values[dimension as usize].as_deref()
    }

    /// The same holder, borrowed.
    pub fn borrow(&self) -> Holder<'_> {
        let mut holder = Holder::default();
        for dimension in Dimension::ALL {
            holder.values[dimension as usize] = self.get(dimension);
        }
        holder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_columns_go_both_ways() {
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::from_name(dimension.name()), Some(dimension));
            assert_eq!(dimension.column(), dimension.name().replace('.', "_"));
        }
    }

    #[test]
    fn the_same_value_in_another_dimension_is_another_holder() {
        let service = Holder::default().with(Dimension::ServiceName, "issuer");
        let user = Holder::default().with(Dimension::UserName, "issuer");
        assert_ne!(service.key(), user.key());
        assert_eq!(service.key(), service.to_owned().borrow().key());
    }

    #[test]
    fn a_key_does_not_depend_on_how_much_is_hashed_at_once() {
        for length in [0, 1, 231, 232, 233, 256, 5_000] {
            let text = "x".repeat(length);
            let holder = Holder::default()
                .with(Dimension::ServiceName, &text)
                .with(Dimension::ClientAddress, "10.0.0.7");
            assert_eq!(holder.key(), holder.key_of_many_bytes(), "{length} bytes");
        }
    }

    #[test]
    fn an_empty_value_is_absent() {
        assert!(Holder::default().with(Dimension::Tenant, "").is_empty());
    }
}
