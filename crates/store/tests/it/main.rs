//! The store as its users see it.

mod broken_disk;
mod changes;
mod crash;
mod latency;
mod opening;
mod retention;
mod round_trip;
mod script;
