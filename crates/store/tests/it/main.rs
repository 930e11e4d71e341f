//! The store as its users see it.

mod round_trip;
mod script;
