//! Incidents as tests: a folder with a definition, its input and the verdicts that are expected.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::config::Config;
use crate::expected::{Expected, Failure, compare};
use crate::replay::{self, Report};
use crate::story::Story;

/// What became of one folder.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The pipeline's name.
    pub pipeline: String,
    /// What differs from the expectation; empty if nothing.
    pub failures: Vec<Failure>,
    /// What was said.
    pub story: Story,
    /// What was read.
    pub report: Report,
    /// How long it took.
    pub took: Duration,
}

/// The pipeline folders at `path`: itself if it holds a `pipeline.yaml`, else its children that do,
/// by name.
pub fn folders(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.join("pipeline.yaml").is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .with_context(|| format!("cannot list `{}`; name a pipeline folder", path.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        if folder.join("pipeline.yaml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    if folders.is_empty() {
        anyhow::bail!("`{}` holds no folder with a pipeline.yaml", path.display());
    }
    Ok(folders)
}

/// Replays a pipeline and, if there is an expectation, compares what was said with it.
pub fn replay(config: &Config, expected: Option<&Expected>) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut story = Story::default();
    let mut transitions = Vec::new();
    let report = replay::replay(
        config,
        |transition, _| {
            story.add(transition);
            transitions.push(transition.clone());
            Ok(())
        },
        |_, _| Ok(()),
    )?;
    let failures = expected.map(|expected| compare(expected, &transitions)).unwrap_or_default();
    let took = started.elapsed();
    Ok(Outcome { pipeline: config.name.clone(), failures, story, report, took })
}
