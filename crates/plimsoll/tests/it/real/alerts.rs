//! The Prometheus rules, by Prometheus' own tool.

use std::path::Path;
use std::process::Command;

use crate::parts::{cached, process};

#[test]
fn the_rules_are_valid_and_speak_when_they_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    process::run("the install step", Command::new("bash").arg(root.join(".ci/parts/promtool")))
        .unwrap();
    let promtool = cached("bin").unwrap().join("promtool");
    let dashboards = root.join("dashboards");
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]] {
        let mut command = Command::new(&promtool);
        process::run("promtool", command.args(arguments).current_dir(&dashboards)).unwrap();
    }
}
