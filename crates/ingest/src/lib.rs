//! From bytes to ticks of rows: sources, parsers, merge.
//!
//! A source ([`FileSource`], Kafka) reads the records of one partition as [`RawBatch`]es. The
//! [`Parser`] of that source decodes each line straight into Arrow builders and makes a
//! [`plimsoll_model::Batch`]. [`SourceConfig`] is the part of a pipeline's definition that says
//! where the records are and how they are understood; `docs/formats.md` has the formats in words.
//!
//! Nothing here reads the wall clock, and a parser keeps nothing between batches: its rows depend
//! on the records alone. A record that cannot be used is a reject inside the batch, never an
//! error; an [`Error`] means that a whole source cannot be read.
//!
//! ```
//! use plimsoll_ingest::{Parser, RawBatch, SourceConfig};
//! use plimsoll_model::PartitionId;
//!
//! let config: SourceConfig = serde_json::from_str(
//!     r#"{"kafka": "pg-logs", "format": "postgres_jsonlog", "resource": "orders-db"}"#,
//! )?;
//! let mut parser = Parser::new("db", &config)?;
//! let mut raw = RawBatch::new(PartitionId::new(0, 0));
//! let line = r#"{"timestamp": "2026-11-22 18:14:09.016 UTC", "session_id": "6b.1", "user": "app",
//!     "message": "connection received: host=10.0.0.7 port=4"}"#;
//! raw.push(41, line.replace('\n', " ").as_bytes());
//! raw.push(42, b"once upon a time");
//! let batch = parser.parse(&raw);
//! assert_eq!((batch.sessions.len(), batch.rejects.len(), batch.next_offset), (1, 1, 43));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod config;
pub mod error;
pub mod file;
pub mod haproxy;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod map;
pub mod merge;
pub mod otlp;
pub mod parser;
pub mod raw;
pub mod timestamp;

mod fields;
mod mapped;
mod postgres;
mod scalar;

pub use config::SourceConfig;
pub use error::Error;
pub use file::FileSource;
pub use parser::Parser;
pub use raw::{RawBatch, RawRecord};
