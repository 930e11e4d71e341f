//! History through the same engine: what would have been said. Never sends.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use plimsoll_detect::judge::{Judge, Step};
use plimsoll_detect::settings::Settings;
use plimsoll_ingest::SourceConfig;
use plimsoll_ingest::merge::Merge;
use plimsoll_model::{Batch, Reject, RejectReason, Tick, Time};

use crate::config::Config;
use crate::feed::{self, Feed};
use crate::harm::Harms;
use crate::progress::Progress;
use crate::threshold::Threshold;

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
    /// What was read, by the source's name.
    pub sources: BTreeMap<String, SourceReport>,
    /// Ticks judged.
    pub ticks: u64,
    /// What happened to users.
    pub harms: Harms,
    /// What a plain threshold would have said.
    pub threshold: Threshold,
}

/// What a replay read of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceReport {
    /// Records read.
    pub records: u64,
    /// Records that mean nothing here.
    pub irrelevant: u64,
    /// Rejects by reason, in the order of [`RejectReason::ALL`].
    pub rejects: [u64; RejectReason::ALL.len()],
    /// The first rejects, to be shown; at most [`REJECTS_SHOWN_MAX`].
    pub examples: Vec<Reject>,
    /// The earliest and the latest time of its records.
    pub span: Option<(Time, Time)>,
}

/// Rejects that are kept of each source to be shown.
pub const REJECTS_SHOWN_MAX: usize = 5;

impl SourceReport {
    /// All rejects.
    pub fn rejected(&self) -> u64 {
        self.rejects.iter().sum()
    }

    fn count(&mut self, batch: &Batch) {
        self.records += batch.records;
        self.irrelevant += batch.irrelevant;
        for (total, beyond) in self.rejects.iter_mut().zip(batch.rejects_beyond) {
            *total += beyond;
        }
        batch.rejects.iter().for_each(|reject| self.refuse(reject));
        for &(_, time) in &batch.times {
            let (first, last) = self.span.unwrap_or((time, time));
            self.span = Some((first.min(time), last.max(time)));
        }
    }

    fn refuse(&mut self, reject: &Reject) {
        self.rejects[reject.reason as usize] += 1;
        if self.examples.len() < REJECTS_SHOWN_MAX {
            self.examples.push(reject.clone());
        }
    }
}

impl Report {
    /// All rejects.
    pub fn rejected(&self) -> u64 {
        self.rejects.iter().sum()
    }

    fn count(&mut self, source: &str, batch: &Batch) {
        self.sources.entry(source.to_owned()).or_default().count(batch);
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
        for (source, read) in &self.sources {
            let records = read.records;
            if records == 0 {
                sentences.push(format!("source `{source}`: no records; is it the right file?"));
            } else if records == read.rejected() {
                sentences.push(format!(
                    "source `{source}`: none of {records} records could be used; is it the right file, and its `format`?"
                ));
            }
        }
        sentences
    }
}

/// Nothing that the definition reads is a file, so there is no history to judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "pipeline `{pipeline}` reads nothing from a file: {}; give recorded files in the place of the topics: {}",
    topics.join(", "), flags.join(" ")
)]
pub struct NoFiles {
    pipeline: String,
    topics: Vec<String>,
    flags: Vec<String>,
}

/// Says which sources a replay leaves out because they are read from Kafka; an error if that is
/// all of them.
fn say_unread(config: &Config) -> Result<(), NoFiles> {
    let unread = || config.sources.iter().filter(|(_, source)| source.file.is_empty());
    if unread().count() == config.sources.len() {
        let topic = |(name, source): (&String, &SourceConfig)| {
            format!("source `{name}` reads topic {}", source.kafka.join(", "))
        };
        return Err(NoFiles {
            pipeline: config.name.clone(),
            topics: unread().map(topic).collect(),
            flags: unread().map(|(name, _)| format!("--source {name}=FILE")).collect(),
        });
    }
    for (name, _) in unread() {
        tracing::warn!(
            "source `{name}` reads from Kafka and is left out; `--source {name}=FILE` gives a file in its place"
        );
    }
    Ok(())
}

/// Judges the configuration's files from their beginning to their end, and warns of sources of
/// which nothing came. The call is that of [`judge`].
pub fn replay(
    config: &Config,
    on_step: impl FnMut(&Tick, &Judge, Step, Time) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    say_unread(config)?;
    let mut feeds = Vec::new();
    for file in feed::file_partitions(config) {
        feeds.push(feed::open(&file)?);
    }
    let (report, _) = judge(config.settings(), &feeds, on_step)?;
    for sentence in report.useless_sources() {
        tracing::warn!("{sentence}");
    }
    Ok(report)
}

/// Judges what the feeds bring, to their end; the judge then knows all of it.
///
/// `on_step` is called after each tick with the tick, the judge, what it decided, and the event
/// time at which that could be decided.
pub fn judge(
    settings: Settings,
    feeds: &[Feed],
    mut on_step: impl FnMut(&Tick, &Judge, Step, Time) -> anyhow::Result<()>,
) -> anyhow::Result<(Report, Judge)> {
    let mut merge = Merge::new(settings.correct_within);
    let mut judge = Judge::new(settings);
    let mut report = Report::default();
    for feed in feeds {
        report.sources.entry(feed.source.clone()).or_default();
        merge.add(feed.id, feed.settings, 0);
    }
    let delay = feeds.iter().map(|feed| feed.settings.reorder).max().unwrap_or_default();
    let mut progress = Progress::start();
    loop {
        while let Some(tick) = merge.next_tick() {
            report.ticks += 1;
            report.harms.observe(&tick);
            let step = judge.step(&tick);
            if !step.transitions.is_empty() {
                progress.clear();
            }
            report.threshold.observe(tick.second, judge.totals());
            on_step(&tick, &judge, step, decided_at(&tick, delay))?;
        }
        let waiting = merge.waiting_for();
        if waiting.is_empty() {
            break;
        }
        for partition in waiting {
            let feed = feeds.iter().find(|feed| feed.id == partition);
            let feed = feed.expect("the merge knows the partitions that were added");
            read_on(feed, &mut merge, &mut report)?;
        }
        progress.show(report.records);
    }
    progress.clear();
    let rejects = merge.take_rejects();
    for reject in &rejects.kept {
        report.rejects[reject.reason as usize] += 1;
        let feed = feeds.iter().find(|feed| feed.id == reject.partition);
        let source = feed.and_then(|feed| report.sources.get_mut(&feed.source));
        if let Some(source) = source {
            source.refuse(reject);
        }
    }
    for (total, beyond) in report.rejects.iter_mut().zip(rejects.beyond) {
        *total += beyond;
    }
    Ok((report, judge))
}

/// The earliest moment at which a live pipeline could have decided the tick.
fn decided_at(tick: &Tick, delay: Duration) -> Time {
    tick.second.end().plus(delay)
}

fn read_on(feed: &Feed, merge: &mut Merge, report: &mut Report) -> anyhow::Result<()> {
    match feed.batches.recv() {
        Ok(batch) => {
            let batch = batch.with_context(|| format!("source `{}`", feed.source))?;
            report.count(&feed.source, &batch);
            merge.push(batch);
        }
        Err(_ended) => merge.finish(feed.id),
    }
    Ok(())
}
