//! The main job on real servers: a leak after a deploy is paged before the first refusal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll::config::{Config, Purpose};
use plimsoll::replay::replay;
use plimsoll_model::sessions::SessionEvent;
use plimsoll_model::{Dimension, RowKind, Second, Time};
use serde_json::{Value, json};

use crate::parts::clickhouse::ClickHousePart;
use crate::parts::estate::{APPLICATIONS, Count, Estate};
use crate::parts::kafka::KafkaPart;
use crate::parts::postgres::PostgresPart;
use crate::parts::program::Program;
use crate::parts::receiver::Receiver;
use crate::parts::shipper::{Producer, Shipper};
use crate::parts::{cached, free_ports};

/// What the server takes; the last of them only from superusers.
const LIMIT: u32 = 100;
const RESERVED: u32 = 3;

/// How long nothing is wrong. A page within it fails the test.
const ORDINARY: Duration = Duration::from_secs(100);

/// One leaked session so often: the 70 free ones last for some 80 seconds.
const LEAK_EVERY: Duration = Duration::from_millis(1_200);

/// So often the server refuses before the leak ends.
const REFUSALS: usize = 10;

/// A change this near to a count may or may not be in it.
const NEAR: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_real_leak_is_paged_before_the_first_refusal() {
    let mut scene = Scene::start().await;

    // The estate without the leak: an ordinary deploy, and no page.
    scene.deploy("reports", "1.1");
    tokio::time::sleep(ORDINARY).await;
    assert_eq!(scene.receiver.alerts(), [], "a page without a fault: {}", scene.program.said());
    assert_eq!(scene.estate.refused(), []);

    let deployed = scene.deploy("issuer", "2.14");
    scene.estate.leak("issuer", LEAK_EVERY);
    let told = |estate: &Estate| !scene.receiver.requests().is_empty() || is_refused(estate);
    scene.estate.until(Duration::from_secs(180), told).await.unwrap();
    let paged = now();
    assert_eq!(scene.first_refusal(), None, "refused before the page: {}", scene.program.said());
    let full = |estate: &Estate| estate.refused().len() >= REFUSALS;
    scene.estate.until(Duration::from_secs(180), full).await.unwrap();
    scene.check_console();
    assert!(scene.estate.stop_leak().await > 0);
    scene.postgres.logged(&["\"53300\""]).await.unwrap();
    let refused = scene.first_refusal().expect("it was logged");
    println!("{}", said(deployed, paged, refused));
    assert!(paged < refused);
    check_page(&scene.receiver.requests()[0].event, deployed);

    let resolved = |_: &Estate| scene.receiver.alerts().iter().all(|alert| !alert.is_open());
    scene.estate.until(Duration::from_secs(240), resolved).await.unwrap();
    println!("resolved {} s after the first refusal", seconds(refused, now()));
    let written = |_: &Estate| scene.open_incidents() == "0\n";
    scene.estate.until(Duration::from_secs(30), written).await.unwrap();
    scene.check_rows(refused);
    scene.end().await;
}

fn is_refused(estate: &Estate) -> bool {
    !estate.refused().is_empty()
}

/// The whole estate and the program that watches it.
struct Scene {
    /// Written before the servers take their files away.
    recording: Recording,
    postgres: PostgresPart,
    shipper: Shipper,
    estate: Estate,
    receiver: Receiver,
    clickhouse: ClickHousePart,
    program: Program,
    deploys: Producer,
    /// Ends last, so that nobody loses it in the middle of an answer.
    _kafka: KafkaPart,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Scene {
        let kafka = KafkaPart::start().await.unwrap();
        kafka.create_topic("pg-logs", 4).await.unwrap();
        kafka.create_topic("deploys", 1).await.unwrap();
        let clickhouse = ClickHousePart::start();
        let receiver = Receiver::start();
        let folder = tempfile::tempdir().unwrap();
        let port = free_ports(1).unwrap()[0];
        let config = folder.path().join("estate.yaml");
        let text = definition(port, &kafka.bootstrap(), &clickhouse.url(), &receiver.url());
        std::fs::write(&config, text).unwrap();
        Program::run(&["clickhouse", "migrate"], &config).unwrap();
        let program = Program::start(&config, port).await.unwrap();
        assert_eq!(program.get("/livez").unwrap().0, 200);

        let postgres = PostgresPart::start(LIMIT, RESERVED).await.unwrap();
        let shipper =
            Shipper::start(&postgres.log_path(), &kafka.bootstrap(), "pg-logs", 4).unwrap();
        let deploys = Producer::new(&kafka.bootstrap(), &[]).unwrap();
        let estate = Estate::start(&postgres, 11).await.unwrap();
        let log = postgres.log_path();
        Scene {
            recording: Recording { log, config, deploys: String::new() },
            postgres,
            shipper,
            estate,
            receiver,
            clickhouse,
            program,
            deploys,
            _kafka: kafka,
            folder,
        }
    }

    /// Tells of a deploy and returns when it was.
    fn deploy(&mut self, service: &str, version: &str) -> Time {
        let at = now();
        let event = json!({
            "time": at.to_string(), "event": "deploy",
            "service.name": service, "service.version": version,
        });
        let event = event.to_string();
        self.deploys.send("deploys", 0, event.as_bytes()).unwrap();
        self.deploys.flush().unwrap();
        self.recording.deploys.push_str(&format!("{event}\n"));
        at
    }

    /// When the server first refused somebody, by its own log.
    fn first_refusal(&self) -> Option<Time> {
        let log = std::fs::read_to_string(self.postgres.log_path()).unwrap();
        let line = log.lines().find(|line| line.contains(r#""state_code":"53300""#))?;
        let row: Value = serde_json::from_str(line).unwrap();
        let at = row["timestamp"].as_str().unwrap().replace(" UTC", "Z");
        Some(Time::from_micros(at.parse::<Timestamp>().unwrap().as_microsecond()))
    }

    fn open_incidents(&self) -> String {
        self.clickhouse.query("SELECT countIf(is_open) FROM plimsoll.incidents")
    }

    /// What the running program answers: alive, ready, and a page that Prometheus' own tool accepts.
    #[track_caller]
    fn check_console(&self) {
        assert_eq!(self.program.get("/livez").unwrap().0, 200);
        let (status, body) = self.program.get("/readyz").unwrap();
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        for dependency in ["kafka", "clickhouse", "oncall", "judge"] {
            assert_eq!(body["dependencies"][dependency]["state"], "ok", "{body}");
        }
        let (status, metrics) = self.program.get("/metrics").unwrap();
        assert_eq!(status, 200);
        assert!(metrics.contains("plimsoll_incidents_open{severity=\"page\"} 1"), "{metrics}");
        check_metrics(&metrics);
    }

    /// What stands in ClickHouse: one incident that is over, its transitions, and its evidence.
    #[track_caller]
    fn check_rows(&self, refused: Time) {
        let select = |sql: &str| self.clickhouse.query(sql);
        let incident = select(
            "SELECT pipeline, resource, severity_peak, owner_dimension, owner_value, release_service,
                    release_version, change, is_open, refused > 0, usable FROM plimsoll.incidents",
        );
        let expected =
            "estate\torders-db\tpage\tservice.name\tissuer\tissuer\t2.14\tresolved\tfalse\t1\t97\n";
        assert_eq!(incident, expected);
        let opening = select(
            "SELECT change, kind, severity, owner_value, release_version, exhaustion_from > as_of
             FROM plimsoll.incident_events WHERE sequence = 1",
        );
        assert_eq!(opening, "opened\tgrowth_to_limit\tpage\tissuer\t2.14\t1\n");
        let decided = select(
            "SELECT toUnixTimestamp64Micro(decided_at) FROM plimsoll.incident_events WHERE sequence = 1",
        );
        assert!(Time::from_micros(decided.trim().parse().unwrap()) < refused);
        // Sequences are 1, 2, 3 without gaps, and the last is the only resolved one.
        let events = select(
            "SELECT count() = max(sequence), countIf(change = 'opened'), countIf(change = 'resolved')
             FROM plimsoll.incident_events",
        );
        assert_eq!(events, "1\t1\t1\n");
        // At its height the issuer held more than everybody else together.
        let evidence =
            select("SELECT max(held) > 50 FROM plimsoll.panes WHERE service_name = 'issuer'");
        assert_eq!(evidence, "1\n");
    }

    /// Ends everything in order, and holds the ledger against the server's own counts.
    async fn end(mut self) {
        let (status, took) = self.program.stop(Duration::from_secs(15)).unwrap();
        println!("SIGTERM: {status} after {took:?}");
        assert!(status.success(), "{}", self.program.said());
        // Nothing was said after the resolve, and nothing was opened twice.
        let alerts = self.receiver.alerts();
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert_eq!((alerts[0].opened, alerts[0].resolved, alerts[0].dropped), (1, 1, 0));

        let counts = self.estate.stop().await.unwrap();
        self.postgres.stop();
        let log = self.folder.path().join("postgres.jsonl");
        std::fs::copy(self.postgres.log_path(), &log).unwrap();
        let lines = std::fs::read_to_string(&log).unwrap().lines().count() as u64;
        assert_eq!(self.shipper.stop().unwrap(), lines);
        let deploys = self.folder.path().join("deploys.jsonl");
        std::fs::write(&deploys, &self.recording.deploys).unwrap();
        check_ledger(&self.recording.config, &log, &deploys, &counts);
    }
}

/// What a run leaves behind. `PLIMSOLL_KEEP=DIR` keeps it, also of a failed run, to judge it again.
struct Recording {
    log: PathBuf,
    config: PathBuf,
    deploys: String,
}

impl Drop for Recording {
    fn drop(&mut self) {
        let Some(keep) = std::env::var_os("PLIMSOLL_KEEP").map(PathBuf::from) else { return };
        let said = self.config.with_extension("log");
        let kept = std::fs::create_dir_all(&keep)
            .and_then(|()| std::fs::write(keep.join("deploys.jsonl"), &self.deploys))
            .and_then(|()| std::fs::copy(&self.log, keep.join("postgres.jsonl")))
            .and_then(|_| std::fs::copy(&self.config, keep.join("pipeline.yaml")))
            .and_then(|_| std::fs::copy(said, keep.join("run.log")));
        println!("kept in {}: {kept:?}", keep.display());
    }
}

/// The shipped defaults; only the response time and what the servers are is said.
fn definition(port: u16, brokers: &str, clickhouse: &str, receiver: &str) -> String {
    format!(
        r#"version: 1
name: estate
response_time: 5m
listen: 127.0.0.1:{port}
kafka: {{brokers: "{brokers}"}}
clickhouse: {{url: "{clickhouse}"}}
sources:
  db: {{kafka: pg-logs, format: postgres_jsonlog, resource: orders-db}}
  deploys: {{kafka: deploys, format: json, role: context}}
resources:
  orders-db: {{connections: {{limit: {LIMIT}, reserved: {RESERVED}}}}}
receivers:
  oncall: {{pagerduty: {{routing_key: "${{PAGERDUTY_KEY}}", url: "{receiver}"}}}}
routes:
  - {{severity: page, to: oncall}}
"#
    )
}

/// The first event of the page: who, since which release, until when.
#[track_caller]
fn check_page(event: &Value, deployed: Time) {
    let payload = &event["payload"];
    let details = &payload["custom_details"];
    println!("{}", payload["summary"]);
    assert_eq!(event["event_action"], "trigger");
    assert_eq!(payload["severity"], "critical");
    assert_eq!(payload["class"], "growth_to_limit");
    let summary = payload["summary"].as_str().unwrap();
    assert!(summary.contains("issuer") && summary.contains("2.14"), "{summary}");
    assert!(details["owner"].as_str().unwrap().contains("issuer"), "{details}");
    assert_eq!(details["release"]["service"], "issuer", "{details}");
    assert_eq!(details["release"]["version"], "2.14", "{details}");
    assert_eq!(details["release"]["deployed_at"], deployed.to_string(), "{details}");
    let moment = |field: &Value| field.as_str().unwrap().parse::<Timestamp>().unwrap();
    let (from, to) = (&details["exhaustion"]["from"], &details["exhaustion"]["to"]);
    assert!(moment(&details["as_of"]) < moment(from), "{details}");
    assert!(moment(from) < moment(to), "{details}");
}

/// `promtool check metrics`, the check of Prometheus itself.
#[track_caller]
fn check_metrics(page: &str) {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/parts/promtool");
    assert!(Command::new("bash").arg(install).status().unwrap().success(), "promtool is missing");
    let promtool = cached("bin").unwrap().join("promtool");
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.trim().is_empty(), "{said}\n{page}");
}

/// What the ledger holds as a second ends, in all and by application.
struct Level {
    second: Second,
    held: i64,
    by_application: Vec<i64>,
}

/// Every count must equal the ledger's, made from the log by the program's own parser and judge,
/// but for sessions that opened or closed near it.
#[track_caller]
fn check_ledger(config: &Path, log: &Path, deploys: &Path, counts: &[Count]) {
    let (mut config, _) = Config::load_for(config, Purpose::Replay).unwrap();
    config.override_source("db", vec![log.to_owned()]).unwrap();
    config.override_source("deploys", vec![deploys.to_owned()]).unwrap();
    let mut levels: Vec<Level> = Vec::new();
    let mut changes: Vec<(Time, String)> = Vec::new();
    let mut observe = |tick: &plimsoll_model::Tick, judge: &plimsoll_detect::Judge| {
        for row in tick.rows.iter().filter(|row| row.kind == RowKind::Session) {
            let (sessions, index) = (&tick.batch(row).sessions, row.index as usize);
            if sessions.event(index) != SessionEvent::Attempted {
                let holder = sessions.holder(index);
                let name = holder.get(Dimension::ServiceName).unwrap_or_default();
                changes.push((row.time, name.to_owned()));
            }
        }
        let Some(held) = judge.held().next() else { return Ok(()) };
        let of = |name: &str| {
            let mine =
                held.holders.iter().filter(|it| it.0.get(Dimension::ServiceName) == Some(name));
            mine.map(|it| it.1 as i64).sum::<i64>()
        };
        let by_application = APPLICATIONS.iter().map(|it| of(it.0)).collect();
        levels.push(Level { second: tick.second, held: held.held as i64, by_application });
        Ok(())
    };
    replay(&config, |tick, judge, _, _| observe(tick, judge)).unwrap();

    let (mut exact, mut off_most) = (0, 0);
    for count in counts {
        // The count was taken as a second began; the ledger says what the one before ended with.
        let boundary = count.at.plus(Duration::from_millis(500)).second().start();
        let apart = count.at.micros_since(boundary).unsigned_abs();
        assert!(apart < 400_000, "the count came {apart} µs from a whole second");
        let level = levels.iter().rev().find(|level| level.second.end() <= boundary);
        let near = |at: Time| {
            at >= boundary.min(count.at).minus(NEAR) && at <= boundary.max(count.at).plus(NEAR)
        };
        let changing = |name: Option<&str>| {
            let mine = |(at, of): &&(Time, String)| near(*at) && name.is_none_or(|name| name == of);
            changes.iter().filter(mine).count() as i64
        };
        let off = (level.map_or(0, |level| level.held) - count.sessions as i64).abs();
        assert!(off <= changing(None), "off by {off} of {} changes, {count:?}", changing(None));
        exact += i32::from(off == 0);
        off_most = off_most.max(off);
        for (place, (name, _)) in APPLICATIONS.iter().enumerate() {
            let polled = count.held.iter().find(|(of, _)| of == name).map_or(0, |it| it.1 as i64);
            let off = (level.map_or(0, |level| level.by_application[place]) - polled).abs();
            assert!(off <= changing(Some(name)), "{name} is off by {off}, {count:?}");
        }
    }
    println!(
        "{exact} of {} counts equal the ledger's, the others by at most {off_most}",
        counts.len()
    );
    assert!(counts.len() > 100);
}

fn said(deployed: Time, paged: Time, refused: Time) -> String {
    let (page, refusal) = (seconds(deployed, paged), seconds(deployed, refused));
    format!("paged {page} s and first refused {refusal} s after the deploy")
}

fn seconds(from: Time, to: Time) -> f64 {
    (to.micros_since(from) / 100_000) as f64 / 10.0
}

#[allow(clippy::disallowed_methods, reason = "the estate runs by the real clock")]
fn now() -> Time {
    Time::from_micros(Timestamp::now().as_microsecond())
}
