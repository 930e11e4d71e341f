//! Ledgers, detectors and the incident book: ticks in, transitions out.
//!
//! A [`Judge`] judges one pipeline. Each [`Tick`](plimsoll_model::Tick) it first *observes*: rows
//! go in their order into the [`ledger`] of their resource, which knows who holds how many units
//! since when. Then it *decides*: detectors ([`growth`], [`refusal`]) look at each resource as a
//! [`view::ResourceView`] and give a [`Verdict`]; the incident book makes of all verdicts about
//! one owner and one resource one incident, and says what changed as a
//! [`Transition`](plimsoll_model::Transition), with [evidence](panes) that proves it.
//!
//! This crate never reads a clock, draws a random number, does I/O, logs or lets the order of a
//! hash map into a result. The same settings and ticks give the same transitions, and the same
//! bytes from [`Judge::save`].
//!
//! `docs/detectors.md` has the rules and the mathematics, `docs/incidents.md` the closed lists.
//!
//! ```
//! use std::sync::Arc;
//! use plimsoll_detect::{Judge, Settings};
//! use plimsoll_model::sessions::{SessionBuilder, SessionEvent, SessionRow, refusal};
//! use plimsoll_model::{Batch, PartitionId, Reason, Row, RowKind, Second, Tick, Time};
//!
//! let mut builder = SessionBuilder::default();
//! builder.append(&SessionRow {
//!     time: Time::from_seconds(1_700_000_000),
//!     event: SessionEvent::Refused,
//!     resource: "orders-db",
//!     reason: Some(refusal::LIMIT),
//!     ..SessionRow::default()
//! });
//! let batch = Batch { sessions: builder.finish(), ..Batch::default() };
//! let tick = Tick {
//!     second: Second(1_700_000_000),
//!     batches: vec![Arc::new(batch)],
//!     rows: vec![Row {
//!         time: Time::from_seconds(1_700_000_000),
//!         partition: PartitionId::default(),
//!         offset: 0,
//!         batch: 0,
//!         kind: RowKind::Session,
//!         index: 0,
//!     }],
//! };
//! let mut judge = Judge::new(Settings::new("payments"));
//! let step = judge.step(&tick);
//! assert_eq!(step.transitions[0].reason, Reason::LimitRefused);
//! ```

pub mod account;
pub mod blame;
pub mod calls;
pub mod candidates;
pub mod detector;
pub mod excess;
pub mod explain;
pub mod faults;
pub mod forecast;
pub mod groups;
pub mod growth;
pub mod held_open;
pub mod history;
pub mod hold_time_shift;
pub mod judge;
pub mod ledger;
pub mod levels;
pub mod lives;
pub mod missing_completions;
pub mod missing_ends;
pub mod open_ages;
pub mod panes;
mod proof;
pub mod refusal;
pub mod season;
pub mod settings;
pub mod suspect;
pub mod trend;
pub mod view;

mod book;
mod growth_open;
mod saved;
mod sentence;
mod suite;

pub use detector::{Switch, Verdict};
pub use judge::{Held, Judge, Step};
pub use settings::Settings;

/// Why a saved judge cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another version of the program wrote it: its records must be judged again.
    #[error(
        "the saved judge has version {found}, this program reads version {known}; start the version \
         that wrote it again, or move the data directory away to judge anew"
    )]
    Version {
        /// The version of the bytes.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// The bytes are damaged.
    #[error(
        "the saved judge cannot be read ({0}); restore the data directory from a copy, or move it \
         away to judge anew"
    )]
    Malformed(String),
}
