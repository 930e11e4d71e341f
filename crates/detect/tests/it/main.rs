//! What the judge makes of small scripts of rows, and the detectors of generated runs.

mod evidence;
mod ledger;
mod order;
mod refusal;
mod script;
