//! The detectors on generated runs.

mod growth_intervals;
mod growth_pages;
mod growth_world;
