//! The merge against hand-made cases: expected ticks were worked out by hand.

mod cases;
mod files;
mod live;
pub(crate) mod made;
mod saved;
