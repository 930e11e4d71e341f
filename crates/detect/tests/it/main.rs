//! What the judge makes of small scripts of rows, and the detectors of generated runs.

mod ledger;
mod script;
