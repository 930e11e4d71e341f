//! The judge's thread: events in, transactions out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll_console::{Health, Picture, State, Watched};
use plimsoll_ingest::config::SourceConfig;
use plimsoll_model::{Batch, PartitionId, Second};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{follow, kafka, open_engine, report};
use crate::config::Config;
use crate::engine::{Engine, SharedStore, Stepped};
use crate::live::{Decision, Liveness};
use crate::{clock, feed, watched};

/// Events that may wait for the judge.
const EVENTS_WAITING_MAX: usize = 64;

/// How long the judge waits for an event before it looks at the clock.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Events taken in before ticks are judged again.
const EVENTS_PER_ROUND_MAX: usize = 256;

/// What the readers tell the judge.
#[derive(Debug)]
pub enum Event {
    /// Parsed records of one partition.
    Batch(Box<Batch>),
    /// Every record that the partition has was handed over.
    AtEnd(PartitionId),
    /// The partition ends for good.
    Finished(PartitionId),
    /// A topic got this partition while the program runs; its records follow.
    Joined(PartitionId, Box<SourceConfig>),
    /// A dependency works, or fails with this error.
    Dependency(String, Option<String>),
    /// A reader cannot go on at all.
    Broken(anyhow::Error),
}

/// Partitions that the readers should leave alone for now, because the merge has no room.
pub(super) type Paused = Arc<Mutex<BTreeSet<PartitionId>>>;

/// What the judge's thread shares with the rest.
pub(super) struct Judging {
    pub store: SharedStore,
    pub health: Health,
    pub watched: Watched,
    pub wake: Arc<Notify>,
    pub cancel: CancellationToken,
}

/// The judge's name in `/readyz`.
pub(super) const JUDGE: &str = "judge";

/// The data directory's name in `/readyz`.
pub(super) const STORE: &str = "store";

/// Reads and judges until the stop. On return, everything judged is durable.
pub(super) fn judge(config: &Config, judging: Judging) -> anyhow::Result<()> {
    let started = Instant::now();
    let topics = kafka::partitions(config, &judging.health, &judging.cancel)?;
    if judging.cancel.is_cancelled() {
        // Without its partitions the engine must not write a checkpoint.
        return Ok(());
    }
    let files = feed::file_partitions(config);
    let partitions = topics
        .iter()
        .map(|topic| (topic.id, feed::partition_settings(&topic.config)))
        .chain(files.iter().map(|file| (file.id, feed::partition_settings(&file.config))))
        .collect();
    let mut engine = open_engine(config, partitions, &judging.store)?;
    let mut liveness = Liveness::default();
    for topic in &topics {
        liveness.add(topic.id, topic.config.idle_after(), started.elapsed());
    }
    for file in &files {
        liveness.add(file.id, file.config.idle_after(), started.elapsed());
    }
    let paused = Paused::default();
    let (sender, events) = sync_channel(EVENTS_WAITING_MAX);
    let resume = |id| engine.resume_offset(id);
    kafka::spawn(config, &topics, resume, &sender, &paused, &judging.cancel)?;
    follow::spawn(&files, resume, &sender, &paused, &judging.cancel)?;
    drop(sender);
    judging.health.set(JUDGE, State::Ok);
    let mut storing = Storing { health: judging.health.clone(), was_full: false };
    judging.wake.notify_waiters();

    let settings = config.settings();
    let mut last_wall = Second(0);
    let mut failing = BTreeMap::new();
    while !judging.cancel.is_cancelled() {
        let open = take_events(
            &events,
            &mut engine,
            &mut liveness,
            &judging.health,
            &mut failing,
            started,
        )?;
        if engine.unsaved().is_some() {
            liveness.hold(started.elapsed());
        }
        for decision in liveness.decide(started.elapsed()) {
            apply(decision, &mut engine);
        }
        if let Some(until) = liveness.advance(started.elapsed(), engine.last_tick()) {
            engine.advance(until);
        }
        let stepped = if liveness.all_answered() {
            engine.step(clock::now(), liveness.caught_up())?
        } else {
            Stepped::default()
        };
        if stepped.ordered || !stepped.transitions.is_empty() {
            judging.wake.notify_waiters();
        }
        if stepped.silent.incidents > 0 {
            tracing::warn!(
                incidents = stepped.silent.incidents,
                "opened and ended inside the backlog; recorded, not paged"
            );
        }
        for (transition, _) in &stepped.transitions {
            tracing::info!(incident = %transition.incident, sequence = transition.sequence,
                change = transition.change.name(), reason = transition.reason.name(),
                headline = transition.headline, "incident");
        }
        storing.say(&engine);
        set_paused(&paused, liveness.standings().map(|(id, _)| id), &engine);
        judging.health.beat();
        let wall = clock::now().second();
        if wall != last_wall {
            last_wall = wall;
            let now = clock::now();
            super::gauges::publish(config, &engine, &liveness, &judging.store, now)?;
            judging.watched.publish(Picture {
                judged_through: engine.last_tick(),
                now: Some(now),
                resources: watched::resources(engine.judge(), &settings),
                sources: watched::sources(config, &engine, liveness.standings()),
                incidents: watched::incidents(engine.judge(), &settings),
            });
        }
        if !open
            && engine.unsaved().is_none()
            && engine.merge().waiting_for().is_empty()
            && !stepped.more
        {
            break;
        }
    }
    engine.checkpoint(clock::now())
}

/// Takes in what waits; false when no reader is left.
fn take_events(
    events: &Receiver<Event>,
    engine: &mut Engine,
    liveness: &mut Liveness,
    health: &Health,
    failing: &mut BTreeMap<String, String>,
    started: Instant,
) -> anyhow::Result<bool> {
    let mut event = match events.recv_timeout(LOOK_EVERY) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return Ok(false),
    };
    for _ in 0..EVENTS_PER_ROUND_MAX {
        let Some(taken) = event else { break };
        match taken {
            Event::Batch(batch) => {
                liveness.heard(batch.partition, started.elapsed());
                engine.push(*batch);
            }
            Event::AtEnd(partition) => liveness.at_end(partition),
            Event::Finished(partition) => {
                liveness.at_end(partition);
                engine.finish(partition);
            }
            Event::Joined(partition, config) => {
                engine.join(partition, feed::partition_settings(&config));
                liveness.join(partition, config.idle_after(), started.elapsed());
            }
            Event::Dependency(name, error) => {
                match &error {
                    // The same failure is said once, however often it is tried again.
                    Some(error) if failing.get(&name) != Some(error) => {
                        tracing::warn!(dependency = name, error, "failing; retrying");
                        failing.insert(name.clone(), error.clone());
                    }
                    Some(_) => {}
                    None if failing.remove(&name).is_some() => {
                        tracing::info!(dependency = name, "works again");
                    }
                    None => {}
                }
                report(health, &name, error);
            }
            Event::Broken(error) => return Err(error),
        }
        event = events.try_recv().ok();
    }
    Ok(true)
}

fn apply(decision: Decision, engine: &mut Engine) {
    match decision {
        Decision::Idle(partition) => engine.idle(partition),
        Decision::SetAside(partition) => {
            tracing::error!(%partition, "unread records but no progress; set aside, so that the others are judged");
            engine.set_aside(partition);
        }
    }
}

fn set_paused(paused: &Paused, partitions: impl Iterator<Item = PartitionId>, engine: &Engine) {
    let is_stopped = engine.unsaved().is_some();
    let full = partitions.filter(|id| is_stopped || !engine.merge().has_room(*id)).collect();
    *paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = full;
}

/// Says in `/readyz` and in the log whether decisions become durable.
struct Storing {
    health: Health,
    was_full: bool,
}

impl Storing {
    fn say(&mut self, engine: &Engine) {
        match engine.unsaved() {
            Some(error) if !self.was_full => {
                tracing::error!(
                    error,
                    "nothing is judged until what was decided is durable; retrying"
                );
                report(&self.health, STORE, Some(error.to_owned()));
            }
            None if self.was_full => {
                tracing::info!("what was decided is durable again");
                report(&self.health, STORE, None);
            }
            _ => {}
        }
        self.was_full = engine.unsaved().is_some();
    }
}
