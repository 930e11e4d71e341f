//! Tests that need real servers. A missing one fails the test with what to install.

mod kafka;
mod kill;
mod leak;
mod live;
mod memory;
mod postgres;
mod spread;
