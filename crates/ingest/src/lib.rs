//! From bytes to ticks of rows: sources, parsers, merge.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod merge;
