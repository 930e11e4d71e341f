//! A hint for a name that does not exist.

use crate::Error;
use crate::functions::FUNCTIONS;
use crate::tables::TABLES;

/// The error, with what there is instead if a table is unknown.
pub(crate) fn with_hint(error: Error) -> Error {
    let Error::Query(text) = error else { return error };
    let is_table = text.starts_with("table '") && text.ends_with("not found");
    let is_function = text.starts_with("table function '") && text.ends_with("not found");
    if !is_table && !is_function {
        return Error::Query(text);
    }
    let text = text.replace("plimsoll.public.", "");
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let functions: Vec<&str> = FUNCTIONS.iter().map(|function| function.call).collect();
    Error::Query(format!("{text}; there are {}, {}", tables.join(", "), functions.join(", ")))
}
