//! Definitions on one line and the first thing that is said of them.

use super::*;

const SOUND: &str = "version: 1\nname: p\nsources: {db: {file: x, format: postgres_jsonlog, resource: r}}\nresources: {r: {connections: {limit: 9}}}\n";

fn variable(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("hunter2".to_owned()),
        "LIMIT" => Some("200".to_owned()),
        _ => None,
    }
}

fn load(text: &str) -> Result<(Config, Vec<Problem>), Problems> {
    Config::from_text(Path::new("dir/p.yaml"), text, Purpose::Run, &variable)
}

fn blocks(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| {
        let place = problem.place.map_or(String::new(), |place| {
            format!("{}:{}+{} ", place.line, place.column, place.width)
        });
        format!("{place}{}; {}", problem.what, problem.advice)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The definition that is sound, with `line` added, has a problem that begins with `expected`.
#[track_caller]
fn check(line: &str, expected: &str) {
    let key = line.split(':').next().unwrap_or_default();
    let others = SOUND.lines().filter(|other| !other.starts_with(&format!("{key}:")));
    let text = others.chain([line]).collect::<Vec<_>>().join("\n");
    let problems = load(&text).expect_err("the definition must be refused");
    let said = blocks(&problems.0);
    let found = said.lines().any(|problem| {
        problem.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(expected))
            || problem.starts_with(expected)
    });
    assert!(found, "expected {expected:?} among\n{said}");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

#[track_caller]
fn warns(line: &str, expected: &str) {
    let key = line.split(':').next().unwrap_or_default();
    let others = SOUND.lines().filter(|other| !other.starts_with(&format!("{key}:")));
    let text = others.chain([line]).collect::<Vec<_>>().join("\n");
    let (_, warnings) = load(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let said = blocks(&warnings);
    assert!(said.contains(expected), "expected {expected:?} among\n{said}");
}

#[test]
fn a_small_definition_has_the_defaults() {
    let (config, warnings) = load(SOUND).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.response_time, Duration::from_secs(30 * 60));
    assert_eq!(config.listen, "127.0.0.1:9464".parse().unwrap());
    assert_eq!(config.data, Path::new("dir/data/p"));
    assert_eq!(config.sources["db"].file, ["dir/x"]);
    assert_eq!(config.resources["r"].limit, Some(9));
    assert_eq!(
        blocks(&warnings),
        "no route takes pages: `run` will page nobody; add a receiver and `routes: [{severity: page, to: …}]`"
    );
}

#[test]
fn a_full_definition_is_read() {
    let text = r#"
version: 1
name: payments
response_time: 1h
data: /var/lib/plimsoll/payments
listen: "[::1]:9464"
kafka: {brokers: "127.0.0.1:9092", start: latest, options: {security.protocol: SASL_SSL, sasl.password: "${KEY}", socket.timeout.ms: 5000, enable.idempotence: true}}
clickhouse: {url: "http://127.0.0.1:8123", user: plimsoll, password: "${KEY}"}
sources:
  db: {kafka: pg-logs, format: postgres_jsonlog, resource: orders-db}
  deploys: {file: [deploys.jsonl, "-"], format: json, role: context}
resources: {orders-db: {connections: {limit: "${LIMIT}", reserved: 3}}}
detectors: {refusal_at_limit: off}
receivers: {oncall: {pagerduty: {routing_key: "${KEY}"}}}
routes: [{severity: page, to: oncall}]
"#;
    let (config, warnings) = load(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(blocks(&warnings), "");
    assert_eq!(config.resources["orders-db"].limit, Some(200));
    assert_eq!(config.data, Path::new("/var/lib/plimsoll/payments"));
    assert_eq!(config.sources["deploys"].file, ["dir/deploys.jsonl", "-"]);
    assert!(config.detectors.refusal_at_limit.on().is_none());
    let kafka = config.kafka.as_ref().unwrap();
    assert_eq!(kafka.start, Start::Latest);
    let options: Vec<_> =
        kafka.options.iter().map(|(key, value)| (key.as_str(), value.reveal())).collect();
    assert_eq!(
        options,
        [
            ("enable.idempotence", "true"),
            ("sasl.password", "hunter2"),
            ("security.protocol", "SASL_SSL"),
            ("socket.timeout.ms", "5000"),
        ]
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.settings().response_time, Duration::from_secs(3600));
}

#[test]
fn unknown_keys_are_met_with_the_nearest_one() {
    check("respone_time: 30m", "unknown key `respone_time`; did you mean `response_time`?");
    check(
        "sources: {db: {file: x, format: postgres_jsonlog, resource: r, reoder: 2s}}",
        "unknown key `reoder`; did you mean `reorder`?",
    );
    check("resources: {r: {connections: {limt: 9}}}", "unknown key `limt`; did you mean `limit`?");
    check("detectors: {refusal: off}", "unknown key `refusal`; did you mean `refusal_at_limit`?");
    check("receivers: {a: {pagerdutty: {}}}", "unknown value `pagerdutty`; did you mean");
    check(
        "sources: {db: {file: x, format: postgres_json, resource: r}}",
        "unknown value `postgres_json`; did you mean `postgres_jsonlog`?",
    );
}

#[test]
fn wrong_values_say_what_would_be_right() {
    check("version: 2", "version `2` of the format is not known; this build reads `version: 1`");
    check("version: one", "this text cannot stand here: it must be a whole number");
    check("name: [a]", "a list cannot stand here: it must be a text");
    check("name: ../x", "pipeline name `../x` cannot be used");
    check("response_time: 0s", "response_time must be above zero");
    check("retention: 23h", "retention must be a day at least");
    check("response_time: soon", "`soon` is not a duration; write one such as");
    check("sources: {}", "there is no source");
    check("resources: {r: {connections: {limit: 0}}}", "limit `0` must be at least 1");
    check("resources: {r: {connections: {limit: 3, reserved: 3}}}", "reserved `3` must be less");
    check(
        "kafka: {brokers: a, start: middle}",
        "unknown value `middle`; known here: `earliest`, `latest`",
    );
    check("kafka: {brokers: ' '}", "no broker is named");
    check("kafka: {brokers: a, options: {group.id: x}}", "Kafka option `group.id` cannot be set");
    check("kafka: {start: earliest}", "key `brokers` is missing");
}

#[test]
fn sources_must_be_readable() {
    check(
        "sources: {db: {format: postgres_jsonlog, resource: r}}",
        "source `db`: needs `kafka: TOPIC` or `file: PATH`",
    );
    check(
        "sources: {db: {file: x, kafka: y, format: postgres_jsonlog, resource: r}}",
        "source `db`: has both",
    );
    check(
        "sources: {db: {kafka: y, format: postgres_jsonlog, resource: r}}",
        "source `db` reads from Kafka, but no broker",
    );
    check(
        "sources: {db: {file: x, format: postgres_jsonlog, resource: r, timezone: Mars/Olympus}}",
        "source `db`:",
    );
    check(
        "sources: {db: {file: x, format: json, resource: r, map: {time: t, holder: {service.nme: x}, value: {used: u}}}}",
        "unknown value `service.nme`; did you mean `service.name`?",
    );
    check(
        "sources: {a/b: {file: x, format: postgres_jsonlog, resource: r}}",
        "source name `a/b` cannot be used",
    );
}

#[test]
fn only_loopback_is_listened_on() {
    check("listen: 0.0.0.0:9464", "address `0.0.0.0:9464` can be reached from other machines");
    check("listen: localhost", "listen `localhost` is not an address with a port");
}

#[test]
fn routes_lead_somewhere() {
    check("routes: [{severity: page, to: oncall}]", "there is no receiver `oncall`; there is none");
    check("routes: [{severity: loud, to: oncall}]", "unknown value `loud`");
}

#[test]
fn secrets_are_not_written_down() {
    check(
        "receivers: {a: {pagerduty: {routing_key: hunter2}}}",
        "secret `routing_key` is written in the file",
    );
    check(
        "receivers: {a: {pagerduty: {routing_key: '${NONE:-hunter2}'}}}",
        "secret `routing_key` is written in the file",
    );
    check(
        "clickhouse: {url: 'http://127.0.0.1:1', password: hunter2}",
        "secret `password` is written in the file",
    );
    check("clickhouse: {url: 'http://a:hunter2@127.0.0.1:1'}", "the address contains a password");
    check(
        "kafka: {brokers: a, options: {sasl.password: hunter2}}",
        "secret `sasl.password` is written in the file",
    );
    check(
        "kafka: {brokers: a, options: {ssl.key.pem: hunter2, x: }}",
        "secret `ssl.key.pem` is written in the file",
    );
}

#[test]
fn a_reference_that_leads_nowhere_names_its_key() {
    check(
        "data: ${NONE}",
        "key `data`: environment variable `NONE` is not set; set it, or write a default: `${NONE:-…}`",
    );
    check("data: ${file:none}", "key `data`: cannot read the referenced file `dir/none`");
    check("data: ${x", "key `data`: a reference begins with `${` and has no `}`");
}

#[test]
fn warnings_do_not_refuse() {
    warns(
        "resources: {r: {connections: {}}}",
        "resource `r` has no limit; no time to exhaustion can be given until a limit is seen",
    );
    warns("resources: {s: {connections: {limit: 9}}}", "no source names resource `s`");
    warns("resources: {s: {connections: {limit: 9}}}", "resource `r` is not declared");
    warns("receivers: {a: {pagerduty: {routing_key: '${KEY}'}}}", "no route leads to receiver `a`");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() {
    let text = "version: 1\nname: p\nlisten: 0.0.0.0:1\nsources:\n  db: {file: x, format: postgres_jsonlog, resource: r, reoder: 2s, reorder: 2 apples}\n  ev: {format: json, role: context}\nresources: {r: {connections: {limit: 0}}, r: {}}\nroutes: [{severity: page, to: nobody}]\ncolour: blue\n";
    let problems = load(text).unwrap_err();
    let starts: Vec<_> = problems
        .0
        .iter()
        .map(|problem| {
            let place = problem.place.unwrap();
            format!("{}:{} {}", place.line, place.column, problem.what.split(':').next().unwrap())
        })
        .collect();
    assert_eq!(starts[..2], ["3:9 address `0.0.0.0", "5:56 unknown key `reoder`"]);
    assert!(starts[2].starts_with("5:77 "), "{starts:?}");
    assert_eq!(
        starts[3..],
        [
            "6:3 source `ev`",
            "7:38 limit `0` must be at least 1; leave it out if it is not known",
            "7:43 key `r` stands twice",
            "8:31 there is no receiver `nobody`",
            "9:1 unknown key `colour`",
        ]
    );
}

#[test]
fn files_of_another_kind_are_recognised() {
    check("a: b: c", "this is not YAML");
    let said = |text: &str| blocks(&load(text).unwrap_err().0);
    assert!(said("").starts_with("the file is empty"), "{}", said(""));
    assert!(said("- a").contains("the file must be a map of keys"), "{}", said("- a"));
    assert!(said("version: 1").contains("key `name` is missing"), "{}", said("version: 1"));
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let said = || blocks(&Config::load(&path).unwrap_err().0);
    assert!(said().starts_with("cannot read the file: "));
    std::fs::write(&path, [0x1f, 0x8b, 0xff, 0x00]).unwrap();
    assert!(said().starts_with("the file is not text: byte 2"), "{}", said());
    std::fs::write(&path, vec![b'#'; 2 * 1024 * 1024 + 1]).unwrap();
    assert!(said().starts_with("the file is larger than 2 MiB"));
    let said = blocks(&Config::load(folder.path()).unwrap_err().0);
    assert!(said.contains("it is a folder"), "{said}");
}

#[test]
fn the_hash_knows_what_matters() {
    let hash = |text: &str| load(text).unwrap_or_else(|problems| panic!("{problems}")).0.hash();
    let base = hash(SOUND);
    assert_eq!(base.len(), 32);
    let lines: Vec<_> = SOUND.lines().rev().collect();
    assert_eq!(base, hash(&lines.join("\n")), "order of keys");
    assert_eq!(
        base,
        hash(&format!("{SOUND}response_time: 30m # the default\nlisten: 127.0.0.1:1\ndata: x\n"))
    );
    assert_ne!(base, hash(&format!("{SOUND}response_time: 31m\n")));
    let keyed = |key: &str| {
        hash(&format!("{SOUND}receivers: {{a: {{pagerduty: {{routing_key: '{key}'}}}}}}\n"))
    };
    assert_eq!(keyed("${KEY}"), keyed("${LIMIT}"), "the secret itself is not in it");
}

#[test]
fn a_source_can_be_read_from_elsewhere() {
    let (mut config, _) = load(SOUND).unwrap();
    let before = config.hash();
    config.override_source("db", vec!["a".into(), "b".into()]).unwrap();
    assert_eq!(config.sources["db"].file, ["a", "b"]);
    assert_ne!(config.hash(), before);
    let error = config.override_source("bd", Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the definition has no source `bd`: did you mean `db`?");
}

#[test]
fn a_replay_needs_no_secrets() {
    let text = format!("{SOUND}receivers: {{a: {{pagerduty: {{routing_key: '${{NONE}}'}}}}}}\n");
    assert!(load(&text).is_err());
    let replayed = Config::from_text(Path::new("p.yaml"), &text, Purpose::Replay, &|_| None);
    assert!(replayed.is_ok());
}

/// The YAML blocks of docs/config.md: a definition, then an expectation.
fn examples() -> Vec<&'static str> {
    let docs = include_str!("../../../../docs/config.md");
    docs.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_examples_of_the_documentation_are_sound() {
    let (config, warnings) =
        Config::from_text(Path::new("p.yaml"), examples()[0], Purpose::Replay, &variable)
            .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(blocks(&warnings), "");
    assert_eq!(config.name, "payments");
    let expected = crate::expected::Expected::from_text(Path::new("expected.yaml"), examples()[1]);
    assert_eq!(expected.unwrap_or_else(|problems| panic!("{problems}")).incidents.len(), 1);
}

#[test]
fn every_key_is_documented() {
    let docs = include_str!("../../../../docs/config.md");
    let problems = load(&format!("{SOUND}zzzz: 1")).unwrap_err();
    let known = problems.0[0].advice.strip_prefix("known here: ").expect("a list of keys");
    for key in known.split(", ") {
        assert!(docs.contains(&format!("| {key} |")), "{key}");
    }
}

#[test]
fn what_follows_from_a_fault_is_not_said_again() {
    let text = format!(
        "{SOUND}receivers: {{a: {{pagerdutty: {{}}}}}}\nroutes: [{{severity: page, to: b}}]\n"
    );
    let problems = load(&text).unwrap_err();
    let said: Vec<_> = problems.0.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(said, ["unknown value `pagerdutty`", "there is no receiver `b`"]);
    assert_eq!(problems.0[1].advice, "did you mean `a`?");
}

#[test]
fn the_caret_stands_below_the_value_that_is_meant() {
    let text = SOUND.replace("{limit: 9}", "{limit: 3, reserved: 3}");
    let problems = load(&text).unwrap_err();
    assert_eq!(problems.0[0].place, Some(Place { line: 4, column: 51, width: 1 }));
}
