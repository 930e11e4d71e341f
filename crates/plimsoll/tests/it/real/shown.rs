//! Pipelines to show: stores that real engines filled, and some that are made by hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use plimsoll::config::{Config, Purpose};
use plimsoll::engine::{Definition, Engine, SharedStore, locked};
use plimsoll::feed;
use plimsoll::live::Standing;
pub(super) use plimsoll::plan::CLICKHOUSE;
use plimsoll::plan::{Planner, Route};
use plimsoll::watched;
use plimsoll_console::watched::Source;
use plimsoll_console::{Picture, Pipeline, Watched};
use plimsoll_model::detail::{AcrossLives, Culprit, HeldOpen, WithinLife};
use plimsoll_model::evidence::{Evidence, Life, Pane, Sample};
use plimsoll_model::{
    Change, DeliveryState, Detail, Dimension, Finding, Holder, IncidentId, Interval, Kind, Owner,
    PageAction, Payload, Reason, Second, Severity, Time, Transition,
};
use plimsoll_store::{Commit, NewDelivery, Options, Store};

use crate::scenario::{Plan, START, generate};
use crate::topics::{partitions, settings};

/// The pager of every pipeline here.
pub(super) const PAGER: &str = "oncall";

/// A text that would run if it ever became markup, with characters that hide and reorder.
const HOSTILE: &str =
    "<img src=x onerror=\"window.hacked=1\"><script>hacked=1</script>\u{202e}\u{1b}[31m\u{0}";

/// A store and what is watched of it.
pub(super) struct Shown {
    name: &'static str,
    pub(super) store: SharedStore,
    watched: Watched,
    _folder: tempfile::TempDir,
}

impl Shown {
    pub(super) fn new(name: &'static str) -> Shown {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { ballast_bytes: 0, ..Options::new(name) };
        let store = Store::open(&folder.path().join("data"), options).unwrap();
        let store = Arc::new(Mutex::new(store));
        Shown { name, store, watched: Watched::new(), _folder: folder }
    }

    fn planner() -> Planner {
        let route = Route { severity: Severity::Ticket, receiver: PAGER.to_owned() };
        Planner::new(vec![route], true)
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        let store = Arc::clone(&self.store);
        Pipeline::new(self.name, move || locked(&store).snapshot(), self.watched.clone())
    }

    /// The path of the newest incident's screen, and its last transition.
    pub(super) fn newest(&self) -> (String, Transition) {
        let incidents = locked(&self.store).snapshot().unwrap().incidents().unwrap();
        let newest = incidents.into_iter().max_by_key(|it| it.transition.opened_at).unwrap();
        (format!("/incidents/{}", newest.transition.incident), newest.transition)
    }
}

/// A leak that has opened an incident and is not over.
pub(super) fn leaking() -> Shown {
    let shown = Shown::new("payments");
    let end = 900;
    let plan =
        Plan { seed: 14, start: START, leak_from: 600, leak_every: 20.0, leak_until: 9_000, end };
    let partitions = partitions(&generate(plan));
    let definition = Definition {
        settings: settings(),
        partitions: partitions.iter().map(|it| (it.id, it.settings())).collect(),
        retention: std::time::Duration::from_secs(90 * 86_400),
        build: "test".to_owned(),
        config_hash: "test".to_owned(),
    };
    let now = |second: i64| Time::from_seconds(START + second + 3);
    let store = Arc::clone(&shown.store);
    let mut engine = Engine::open(definition, store, Shown::planner(), now(0)).unwrap();
    let mut read = vec![0; partitions.len()];
    for second in (10..=end).step_by(10) {
        for (partition, read) in partitions.iter().zip(&mut read) {
            let to = partition.records.partition_point(|line| line.at_ms < second * 1000);
            if to > *read {
                engine.push(partition.batch(*read, to));
                *read = to;
            } else {
                engine.idle(partition.id);
            }
        }
        engine.step(now(second), true).unwrap();
        shown.watched.publish(Picture {
            judged_through: engine.last_tick(),
            now: Some(now(second)),
            resources: watched::resources(engine.judge(), &settings()),
            sources: vec![Source {
                name: "db".into(),
                records: 4_812,
                used: 4_790,
                rejected: 3,
                alive: 3,
                set_aside: 1,
                watermark: engine.last_tick().map(Second::end),
                ..Source::default()
            }],
            incidents: watched::incidents(engine.judge(), &settings()),
        });
    }
    engine.checkpoint(now(end)).unwrap();
    answer(&shown, &[PAGER, CLICKHOUSE], now(end));
    shown
}

/// The recorded incident, from its first record to its last. The sinks of `answering` have
/// taken what they were told.
pub(super) fn recorded(answering: &[&str]) -> Shown {
    let shown = Shown::new("db-saturation");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/db-saturation/pipeline.yaml");
    let (config, _) = Config::load_for(&path, Purpose::Replay).unwrap_or_else(|it| panic!("{it}"));
    let files = feed::file_partitions(&config);
    let definition = Definition {
        settings: config.settings(),
        partitions: files.iter().map(|it| (it.id, feed::partition_settings(&it.config))).collect(),
        retention: config.retention,
        build: "test".to_owned(),
        config_hash: config.hash(),
    };
    // Each batch is judged as soon as it is there.
    let now = |engine: &Engine| engine.last_tick().unwrap_or_default().end();
    let store = Arc::clone(&shown.store);
    let mut engine = Engine::open(definition, store, Shown::planner(), Time::default()).unwrap();
    let feeds: BTreeMap<_, _> =
        files.iter().map(|it| (it.id, feed::spawn(it, 0).unwrap())).collect();
    while !engine.merge().waiting_for().is_empty() {
        for partition in engine.merge().waiting_for() {
            match feeds[&partition].recv() {
                Ok(batch) => engine.push(batch.unwrap()),
                Err(_ended) => engine.finish(partition),
            }
        }
        while engine.step(now(&engine), true).unwrap().more {}
        shown.watched.publish(Picture {
            judged_through: engine.last_tick(),
            resources: watched::resources(engine.judge(), &config.settings()),
            sources: watched::sources(
                &config,
                &engine,
                files.iter().map(|it| (it.id, Standing::Idle)),
            ),
            incidents: watched::incidents(engine.judge(), &config.settings()),
            now: None,
        });
    }
    engine.checkpoint(now(&engine)).unwrap();
    answer(&shown, answering, now(&engine));
    shown
}

/// The sinks take everything but the pager's last order, which it is asked for in vain.
fn answer(shown: &Shown, sinks: &[&str], at: Time) {
    let mut store = locked(&shown.store);
    for sink in sinks {
        let orders = store.next_deliveries(sink, 100).unwrap();
        for (place, order) in orders.iter().enumerate() {
            let state = if *sink == PAGER && place > 0 && place + 1 == orders.len() {
                DeliveryState::Pending { attempts: 3, last_error: Some("429: slow down".into()) }
            } else {
                DeliveryState::Accepted { at, answer: "202: event processed".into() }
            };
            store.record(order.delivery.sequence, &state).unwrap();
        }
    }
}

/// An incident whose every text is hostile, and one name of ten thousand characters.
pub(super) fn hostile() -> Shown {
    let shown = Shown::new("hostile");
    let long = format!("{HOSTILE}{}", "w".repeat(10_000));
    let owner = Owner::Holder { dimension: Dimension::ServiceName, value: long.clone() };
    let tick = Second(START);
    let transition = Transition {
        incident: IncidentId::new("hostile", HOSTILE, &owner, tick),
        sequence: 1,
        change: Change::Opened,
        reason: Reason::LimitRefused,
        as_of: tick,
        pipeline: "hostile".to_owned(),
        opened_at: tick,
        severity_peak: Severity::Ticket,
        finding: Finding {
            kind: Kind::HeldOpen,
            resource: HOSTILE.to_owned(),
            unit: HOSTILE.to_owned(),
            owner,
            severity: Severity::Ticket,
            since: Second(START - 60),
            level: 60,
            usable: Some(60),
            owner_level: Some(40),
            owner_level_before: Some(4),
            growth_per_minute: None,
            exhaustion: None,
            release: None,
            refused: 7,
            doubts: vec![HOSTILE.to_owned()],
            detail: Some(Detail::HeldOpen(HeldOpen {
                arrivals_per_s: 4.2,
                arrivals_per_s_before: 4.8,
                hold_s: 8.0,
                hold_s_before: 0.25,
                unfinished: 9,
                victims: 59,
                victims_waited_s: 1_103.1,
                further: vec![Culprit { value: long.clone(), held: 12, held_before: 3 }],
                estimated: true,
            })),
        },
        headline: format!("{HOSTILE} is refused; {long} holds it"),
        advice: HOSTILE.to_owned(),
        proof: format!("SELECT '{HOSTILE}'"),
    };
    let pane = |pane: i64, name: &str, held| Pane {
        incident: transition.incident,
        pane: Second(START - pane),
        resource: HOSTILE.to_owned(),
        opened: 1,
        closed: 0,
        refused: 1,
        held,
        holder: Holder::default().with(Dimension::ServiceName, name).to_owned(),
    };
    let mut panes: Vec<Pane> = (1..=9).map(|it| pane(it * 10, &long, 40 - it as u64)).collect();
    panes.extend((0..9).map(|it| pane(90, &format!("{it}{HOSTILE}"), it)));
    let payload = Payload::Page {
        action: PageAction::Trigger,
        transition: Box::new(transition.clone()),
        decided_at: tick.end(),
    };
    let order = NewDelivery {
        sink: PAGER.to_owned(),
        key: HOSTILE.to_owned(),
        payload,
        with_evidence: false,
        held: false,
    };
    let commit = Commit {
        tick,
        transitions: vec![(transition, tick.end())],
        deliveries: vec![order],
        evidence: Evidence { panes, ..Evidence::default() },
        ..Commit::default()
    };
    let mut store = locked(&shown.store);
    store.commit(&commit).unwrap();
    let refused = DeliveryState::Refused { at: tick.end(), error: long };
    let order = store.next_deliveries(PAGER, 1).unwrap().remove(0);
    store.record(order.delivery.sequence, &refused).unwrap();
    drop(store);
    shown
}

/// Two instances whose memory grows within each of their lives, for half a day.
pub(super) fn memory() -> Shown {
    const MIB: f64 = 1_048_576.0;
    let shown = Shown::new("hidden-leak");
    let owner =
        Owner::Holder { dimension: Dimension::ServiceInstanceId, value: "web-1".to_owned() };
    let tick = Second(START);
    let incident = IncidentId::new("hidden-leak", "web-memory", &owner, tick);
    let holder = |instance: &str| {
        Holder::default()
            .with(Dimension::ServiceName, "web")
            .with(Dimension::ServiceInstanceId, instance)
            .to_owned()
    };
    let mut evidence = Evidence::default();
    for (instance, restarts_h) in [("web-1", vec![-12, -7]), ("web-2", vec![-12, -6, -3])] {
        for (place, &from_h) in restarts_h.iter().enumerate() {
            let to_h = restarts_h.get(place + 1).copied();
            let at = |hour: i64| Time::from_seconds(START + hour * 3600);
            evidence.lives.push(Life {
                incident,
                resource: "web-memory".to_owned(),
                started_at: at(from_h),
                start_known: place > 0,
                ended_at: to_h.map(at),
                cause: if to_h.is_some() { "deploy".to_owned() } else { String::new() },
                holder: holder(instance),
            });
            let last_min = (to_h.unwrap_or(0) - from_h) * 60;
            evidence.samples.extend((1..last_min).map(|minute| Sample {
                incident,
                time: Time::from_seconds(START + from_h * 3600 + minute * 60),
                resource: "web-memory".to_owned(),
                metric: "memory".to_owned(),
                value: (400.0 + 2.5 * minute as f64) * MIB,
                unit: "bytes".to_owned(),
                holder: holder(instance),
            }));
        }
    }
    let level = ((400.0 + 2.5 * 419.0) * MIB) as u64;
    let hours = |from: i64| Time::from_seconds(START + from * 3600);
    let transition = Transition {
        incident,
        sequence: 1,
        change: Change::Opened,
        reason: Reason::ExhaustionForecast,
        as_of: tick,
        pipeline: "hidden-leak".to_owned(),
        opened_at: tick,
        severity_peak: Severity::Page,
        finding: Finding {
            kind: Kind::GrowthWithinLife,
            resource: "web-memory".to_owned(),
            unit: "bytes".to_owned(),
            owner,
            severity: Severity::Page,
            since: Second(START - 7 * 3600),
            level,
            usable: Some(2 << 30),
            owner_level: Some(level),
            owner_level_before: None,
            growth_per_minute: Some(2.5 * MIB),
            exhaustion: Some(Interval { from: hours(3), to: Some(hours(5)) }),
            release: None,
            refused: 0,
            doubts: Vec::new(),
            detail: Some(Detail::WithinLife(WithinLife {
                instance: "web-1".to_owned(),
                since: Second(START - 7 * 3600),
                floors: "memory_floor_128s".to_owned(),
                across: Some(AcrossLives {
                    growth_per_hour: 150.0 * MIB,
                    growth_per_hour_interval: (149.0 * MIB, 151.0 * MIB),
                    lives_growing: 10,
                    lives: 11,
                    since_release: Some("7.6".to_owned()),
                    safe_uptime_s: Some((1_016_525.0, 1_195_732.0)),
                    restart_every_s: None,
                }),
            })),
        },
        headline: "web-1 grows 150 MiB an hour.".to_owned(),
        advice: "Restart web-1 before it ends by itself.".to_owned(),
        proof: "SELECT max(value) FROM samples".to_owned(),
    };
    let transitions = vec![(transition, tick.end())];
    locked(&shown.store)
        .commit(&Commit { tick, transitions, evidence, ..Commit::default() })
        .unwrap();
    shown.watched.publish(Picture { judged_through: Some(tick), ..Picture::default() });
    shown
}
