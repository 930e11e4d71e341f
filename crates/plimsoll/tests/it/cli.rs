//! The program as a person meets it: exit codes, sentences, and what it survives.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use plimsoll_ingest::merge::MergeState;
use plimsoll_model::Second;
use plimsoll_store::{Checkpoint, Commit, Options, Store};
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaRespErr;
use tempfile::TempDir;

use crate::parts::receiver::{Alert, Behaviour, Receiver};
use crate::parts::shipper::Producer;

/// A definition whose input is `db.jsonl`.
const SOUND: &str = "version: 1\nname: p\nsources: {db: {file: db.jsonl, format: postgres_jsonlog, resource: r}}\nresources: {r: {connections: {limit: 3}}}\n";

pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
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
pub(super) fn check(folder: &Path, line: &str, code: i32, words: &[&str]) -> Output {
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
pub(super) fn line(second: i64, session: i64, message: &str) -> String {
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
pub(super) fn exhausted() -> Vec<String> {
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

#[test]
fn shells_complete_the_command_line() {
    let folder = folder(&[]);
    let script = said(&check(folder.path(), "completions bash", 0, &[]).stdout);
    fs::write(folder.path().join("script"), script).unwrap();
    let completes = |words: &str| {
        let script = format!(
            "source ./script; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _plimsoll plimsoll \"${{COMP_WORDS[-1]}}\" x; echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output();
        said(&output.unwrap().stdout)
    };
    assert_eq!(completes("plimsoll sc"), "scan\n");
    assert_eq!(completes("plimsoll scan --time"), "--timezone\n");
    check(folder.path(), "completions zsh", 0, &["#compdef plimsoll", "--timezone"]);
    check(folder.path(), "completions fish", 0, &["complete -c plimsoll", "timezone"]);
    check(folder.path(), "completions tcsh", 2, &["bash"]);
}

/// A running pipeline. Dropping it kills it.
pub(super) struct Running {
    child: Child,
    pub(super) address: String,
    log: std::sync::mpsc::Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(super) fn start(folder: &Path) -> Running {
        Running::spawn(program(folder, "run -c p.yaml --log-format json"))
    }

    fn spawn(mut command: Command) -> Running {
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
        self.get("/readyz")
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until `/readyz` says `word`, and gives the whole answer.
    #[track_caller]
    fn reads(&self, word: &str) -> String {
        self.waits("/readyz", word)
    }

    /// Waits until `/metrics` says `word`.
    #[track_caller]
    fn measures(&self, word: &str) {
        self.waits("/metrics", word);
    }

    #[track_caller]
    fn waits(&self, path: &str, word: &str) -> String {
        let until = Instant::now() + Duration::from_secs(40);
        loop {
            let answer = self.get(path);
            if answer.contains(word) {
                return answer;
            }
            assert!(Instant::now() < until, "`{word}` is not in:\n{answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGTERM; the exit code, and how long it took.
    pub(super) fn stop(&mut self) -> (Option<i32>, Duration) {
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
fn a_topic_that_is_missing_is_named_and_read_once_it_is_there() {
    let cluster = MockCluster::new(1).unwrap();
    // The mock broker makes any topic that is asked for, unless told that it fails.
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error("pg", missing).unwrap();
    let source = "sources: {db: {kafka: pg, format: postgres_jsonlog, resource: r}}";
    let brokers = cluster.bootstrap_servers();
    let definition = format!(
        "version: 1\nname: p\nlisten: 127.0.0.1:0\nkafka: {{brokers: '{brokers}'}}\n{source}\n"
    );
    let folder = folder(&[("p.yaml", &definition)]);
    let mut running = Running::start(folder.path());
    let sentence = "topic `pg` does not exist at `";
    running.says(sentence);
    let answer = running.readiness();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains(sentence), "{answer}");
    assert!(answer.contains("create it, or correct its name"), "{answer}");

    cluster.topic_error("pg", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let mut producer = Producer::new(&brokers, &[]).unwrap();
    producer.send("pg", 0, line(0, 1, "connection received").as_bytes()).unwrap();
    producer.flush().unwrap();
    running.reads("\"kafka\":{\"state\":\"ok\"}");
    let answer = running.reads("HTTP/1.1 200");
    assert!(answer.contains("\"judge\":{\"state\":\"ok\"}"), "{answer}");
    running.measures("plimsoll_records_read_total{source=\"db\"} 1\n");
    assert_eq!(running.stop().0, Some(0));
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

/// The program on a data directory whose checkpoint holds these bytes: it ends with 69 and `words`.
#[track_caller]
fn check_refused(merge: Vec<u8>, judge: Vec<u8>, words: &[&str]) {
    let folder = folder(&[("p.yaml", SOUND), ("db.jsonl", "")]);
    let options = Options { ballast_bytes: 0, ..Options::new("p") };
    let mut store = Store::open(&folder.path().join("data/p"), options).unwrap();
    let tick = Second(1_772_625_600);
    let checkpoint = Checkpoint { tick, merge, judge, ..Checkpoint::default() };
    store.commit(&Commit { tick, checkpoint: Some(checkpoint), ..Commit::default() }).unwrap();
    drop(store);
    check(folder.path(), "run -c p.yaml", 69, words);
}

#[test]
fn a_checkpoint_of_another_version_is_refused_with_what_to_do() {
    let what_to_do = ["start the version that wrote", "move the data directory away"];
    let words = |versions: [&'static str; 3]| [&versions[..], &what_to_do[..]].concat();
    // Before versions were written, the merge's bytes began with 0 or 1.
    let old = words(["reading positions", "version 1", "reads version 3"]);
    check_refused(vec![1, 0, 0], Vec::new(), &old);
    let new = words(["saved judge", "version 99", "this program reads version"]);
    check_refused(MergeState::default().to_bytes(), vec![99, 0], &new);
}

#[test]
fn a_damaged_judge_is_refused_with_what_to_do() {
    let words = ["saved judge cannot be read", "restore the data directory", "move it away"];
    check_refused(MergeState::default().to_bytes(), Vec::new(), &words);
}

#[test]
fn a_damaged_data_directory_is_named() {
    let folder = folder(&[("p.yaml", &from_kafka())]);
    Running::start(folder.path()).stop();
    fs::write(folder.path().join("data/p/format"), "one\n").unwrap();
    check(folder.path(), "run -c p.yaml", 69, &["file `format` must hold a number"]);
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

/// A definition that pages at `pager`, with its key in the file `key`.
fn paging(pager: &str, more: &str) -> String {
    format!(
        "{SOUND}listen: 127.0.0.1:0\nreceivers: {{oncall: {{pagerduty: {{routing_key: '${{file:key}}', url: '{pager}'}}}}}}\nroutes: [{{severity: page, to: oncall}}]\n{more}"
    )
}

#[test]
fn readyz_lists_every_dependency_although_nothing_is_to_be_sent() {
    let clickhouse = format!("clickhouse: {{url: 'http://{}'}}\n", nobody());
    let definition = paging(&format!("http://{}/v2/enqueue", nobody()), &clickhouse);
    let folder = folder(&[("p.yaml", &definition), ("key", "k"), ("db.jsonl", "")]);
    let mut running = Running::start(folder.path());
    // From the first answer on, each is named.
    let first = running.readiness();
    for name in ["clickhouse", "file db", "judge", "oncall", "store"] {
        assert!(first.contains(&format!("\"{name}\":{{\"state\":")), "{name}: {first}");
    }
    let answer = running.reads("\"clickhouse\":{\"state\":\"failing\"");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("clickhouse at 127.0.0.1:"), "{answer}");
    running.says("the sink would take no delivery now");
    // A pager is not asked for nothing, and does not stand in the way.
    let answer = running.reads("\"file db\":{\"state\":\"ok\"");
    assert!(answer.contains("\"oncall\":{\"state\":\"unused\"}"), "{answer}");
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn a_page_that_was_refused_goes_out_when_the_key_is_corrected() {
    let receiver = Receiver::start();
    receiver.otherwise(Behaviour::Status(403));
    let folder = folder(&[("p.yaml", &paging(&receiver.url(), "")), ("key", "wrong")]);
    fs::write(folder.path().join("db.jsonl"), exhausted().join("\n") + "\n").unwrap();
    let mut running = Running::start(folder.path());
    running.says("delivery refused");
    let answer = running.reads("\"oncall\":{\"state\":\"failing\"");
    assert!(answer.contains("answered 403"), "{answer}");
    assert!(answer.contains("check `routing_key` and `url`"), "{answer}");
    running.measures("plimsoll_outbox_refused{sink=\"oncall\"} 1\n");
    assert_eq!(running.stop().0, Some(0));

    receiver.otherwise(Behaviour::Accept);
    fs::write(folder.path().join("key"), "right").unwrap();
    let refused = receiver.requests().remove(0);
    let mut running = Running::start(folder.path());
    let opened = |alerts: &[Alert], _: usize| alerts.iter().any(|alert| alert.opened == 1);
    assert!(receiver.wait(Duration::from_secs(30), opened), "{:?}", receiver.requests());
    running.reads("\"oncall\":{\"state\":\"ok\"}");
    let taken = receiver.requests().into_iter().find(|it| it.behaviour == Behaviour::Accept);
    let mut taken = taken.unwrap();
    assert_eq!((&taken.action, &taken.key), (&"trigger".to_owned(), &refused.key));
    // The same content to the byte, but for the key of the service.
    taken.event["routing_key"] = "wrong".into();
    assert_eq!(taken.event, refused.event);
    assert_eq!(running.stop().0, Some(0));
}

/// What systemd hears, told by a socket of our own: see `sd_notify(3)`.
#[test]
fn a_service_manager_is_told_that_it_is_ready_works_and_stops() {
    let definition = format!("{SOUND}listen: 127.0.0.1:0\n");
    let folder = folder(&[("p.yaml", &definition), ("db.jsonl", "")]);
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let hears = |wanted: &str| {
        let mut text = [0; 256];
        loop {
            let length = manager.recv(&mut text).unwrap();
            let heard = std::str::from_utf8(&text[..length]).unwrap();
            if heard == wanted {
                return;
            }
            assert_eq!(heard, "WATCHDOG=1", "while waiting for `{wanted}`");
        }
    };
    let mut command = program(folder.path(), "run -c p.yaml --log-format json");
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "600000");
    let mut running = Running::spawn(command);
    hears("READY=1\nSTATUS=pipeline p");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    assert_eq!(running.stop().0, Some(0));
    hears("STOPPING=1");
}
