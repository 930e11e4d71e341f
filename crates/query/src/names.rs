//! A hint for a name that does not exist.

use crate::Error;
use crate::functions::FUNCTIONS;
use crate::tables::TABLES;

/// Columns that are listed where no table can be named that has them.
const COLUMNS_SAID_MAX: usize = 20;

/// The error, with what there is instead if a table or column is unknown.
pub(crate) fn with_hint(error: Error) -> Error {
    let Error::Query(text) = error else { return error };
    let is_table = text.starts_with("table '") && text.ends_with("not found");
    let is_function = text.starts_with("table function '") && text.ends_with("not found");
    if !is_table && !is_function {
        return Error::Query(of_column(&text).unwrap_or(text));
    }
    let text = text.replace("plimsoll.public.", "");
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let functions: Vec<&str> = FUNCTIONS.iter().map(|function| function.call).collect();
    Error::Query(format!("{text}; there are {}, {}", tables.join(", "), functions.join(", ")))
}

/// `No field named x. Did you mean 't.y'? Valid fields are t.a, t.b, …` in a few words.
fn of_column(text: &str) -> Option<String> {
    let (name, fields) = text.strip_prefix("No field named ")?.split_once(" Valid fields are ")?;
    let (name, meant) = match name.split_once(". Did you mean ") {
        Some((name, meant)) => (name, format!("did you mean {}? ", meant.trim_end_matches('?'))),
        None => (name.trim_end_matches('.'), String::new()),
    };
    let meant = meant.replace('\'', "`");
    let fields: Vec<&str> = fields.split(", ").collect();
    let mut tables: Vec<&str> = Vec::new();
    for (table, _) in fields.iter().filter_map(|field| field.split_once('.')) {
        if TABLES.iter().any(|known| known.name == table) && !tables.contains(&table) {
            tables.push(table);
        }
    }
    if tables.is_empty() {
        let fields = &fields[..fields.len().min(COLUMNS_SAID_MAX)];
        return Some(format!("no column `{name}`; {meant}there are {}", fields.join(", ")));
    }
    let described: Vec<String> = tables.iter().map(|table| format!("`describe {table}`")).collect();
    Some(format!("no column `{name}`; {meant}{} lists those there are", described.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_column_is_said_with_what_lists_them() {
        let of = |fields: &str| of_column(&format!("No field named x. Valid fields are {fields}"));
        let said = "no column `x`; `describe panes` lists those there are";
        assert_eq!(of("panes.pane, panes.held").as_deref(), Some(said));
        let said = "no column `x`; `describe panes` or `describe incidents` lists those there are";
        assert_eq!(of("panes.pane, incidents.kind").as_deref(), Some(said));
        let near = "No field named x. Did you mean 'panes.held'? Valid fields are panes.held";
        let said =
            "no column `x`; did you mean `panes.held`? `describe panes` lists those there are";
        assert_eq!(of_column(near).as_deref(), Some(said));
        assert_eq!(of("a.b, c").as_deref(), Some("no column `x`; there are a.b, c"));
    }
}
