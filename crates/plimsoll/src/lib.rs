//! The program: configuration, wiring, the loop, replay, command line.

pub mod check;
pub mod cli;
pub mod config;
pub mod exit;
pub mod expected;
pub mod metric;
