//! The program: configuration, wiring, the loop, replay, command line.

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
pub mod threshold;
pub mod version;
pub mod watched;
