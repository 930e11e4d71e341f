//! A transition as one JSON line: the keys that integrations may rely on (`docs/incidents.md`).

use std::io::{self, Write};

use plimsoll_console::api::transition::{Line, dimensions};
use plimsoll_detect::Judge;
use plimsoll_model::{Second, Time, Transition};
use serde_json::{Value, json};

/// One line of JSON, without the line break.
pub fn json_line(transition: &Transition, decided_at: Time) -> String {
    serde_json::to_string(&Line::of(transition, decided_at)).expect("a line holds plain values")
}

/// The same as a value, for a document that holds it.
pub fn json_value(transition: &Transition, decided_at: Time) -> Value {
    serde_json::to_value(Line::of(transition, decided_at)).expect("a line holds plain values")
}

/// What every resource holds, as the members of a JSON object.
pub fn levels(judge: &Judge) -> String {
    let resources = judge.held().map(|held| {
        let holders = held.holders.iter().map(|(holder, count)| {
            let mut members = dimensions(holder);
            members.insert("held".to_owned(), json!(count));
            Value::Object(members)
        });
        json!({
            "resource": held.resource,
            "held": held.held,
            "usable": held.usable,
            "holders": holders.collect::<Vec<_>>(),
        })
    });
    Value::Array(resources.collect()).to_string()
}

/// One line: the levels at the end of a tick.
pub fn write_levels(out: &mut impl Write, second: Second, levels: &str) -> io::Result<()> {
    writeln!(out, r#"{{"as_of":"{second}","levels":{levels}}}"#)
}
