//! What the judge makes of small scripts of rows, and of generated runs.

mod ledger;
mod script;
