//! The program: configuration, wiring, the loop, replay, command line.

pub mod cli;
pub mod exit;
pub mod metric;
