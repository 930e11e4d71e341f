//! The JSON Schema of a definition, made from the types that read it.
//!
//! A section that a crate adds is in the schema without a line here. What the keys mean comes from
//! the tables of `docs/config.md`.

mod probe;

use serde_json::{Value, json};

use super::sections::{Definition, VERSION};
use probe::shape;

/// The schema of a definition, as a document.
pub fn schema() -> anyhow::Result<Value> {
    let mut schema = shape::<Definition>().map_err(|fault| anyhow::anyhow!("{fault}"))?;
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "the definition of a Plimsoll pipeline".into();
    schema["properties"]["version"] = json!({ "const": VERSION });
    let name = json!({ "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" });
    for section in ["sources", "resources", "receivers"] {
        schema["properties"][section]["propertyNames"] = name.clone();
    }
    describe(&mut schema, include_str!("../../../../docs/config.md"));
    Ok(schema)
}

/// Gives every key the meaning that it has in the tables of `docs/config.md`. The table below
/// `## Keys` is about the outermost keys; each further one about those inside of the sections that
/// its heading names, or of the one key of them that the sentence before it names.
fn describe(schema: &mut Value, docs: &str) {
    let mut sections: Vec<&str> = Vec::new();
    let mut named: Option<&str> = None;
    let mut is_outermost = false;
    for line in docs.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            is_outermost = heading == "# Keys";
            sections = heading.split('`').skip(1).step_by(2).collect();
            named = None;
            continue;
        }
        if line.ends_with(':') {
            named = line.split('`').nth(1);
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [key, .., meaning] = cells[..] else { continue };
        let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`')) else {
            continue;
        };
        if is_outermost {
            describe_key(&mut schema["properties"], key, meaning);
        }
        for section in &sections {
            let Some(section) = schema["properties"].get_mut(section) else { continue };
            let is_inside = |name: &&str| section["properties"].get(*name).is_some();
            match named.filter(is_inside) {
                Some(name) => describe_inside(&mut section["properties"][name], key, meaning),
                None => describe_inside(section, key, meaning),
            }
        }
    }
}

fn describe_inside(schema: &mut Value, key: &str, meaning: &str) {
    match schema {
        Value::Object(members) => {
            for (name, inside) in members {
                if name == "properties" {
                    describe_key(inside, key, meaning);
                }
                describe_inside(inside, key, meaning);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|it| describe_inside(it, key, meaning)),
        _ => {}
    }
}

fn describe_key(properties: &mut Value, key: &str, meaning: &str) {
    if let Some(Value::Object(schema)) = properties.get_mut(key)
        && !schema.contains_key("description")
    {
        schema.insert("description".to_owned(), meaning.into());
    }
}
