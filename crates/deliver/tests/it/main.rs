//! Sinks against receivers: local ones that behave well and badly, and a real ClickHouse engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, helpers included")]

mod bad_receivers;
mod deliveries;
mod page;
mod real;

#[path = "../../../plimsoll/tests/parts/certificate.rs"]
mod certificate;
#[allow(dead_code, reason = "other test binaries use what this one does not")]
#[path = "../../../plimsoll/tests/parts/clickhouse.rs"]
mod clickhouse;
#[allow(dead_code, reason = "the whole-program tests use the rest of it")]
#[path = "../../../plimsoll/tests/parts/receiver.rs"]
mod receiver;
