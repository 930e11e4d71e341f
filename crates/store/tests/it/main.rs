//! The store as its users see it.

mod crash;
mod round_trip;
mod script;
