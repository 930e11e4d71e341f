//! Recorded incidents, judged on an embedded store: what would have been said, and the data that
//! page and SQL show. No server, no account, nothing is sent.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use plimsoll_console::watched::{Picture, Watched};
use plimsoll_console::{Health, Pipeline, Sources, State, Version};
use plimsoll_detect::Judge;
use plimsoll_detect::settings::Settings;
use plimsoll_model::Second;
use plimsoll_model::evidence::PANE_SECONDS;
use plimsoll_store::{Commit, Options, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Purpose};
use crate::engine::{SharedStore, locked};
use crate::replay::{self, Report};
use crate::story::Story;
use crate::{golden, watched};

/// Where the recordings are looked for, if nobody says.
pub const FOLDER: &str = "pipelines";

/// A data directory that may hold something else.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not empty; name a folder that is, or leave --data-dir out")]
pub struct NotEmpty(String);

/// One recording, judged.
#[derive(Debug)]
pub struct Recording {
    /// The pipeline's name.
    pub pipeline: String,
    /// What would have been said.
    pub story: Story,
    /// What was read.
    pub report: Report,
    /// How long it took.
    pub took: Duration,
    store: SharedStore,
    watched: Watched,
}

impl Recording {
    /// The story, several lines.
    pub fn text(&self) -> String {
        self.story.text(&self.pipeline, &self.report, self.took)
    }
}

/// Judges every recording below `folder`, each into a data directory of its own below `data`, and
/// hands each over as soon as it is judged.
pub fn judge(
    folder: &Path,
    data: &Path,
    mut judged: impl FnMut(&Recording) -> io::Result<()>,
) -> anyhow::Result<Vec<Recording>> {
    // Said before anything is judged, so that nothing is half done.
    refuse_used(data)?;
    let mut recordings = Vec::new();
    for folder in golden::folders(folder)? {
        let (config, _) = Config::load_for(&folder.join("pipeline.yaml"), Purpose::Replay)?;
        let recording = judge_one(&config, &data.join(&config.name))?;
        judged(&recording)?;
        recordings.push(recording);
    }
    Ok(recordings)
}

/// Judges one recording into the data directory `data`, which must be empty or absent.
pub fn judge_one(config: &Config, data: &Path) -> anyhow::Result<Recording> {
    let started = Instant::now();
    std::fs::create_dir_all(data).with_context(|| format!("cannot create `{}`", data.display()))?;
    refuse_used(data)?;
    let options = Options { ballast_bytes: 0, ..Options::new(&config.name) };
    let mut store = Store::open(data, options)?;
    let (mut story, watched) = (Story::default(), Watched::new());
    let settings = config.settings();
    let report = replay::replay(config, |tick, judge, step, decided_at| {
        if (tick.second.0 + 1) % PANE_SECONDS == 0 {
            watched.publish(picture(&settings, tick.second, judge));
        }
        if step.transitions.is_empty() {
            return Ok(());
        }
        step.transitions.iter().for_each(|transition| story.add(transition));
        Ok(store.commit(&Commit {
            tick: tick.second,
            transitions: step.transitions.into_iter().map(|it| (it, decided_at)).collect(),
            evidence: step.evidence,
            ..Commit::default()
        })?)
    })?;
    let (pipeline, took) = (config.name.clone(), started.elapsed());
    Ok(Recording { pipeline, story, report, took, store: Arc::new(Mutex::new(store)), watched })
}

/// Refuses a folder that holds something; one that is not there holds nothing.
fn refuse_used(data: &Path) -> anyhow::Result<()> {
    let shown = || data.display().to_string();
    let is_used = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot list `{}`", shown())),
    };
    if is_used { Err(NotEmpty(shown()).into()) } else { Ok(()) }
}

/// What is watched at the end of a pane.
fn picture(settings: &Settings, second: Second, judge: &Judge) -> Picture {
    Picture {
        judged_through: Some(second),
        now: None,
        resources: watched::resources(judge, settings),
        sources: Vec::new(),
        incidents: watched::incidents(judge, settings),
    }
}

/// Listens for the page.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on `{address}`: choose another --listen"))
}

/// Serves the page over the recordings until `cancel`.
pub async fn serve(
    recordings: Vec<Recording>,
    listener: TcpListener,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let health = Health::new();
    let names: Vec<&str> = recordings.iter().map(|it| it.pipeline.as_str()).collect();
    let version = Version {
        version: crate::version::version(),
        commit: crate::version::commit().map(str::to_owned),
        pipeline: names.join(", "),
        config: String::new(),
    };
    let pipelines = recordings.into_iter().map(|recording| {
        health.set(&recording.pipeline, State::Ok);
        let store = recording.store;
        let snapshots = move || locked(&store).snapshot();
        Pipeline::new(recording.pipeline, snapshots, recording.watched)
    });
    let sources = Sources::new(health.clone(), String::new, version, pipelines.collect());
    Ok(plimsoll_console::serve(listener, sources, cancel).await?)
}
