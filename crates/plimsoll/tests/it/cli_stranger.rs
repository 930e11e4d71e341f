//! What somebody meets who has never seen the program: each test is a thing that went wrong once.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};

use crate::cli::{check, exhausted, folder, program, said};

const ON_KAFKA: &str = "version: 1\nname: p\nkafka: {brokers: 'b:1'}\nsources: {db: {kafka: pg, format: postgres_jsonlog, resource: r}}\nresources: {r: {connections: {limit: 3}}}\n";
const ON_FILE: &str = "version: 1\nname: p\nsources: {db: {file: db.jsonl, format: postgres_jsonlog, resource: r}}\nresources: {r: {connections: {limit: 3}}}\n";

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let folder = folder(&[("p.yaml", ON_FILE), ("db.jsonl", "")]);
    for line in ["check --schema", "version", "check p.yaml", "scan db.jsonl", "--help"] {
        let mut command = program(folder.path(), line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), said(&output.stderr)),
            (Some(0), String::new()),
            "{line}"
        );
    }
    // Nobody reads the error either.
    let mut command = program(folder.path(), "replay gone");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(69));
}

#[test]
fn history_without_a_file_is_asked_for() {
    let file = "\nsources: {a: {file: a.jsonl, format: json, role: context}, ";
    let both = ON_KAFKA.replace("\nsources: {", file);
    let folder = folder(&[
        ("pipeline.yaml", ON_KAFKA),
        ("both.yaml", &both),
        ("a.jsonl", ""),
        ("expected.yaml", "version: 1\nincidents: []\n"),
    ]);
    let path = folder.path();
    check(path, "replay .", 2, &["source `db` reads topic pg", "--source db=FILE"]);
    check(path, "test .", 2, &["--source db=FILE"]);
    check(path, "demo --once .", 2, &["--source db=FILE"]);
    check(path, "replay -c both.yaml", 0, &["`db` reads from Kafka and is left out"]);
    check(path, "replay -c pipeline.yaml --source db=a.jsonl", 0, &[]);
}

#[test]
fn the_documented_keys_are_those_that_replay_prints() {
    let folder = folder(&[("p.yaml", ON_FILE), ("db.jsonl", &exhausted().join("\n"))]);
    let output = check(folder.path(), "replay -c p.yaml", 0, &[]);
    let first = said(&output.stdout).lines().next().unwrap().to_owned();
    let docs = include_str!("../../../../docs/incidents.md");
    let table = docs.split("## Kinds").next().unwrap();
    let keys: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    // In the order in which they are printed, which is that of the text.
    let mut rest = first.as_str();
    for key in &keys {
        let at = rest.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("`{key}` in {rest}"));
        rest = &rest[at + 1..];
    }
    let printed: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(printed.as_object().unwrap().len(), keys.len());
}

#[test]
fn a_cause_is_said_once_with_what_to_do() {
    let folder = folder(&[("p.yaml", ON_FILE)]);
    let once = |line: &str, code: i32, words: &[&str], cause: &str| {
        let text = said(&check(folder.path(), line, code, words).stderr);
        assert_eq!(text.matches(cause).count(), 1, "{text}");
    };
    once("replay gone", 69, &["name a folder"], "No such file");
    once("test gone", 69, &["name a folder"], "No such file");
    once("replay -c p.yaml", 69, &["source `db`", "check the path"], "No such file");
    once("scan gone.log", 69, &["check the path"], "No such file");
    once("scan .", 69, &["it is a folder; name a file in it"], "`.`");
    once("replay p.yaml", 69, &["`plimsoll replay -c p.yaml` takes"], "is a file");
    once("replay -c gone.yaml", 78, &["plimsoll: gone.yaml: cannot read"], "No such file");
    fs::write(folder.path().join("file"), "").unwrap();
    fs::write(folder.path().join("d.yaml"), format!("{ON_FILE}data: file/x\n")).unwrap();
    once("run -c d.yaml", 69, &["this user may write it"], "Not a directory");
}

#[test]
fn a_variable_is_of_one_command_and_is_named() {
    let folder = folder(&[("db.jsonl", "")]);
    let with = |name: &str, value: &str| {
        let output = program(folder.path(), "scan db.jsonl").env(name, value).output().unwrap();
        (output.status.code(), said(&output.stderr))
    };
    assert_eq!(with("PLIMSOLL_SQL_FORMAT", "csv"), (Some(0), String::new()));
    assert_eq!(with("PLIMSOLL_VERBOSE", "false"), (Some(0), String::new()));
    for (name, value) in [("PLIMSOLL_SCAN_FORMAT", "csv"), ("PLIMSOLL_VERBOSE", "loud")] {
        let (code, text) = with(name, value);
        assert_eq!(code, Some(2));
        assert!(text.contains(&format!("environment: {name}")), "{text}");
    }
}

#[test]
fn a_wrong_command_line_is_met_with_the_usage_of_its_command() {
    let folder = folder(&[("p.yaml", ON_FILE)]);
    let path = folder.path();
    check(path, "replay -c p.yaml x", 2, &["Usage: plimsoll replay"]);
    check(path, "sql -c p.yaml -f x select", 2, &["Usage: plimsoll sql"]);
    check(path, "scan p.yaml --limit -3", 2, &["invalid value '-3'", "200, orders-db=200"]);
    check(path, "check -c p.yaml", 0, &["p.yaml: ok"]);
    check(path, "clickhouse migrate -c p.yaml", 78, &["no `clickhouse` section", "url"]);
}

#[test]
fn bytes_are_no_limit_of_what_is_counted() {
    let folder = folder(&[("db.jsonl", &exhausted().join("\n"))]);
    check(folder.path(), "scan db.jsonl --limit 10GB", 2, &["has connections, which are counted"]);
    let wrong = ON_FILE.replace("limit: 3", "limit: 2GiB");
    fs::write(folder.path().join("p.yaml"), wrong).unwrap();
    check(folder.path(), "check p.yaml", 78, &["p.yaml:4:", "`connections` are counted"]);
}

#[test]
fn a_check_looks_for_the_files() {
    let several = ON_FILE.replace("file: db.jsonl", "file: [there.jsonl, db.jsonl]");
    let folder = folder(&[("p.yaml", ON_FILE), ("q.yaml", &several), ("there.jsonl", "")]);
    check(folder.path(), "check p.yaml", 0, &["p.yaml:3:", "there is no file `db.jsonl`"]);
    check(folder.path(), "check q.yaml", 0, &["2 warnings", "there is no file `db.jsonl`"]);
    fs::create_dir(folder.path().join("db.jsonl")).unwrap();
    check(folder.path(), "check p.yaml", 78, &["p.yaml:3:", "file `db.jsonl` is a folder"]);
}

#[test]
fn problems_of_a_definition_say_what_to_do() {
    let map = "map: {time: ts, value: {used: a}, unit: {memory: MiB}}";
    let definition = ON_FILE.replace(
        "format: postgres_jsonlog",
        &format!("format: json, timezone: Europe/Berln, {map}"),
    ) + "correct_within: -5m\n";
    let folder = folder(&[("p.yaml", &definition)]);
    let words = ["did you mean `Europe/Berlin`?", "it has `used`", "duration `-5m` is negative"];
    check(folder.path(), "check p.yaml", 78, &words);
}

/// One request of a gateway with one server of two slots: when it began in seconds, how long it
/// waited and was held in milliseconds, and what the server and the queue had beside it.
fn request(began: u32, waited: u32, held: u32, in_use: u32, queued: u32) -> String {
    let backend = in_use + queued;
    let total = waited + held;
    format!(
        "10.0.0.1:20274 [01/Jun/2026:08:{:02}:{:02}.000] edge app/s1 0/{waited}/0/{held}/{total} 200 512 - - ---- {backend}/{backend}/{backend}/{in_use}/0 0/{queued} {{t1|r{began}}} \"GET / HTTP/1.1\"\n",
        began / 60,
        began % 60,
    )
}

#[test]
fn the_queue_of_a_gateway_is_not_taken_for_held_slots() {
    let lines: String = (0..120).map(|at| request(at, 500, 400, 1, 9)).collect();
    let folder = folder(&[("edge.log", &lines)]);
    let words = ["captured headers such as `{t1|r0}`", "--haproxy"];
    let output = check(folder.path(), "scan edge.log --limit 2 --format json", 0, &words);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["files"][0]["source"]["haproxy"]["slots"], "server");
    let given = |yaml: &str, code: i32, words: &[&str]| {
        let output = program(folder.path(), "scan edge.log --haproxy").arg(yaml).output().unwrap();
        let text = said(&output.stdout) + &said(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert!(!text.contains("captured headers"), "{text}");
    };
    given("{holder: {tenant: request.0}, slots: server}", 0, &["no finding"]);
    given("{holdr: {}}", 2, &["did you mean `holder`?"]);
}

#[test]
fn who_holds_is_read_or_asked_for() {
    let line = |at: u32, who: &str| {
        format!(
            "{{\"ts\":{},\"what\":\"start\",\"{who}\":\"t1\",\"id\":\"r{at}\"}}\n",
            1_780_300_800 + at
        )
    };
    let folder = folder(&[
        ("who.jsonl", &(0..9).map(|at| line(at, "who")).collect::<String>()),
        ("guy.jsonl", &(0..9).map(|at| line(at, "guy")).collect::<String>()),
    ]);
    check(folder.path(), "scan who.jsonl", 0, &["holder: {tenant: who}", "known of `calls`"]);
    let words = ["nobody can be named", "fields that are left: guy", "holder: {tenant: guy}}'"];
    check(folder.path(), "scan guy.jsonl", 0, &words);
    let words = ["has the field `nothere`", "there are: guy, id"];
    let mut command = program(folder.path(), "scan guy.jsonl --map");
    let output = command.arg("{time: ts, value: {used: nothere}}").output().unwrap();
    let text = said(&output.stdout);
    assert_eq!(output.status.code(), Some(69), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_cut_file_limits_what_no_finding_means() {
    let mut text = exhausted()[..3].join("\n");
    text.push_str("\n{\"timestamp\": \"2026-03-03 14:0");
    let folder = folder(&[("db.json", &text)]);
    let words =
        ["it ends in the middle", "no finding up to 2026-03-03T14:00:02Z, where db.json is cut"];
    check(folder.path(), "scan db.json --limit 30", 0, &words);
}

#[test]
fn other_files_are_named_with_what_to_do() {
    let folder =
        folder(&[("t.csv", "ts,used\n1,2\n2,3\n"), ("t.xml", "<?xml version='1.0'?>\n<a/>\n")]);
    let path = folder.path();
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("ab\n".bytes().flat_map(|it| [it, 0])).collect();
    fs::write(path.join("wide.log"), wide).unwrap();
    let mut tar = vec![0; 512];
    tar[..5].copy_from_slice(b"a.log");
    tar[257..262].copy_from_slice(b"ustar");
    fs::write(path.join("a.tar"), [&tar[..], b"once upon a time\n"].concat()).unwrap();
    check(path, "scan t.csv", 69, &["looks like CSV", "csv.DictReader"]);
    check(path, "scan t.xml", 69, &["it is XML"]);
    check(path, "scan wide.log", 69, &["iconv -f UTF-16"]);
    check(path, "scan a.tar", 69, &["tar -xOf"]);
}

#[test]
fn the_version_says_what_was_built() {
    let folder = folder(&[]);
    let text = said(&check(folder.path(), "version", 0, &["plimsoll ", "\nbuild: "]).stdout);
    let commit = text.lines().nth(1).unwrap().strip_prefix("commit: ").unwrap();
    assert!(commit == "unknown" || commit.len() >= 7, "{text}");
}

#[test]
fn no_help_is_wider_than_it_must_be() {
    let folder = folder(&[]);
    for command in ["", "demo", "scan", "run", "replay", "test", "check", "sql", "completions"] {
        let text = said(&check(folder.path(), &format!("{command} --help"), 0, &[]).stdout);
        for line in text.lines() {
            // An example is copied, so a terminal of 80 columns must not break it.
            let max = if line.starts_with("  plimsoll ") { 80 } else { 100 };
            assert!(line.chars().count() <= max, "{command}: {line}");
        }
    }
}

#[test]
fn sentences_fit_a_terminal_and_stay_whole_in_a_pipe() {
    const COLUMNS: u16 = 60;
    let folder = folder(&[("db.jsonl", &exhausted().join("\n"))]);
    let line = "scan db.jsonl --limit 3";
    let piped = said(&check(folder.path(), line, 1, &[]).stdout);
    assert!(piped.lines().any(|line| line.chars().count() > usize::from(COLUMNS)), "{piped}");

    let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let mut command = program(folder.path(), line);
    let mut child = command.stdout(terminal.slave).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let (mut shown, mut bytes) = (Vec::new(), [0; 4096]);
    let mut master = File::from(terminal.master);
    // The terminal is gone with the child, which is an error on this side.
    while let Ok(length @ 1..) = master.read(&mut bytes) {
        shown.extend_from_slice(&bytes[..length]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let shown = said(&shown);
    for line in shown.lines() {
        assert!(line.trim_end().chars().count() <= usize::from(COLUMNS), "{line}");
    }
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&shown), words(&piped));
}
