//! The recorded incidents in `pipelines/`, judged and stored with their evidence.

use std::path::{Path, PathBuf};

use plimsoll::config::{Config, Purpose};
use plimsoll::golden::folders;
use plimsoll::replay;
use plimsoll_detect::judge::Step;
use plimsoll_model::evidence::Evidence;
use plimsoll_model::{Second, Time, Transition};
use plimsoll_query::{Limits, Query};
use plimsoll_store::{Commit, Options, Store};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// What one tick of one pipeline led to.
pub struct Told {
    pub tick: Second,
    pub decided_at: Time,
    pub transitions: Vec<Transition>,
    pub evidence: Evidence,
}

/// Every golden pipeline's name, with all that was told.
pub fn golden() -> Vec<(String, Vec<Told>)> {
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    folders(&pipelines).unwrap().into_iter().map(judged).collect()
}

fn judged(folder: PathBuf) -> (String, Vec<Told>) {
    let config = Config::load_for(&folder.join("pipeline.yaml"), Purpose::Replay).unwrap().0;
    let mut told = Vec::new();
    replay::replay(&config, |tick, _, step, decided_at| {
        let Step { transitions, evidence } = step;
        if !transitions.is_empty() {
            told.push(Told { tick: tick.second, decided_at, transitions, evidence });
        }
        Ok(())
    })
    .unwrap();
    (config.name, told)
}

/// A data directory with what was told; `keep` may take evidence away.
pub fn stored(name: &str, told: &[Told], keep: impl Fn(&Evidence) -> Evidence) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { ballast_bytes: 0, ..Options::new(name) };
    let mut store = Store::open(folder.path(), options).unwrap();
    for one in told {
        let commit = Commit {
            tick: one.tick,
            transitions: one.transitions.iter().map(|it| (it.clone(), one.decided_at)).collect(),
            evidence: keep(&one.evidence),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    }
    folder
}

/// Half of the evidence: every second pane and sample.
pub fn half(evidence: &Evidence) -> Evidence {
    let mut half = evidence.clone();
    half.panes.retain(|row| row.pane.0 % 20 != 0);
    half.samples.retain(|row| row.time.second().0 % 2 != 0);
    half
}

/// The rows that answer `sql` over a data directory, as JSON objects.
#[track_caller]
pub fn ask(folder: &Path, sql: &str) -> Vec<Map<String, Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let query = Query::open(folder).unwrap();
    let answer = runtime.block_on(query.run(sql, &Limits::default()));
    let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut json = Vec::new();
    answer.write_json(&mut json).unwrap();
    objects(&String::from_utf8(json).unwrap())
}

/// One JSON object per line, with times in one form.
pub fn objects(lines: &str) -> Vec<Map<String, Value>> {
    let object = |line: &str| {
        let mut object: Map<String, Value> = serde_json::from_str(line).unwrap();
        object.values_mut().for_each(plain);
        object
    };
    lines.lines().map(object).collect()
}

/// Numbers as floats, and times as `2024-03-12 15:10:00`, without a fraction of zero.
fn plain(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::from(number.as_f64().unwrap()),
        Value::Array(values) => values.iter_mut().for_each(plain),
        Value::String(text) => {
            let is_time = text.len() >= 19
                && text.bytes().zip("0000-00-00 00:00:00".bytes()).all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    b' ' => byte == b' ' || byte == b'T',
                    form => byte == form,
                });
            if is_time {
                let time = text.trim_end_matches('Z').replacen('T', " ", 1);
                *text = match time.contains('.') {
                    true => time.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => time,
                };
            }
        }
        _ => {}
    }
}
