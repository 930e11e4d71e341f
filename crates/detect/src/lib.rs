//! Ledgers, windows, detectors and the incident book: ticks in, transitions out.

pub mod detector;
pub mod forecast;
pub mod growth;
pub mod levels;
pub mod trend;
pub mod view;
