//! A real process leaks under a real memory limit: it is paged before it dies, and its death and
//! absence are named.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::Time;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::parts::free_ports;
use crate::parts::kafka::KafkaPart;
use crate::parts::program::Program;
use crate::parts::receiver::Receiver;
use crate::parts::shipper::Producer;

/// What the operating system grants each process, in bytes.
const LIMIT: u64 = 192 * 1024 * 1024;

/// So often memory is read from `/proc`.
const EVERY: Duration = Duration::from_millis(500);

/// A process that takes a megabyte at a time and dies of its limit; without a pause it takes none.
const LEAK: &str = "
import resource, sys, time
limit, pause = int(sys.argv[1]), float(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
kept = []
while True:
    time.sleep(pause or 1.0)
    if pause:
        kept.append(bytearray(b'x' * (1 << 20)))
";

/// An instance: a process, and what it is called.
struct Instance {
    name: &'static str,
    process: Child,
}

impl Instance {
    fn start(name: &'static str, pause_s: f64) -> Instance {
        let mut command = Command::new("python3");
        command.args(["-c", LEAK, &LIMIT.to_string(), &pause_s.to_string()]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Instance { name, process: command.spawn().expect("python3 is needed: apt install python3") }
    }

    /// What counts against the limit, in bytes, and what is resident.
    fn memory(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1_024)
        };
        Some((of("VmData:")?, of("VmRSS:")?))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_leaks_is_paged_before_it_dies_and_missed_afterwards() {
    let kafka = KafkaPart::start().await.unwrap();
    kafka.create_topic("memory", 1).await.unwrap();
    kafka.create_topic("manager", 1).await.unwrap();
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let port = free_ports(1).unwrap()[0];
    let config = folder.path().join("memory.yaml");
    std::fs::write(&config, definition(port, &kafka.bootstrap(), &receiver.url())).unwrap();
    let mut program = Program::start(&config, port).await.unwrap();
    let mut producer = Producer::new(&kafka.bootstrap(), &[]).unwrap();

    // Some 190 megabytes in 95 seconds.
    let mut web = [Instance::start("web-1", 0.5), Instance::start("web-2", 0.0)];
    let (mut paged, mut died) = (None, None);
    let deadline = Instant::now() + Duration::from_secs(300);
    let mut ticks = tokio::time::interval(EVERY);
    while receiver.alerts().len() < 2 {
        ticks.tick().await;
        assert!(Instant::now() < deadline, "{paged:?} {died:?}: {}", program.said());
        if paged.is_none() && !receiver.requests().is_empty() {
            paged = Some(now());
        }
        if died.is_none()
            && let Some(status) = web[0].process.try_wait().unwrap()
        {
            died = Some(now());
            let event = json!({
                "time": now().to_string(), "event": "end", "cause": "out_of_memory",
                "value": status.code(), "service.name": "web", "service.instance.id": "web-1",
            });
            producer.send("manager", 0, event.to_string().as_bytes()).unwrap();
        }
        for instance in &web {
            let Some((data, resident)) = instance.memory() else { continue };
            let sample = json!({
                "ts": now().to_string(), "service": "web", "pod": instance.name,
                "data": data, "rss": resident,
            });
            producer.send("memory", 0, sample.to_string().as_bytes()).unwrap();
        }
        producer.flush().unwrap();
    }
    let (paged, died) = (paged.unwrap(), died.expect("nobody is missed before it died"));
    let gone = now();
    let seconds = |from: Time, to: Time| to.micros_since(from) as f64 / 1e6;
    println!(
        "paged {:.1} s before the death, missed {:.1} s after it",
        seconds(paged, died),
        seconds(died, gone)
    );
    assert!(paged < died, "{}", program.said());
    // A minute, the tick, `reorder`, and what a busy machine takes.
    assert!(seconds(died, gone) < 60.0 + 15.0, "{}", seconds(died, gone));
    let payloads: Vec<Value> =
        receiver.requests().iter().map(|request| request.event["payload"].clone()).collect();
    let first = |class: &str| payloads.iter().find(|payload| payload["class"] == class);
    let growth = first("growth_within_life").unwrap_or_else(|| panic!("{payloads:?}"));
    println!("{}", growth["summary"]);
    assert!(growth["summary"].as_str().unwrap().contains("web-1"), "{growth}");
    let absence = first("not_back").unwrap_or_else(|| panic!("{payloads:?}"));
    println!("{}", absence["summary"]);
    let summary = absence["summary"].as_str().unwrap();
    assert!(summary.contains("web-1 died") && summary.contains("out of memory"), "{summary}");
    assert!(summary.contains("has not come back"), "{summary}");
    web[1].process.kill().unwrap();
    let (status, _) = program.stop(Duration::from_secs(15)).unwrap();
    assert!(status.success(), "{}", program.said());
}

fn definition(port: u16, brokers: &str, receiver: &str) -> String {
    format!(
        r#"version: 1
name: memory
response_time: 1m
listen: 127.0.0.1:{port}
kafka: {{brokers: "{brokers}"}}
sources:
  memory:
    kafka: memory
    format: json
    resource: web-memory
    map:
      time: ts
      instance: pod
      holder: {{service.name: service}}
      value: {{memory: rss, memory_anonymous: data}}
  manager: {{kafka: manager, format: json, role: context}}
resources:
  web-memory: {{memory: {{limit: {LIMIT}}}}}
receivers:
  oncall: {{pagerduty: {{routing_key: "${{PAGERDUTY_KEY}}", url: "{receiver}"}}}}
routes:
  - {{severity: page, to: oncall}}
"#
    )
}

#[allow(clippy::disallowed_methods, reason = "the processes live by the real clock")]
fn now() -> Time {
    Time::from_micros(Timestamp::now().as_microsecond())
}
