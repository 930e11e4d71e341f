//! The wall clock. No other file reads it; everyone else gets `now` as an argument.

use plimsoll_model::Time;

/// The wall clock's time.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn now() -> Time {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since_epoch.map_or(0, |elapsed| elapsed.as_micros());
    Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
