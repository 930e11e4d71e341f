//! Ledgers, windows, detectors and the incident book: ticks in, transitions out.

pub mod detector;
pub mod view;
