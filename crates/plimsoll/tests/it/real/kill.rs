use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_model::{Change, DeliveryState, Severity, Transition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::spread::{self, Partition, assert_same, decided, produce, replayed, spread, stored};
use crate::golden;
use crate::parts::clickhouse::{ClickHouseFault, ClickHousePart};
use crate::parts::free_ports;
use crate::parts::kafka::KafkaPart;
use crate::parts::process::{self, Orphan, Process};
use crate::parts::program::Program;
use crate::parts::receiver::{Alert, Behaviour, Receiver};
use crate::scenario::{Plan, USABLE, generate};

/// How often the pipeline is killed.
const KILLS: usize = 50;

/// The shortest and the longest life, in milliseconds: some end before Kafka was asked, others in
/// the middle of reading, judging, committing or sending.
const LIFE_MS: (u64, u64) = (100, 1_500);

/// Databases, each with a leak of its own, one after the other.
const DATABASES: usize = 8;

/// Seconds between two leaks.
const APART_S: i64 = 30;

/// How much faster than the records say they are sent: about as long as the kills take.
const SPEED: f64 = 11.0;

/// How long the last life may take until everything is decided and delivered.
const PATIENCE: Duration = Duration::from_secs(90);

/// Inserts that fail or whose answer is lost.
const SPOILED_MAX: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_and_repeat_nothing() {
    let seed = rand::random();
    println!("kill: seed {seed}, {}", binary().display());
    let (kafka, clickhouse) = (KafkaPart::start().await.unwrap(), ClickHousePart::start());
    let receiver = Receiver::start();
    let partitions = estate(seed);
    spread::create_topics(&kafka, &partitions).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("pipeline.yaml"), folder.path().join("data"));
    let text = definition(&kafka.bootstrap(), &clickhouse.url(), &receiver.url());
    std::fs::write(&config, text).unwrap();
    Program::run(&["clickhouse", "migrate"], &config).unwrap();

    let bootstrap = kafka.bootstrap();
    let produced = produce(&bootstrap, &partitions, SPEED);
    let killed = kill(&config, seed, &receiver, &clickhouse);
    let both = async { tokio::join!(produced, killed) };
    let (produced, busy) = tokio::time::timeout(Duration::from_secs(150), both).await.unwrap();
    produced.unwrap();
    let (deciding, sending) = busy;
    println!("kill: {deciding} of {KILLS} lives decided something, {sending} sent something");
    assert!(deciding > 2 && sending > 2, "the kills came before there was anything to lose");

    let expected = replayed(&config, &partitions).unwrap();
    let mut program = start(&config, KILLS);
    let deadline = Instant::now() + PATIENCE;
    while !is_done(&data, expected.len()) {
        let said = std::fs::read_to_string(log(&config, KILLS)).unwrap();
        assert!(Instant::now() < deadline, "not done within {PATIENCE:?}: {said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let status = program.ended("TERM", Duration::from_secs(15)).unwrap();
    assert!(status.success(), "{status}");

    assert_same(&decided(&data).unwrap(), &expected);
    assert_eq!(opened_and_resolved(&receiver.alerts()), paged(&expected));
    let sql = "SELECT incident, sequence, change, reason, toUnixTimestamp(as_of), level, refused \
               FROM plimsoll.incident_events ORDER BY as_of, incident, sequence";
    assert_eq!(clickhouse.query(sql), rows(&expected));
    let sql = "SELECT incident, sequence, is_open FROM plimsoll.incidents ORDER BY incident";
    assert_eq!(clickhouse.query(sql), ends(&expected));
    let proven = stored(&data).unwrap().segments().unwrap();
    let proven: u64 = proven.iter().map(|(_, entry)| entry.rows).sum();
    let sql = "SELECT count() FROM plimsoll.panes";
    assert_eq!(clickhouse.query(sql).trim(), proven.to_string());
    let sql = "select pipeline, delivery, sink, key, action, incident, sequence, ordered_at, state, \
               attempts, answered_at, answer from deliveries order by delivery";
    let theirs = clickhouse.query_in("plimsoll", &format!("{sql} FORMAT JSONEachRow"));
    let ours = tokio::task::block_in_place(|| golden::ask(&data, sql));
    assert_eq!(golden::objects(&theirs), ours);
}

/// The records of the databases' logs and of the deploys that the leaks follow.
fn estate(seed: u64) -> Vec<Partition> {
    // The records run ahead of the wall clock, so that no life finds a backlog: a page that is
    // withheld because it came too late would be right, and would not be counted here.
    let start = plimsoll::clock::now().second().0;
    let end = 60 + DATABASES as i64 * APART_S + 300;
    let (mut partitions, mut deploys) = (Vec::new(), Vec::new());
    for number in 0..DATABASES {
        let leak_from = 60 + number as i64 * APART_S;
        let seed = seed.wrapping_add(number as u64);
        let leak_until = leak_from + 140;
        let plan = Plan { seed, start, leak_from, leak_every: 1.0, leak_until, end };
        let scenario = generate(plan);
        let (source, topic) = (format!("db-{number}"), format!("log-{number}"));
        partitions.extend(spread(&source, &topic, (2, 2), &scenario.db));
        deploys.extend(scenario.deploys);
    }
    partitions.extend(spread("deploys", "deploys", (1, 1), &deploys));
    partitions
}

/// Starts the pipeline and kills it, again and again, while the receiver and the tables do not
/// always work. How many lives decided something, and how many sent something.
async fn kill(
    config: &Path,
    seed: u64,
    receiver: &Receiver,
    clickhouse: &ClickHousePart,
) -> (usize, usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut deciding, mut sending, mut spoiled) = (0, 0, 0);
    for life in 0..KILLS {
        receiver.otherwise(match random.random_range(0..6) {
            0 => Behaviour::DropAnswer,
            1 => Behaviour::Status(500),
            _ => Behaviour::Accept,
        });
        if spoiled < SPOILED_MAX && random.random_ratio(1, 5) {
            spoiled += 1;
            let is_lost = random.random::<bool>();
            let fault = if is_lost { ClickHouseFault::DropAnswer } else { ClickHouseFault::Error };
            clickhouse.spoil(fault, 1);
        }
        let sent_before = receiver.requests().len();
        let length = Duration::from_millis(random.random_range(LIFE_MS.0..LIFE_MS.1));
        let mut program = start(config, life);
        tokio::time::sleep(length).await;
        program.kill();
        let said = std::fs::read_to_string(log(config, life)).unwrap();
        deciding += usize::from(said.contains(r#""message":"incident""#));
        sending += usize::from(receiver.requests().len() > sent_before);
    }
    receiver.otherwise(Behaviour::Accept);
    (deciding, sending)
}

/// The release binary, which `.ci/test` names; without it the one that was built with the test.
fn binary() -> PathBuf {
    let release = std::env::var_os("PLIMSOLL_RELEASE_BINARY").map(PathBuf::from);
    release.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_plimsoll")))
}

fn start(config: &Path, life: usize) -> Process {
    let mut command = process::command(&binary(), None, Orphan::Kill);
    command.args(["run", "--log-format", "json", "--config"]).arg(config);
    command.env("PAGERDUTY_KEY", "key-of-the-test");
    Process::start("plimsoll", &mut command, &log(config, life)).unwrap()
}

fn log(config: &Path, life: usize) -> PathBuf {
    config.with_extension(format!("{life}.log"))
}

/// Whether everything that is expected was decided, all of it was delivered, and the tables know.
fn is_done(data: &Path, transitions: usize) -> bool {
    // It cannot be read before the pipeline has repaired what the last kill left.
    let Ok(store) = stored(data) else { return false };
    let accepted = |state: &DeliveryState| matches!(state, DeliveryState::Accepted { .. });
    store.transitions().unwrap().len() >= transitions
        && store.deliveries().unwrap().iter().all(|ordered| accepted(&ordered.state))
        && store.changes().unwrap().is_empty()
}

/// By key: opened, resolved, and resolved without being open.
fn opened_and_resolved(alerts: &[Alert]) -> BTreeMap<String, (u32, u32)> {
    alerts.iter().map(|alert| (alert.key.clone(), (alert.opened, alert.resolved))).collect()
}

/// Every incident that became a page is opened once and resolved once.
fn paged(expected: &[Transition]) -> BTreeMap<String, (u32, u32)> {
    let pages = expected.iter().filter(|it| it.severity_peak == Severity::Page);
    let pages: BTreeMap<_, _> = pages.map(|it| (it.incident.to_string(), (1, 1))).collect();
    assert!(pages.len() >= DATABASES, "every leak is a page: {pages:?}");
    pages
}

fn rows(expected: &[Transition]) -> String {
    let row = |it: &Transition| {
        let (change, reason) = (it.change.name(), it.reason.name());
        let (level, refused) = (it.finding.level, it.finding.refused);
        let (incident, as_of) = (it.incident, it.as_of.0);
        format!("{incident}\t{}\t{change}\t{reason}\t{as_of}\t{level}\t{refused}\n", it.sequence)
    };
    expected.iter().map(row).collect()
}

/// The last transition of each incident and `is_open`: all of them are resolved.
fn ends(expected: &[Transition]) -> String {
    let resolved = expected.iter().filter(|it| it.change == Change::Resolved);
    let mut ends: Vec<_> =
        resolved.map(|it| format!("{}\t{}\tfalse\n", it.incident, it.sequence)).collect();
    ends.sort();
    ends.concat()
}

fn definition(brokers: &str, clickhouse: &str, receiver: &str) -> String {
    let mut text = format!(
        r#"version: 1
name: payments
response_time: 5m
data: data
listen: 127.0.0.1:{port}
kafka: {{brokers: "{brokers}"}}
clickhouse: {{url: "{clickhouse}"}}
receivers:
  oncall: {{pagerduty: {{routing_key: "${{PAGERDUTY_KEY}}", url: "{receiver}"}}}}
routes:
  - {{severity: page, to: oncall}}
sources:
  deploys: {{kafka: deploys, format: json, role: context}}
"#,
        port = free_ports(1).unwrap()[0],
    );
    for number in 0..DATABASES {
        text += &format!(
            "  db-{number}: {{kafka: log-{number}, format: postgres_jsonlog, resource: orders-{number}}}\n"
        );
    }
    text += "resources:\n";
    for number in 0..DATABASES {
        text += &format!("  orders-{number}: {{connections: {{limit: {USABLE}}}}}\n");
    }
    text
}
