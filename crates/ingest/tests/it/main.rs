//! What a stranger may rely on when bytes become rows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod config;
mod cuts;
mod files;
mod haproxy;
mod hostile;
mod mapped;
mod otlp;
mod postgres;
mod shown;
