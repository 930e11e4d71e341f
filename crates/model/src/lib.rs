//! The words that every other crate of Plimsoll speaks.
//!
//! A value changes its name when it changes its state on the way
//! **read → parse → merge → observe → decide → commit → deliver**:
//!
//! * [`Batch`]: what a parser made of one partition's records, as Arrow columns
//!   ([`sessions`], [`samples`], [`lives`]) and [`Reject`]s;
//! * [`Tick`]: one second of event time with the rows of all partitions, in order;
//! * [`Finding`]: what one detector sees at a tick;
//! * [`Transition`]: a change of one incident that people and receivers hear of;
//! * [`Delivery`]: the order to tell one sink, kept until the sink has accepted it.
//!
//! [`Time`] is event time; [`Mark`] is one of the three uses of the wall clock that may move it.
//!
//! This crate never reads a clock, draws a random number, does I/O, logs, or knows Kafka, a disk
//! or a network. A type enters it when two crates need it.
//!
//! ```
//! use plimsoll_model::{Dimension, Holder, Time};
//! use plimsoll_model::sessions::{SessionBuilder, SessionEvent, SessionRow};
//!
//! let mut builder = SessionBuilder::default();
//! builder.append(&SessionRow {
//!     time: Time::from_seconds(1_700_000_000),
//!     offset: 7,
//!     event: SessionEvent::Opened,
//!     resource: "orders-db",
//!     session: Some("65a1b2c3.4d2"),
//!     holder: Holder::default().with(Dimension::ServiceName, "issuer"),
//!     ..SessionRow::default()
//! });
//! let rows = builder.finish();
//! assert_eq!(rows.len(), 1);
//! assert_eq!(rows.holder(0).get(Dimension::ServiceName), Some("issuer"));
//! ```

pub mod batch;
pub mod delivery;
pub mod detail;
pub mod dimension;
pub mod evidence;
pub mod finding;
pub mod incident;
pub mod lives;
pub mod mark;
pub mod partition;
pub mod reject;
pub mod samples;
pub mod sessions;
pub mod tick;
pub mod time;

mod columns;

pub use batch::Batch;
pub use delivery::{Delivery, DeliveryState, Outcome, PageAction, Payload};
pub use detail::Detail;
pub use dimension::{Dimension, Holder, OwnedHolder};
pub use finding::{Finding, Interval, Kind, Owner, Release, Severity};
pub use incident::{Change, IncidentId, Reason, Transition};
pub use mark::Mark;
pub use partition::{PartitionId, SourceId};
pub use reject::{Reject, RejectReason};
pub use tick::{Row, RowKind, Tick};
pub use time::{Second, Time};
