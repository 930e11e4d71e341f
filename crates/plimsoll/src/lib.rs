//! The program: configuration, wiring, the loop, replay, command line.

pub mod cli;
pub mod clock;
pub mod engine;
pub mod exit;
pub mod fault;
pub mod live;
pub mod metric;
pub mod outbox;
pub mod output;
pub mod plan;
pub mod version;
