//! History through the same engine: what would have been said. Never sends.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::Context;
use plimsoll_detect::judge::{Judge, Step};
use plimsoll_ingest::merge::Merge;
use plimsoll_model::sessions::{SessionEvent, refusal};
use plimsoll_model::{Batch, PartitionId, RejectReason, Row, RowKind, Tick, Time, Transition};

use crate::config::Config;
use crate::feed::{self, FilePartition};
use crate::progress::Progress;

/// What a replay saw, beside the transitions.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records read.
    pub records: u64,
    /// Bytes of the records.
    pub bytes: u64,
    /// Records that mean nothing here.
    pub irrelevant: u64,
    /// Rows made of records.
    pub rows: u64,
    /// Rejects by reason, in the order of [`RejectReason::ALL`].
    pub rejects: [u64; RejectReason::ALL.len()],
    /// Records read and rejected, by the source's name.
    pub sources: BTreeMap<String, (u64, u64)>,
    /// Ticks judged.
    pub ticks: u64,
    /// Every refusal's time, by resource: the first after an incident opened is its consequence.
    /// Bounded by [`REFUSALS_KEPT_MAX`]; the first ones are kept.
    pub refusals: BTreeMap<String, Vec<Time>>,
}

/// Refusals whose time is kept for the report, per resource.
pub const REFUSALS_KEPT_MAX: usize = 100_000;

impl Report {
    /// All rejects.
    pub fn rejected(&self) -> u64 {
        self.rejects.iter().sum()
    }

    /// The first refusal of `resource` at or after `from`.
    pub fn refusal_after(&self, resource: &str, from: Time) -> Option<Time> {
        let times = self.refusals.get(resource)?;
        times.iter().copied().filter(|&time| time >= from).min()
    }

    fn count(&mut self, source: &str, batch: &Batch) {
        let of_source = self.sources.entry(source.to_owned()).or_default();
        of_source.0 += batch.records;
        of_source.1 += batch.rejects.len() as u64 + batch.rejects_beyond.iter().sum::<u64>();
        self.records += batch.records;
        self.bytes += batch.bytes;
        self.irrelevant += batch.irrelevant;
        self.rows += batch.rows() as u64;
        for (total, beyond) in self.rejects.iter_mut().zip(batch.rejects_beyond) {
            *total += beyond;
        }
        for reject in &batch.rejects {
            self.rejects[reject.reason as usize] += 1;
        }
    }

    /// The sources of which nothing came, each as a sentence.
    pub fn useless_sources(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (source, &(records, rejected)) in &self.sources {
            if records == 0 {
                sentences.push(format!("source `{source}`: no records; is it the right file?"));
            } else if records == rejected {
                sentences.push(format!(
                    "source `{source}`: none of {records} records could be used; is it the right file, and its `format`?"
                ));
            }
        }
        sentences
    }

    fn note_refusals(&mut self, tick: &Tick) {
        for row in &tick.rows {
            if let Some(resource) = refused_resource(tick, row) {
                let times = self.refusals.entry(resource.to_owned()).or_default();
                if times.len() < REFUSALS_KEPT_MAX {
                    times.push(row.time);
                }
            }
        }
    }
}

/// The resource that refused at its hard limit in this row, if it did.
fn refused_resource<'a>(tick: &'a Tick, row: &Row) -> Option<&'a str> {
    if row.kind != RowKind::Session {
        return None;
    }
    let sessions = &tick.batch(row).sessions;
    let index = row.index as usize;
    let at_limit = matches!(sessions.reason(index), Some(refusal::LIMIT | refusal::RESERVED));
    (sessions.event(index) == SessionEvent::Refused && at_limit).then(|| sessions.resource(index))
}

/// Judges the configuration's files from their beginning to their end.
///
/// `on_transition` is called for each transition as it is decided, with the event time at which
/// it could be decided; `on_tick` after each tick.
pub fn replay(
    config: &Config,
    mut on_transition: impl FnMut(&Transition, Time) -> anyhow::Result<()>,
    mut on_tick: impl FnMut(&Tick, &Judge) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    steps(config, |tick, judge, step, decided_at| {
        for transition in &step.transitions {
            on_transition(transition, decided_at)?;
        }
        on_tick(tick, judge)
    })
}

/// The same, with all that each tick led to: its transitions and their evidence.
///
/// `on_step` is called after each tick with the tick, the judge, what it decided, and the event
/// time at which that could be decided.
pub fn steps(
    config: &Config,
    mut on_step: impl FnMut(&Tick, &Judge, Step, Time) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let files = feed::file_partitions(config);
    let settings = config.settings();
    let mut merge = Merge::new(settings.correct_within);
    let mut judge = Judge::new(settings);
    let mut feeds = BTreeMap::new();
    let mut report = Report::default();
    for file in &files {
        report.sources.entry(file.source.clone()).or_default();
        merge.add(file.id, feed::partition_settings(&file.config), 0);
        feeds.insert(file.id, feed::spawn(file, 0)?);
    }
    let delay = files.iter().map(|file| file.config.reorder).max().unwrap_or_default();
    let mut progress = Progress::start();
    loop {
        while let Some(tick) = merge.next_tick() {
            report.ticks += 1;
            report.note_refusals(&tick);
            let step = judge.step(&tick);
            if !step.transitions.is_empty() {
                progress.clear();
            }
            on_step(&tick, &judge, step, decided_at(&tick, delay))?;
        }
        let waiting = merge.waiting_for();
        if waiting.is_empty() {
            break;
        }
        for partition in waiting {
            read_on(partition, &files, &mut feeds, &mut merge, &mut report)?;
        }
        progress.show(report.records);
    }
    progress.clear();
    let rejects = merge.take_rejects();
    for reject in &rejects.kept {
        report.rejects[reject.reason as usize] += 1;
    }
    for (total, beyond) in report.rejects.iter_mut().zip(rejects.beyond) {
        *total += beyond;
    }
    for sentence in report.useless_sources() {
        tracing::warn!("{sentence}");
    }
    Ok(report)
}

/// The earliest moment at which a live pipeline could have decided the tick.
fn decided_at(tick: &Tick, delay: Duration) -> Time {
    tick.second.end().plus(delay)
}

fn read_on(
    partition: PartitionId,
    files: &[FilePartition],
    feeds: &mut BTreeMap<PartitionId, Receiver<anyhow::Result<Batch>>>,
    merge: &mut Merge,
    report: &mut Report,
) -> anyhow::Result<()> {
    let feed = feeds.get(&partition).expect("the merge knows the partitions that were added");
    match feed.recv() {
        Ok(batch) => {
            let file = files.iter().find(|file| file.id == partition);
            let source = file.map_or("?", |file| file.source.as_str());
            let batch = batch.with_context(|| format!("source `{source}`"))?;
            report.count(source, &batch);
            merge.push(batch);
        }
        Err(_ended) => merge.finish(partition),
    }
    Ok(())
}
