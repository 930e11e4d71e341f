//! Tests of the whole program.
//!
//! Everything under `real` starts real servers and belongs to the slow tier:
//! `cargo test -p plimsoll --test it real:: -- --test-threads=1`.
//! The fast tier is the rest: `cargo test --workspace -- --skip real::`.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod api;
mod cli;
mod cli_stranger;
mod crash;
mod demo;
mod deploy;
mod full;
mod golden;
mod order;
#[path = "../parts/mod.rs"]
mod parts;
mod proof;
mod real;
#[path = "../recordings/mod.rs"]
mod recordings;
mod restarts;
mod retention;
mod scan;
mod scenario;
mod schema;
mod sql;
mod topics;
mod variants;
