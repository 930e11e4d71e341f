//! Recorded incidents, judged on an embedded store: what would have been said, and the data that
//! the console and SQL show. No server, no account, nothing is sent.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use plimsoll_store::{Commit, Options, Store};

use crate::config::{Config, Purpose};
use crate::golden;
use crate::replay::{self, Report};
use crate::story::Story;

/// Where the recordings are looked for, if nobody says.
pub const FOLDER: &str = "pipelines";

/// One recording, judged.
#[derive(Debug)]
pub struct Shown {
    /// The pipeline's name.
    pub pipeline: String,
    /// What would have been said.
    pub story: Story,
    /// What was read.
    pub report: Report,
    /// How long it took.
    pub took: Duration,
    /// Its data directory.
    pub data_dir: PathBuf,
}

impl Shown {
    /// The story, several lines.
    pub fn text(&self) -> String {
        self.story.text(&self.pipeline, &self.report, self.took)
    }
}

/// Judges every recording below `folder`, each into a data directory of its own below `data`.
pub fn judge(folder: &Path, data: &Path) -> anyhow::Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for folder in golden::folders(folder)? {
        let (config, _) = Config::load_for(&folder.join("pipeline.yaml"), Purpose::Replay)?;
        shown.push(judge_one(&config, &data.join(&config.name))?);
    }
    Ok(shown)
}

/// Judges one recording into the data directory `data_dir`, which must be new.
pub fn judge_one(config: &Config, data_dir: &Path) -> anyhow::Result<Shown> {
    let started = Instant::now();
    let mut story = Story::default();
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create `{}`", data_dir.display()))?;
    // What a demo loses in a power cut is made again by the next one.
    let options = Options { ballast_bytes: 0, ..Options::new(&config.name) };
    let mut store = Store::open(data_dir, options)?;
    let report = replay::replay_steps(config, |tick, _, step, decided_at| {
        if step.transitions.is_empty() {
            return Ok(());
        }
        step.transitions.iter().for_each(|transition| story.add(transition));
        let commit = Commit {
            tick: tick.second,
            transitions: step.transitions.into_iter().map(|it| (it, decided_at)).collect(),
            evidence: step.evidence,
            ..Commit::default()
        };
        Ok(store.commit(&commit)?)
    })?;
    Ok(Shown {
        pipeline: config.name.clone(),
        story,
        report,
        took: started.elapsed(),
        data_dir: data_dir.to_owned(),
    })
}
