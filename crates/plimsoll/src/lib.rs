//! The program: configuration, wiring, the loop, replay, command line.

// They panic when nobody reads any more; `writeln!` and `terminal::tell` do not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod engine;
pub mod exit;
pub mod expected;
pub mod fault;
pub mod feed;
pub mod golden;
pub mod harm;
pub mod live;
pub mod metric;
pub mod outbox;
pub mod output;
pub mod plan;
pub mod progress;
pub mod replay;
pub mod run;
pub mod scan;
pub mod service;
pub mod sql;
pub mod story;
pub mod terminal;
pub mod threshold;
pub mod version;
pub mod watched;
