//! Sinks: where a [`Delivery`](plimsoll_model::Delivery) goes.
//!
//! * [`PagerDuty`] tells a human: one event per delivery, under the incident's id as key.
//! * [`ClickHouse`] keeps the history: blocks of rows for the tables of `deploy/clickhouse/`,
//!   which [`ClickHouse::migrate`] creates.
//! * [`Sink`] is either of them, for the loop that owns it.
//! * [`Backoff`] says how long that loop waits after an attempt.
//!
//! A sink makes one attempt and answers with an [`Outcome`](plimsoll_model::Outcome): accepted,
//! later, or refused. It never retries, never decides what is told, never reads or writes the
//! store, and never reads the wall clock. A repetition of a delivery sends the same bytes, so a
//! receiver that honours the key takes it once. Secrets are [`Secret`]s: no text that leaves
//! this crate, but for the request itself, contains one.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll_deliver::Backoff;
//!
//! let backoff = Backoff::default();
//! // The third attempt failed and nobody asked for a pause: between 1 s and 8 s.
//! let pause = backoff.delay(3, 0x9E37_79B9_7F4A_7C15, None);
//! assert!((Duration::from_secs(1)..=Duration::from_secs(8)).contains(&pause));
//! // The receiver asked for a minute.
//! assert!(backoff.delay(1, 0, Some(Duration::from_secs(60))) >= Duration::from_secs(60));
//! ```

mod address;
mod backoff;
mod clickhouse;
mod error;
mod http;
mod pagerduty;
mod secret;
mod sink;
mod text;
mod trust;

pub use backoff::Backoff;
pub use clickhouse::{Applied, ClickHouse, ClickHouseConfig};
pub use error::{Error, Retry};
pub use pagerduty::{PagerDuty, PagerDutyConfig};
pub use secret::Secret;
pub use sink::Sink;
