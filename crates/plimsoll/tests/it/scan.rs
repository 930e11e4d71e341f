//! `plimsoll scan`: files as a person has them, without a definition.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::cli::{check, exhausted, folder, line, program, said};

/// What a scan prints as JSON; it must end with `code`.
#[track_caller]
fn scanned(folder: &Path, line: &str, code: i32) -> Value {
    let output = check(folder, &format!("scan --format json {line}"), code, &[]);
    assert_eq!(said(&output.stderr), "", "no progress and no warnings where no terminal is");
    serde_json::from_str(&said(&output.stdout)).unwrap()
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/db-saturation")
}

/// `story.md` tells who it was; the time of the first refusal is the server's own line.
#[test]
fn a_recorded_day_is_told_without_a_definition() {
    let scan =
        "scan postgres.jsonl.zst deploys.jsonl --limit 200 --reserved 3 --resource orders-db";
    let words = [
        "postgres.jsonl.zst: PostgreSQL's jsonlog (100 %",
        "60270 lines read",
        "deploys.jsonl: context events (100 %",
        "1 finding\n",
        "PAGE 2026-03-04T15:",
        "issuer (release 2.14, rolled out 14:58:06)",
        "the first refusal came at 2026-03-04T16:05:34Z",
    ];
    let output = check(&recorded(), scan, 1, &words);
    let replayed = check(&recorded(), "replay . -o table", 0, &[]);
    let told = |bytes: &[u8]| {
        let text = said(bytes);
        text[text.find("  PAGE").unwrap()..].to_owned()
    };
    assert_eq!(told(&output.stdout), told(&replayed.stdout), "as `replay` says it");
}

#[test]
fn a_finding_is_exit_code_1_and_no_finding_is_0() {
    let quiet: String = exhausted()[..3].join("\n");
    let folder = folder(&[("full.json", &exhausted().join("\n")), ("quiet.json", &quiet)]);
    check(folder.path(), "scan full.json --limit 3", 1, &["1 finding\n", "refuse"]);
    let words = ["3 lines read: 3 used", "no limit is known of `postgresql`", "\nno finding\n"];
    check(folder.path(), "scan quiet.json", 0, &words);
    let found = scanned(folder.path(), "full.json --limit 3", 1);
    assert_eq!(found["findings"][0]["kind"], "refusal_at_limit");
    assert_eq!(found["findings"][0]["resource"], "postgresql");
    // 190 refusals in the seconds 10 to 199.
    assert_eq!(found["findings"][0]["first_refusal_at"], "2026-03-03T14:00:10.000000Z");
    let file = &found["files"][0];
    assert_eq!((&file["lines"], &file["rejected"]), (&193.into(), &0.into()));
    assert_eq!(file["confidence"], 1.0);
    let quiet = scanned(folder.path(), "quiet.json", 0);
    assert_eq!(quiet["findings"], serde_json::json!([]));
}

#[test]
fn a_log_in_two_files_says_what_it_says_in_one() {
    let lines = exhausted();
    let half = |odd: usize| {
        let lines = lines.iter().enumerate().filter(|(at, _)| at % 2 == odd);
        lines.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let files = [("one.json", &*lines.join("\n")), ("a.json", &half(0)), ("b.json", &half(1))];
    let folder = folder(&files);
    let one = scanned(folder.path(), "one.json --limit 3", 1);
    let two = scanned(folder.path(), "a.json b.json --limit 3", 1);
    assert_eq!(two["findings"], one["findings"]);
}

#[test]
fn standard_input_and_compressed_files_are_read_like_files() {
    let folder = folder(&[("db.json", &exhausted().join("\n"))]);
    let plain = scanned(folder.path(), "db.json --limit 3", 1);
    Command::new("gzip").arg("-k").arg(folder.path().join("db.json")).status().unwrap();
    let gzip = scanned(folder.path(), "db.json.gz --limit 3", 1);
    let mut command = program(folder.path(), "scan --format json - --limit 3");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = exhausted().join("\n");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stdin: Value = serde_json::from_slice(&output.stdout).unwrap();
    for other in [gzip, stdin] {
        assert_eq!(other["findings"], plain["findings"]);
        assert_eq!(other["files"][0]["lines"], 193);
    }
}

/// A pool of 100 that two pods share: 20 each for two hours, then one of them takes one more
/// every half minute.
fn pool() -> String {
    let mut text = String::new();
    for at in (0..10_200).step_by(10) {
        let leaked = (at - 7_200_i64).max(0) / 30;
        for (pod, used) in [("a-1", 20), ("a-2", (20 + leaked).min(80))] {
            let time = 1_795_370_400 + at;
            let _ = writeln!(
                text,
                r#"{{"ts":{time},"pod":"{pod}","pool":"orders","active":{used},"max":100}}"#
            );
        }
    }
    text
}

#[test]
fn obvious_fields_of_json_lines_are_found_and_said() {
    let folder = folder(&[("pool.jsonl", &pool())]);
    let map = "holder: {service.instance.id: pod}, resource: pool, time: ts, value: {limit: max, used: active}";
    check(
        folder.path(),
        "scan pool.jsonl",
        1,
        &["JSON lines (100 %", map, "a-2", "orders", "PAGE"],
    );
    let found = scanned(folder.path(), "pool.jsonl", 1);
    assert_eq!(found["findings"][0]["owner"]["service.instance.id"], "a-2");
    assert_eq!(found["findings"][0]["usable"], 100, "the limit is the record's own");
}

#[test]
fn a_given_map_is_used_instead_of_a_guess() {
    let unusual = pool().replace("\"active\"", "\"level\"").replace("\"pod\"", "\"box\"");
    let folder = folder(&[("pool.jsonl", &unusual)]);
    let words = ["not judged", "`ts` is the time", "time: ts", "value: {used: FIELD}", "level"];
    check(folder.path(), "scan pool.jsonl", 69, &words);
    let mut command = program(folder.path(), "scan pool.jsonl --map");
    let map = "{time: ts, holder: {service.instance.id: box}, value: {used: level, limit: max}}";
    let output = command.arg(map).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output.stderr));
    assert!(said(&output.stdout).contains("a-2"), "{}", said(&output.stdout));
    let output =
        program(folder.path(), "scan pool.jsonl --map").arg("{tmie: ts}").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output.stderr).contains("did you mean `time`?"), "{}", said(&output.stderr));
}

#[test]
fn what_is_no_log_is_a_sentence_and_not_a_finding() {
    let folder = folder(&[("empty", ""), ("prose.txt", "once upon a time\nthere was a pool\n")]);
    let path = folder.path();
    fs::write(path.join("db.png"), b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00").unwrap();
    fs::write(path.join("noise"), [0xff, 0x00, 0x8a, 0x0a].repeat(50)).unwrap();
    check(path, "scan empty", 0, &["empty: nothing stands in it", "no finding"]);
    check(path, "scan db.png", 69, &["db.png: not a log that Plimsoll reads: it is a picture"]);
    check(path, "scan noise", 69, &["are not text (UTF-8)", "nothing could be judged"]);
    check(path, "scan prose.txt", 69, &["none of the formats", "docs/formats.md"]);
    let plain = "2026-11-22 18:14:09.016 UTC [61] LOG:  connection received: host=10.0.0.7\n";
    fs::write(path.join("plain.log"), plain).unwrap();
    check(path, "scan plain.log", 69, &["log_destination = 'jsonlog'"]);
    fs::write(path.join("list.json"), "[{\"ts\": 1},\n{\"ts\": 2}]\n").unwrap();
    check(path, "scan list.json", 69, &["jq -c"]);
    check(path, "scan gone.json", 69, &["cannot open `gone.json`"]);
    check(path, "scan .", 69, &["cannot open `.`"]);
    fs::write(path.join("db.json"), exhausted().join("\n")).unwrap();
    check(path, "scan db.png db.json --limit 3", 1, &["it is a picture", "1 finding\n"]);
}

#[test]
fn bad_lines_are_counted_by_reason_and_shown() {
    let mut text = exhausted().join("\n");
    text.insert_str(0, "what is this\n");
    text.push_str("\n{\"timestamp\": \"2026-03-03 14:0");
    let folder = folder(&[("db.json", &text)]);
    let words = [
        "195 lines read: 193 used",
        "2 rejected (malformed 1, truncated 1)",
        "rejected at byte 0: not JSON",
        "what is this",
        "1 finding\n",
    ];
    check(folder.path(), "scan db.json --limit 3", 1, &words);
}

#[test]
fn a_file_of_two_formats_says_that_it_is_one() {
    let mut text = String::new();
    for at in 0..30 {
        let _ = writeln!(text, "{}", line(at, at, "connection received: host=10.0.0.7"));
        let _ = writeln!(text, "{{\"ts\": {at}, \"level\": \"info\"}}\n10.0.0.7 - GET /");
    }
    let folder = folder(&[("mixed.log", &text)]);
    let words =
        ["PostgreSQL's jsonlog (33 %: 30 of 90", "60 rejected", "several formats in one file"];
    check(folder.path(), "scan mixed.log", 0, &words);
}

#[test]
fn a_zone_that_only_the_server_knows_is_asked_for() {
    let text = exhausted().join("\n").replace(" UTC\"", " CET\"");
    let folder = folder(&[("db.json", &text)]);
    check(folder.path(), "scan db.json --limit 3", 0, &["zone `CET`", "--timezone Europe/Berlin"]);
    let found = scanned(folder.path(), "db.json --limit 3 --timezone Europe/Berlin", 1);
    // Fourteen o'clock in Berlin is thirteen o'clock in UTC in March.
    assert_eq!(found["files"][0]["first_time"], "2026-03-03T13:00:00.000000Z");
    let local = "{\"time\":\"2026-11-22 18:00:00\",\"used\":1}\n";
    fs::write(folder.path().join("local.jsonl"), local).unwrap();
    check(folder.path(), "scan local.jsonl", 0, &["do not say their zone and were read as UTC"]);
}

#[test]
fn a_wrong_command_line_says_what_would_be_right() {
    let folder = folder(&[("db.json", &exhausted().join("\n"))]);
    let refuses = |line: &str, words: &[&str]| {
        check(folder.path(), line, 2, words);
    };
    refuses("scan", &["<FILE>"]);
    refuses("scan db.json --limit many", &["200, orders-db=200"]);
    refuses(
        "scan db.json --limit orders=200",
        &["no file is about a resource `orders`", "`postgresql`"],
    );
    refuses(
        "scan db.json --limit 3 --reserved 3",
        &["reserved `3` must be less than the limit (3)"],
    );
    refuses("scan db.json --timezone Mars", &["timezone `Mars`", "Europe/Berlin"]);
    refuses("scan db.json db.json", &["`db.json` stands twice"]);
    refuses("scan db.json --format yaml", &["text, json"]);
}
