//! The JSON Schema of definitions, held against definitions by a validator that knows nothing of
//! us.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::cli::{check, folder, said};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The committed schema.
struct Committed {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Committed {
    fn load() -> Committed {
        let text = fs::read_to_string(root().join("docs/pipeline.schema.json")).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", serde_json::from_str(&text).unwrap()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Committed { schemas, index }
    }

    fn accepts(&self, definition: &str) -> Result<(), String> {
        let value: Value = serde_saphyr::from_str(definition).unwrap();
        self.schemas.validate(&value, self.index).map_err(|error| format!("{error:#}"))
    }
}

#[test]
fn the_committed_schema_is_the_one_that_is_printed() {
    let printed = said(&check(&root(), "check --schema", 0, &[]).stdout);
    let committed = fs::read_to_string(root().join("docs/pipeline.schema.json")).unwrap();
    assert!(
        printed == committed,
        "docs/pipeline.schema.json is old: plimsoll check --schema > docs/pipeline.schema.json"
    );
    check(&root(), "check --schema x.yaml", 2, &["cannot be used with"]);
    check(&root(), "check", 2, &["<FILE>"]);
}

#[test]
fn every_definition_that_we_show_is_valid() {
    let schema = Committed::load();
    let mut files = vec![root().join("deploy/compose/pipeline.yaml")];
    for folder in fs::read_dir(root().join("pipelines")).unwrap() {
        files.push(folder.unwrap().path().join("pipeline.yaml"));
    }
    let mut definitions: Vec<(String, String)> = (files.iter().filter(|file| file.is_file()))
        .map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap()))
        .collect();
    for name in ["README.md", "docs/config.md"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let blocks =
            text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
        let whole = blocks.filter(|block| block.contains("\nsources:"));
        definitions.extend(whole.map(|block| (name.to_owned(), block.to_owned())));
    }
    assert!(definitions.len() >= 4, "{}", definitions.len());
    for (name, definition) in &definitions {
        let accepted = schema.accepts(definition);
        assert_eq!(accepted, Ok(()), "{name}");
    }
}

const SOUND: &str = "version: 1\nname: p\nsources:\n  db: {file: db.jsonl, format: postgres_jsonlog, resource: r}\n";

#[test]
fn what_check_takes_the_schema_takes() {
    let schema = Committed::load();
    for more in [
        "",
        "resources: {r: {connections: {limit: 3, reserved: 1}}}\n",
        "resources: {r: {connections: {limit: '${LIMIT:-200}'}}}\n",
        "detectors: {growth_to_limit: off, refusal_at_limit: {severity: ticket}}\n",
        "response_time: 1h 30m\ncorrect_within: '${LATE:-90s}'\n",
        "receivers: {oncall: {pagerduty: {routing_key: '${KEY:-}'}}}\nroutes: [{severity: page, to: oncall}]\n",
        "kafka: {brokers: 'a:1', start: latest, options: {socket.timeout.ms: 9}}\n",
    ] {
        let definition = format!("{SOUND}{more}");
        let folder = folder(&[("p.yaml", &definition)]);
        if !more.contains("KEY") {
            check(folder.path(), "check p.yaml", 0, &["ok"]);
        }
        assert_eq!(schema.accepts(&definition), Ok(()), "{more}");
    }
    let lists = SOUND.replace("db.jsonl", "[a.jsonl, b.jsonl]");
    assert_eq!(schema.accepts(&lists), Ok(()));
}

#[test]
fn what_the_schema_refuses_check_refuses() {
    let schema = Committed::load();
    for (from, to) in [
        ("version: 1", "version: 2"),
        ("name: p\n", ""),
        ("name: p\n", "name: p\ncolour: blue\n"),
        ("postgres_jsonlog", "postgres_jsonlg"),
        ("format: postgres_jsonlog, ", ""),
        ("resource: r", "resource: r, reorder: soon"),
        ("  db:", "  'd b':"),
        ("name: p\n", "name: p\nresources: {r: {conections: {}}}\n"),
        ("name: p\n", "name: p\nresources: {r: {connections: {limit: many}}}\n"),
        ("name: p\n", "name: p\ndetectors: {growth_to_limit: on}\n"),
        ("name: p\n", "name: p\nroutes: [{severity: loud, to: x}]\n"),
    ] {
        let definition = SOUND.replace(from, to);
        let refused = schema.accepts(&definition);
        assert!(refused.is_err(), "{to} is accepted");
        let folder = folder(&[("p.yaml", &definition)]);
        check(folder.path(), "check p.yaml", 78, &[]);
    }
}

/// Editors show it beside the key.
#[test]
fn every_outermost_key_and_every_key_of_a_source_is_explained() {
    let text = fs::read_to_string(root().join("docs/pipeline.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let source = &schema["properties"]["sources"]["additionalProperties"];
    for object in [&schema, source, &schema["properties"]["kafka"]] {
        for (key, inside) in object["properties"].as_object().unwrap() {
            let is_explained = inside["description"].as_str().is_some_and(|text| text.len() > 5);
            assert!(is_explained || key == "version", "docs/config.md does not explain `{key}`");
        }
    }
}
