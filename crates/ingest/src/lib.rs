//! From bytes to ticks of rows: sources, parsers, merge.

pub mod config;
pub mod error;
pub mod file;
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
