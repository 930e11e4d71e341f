//! What the judge makes of small scripts of rows.

mod ledger;
mod script;
