//! The detectors on generated runs.
