//! The HTTP side of a running pipeline: health, readiness, metrics, version.
