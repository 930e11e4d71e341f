//! Incidents as tests: a folder with a definition, its input and the verdicts that are expected.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::expected::{Expected, Failure, compare};
use crate::replay::{self, Report};
use crate::story::Story;

/// Why a folder cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is not there, or cannot be read.
    #[error("cannot list `{}`: {source}; name a folder that holds a pipeline.yaml", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is a file.
    #[error(
        "`{path}` is a file; name the folder that holds a pipeline.yaml (`plimsoll replay -c {path}` takes a definition)",
        path = .0.display()
    )]
    IsFile(PathBuf),
    /// Neither it nor a folder in it is a pipeline.
    #[error(
        "`{}` holds no pipeline.yaml, and no folder that does; docs/pipelines.md says what a folder has",
        .0.display()
    )]
    NoPipeline(PathBuf),
    /// It says what is judged, not what must come of it.
    #[error(
        "`{}` has no expected.yaml: write who must be paged, and when (docs/pipelines.md), or use `plimsoll replay`, \
         which expects nothing",
        .0.display()
    )]
    NoExpectation(PathBuf),
}

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
pub fn folders(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if path.join("pipeline.yaml").is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if path.is_file() {
        return Err(FolderError::IsFile(path.to_owned()));
    }
    let unreadable = |source| FolderError::Unreadable { path: path.to_owned(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        if folder.join("pipeline.yaml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    if folders.is_empty() {
        return Err(FolderError::NoPipeline(path.to_owned()));
    }
    Ok(folders)
}

/// The same folders as tests: each says what it expects.
pub fn cases(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let folders = folders(path)?;
    match folders.iter().find(|folder| !folder.join("expected.yaml").is_file()) {
        Some(folder) => Err(FolderError::NoExpectation(folder.clone())),
        None => Ok(folders),
    }
}

/// Replays a pipeline and, if there is an expectation, compares what was said with it.
pub fn replay(config: &Config, expected: Option<&Expected>) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut story = Story::default();
    let mut transitions = Vec::new();
    let report = replay::replay(config, |_, _, step, _| {
        step.transitions.iter().for_each(|transition| story.add(transition));
        transitions.extend(step.transitions);
        Ok(())
    })?;
    let failures = expected.map(|expected| compare(expected, &transitions)).unwrap_or_default();
    let took = started.elapsed();
    Ok(Outcome { pipeline: config.name.clone(), failures, story, report, took })
}
