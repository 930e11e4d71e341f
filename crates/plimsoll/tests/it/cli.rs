//! The program as a person meets it: exit codes, sentences, and what it survives.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A definition whose input is `db.jsonl`.
const SOUND: &str = "version: 1\nname: p\nsources: {db: {file: db.jsonl, format: postgres_jsonlog, resource: r}}\nresources: {r: {connections: {limit: 3}}}\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// The program in `folder`, without the settings of whoever runs the tests.
pub(super) fn program(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PLIMSOLL_")) {
        command.env_remove(name);
    }
    command.args(line.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

pub(super) fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs `line`; its exit code must be `code`, and what it says on both outputs hold `words`.
#[track_caller]
fn check(folder: &Path, line: &str, code: i32, words: &[&str]) -> Output {
    let output = program(folder, line).output().unwrap();
    let text = said(&output.stdout) + &said(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    output
}

#[track_caller]
fn refuses(definition: &str, words: &[&str]) {
    let folder = folder(&[("p.yaml", definition)]);
    check(folder.path(), "check p.yaml", 78, words);
    check(folder.path(), "run -c p.yaml", 78, words);
}

#[test]
fn a_wrong_definition_says_what_where_and_what_to_do() {
    refuses(
        &SOUND.replace("postgres_jsonlog", "postgres_jsonlg"),
        &["p.yaml:3:", "postgres_jsonlg", "`postgres_jsonlog`"],
    );
    refuses(
        &format!("{SOUND}reciever: {{}}\n"),
        &["p.yaml:5:1", "`reciever`", "did you mean `receivers`?"],
    );
    refuses(&SOUND.replace("limit: 3", "limit: 0"), &["p.yaml:4:", "limit", "at least 1"]);
    let inline = format!("{SOUND}clickhouse: {{url: 'http://127.0.0.1:1', password: hunter2}}\n");
    refuses(&inline, &["p.yaml:5:", "password", "${"]);
    let output = check(folder(&[("p.yaml", &inline)]).path(), "check p.yaml", 78, &[]);
    let text = said(&output.stdout) + &said(&output.stderr);
    assert!(!text.contains("hunter2"), "a secret is never repeated:\n{text}");
}

#[test]
fn input_that_is_missing_or_unknown_is_named() {
    let folder = folder(&[("p.yaml", SOUND)]);
    let folder = folder.path();
    check(folder, "replay -c p.yaml", 69, &["`db`", "db.jsonl", "No such file"]);
    check(folder, "replay -c p.yaml --source db=gone.jsonl", 69, &["`gone.jsonl`"]);
    check(folder, "replay -c p.yaml --source bd=x", 78, &["no source `bd`", "did you mean `db`?"]);
    check(folder, "replay -c gone.yaml", 78, &["gone.yaml"]);
    check(folder, "replay gone", 69, &["`gone`", "pipeline.yaml"]);
    check(folder, "replay .", 69, &["`.` holds no pipeline.yaml"]);
    check(folder, "replay", 2, &["--config", "FOLDER"]);
}

#[test]
fn a_folder_that_expects_nothing_is_no_test() {
    let folder = folder(&[("pipeline.yaml", SOUND), ("db.jsonl", "")]);
    check(folder.path(), "test .", 69, &["has no expected.yaml", "plimsoll replay"]);
    check(folder.path(), "replay . --output table", 0, &["nothing would have been said"]);
    fs::write(folder.path().join("expected.yaml"), "version: 1\nincidents: []\n").unwrap();
    check(folder.path(), "test .", 0, &["ok"]);
}

#[test]
fn a_definition_in_the_environment_does_not_forbid_folders() {
    let folder = folder(&[("pipeline.yaml", SOUND), ("db.jsonl", "")]);
    let mut command = program(folder.path(), "replay . -o table");
    let output = command.env("PLIMSOLL_CONFIG", "/gone.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    check(folder.path(), "replay -c pipeline.yaml .", 2, &["cannot be used with"]);
}

#[test]
fn warnings_of_short_commands_are_text() {
    let definition = SOUND.replace("{limit: 3}", "{}");
    let folder = folder(&[("p.yaml", &definition), ("db.jsonl", "")]);
    let output = check(folder.path(), "replay -c p.yaml", 0, &["resource `r` has no limit"]);
    let stderr = said(&output.stderr);
    assert!(!stderr.contains('{') && !stderr.contains('\x1b'), "{stderr}");
    let output = check(folder.path(), "replay -c p.yaml --log-format json", 0, &[]);
    for line in said(&output.stderr).lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

/// One line of PostgreSQL's log at `second` of the test's day.
fn line(second: i64, session: i64, message: &str) -> String {
    let time = format!("2026-03-03 14:{:02}:{:02}.000 UTC", second / 60, second % 60);
    let code = if message.starts_with("sorry") || message.starts_with("remaining") {
        "53300"
    } else {
        "00000"
    };
    serde_json::json!({"timestamp": time, "pid": session, "session_id": format!("69a6e{session:03x}.{session:x}"),
        "line_num": 2, "session_start": time, "user": "u", "dbname": "d", "error_severity": if code == "00000" { "LOG" } else { "FATAL" },
        "state_code": code, "message": message, "backend_type": "client backend"})
    .to_string()
}

/// Three sessions take the three connections, and then everybody is refused.
fn exhausted() -> Vec<String> {
    let mut lines = Vec::new();
    for session in 0..3 {
        let authorized = "connection authorized: user=u database=d application_name=issuer";
        lines.push(line(session, session, authorized));
    }
    lines.extend((10..200).map(|at| line(at, at, "sorry, too many clients already")));
    lines
}

#[test]
fn garbage_does_not_stop_the_page() {
    let folder = folder(&[("p.yaml", SOUND)]);
    let input = folder.path().join("db.jsonl");
    fs::write(&input, exhausted().join("\n") + "\n").unwrap();
    let clean =
        check(folder.path(), "replay -c p.yaml -o json", 0, &["\"opened\"", "refusal_at_limit"]);

    let mut file = fs::File::create(&input).unwrap();
    let garbage: [Vec<u8>; 8] = [
        b"{\"timestamp\": \"\xff\xfe\"}".to_vec(),
        b"{\"time\0stamp\": 1}".to_vec(),
        vec![b'x'; 64 << 20],
        [vec![b'['; 100_000], vec![b']'; 100_000]].concat(),
        line(20, 900, "connection received").replace("2026-03-03", "1970-01-01").into_bytes(),
        line(20, 901, "connection received").replace("2026-03-03", "2999-01-01").into_bytes(),
        b"".to_vec(),
        b"not json at all".to_vec(),
    ];
    for (at, good) in exhausted().iter().enumerate() {
        if let Some(bad) = at.checked_sub(20).and_then(|at| garbage.get(at)) {
            file.write_all(bad).unwrap();
            file.write_all(b"\n").unwrap();
        }
        writeln!(file, "{good}").unwrap();
    }
    file.write_all(&line(200, 902, "torn").as_bytes()[..40]).unwrap();
    drop(file);
    let dirty = check(folder.path(), "replay -c p.yaml -o json", 0, &[]);
    assert_eq!(opened(&dirty), opened(&clean));
    // 193 good lines, 8 bad ones of which the blank one means nothing, and the torn one.
    let counts = "202 records, 8 rejected (encoding 2, malformed 1, too_long 1, too_deep 1, implausible_time 2, truncated 1)";
    check(folder.path(), "replay -c p.yaml -o table", 0, &["PAGE", counts]);
}

/// Incident, kind and time of what was opened.
fn opened(output: &Output) -> Vec<String> {
    let lines = said(&output.stdout);
    let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let opened = values.filter(|value| value["change"] == "opened");
    opened
        .map(|value| {
            format!("{} {} {}", value["incident"], value["finding"]["kind"], value["as_of"])
        })
        .collect()
}

#[test]
fn what_is_no_log_says_so() {
    let folder = folder(&[("p.yaml", SOUND), ("empty", "")]);
    let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00";
    fs::write(folder.path().join("db.png"), png).unwrap();
    let path = folder.path();
    check(
        path,
        "replay -c p.yaml --source db=db.png",
        0,
        &["source `db`", "none of", "could be used"],
    );
    check(path, "replay -c p.yaml --source db=empty", 0, &["source `db`", "no records"]);
}

#[test]
fn a_closed_pipe_ends_a_replay_quietly() {
    let folder = folder(&[("p.yaml", SOUND)]);
    fs::write(folder.path().join("db.jsonl"), exhausted().join("\n")).unwrap();
    let mut command = program(folder.path(), "replay -c p.yaml --levels");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!said(&output.stderr).contains("pipe"), "{}", said(&output.stderr));
}

/// A running pipeline. Dropping it kills it.
struct Running {
    child: Child,
    address: String,
    log: std::sync::mpsc::Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(folder: &Path) -> Running {
        let mut command = program(folder, "run -c p.yaml --log-format json");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut running = Running { child, address: String::new(), log };
        let listening = running.says("\"listening\"");
        let value: serde_json::Value = serde_json::from_str(&listening).unwrap();
        running.address = value["address"].as_str().unwrap().to_owned();
        running
    }

    /// The first line of its log that has `word`.
    #[track_caller]
    fn says(&mut self, word: &str) -> String {
        let mut before = String::new();
        loop {
            match self.log.recv_timeout(Duration::from_secs(30)) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => writeln!(before, "{line}").unwrap(),
                Err(_) => panic!("`{word}` was not said, but:\n{before}"),
            }
        }
    }

    fn readiness(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// SIGTERM; the exit code, and how long it took.
    fn stop(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        (self.child.wait().unwrap().code(), started.elapsed())
    }
}

/// An address where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn from_kafka() -> String {
    let source = "sources: {db: {kafka: pg, format: postgres_jsonlog, resource: r}}";
    format!(
        "version: 1\nname: p\nlisten: 127.0.0.1:0\nkafka: {{brokers: '{}'}}\n{source}\n",
        nobody()
    )
}

#[test]
fn a_broker_that_is_not_there_is_waited_for() {
    let folder = folder(&[("p.yaml", &from_kafka())]);
    let mut running = Running::start(folder.path());
    running.says("Kafka is not ready; asking again");
    let answer = running.readiness();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("cannot reach kafka at `127.0.0.1:"), "{answer}");
    let (code, took) = running.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_data_directory_has_one_process() {
    let folder = folder(&[("p.yaml", &from_kafka())]);
    let mut running = Running::start(folder.path());
    let pid = running.child.id().to_string();
    check(folder.path(), "run -c p.yaml", 69, &["in use by process", &pid, "stop it"]);
    assert_eq!(running.stop().0, Some(0));
    let other = from_kafka().replace("name: p", "name: q\ndata: data/p");
    fs::write(folder.path().join("q.yaml"), other).unwrap();
    check(folder.path(), "run -c q.yaml", 78, &["belongs to pipeline `p`, not to `q`"]);
}

#[test]
fn a_data_directory_of_a_newer_version_is_not_touched() {
    let folder = folder(&[("p.yaml", &from_kafka())]);
    Running::start(folder.path()).stop();
    let data = folder.path().join("data/p");
    fs::write(data.join("format"), "99\n").unwrap();
    let content = || {
        let entries = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| !path.ends_with("lock")).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = content();
    check(folder.path(), "run -c p.yaml", 69, &["format 99", "start the newer version again"]);
    assert!(content() == before, "nothing may change");
}

#[test]
fn pages_go_out_while_clickhouse_is_down() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let pager = receiver.local_addr().unwrap();
    let definition = format!(
        "{SOUND}listen: 127.0.0.1:0\nclickhouse: {{url: 'http://{}'}}\nreceivers: {{oncall: {{pagerduty: {{routing_key: '${{KEY:-}}', url: 'http://{pager}/v2/enqueue'}}}}}}\nroutes: [{{severity: page, to: oncall}}]\n",
        nobody()
    )
    .replace("${KEY:-}", "${file:key}");
    let folder = folder(&[("p.yaml", &definition), ("key", "0123456789abcdef0123456789abcdef")]);
    fs::write(folder.path().join("db.jsonl"), exhausted().join("\n") + "\n").unwrap();
    let mut running = Running::start(folder.path());
    let (mut stream, _) = receiver.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&request).contains("trigger") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the request ended: {}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&chunk[..read]);
    }
    let body = r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#;
    write!(stream, "HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    running.says("\"clickhouse\"");
    let answer = running.readiness();
    assert!(answer.contains("\"clickhouse\":{\"state\":\"failing\""), "{answer}");
    let (code, took) = running.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
}
