//! What stands in `deploy/`, as far as it can be checked without a container daemon and without
//! systemd as the first process. `.ci/unit` and `real::rules` hold it against the tools themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll::metric;
use serde_json::Value;

use super::cli::{Running, check, folder, program, said};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_pipeline_of_the_compose_file_is_sound() {
    let mut command = program(&root(), "check deploy/compose/pipeline.yaml");
    let output = command.env("CLICKHOUSE_PASSWORD", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stdout));
    check(&root(), "check deploy/compose/pipeline.yaml", 78, &["CLICKHOUSE_PASSWORD"]);
}

#[test]
fn the_compose_file_fits_its_pipeline() {
    let compose = yaml("deploy/compose/compose.yaml");
    let pipeline = yaml("deploy/compose/pipeline.yaml");
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for (other, wanted) in service["depends_on"].as_object().into_iter().flatten() {
            let needed = &services[other];
            match wanted["condition"].as_str() {
                Some("service_healthy") => {
                    assert!(needed["healthcheck"]["test"].is_array(), "{other}")
                }
                Some("service_completed_successfully") => {
                    assert_eq!(needed["restart"], "no", "{other}")
                }
                other => panic!("{name} waits for {other:?}"),
            }
        }
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is open to others: {port}");
        }
        let lasting = service["restart"] != "no";
        assert!(
            !lasting || service["healthcheck"]["test"].is_array(),
            "{name} has no health check"
        );
        for volume in strings(&service["volumes"]) {
            let (from, _) = volume.split_once(':').unwrap();
            let is_there = match from.strip_prefix("./") {
                Some(file) => root().join("deploy/compose").join(file).is_file(),
                None => compose["volumes"].as_object().unwrap().contains_key(from),
            };
            assert!(is_there, "{name}: {volume}");
        }
    }
    let published = |service: &str| {
        strings(&services[service]["ports"])[0].rsplit_once(':').unwrap().0.to_owned()
    };
    assert_eq!(pipeline["kafka"]["brokers"], published("kafka").as_str());
    assert_eq!(
        pipeline["clickhouse"]["url"],
        format!("http://{}", published("clickhouse")).as_str()
    );
    assert_eq!(
        pipeline["clickhouse"]["user"],
        services["clickhouse"]["environment"]["CLICKHOUSE_USER"]
    );
    let creates = services["topics"]["command"][0].as_str().unwrap();
    for source in pipeline["sources"].as_object().unwrap().values() {
        let topic = source["kafka"].as_str().unwrap();
        assert!(creates.split([' ', ';']).any(|word| word == topic), "{topic} is not created");
    }
}

#[test]
fn the_image_is_built_of_what_is_there_and_runs_as_nobody_special() {
    let file = text("deploy/container/Containerfile");
    let ignored = text(".dockerignore");
    for line in file.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let from = line.split(' ').nth(1).unwrap();
        assert!(root().join(from).exists(), "{line}");
        let top = from.split('/').next().unwrap();
        assert!(top == "." || ignored.contains(&format!("!{top}\n")), "{line} is left out");
    }
    // What building needs is said once for machines and once for the image.
    let install = text(".ci/install");
    let build = install.lines().find_map(|line| line.strip_prefix("build=(")).unwrap();
    let packages = build.trim_end_matches(')');
    assert!(file.contains(&format!("--no-install-recommends {packages} ")), "{packages}");
    let last = file.rsplit("\nFROM ").next().unwrap();
    assert!(last.contains("\nUSER 10001:10001\n") && last.contains("\nHEALTHCHECK "), "{last}");
    let toolchain = text("Cargo.toml");
    let version = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(file.contains(&format!("rust:{}-", version.trim_matches('"'))), "{version}");
}

#[test]
fn the_images_health_check_knows_whether_the_program_lives() {
    let definition = "version: 1\nname: p\nlisten: 127.0.0.1:0\nsources: {db: {file: db.jsonl, format: postgres_jsonlog, resource: r}}\n";
    let folder = folder(&[("p.yaml", definition), ("db.jsonl", "")]);
    let mut running = Running::start(folder.path());
    let healthy = |address: &str| {
        let script = root().join("deploy/container/healthy");
        Command::new("bash").arg(script).arg(address).output().unwrap().status.success()
    };
    let address = running.address.clone();
    assert!(healthy(&address));
    assert_eq!(running.stop().0, Some(0));
    assert!(!healthy(&address));
}

#[test]
fn the_unit_waits_for_ready_is_watched_and_checks_first() {
    let unit = text("deploy/systemd/plimsoll@.service");
    for line in [
        "Type=notify",
        "WatchdogSec=90",
        "ExecStartPre=/usr/bin/plimsoll check /etc/plimsoll/%i.yaml",
        "ExecStart=/usr/bin/plimsoll run -c /etc/plimsoll/%i.yaml",
        "RestartPreventExitStatus=2 78",
        "DynamicUser=yes",
    ] {
        assert!(unit.lines().any(|other| other == line), "{line}");
    }
}

/// As the unit says it: the directory comes from systemd, the secret from its credentials.
#[test]
fn a_definition_for_the_unit_takes_what_systemd_gives() {
    let definition = "version: 1\nname: p\ndata: \"${STATE_DIRECTORY}\"\nsources: {db: {file: db.jsonl, format: postgres_jsonlog, resource: r}}\nreceivers: {oncall: {pagerduty: {routing_key: '${file:credentials/secret_pagerduty}'}}}\nroutes: [{severity: page, to: oncall}]\nresources: {r: {connections: {limit: 9}}}\n";
    let folder = folder(&[("p.yaml", definition), ("db.jsonl", "")]);
    fs::create_dir(folder.path().join("credentials")).unwrap();
    fs::write(
        folder.path().join("credentials/secret_pagerduty"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    let mut command = program(folder.path(), "check p.yaml");
    let output = command.env("STATE_DIRECTORY", "/var/lib/plimsoll/p").output().unwrap();
    assert_eq!(said(&output.stdout), "p.yaml: ok\n");
    check(folder.path(), "check p.yaml", 78, &["STATE_DIRECTORY"]);
}

#[test]
fn alerts_name_metrics_that_there_are() {
    let rules = text("deploy/prometheus/plimsoll.rules.yaml");
    let words =
        rules.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let mut named = 0;
    for word in words.filter(|word| word.starts_with("plimsoll_")) {
        let name = word.trim_end_matches("_bucket");
        assert!(metric::ALL.iter().any(|metric| metric.name == name), "{word}");
        named += 1;
    }
    assert!(named > 15, "{named}");
}
