//! The recordings in `pipelines/` as text, to be changed and judged: for the tests, and for the
//! table in `docs/detectors.md`.

pub mod edit;
mod without;

use std::collections::BTreeMap;
use std::path::Path;

use plimsoll::config::{Config, Purpose};
use plimsoll::replay;
use plimsoll_ingest::file::FileSource;
use plimsoll_ingest::raw::RawRecord;
use plimsoll_model::{Owner, PartitionId, SourceId, Transition};
use serde_json::Value;

pub use without::removed;

/// A recording as text, to be changed and judged.
#[derive(Clone)]
pub struct Recording {
    pub definition: String,
    pub expected: String,
    pub truth: Value,
    /// What each source reads.
    pub inputs: BTreeMap<String, String>,
}

impl Recording {
    /// The recording in a folder of `pipelines/`.
    pub fn read(folder: &Path) -> Recording {
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let (config, _) = Config::load_for(&folder.join("pipeline.yaml"), Purpose::Replay).unwrap();
        let mut inputs = BTreeMap::new();
        let mut truth = folder.join("truth.json");
        for (name, source) in &config.sources {
            let [file] = &source.file[..] else { panic!("`{name}` must have one file") };
            inputs.insert(name.clone(), lines(Path::new(file)));
            if !truth.is_file() {
                // It judges what another folder has recorded.
                truth = Path::new(file).with_file_name("truth.json");
            }
        }
        let truth = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
        let (definition, expected) = (text("pipeline.yaml"), text("expected.yaml"));
        Recording { definition, expected, truth, inputs }
    }

    /// The pipeline's name.
    pub fn name(&self) -> &str {
        let name = self.definition.lines().find_map(|line| line.strip_prefix("name: "));
        name.expect("a definition has a name")
    }

    /// A word of `truth.json`.
    pub fn truth(&self, field: &str) -> &str {
        self.truth[field].as_str().unwrap()
    }

    /// Gives what one source reads through `change`.
    pub fn change(&mut self, source: &str, change: impl FnOnce(&str) -> String) {
        let text = self.inputs.get_mut(source).unwrap();
        *text = change(text);
    }

    /// Gives what every source reads through `change`.
    pub fn change_all(&mut self, change: impl Fn(&str) -> String) {
        self.inputs.values_mut().for_each(|text| *text = change(text));
    }

    /// What is said of it.
    pub fn judge(&self) -> Vec<Transition> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pipeline.yaml");
        std::fs::write(&file, &self.definition).unwrap();
        let (mut config, _) = Config::load_for(&file, Purpose::Replay).unwrap();
        for (name, text) in &self.inputs {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            config.override_source(name, vec![path]).unwrap();
        }
        let mut transitions = Vec::new();
        let report = replay::replay(&config, |_, _, step, _| {
            transitions.extend(step.transitions);
            Ok(())
        });
        assert_eq!(report.unwrap().rejected(), 0, "{} was changed into nonsense", self.name());
        transitions
    }
}

/// The decompressed lines of a file.
fn lines(path: &Path) -> String {
    let partition = PartitionId { source: SourceId(0), partition: 0 };
    let mut source = FileSource::open(path, partition, 0).unwrap();
    let mut text = String::new();
    while let Some(batch) = source.next_batch().unwrap() {
        for (_, record) in batch.records() {
            let RawRecord::Whole(bytes) = record else { panic!("{record:?} in {path:?}") };
            text += std::str::from_utf8(bytes).unwrap().trim_end_matches('\n');
            text.push('\n');
        }
    }
    text
}

/// The owner that is named first.
pub fn culprit(transitions: &[Transition]) -> &str {
    match &transitions[0].finding.owner {
        Owner::Holder { value, .. } => value,
        other => panic!("{other} is nobody who can be renamed or removed"),
    }
}
