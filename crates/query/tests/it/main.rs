//! Queries as an analyst asks them, over a small store whose rows were written down by hand.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod columns;
mod functions;
mod limits;
mod safety;
mod tables;
mod world;
