//! Timestamps in text and numbers.

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use plimsoll_model::Time;
use serde::{Deserialize, Serialize};

/// The unit of a number that is a time or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds; fractions are legal.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    /// `whole` of this unit in microseconds; parts of a microsecond are cut off.
    pub fn micros(self, whole: i64) -> i64 {
        match self {
            TimeUnit::Seconds => whole.saturating_mul(1_000_000),
            TimeUnit::Milliseconds => whole.saturating_mul(1_000),
            TimeUnit::Microseconds => whole,
            TimeUnit::Nanoseconds => whole.div_euclid(1_000),
        }
    }

    /// `value` of this unit in microseconds, to the nearest; held at the ends of the range.
    pub fn micros_of_fraction(self, value: f64) -> i64 {
        let factor = match self {
            TimeUnit::Seconds => 1e6,
            TimeUnit::Milliseconds => 1e3,
            TimeUnit::Microseconds => 1.0,
            TimeUnit::Nanoseconds => 1e-3,
        };
        (value * factor).round() as i64
    }

    /// The unit in which a number of this size is a moment of our century. The ranges of
    /// 2000-01-01 to 2100-01-01 in the four units are far apart, so a plausible time has one.
    fn of_moment(size: f64) -> TimeUnit {
        match size {
            size if size < 1e11 => TimeUnit::Seconds,
            size if size < 1e14 => TimeUnit::Milliseconds,
            size if size < 1e17 => TimeUnit::Microseconds,
            _ => TimeUnit::Nanoseconds,
        }
    }
}

/// The moment that a whole number means, in `unit` or, without one, in the unit of its size.
pub fn time_of_integer(number: i64, unit: Option<TimeUnit>) -> Time {
    let unit = unit.unwrap_or_else(|| TimeUnit::of_moment(number.unsigned_abs() as f64));
    Time::from_micros(unit.micros(number))
}

/// The moment that a number with a fraction means; `None` if it is not finite.
pub fn time_of_fraction(number: f64, unit: Option<TimeUnit>) -> Option<Time> {
    let unit = unit.unwrap_or_else(|| TimeUnit::of_moment(number.abs()));
    number.is_finite().then(|| Time::from_micros(unit.micros_of_fraction(number)))
}

/// Reads timestamps of one source, whose zone is known.
///
/// The last zone offset is remembered per local minute, so a run of lines asks the time-zone
/// database about once a minute.
pub struct TimestampReader {
    zone: TimeZone,
    /// Whether a zone abbreviation in the text that is not UTC's contradicts the configuration.
    utc: bool,
    last: Option<(i64, [u8; ABBREVIATION_BYTES_MAX], i64)>,
}

/// The zone of a configured name: `UTC`, a fixed offset such as `+03:00`, or an IANA name.
pub(crate) fn parse_zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let fixed = read_offset(name).and_then(|micros| {
        let seconds = i32::try_from(micros / 1_000_000).ok()?;
        Offset::from_seconds(seconds).ok()
    });
    if let Some(offset) = fixed {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| {
        format!("timezone `{name}` is neither an IANA name (Europe/Berlin) nor an offset (+01:00)")
    })
}

const ABBREVIATION_BYTES_MAX: usize = 8;
const MICROS_PER_MINUTE: i64 = 60_000_000;

impl TimestampReader {
    /// A reader for texts whose zone, where they do not carry an offset, is `zone` (an IANA name
    /// or a fixed offset such as `+03:00`).
    pub fn new(zone: &str) -> Result<TimestampReader, String> {
        let zone = parse_zone(zone)?;
        let utc = zone.to_fixed_offset().is_ok_and(|offset| offset == Offset::UTC);
        Ok(TimestampReader { zone, utc, last: None })
    }

    /// The moment of `YYYY-MM-DD HH:MM:SS[.fraction] [ZONE]` or RFC 3339.
    ///
    /// ZONE may be `UTC`, `GMT`, `Z`, a numeric offset, or an abbreviation, which is read in the
    /// source's zone; an abbreviation under a source in UTC is an error, because guessing would
    /// be wrong by hours. Digits beyond microseconds are cut off.
    pub fn read(&mut self, text: &str) -> Result<Time, String> {
        let unreadable = || format!("cannot read the time `{}`", shortened(text));
        let (local, zone) = read_local(text.trim_ascii()).ok_or_else(unreadable)?;
        let offset = match zone {
            "Z" | "z" | "UTC" | "GMT" | "Etc/UTC" => 0,
            zone if zone.starts_with(['+', '-']) => read_offset(zone).ok_or_else(unreadable)?,
            "" if self.utc => 0,
            zone if self.utc => {
                return Err(format!(
                    "the time is in zone `{}`: name the server's zone as the source's `timezone`",
                    shortened(zone)
                ));
            }
            zone => self.offset_at(local, zone).ok_or_else(unreadable)?,
        };
        Ok(Time::from_micros(local - offset))
    }

    /// The zone's offset from UTC in microseconds at a local time. In the hour that occurs twice
    /// the abbreviation decides; without one it is the earlier of the two.
    fn offset_at(&mut self, local: i64, abbreviation: &str) -> Option<i64> {
        let minute = local.div_euclid(MICROS_PER_MINUTE);
        let key = abbreviation_key(abbreviation);
        if let (Some((last_minute, last_key, offset)), Some(key)) = (&self.last, key)
            && *last_minute == minute
            && *last_key == key
        {
            return Some(*offset);
        }
        let civil = Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(local).ok()?);
        let offset = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { before, after } => {
                let moment = after.to_timestamp(civil).ok()?;
                let later = self.zone.to_offset_info(moment);
                if later.abbreviation() == abbreviation { after } else { before }
            }
        };
        let offset = i64::from(offset.seconds()) * 1_000_000;
        self.last = key.map(|key| (minute, key, offset));
        Some(offset)
    }
}

fn abbreviation_key(abbreviation: &str) -> Option<[u8; ABBREVIATION_BYTES_MAX]> {
    let mut key = [0; ABBREVIATION_BYTES_MAX];
    key.get_mut(..abbreviation.len())?.copy_from_slice(abbreviation.as_bytes());
    Some(key)
}

/// A text as it may stand in a message: bounded, and nothing hostile to a terminal.
pub(crate) fn shortened(text: &str) -> String {
    let kept = text.len().min(60);
    let mut shown = plimsoll_model::Reject::excerpt_of(&text.as_bytes()[..kept]);
    if kept < text.len() {
        shown.push('…');
    }
    shown
}

/// Local time in microseconds since 1970-01-01 of that zone, and what follows it.
fn read_local(text: &str) -> Option<(i64, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 19
        || bytes[4] != b'-'
        || bytes[7] != b'-'
        || !matches!(bytes[10], b' ' | b'T' | b't')
        || bytes[13] != b':'
        || bytes[16] != b':'
    {
        return None;
    }
    let year = digits(&bytes[0..4])?;
    let (month, day) = (digits(&bytes[5..7])?, digits(&bytes[8..10])?);
    let (hour, minute) = (digits(&bytes[11..13])?, digits(&bytes[14..16])?);
    let second = digits(&bytes[17..19])?;
    // Second 60 is a leap second; it is the first moment of the next minute here.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_epoch(year, month, day)?;
    let (fraction_us, used) = read_fraction(&bytes[19..])?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let rest = text.get(19 + used..)?;
    Some((seconds * 1_000_000 + fraction_us, rest.trim_ascii_start()))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    let mut number = 0;
    for byte in bytes {
        number = number * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some(number)
}

/// Microseconds of a fraction such as `.123`, and its length; nothing there is zero.
fn read_fraction(bytes: &[u8]) -> Option<(i64, usize)> {
    if !matches!(bytes.first(), Some(b'.' | b',')) {
        return Some((0, 0));
    }
    let count = bytes[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let kept = count.min(6);
    let scale = 10_i64.pow(6 - kept as u32);
    Some((digits(&bytes[1..1 + kept])? * scale, 1 + count))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` if there is no such day.
///
/// Source: the division of 400-year eras by years that begin in March, as in Howard Hinnant,
/// "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds of `+03`, `-0330`, `+05:30`, `+05:30:15`.
fn read_offset(text: &str) -> Option<i64> {
    let (sign, body) = match text.as_bytes() {
        [b'+', body @ ..] => (1, body),
        [b'-', body @ ..] => (-1, body),
        _ => return None,
    };
    let (hours, minutes, seconds) = match body {
        [_, _] => (&body[..2], &b"0"[..], &b"0"[..]),
        [_, _, b':', _, _] => (&body[..2], &body[3..5], &b"0"[..]),
        [_, _, b':', _, _, b':', _, _] => (&body[..2], &body[3..5], &body[6..8]),
        [_, _, _, _] => (&body[..2], &body[2..4], &b"0"[..]),
        _ => return None,
    };
    let (hours, minutes, seconds) = (digits(hours)?, digits(minutes)?, digits(seconds)?);
    let legal = hours <= 15 && minutes <= 59 && seconds <= 59;
    legal.then_some(sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text` in `zone`; compared to what `date -u -d @…` says of the seconds, as RFC 3339.
    #[track_caller]
    fn check(zone: &str, text: &str, expected: Option<&str>) {
        let mut reader = TimestampReader::new(zone).unwrap();
        for _ in 0..2 {
            let read = reader.read(text).ok().map(|time| time.to_string());
            assert_eq!(read.as_deref(), expected, "{text} in {zone}");
        }
    }

    #[test]
    fn postgresql_utc() {
        check("UTC", "2026-11-22 18:00:01.250 UTC", Some("2026-11-22T18:00:01.250000Z"));
        check("UTC", "2026-11-22 18:00:01.250 GMT", Some("2026-11-22T18:00:01.250000Z"));
    }

    #[test]
    fn utc_rows_stay_utc_under_another_zone() {
        check("Europe/Berlin", "2026-11-22 18:00:01 UTC", Some("2026-11-22T18:00:01.000000Z"));
    }

    #[test]
    fn an_abbreviation_is_read_in_the_configured_zone() {
        check("Europe/Berlin", "2026-11-22 18:00:01.5 CET", Some("2026-11-22T17:00:01.500000Z"));
        check("+03", "2026-11-22 18:00:01 MSK", Some("2026-11-22T15:00:01.000000Z"));
    }

    #[test]
    fn an_abbreviation_without_a_configured_zone_is_refused() {
        check("UTC", "2026-11-22 18:00:01.5 CET", None);
    }

    /// Clocks went back on 2026-10-25 at 03:00 CEST, so 02:30 happened twice.
    #[test]
    fn the_abbreviation_decides_in_the_hour_that_occurs_twice() {
        check("Europe/Berlin", "2026-10-25 02:30:00 CEST", Some("2026-10-25T00:30:00.000000Z"));
        check("Europe/Berlin", "2026-10-25 02:30:00 CET", Some("2026-10-25T01:30:00.000000Z"));
        check("Europe/Berlin", "2026-10-25 02:30:00", Some("2026-10-25T00:30:00.000000Z"));
    }

    #[test]
    fn numeric_offsets() {
        check("UTC", "2026-11-22 18:00:01 +03", Some("2026-11-22T15:00:01.000000Z"));
        check("UTC", "2026-11-22 18:00:01 -0330", Some("2026-11-22T21:30:01.000000Z"));
        check("UTC", "2026-11-22T18:00:01+05:30", Some("2026-11-22T12:30:01.000000Z"));
        check("UTC", "2026-11-22T18:00:01+25:00", None);
    }

    #[test]
    fn rfc_3339() {
        check("UTC", "2026-11-22T18:00:01Z", Some("2026-11-22T18:00:01.000000Z"));
        check("UTC", "2026-11-22t18:00:01.123456789z", Some("2026-11-22T18:00:01.123456Z"));
        check("UTC", "2016-12-31T23:59:60Z", Some("2017-01-01T00:00:00.000000Z"));
    }

    #[test]
    fn days_that_do_not_exist() {
        check("UTC", "2024-02-29 00:00:00", Some("2024-02-29T00:00:00.000000Z"));
        check("UTC", "2023-02-29 00:00:00", None);
        check("UTC", "2100-02-29 00:00:00", None);
        check("UTC", "2026-13-01 00:00:00", None);
        check("UTC", "2026-11-22 24:00:00", None);
        check("UTC", "2026-11-22", None);
        check("UTC", "2026-11-22 18:00:01.é UTC", None);
    }

    #[test]
    fn numbers_by_their_size() {
        let expected = Time::from_seconds(1_700_000_000);
        for number in [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000] {
            assert_eq!(time_of_integer(number, None), expected);
        }
        assert_eq!(time_of_integer(1_700_000_000_000_000_000, None), expected);
        assert_eq!(time_of_fraction(1.7e9, None), Some(expected));
        assert_eq!(time_of_fraction(f64::NAN, None), None);
        assert!(!time_of_integer(i64::MIN, None).is_plausible());
        assert!(!time_of_integer(86_400, Some(TimeUnit::Milliseconds)).is_plausible());
    }
}
