//! Tests that need real servers. A missing one fails the test with what to install.

mod board;
mod copies;
mod kafka;
mod kill;
mod leak;
mod live;
mod memory;
mod page;
mod postgres;
mod rules;
mod shown;
mod spread;
mod sql;
