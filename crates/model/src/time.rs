//! Event time: [`Time`] in microseconds and [`Second`], the number of a tick.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of event time: microseconds since the Unix epoch, UTC.
///
/// Parsers refuse moments outside [`Time::EARLIEST`]..[`Time::LATEST`], so sums and differences
/// of two times cannot overflow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(i64);

impl Time {
    /// 2000-01-01: anything earlier is a clock that was never set, not a record.
    pub const EARLIEST: Time = Time(946_684_800_000_000);
    /// 2100-01-01.
    pub const LATEST: Time = Time(4_102_444_800_000_000);

    /// A time from microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Time {
        Time(micros)
    }

    /// A time from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Time {
        Time(millis * 1_000)
    }

    /// A time from whole seconds since the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Time {
        Time(seconds * 1_000_000)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The tick that this moment belongs to.
    pub const fn second(self) -> Second {
        Second(self.0.div_euclid(1_000_000))
    }

    /// Whether a record may carry this time: between [`Time::EARLIEST`] and [`Time::LATEST`].
    pub fn is_plausible(self) -> bool {
        (Time::EARLIEST..Time::LATEST).contains(&self)
    }

    /// This moment plus `duration`, held at the largest representable time.
    pub fn plus(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(micros_of(duration)))
    }

    /// This moment minus `duration`, held at the smallest representable time.
    pub fn minus(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(micros_of(duration)))
    }

    /// Microseconds from `earlier` to this moment; negative if `earlier` is later.
    pub fn micros_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with six decimals.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.6}"),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

/// The number of a tick: whole seconds since the Unix epoch. Tick `t` covers `[t, t + 1)`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Second(pub i64);

impl Second {
    /// The first moment of the tick.
    pub const fn start(self) -> Time {
        Time(self.0.saturating_mul(1_000_000))
    }

    /// The first moment after the tick.
    pub const fn end(self) -> Time {
        self.next().start()
    }

    /// The tick after this one.
    pub const fn next(self) -> Second {
        Second(self.0.saturating_add(1))
    }

    /// Whole seconds from `earlier` to this tick; negative if `earlier` is later.
    pub const fn since(self, earlier: Second) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC, whole seconds.
impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} s", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_before_the_epoch_belongs_to_the_second_it_lies_in() {
        assert_eq!(Time::from_micros(-1).second(), Second(-1));
        assert_eq!(Time::from_micros(1_999_999).second(), Second(1));
    }

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(Time::EARLIEST.to_string(), "2000-01-01T00:00:00.000000Z");
        assert_eq!(Second(946_684_800).to_string(), "2000-01-01T00:00:00Z");
    }

    #[test]
    fn wild_times_are_not_plausible() {
        assert!(!Time::from_seconds(0).is_plausible());
        assert!(!Time::LATEST.is_plausible());
        assert!(Time::EARLIEST.is_plausible());
    }
}
