//! The alert rules of `deploy/prometheus`, by Prometheus' own tool.

use std::path::Path;
use std::process::Command;

use super::super::parts::cached;

#[test]
fn alerts_are_sound_and_fire_when_they_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let install = Command::new("bash").arg(root.join(".ci/parts/promtool")).status().unwrap();
    assert!(install.success(), "promtool is missing");
    let promtool = cached("bin").unwrap().join("promtool");
    for arguments in
        [["check", "rules", "plimsoll.rules.yaml"], ["test", "rules", "plimsoll.rules.test.yaml"]]
    {
        let mut command = Command::new(&promtool);
        let output =
            command.args(arguments).current_dir(root.join("deploy/prometheus")).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("SUCCESS"), "{arguments:?}:\n{said}");
    }
}
