//! Ledgers, windows, detectors and the incident book: ticks in, transitions out.

pub mod blame;
pub mod detector;
pub mod explain;
pub mod forecast;
pub mod growth;
pub mod history;
pub mod levels;
pub mod season;
pub mod trend;
pub mod view;
