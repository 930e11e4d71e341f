//! The definition of a pipeline: YAML in, sections of every crate out.
//!
//! Each crate owns the type of its section; this module reads the file, replaces references,
//! checks what concerns several sections, and says everything that is wrong at once, each with
//! file, line and column. `docs/config.md` describes every key.

mod interpolate;
pub(crate) mod problem;
mod rules;
mod schema;
pub(crate) mod secret;
mod sections;
pub(crate) mod tree;
pub(crate) mod typed;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_deliver::ClickHouseConfig;
use plimsoll_detect::settings::{Detectors, ResourceConfig, Settings};
use plimsoll_ingest::SourceConfig;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

pub use problem::{PROBLEMS_MAX, Problem, Problems};
pub use schema::schema;
pub use sections::{KafkaConfig, ReceiverConfig, Route, Start};
pub use tree::Place;

use interpolate::Surroundings;
use problem::{Reporter, suggestion};
use sections::Definition;
use tree::{Node, Number, Value};

/// The largest definition that is read.
pub const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What a definition is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run: every reference must resolve.
    Run,
    /// To be checked: the same, and the files of sources are looked for.
    Check,
    /// To judge history: nothing is read from Kafka and nothing is sent, so the secrets of
    /// `kafka`, `clickhouse` and `receivers` may be absent.
    Replay,
}

/// A definition that is sound.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The pipeline's name: part of every incident's id.
    pub name: String,
    /// How long people need from a page to its cure.
    pub response_time: Duration,
    /// How late a row may come and still correct what is known.
    pub correct_within: Duration,
    /// How long the data directory keeps what is over.
    pub retention: Duration,
    /// The data directory of `run`.
    pub data: PathBuf,
    /// Where the console listens; a loopback address.
    pub listen: SocketAddr,
    /// The brokers; there if any source reads from Kafka.
    pub kafka: Option<KafkaConfig>,
    /// Where the history goes, if anywhere.
    pub clickhouse: Option<ClickHouseConfig>,
    /// The sources by name. Paths of files are complete; `-` is standard input.
    pub sources: BTreeMap<String, SourceConfig>,
    /// The finite resources by name.
    pub resources: BTreeMap<String, ResourceConfig>,
    /// The detectors.
    pub detectors: Detectors,
    /// The receivers of pages by name.
    pub receivers: BTreeMap<String, ReceiverConfig>,
    /// Which severity goes to which receiver.
    pub routes: Vec<Route>,
    /// The sections as they were written, without the effect of the folder the file lies in.
    definition: Definition,
}

/// Why a source cannot be read from somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// The definition has no such source.
    #[error("the definition has no source `{name}`: {suggestion}")]
    UnknownSource {
        /// What was asked for.
        name: String,
        /// The nearest one, or all there are.
        suggestion: String,
    },
    /// The path is not Unicode.
    #[error("the path `{0}` is not valid UTF-8")]
    Path(String),
}

impl Config {
    /// Reads the definition in `path`, for [`Purpose::Run`]. The second part of the result are
    /// warnings.
    pub fn load(path: &Path) -> Result<(Config, Vec<Problem>), Problems> {
        Config::load_for(path, Purpose::Run)
    }

    /// Reads the definition in `path`. The second part of the result are warnings.
    pub fn load_for(path: &Path, purpose: Purpose) -> Result<(Config, Vec<Problem>), Problems> {
        let text = read_text(path)?;
        let variable = |name: &str| std::env::var(name).ok();
        Config::from_text(path, &text, purpose, &variable)
    }

    /// Reads the definition `text`, which is said to stand in `path`, with environment variables
    /// from `variable`.
    pub fn from_text(
        path: &Path,
        text: &str,
        purpose: Purpose,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Config, Vec<Problem>), Problems> {
        let folder = folder_of(path);
        let mut errors = Reporter::new(path, text);
        let mut warnings = Reporter::new(path, text);
        let Some(mut tree) = read_tree(text, &mut errors) else {
            return Err(Problems(errors.finish()));
        };
        drop_duplicates(&mut tree, &mut errors);
        rules::inline_secrets(&tree, &mut errors);
        let surroundings = Surroundings { variable, folder };
        replace_references(&mut tree, &surroundings, purpose, "", &mut errors);
        let receivers = tree.at(&["receivers"]).map_or(&[][..], Node::entries);
        let receivers: Vec<String> = receivers.iter().map(|entry| entry.key.clone()).collect();
        let definition: Option<Definition> = typed::read(&mut tree, &mut errors);
        rules::check(&tree, &receivers, definition.as_ref(), &mut errors, &mut warnings);
        if let (Purpose::Run | Purpose::Check, Some(definition)) = (purpose, &definition) {
            rules::unheard(&tree, definition, &mut warnings);
        }
        if purpose == Purpose::Check {
            rules::files(&tree, folder, &mut errors, &mut warnings);
        }
        match definition {
            Some(definition) if errors.is_empty() => {
                Ok((Config::new(path, folder, definition), warnings.finish()))
            }
            _ => Err(Problems(errors.finish())),
        }
    }

    fn new(path: &Path, folder: &Path, definition: Definition) -> Config {
        let written = definition.clone();
        let data = written.data.unwrap_or_else(|| Path::new("data").join(&written.name));
        let listen = written.listen.parse().expect("the rules have checked the address");
        let mut sources = written.sources;
        for file in sources.values_mut().flat_map(|source| &mut source.file) {
            if file != "-" {
                *file = folder.join(&*file).to_string_lossy().into_owned();
            }
        }
        Config {
            file: path.to_owned(),
            name: written.name,
            response_time: written.response_time,
            correct_within: written.correct_within,
            retention: written.retention,
            data: folder.join(data),
            listen,
            kafka: written.kafka,
            clickhouse: written.clickhouse,
            sources,
            resources: written.resources,
            detectors: written.detectors,
            receivers: written.receivers,
            routes: written.routes,
            definition,
        }
    }

    /// What the judge needs to know.
    pub fn settings(&self) -> Settings {
        Settings {
            response_time: self.response_time,
            correct_within: self.correct_within,
            resources: self.resources.clone(),
            detectors: self.detectors.clone(),
            ..Settings::new(&self.name)
        }
    }

    /// Reads the source `name` from `files` instead of from where the definition says; each file
    /// is one partition, in this order.
    pub fn override_source(
        &mut self,
        name: &str,
        files: Vec<PathBuf>,
    ) -> Result<(), OverrideError> {
        let files = files.into_iter().map(|file| {
            file.into_os_string()
                .into_string()
                .map_err(|path| OverrideError::Path(path.to_string_lossy().into_owned()))
        });
        let files = files.collect::<Result<Vec<String>, _>>()?;
        for sources in [&mut self.sources, &mut self.definition.sources] {
            let known: Vec<&str> = sources.keys().map(String::as_str).collect();
            if !known.contains(&name) {
                let suggestion = suggestion(name, known);
                return Err(OverrideError::UnknownSource { name: name.to_owned(), suggestion });
            }
            let source = sources.get_mut(name).expect("it was among the keys");
            source.kafka.clear();
            source.file.clone_from(&files);
        }
        Ok(())
    }

    /// A hash of everything that the definition says, defaults included, but for its secrets, the
    /// data directory and the console's address. It does not depend on the order of keys, on
    /// comments, or on the folder that the file lies in.
    pub fn hash(&self) -> String {
        let text = serde_json::to_string(&self.definition)
            .expect("sections have text keys and finite numbers");
        let digest = Sha256::digest(format!("plimsoll definition 1\n{text}"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A section of a source, such as its `map`, as it stands behind its `name` in a definition.
pub fn section_from_text<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Problems> {
    let path = Path::new(name);
    let mut errors = Reporter::new(path, text);
    let section = read_tree(text, &mut errors).and_then(|mut tree| {
        drop_duplicates(&mut tree, &mut errors);
        typed::read::<T>(&mut tree, &mut errors)
    });
    match section {
        Some(section) if errors.is_empty() => Ok(section),
        _ => Err(Problems(errors.finish())),
    }
}

/// The text of a definition, or why it cannot be one.
pub(crate) fn read_text(path: &Path) -> Result<String, Problems> {
    let whole = |what: String, advice: &str| {
        let mut reporter = Reporter::new(path, "");
        reporter.add(None, what, advice);
        Problems(reporter.finish())
    };
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let advice = match path.is_dir() {
            true => "it is a folder; name the file, for example its pipeline.yaml",
            false => "check the path, and that this user may read it",
        };
        return Err(whole(format!("cannot read the file: {error}"), advice));
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(whole(
            "the file is larger than 2 MiB".to_owned(),
            "a definition is a few hundred lines; was a log file given instead?",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        whole(
            format!("the file is not text: byte {} is not UTF-8", at + 1),
            "a definition is YAML in UTF-8; was another kind of file given?",
        )
    })
}

/// The tree of `text`; `None` after reporting why there is none.
pub(crate) fn read_tree(text: &str, errors: &mut Reporter<'_>) -> Option<Node> {
    let tree = match tree::parse(text) {
        Ok(tree) => tree,
        Err(error) => {
            errors.add(
                error.place,
                format!("this is not YAML: {}", error.message),
                "check indentation, quotes and brackets here and on the line before",
            );
            return None;
        }
    };
    match tree.value {
        Value::Map(_) => Some(tree),
        Value::Null => {
            errors.add(None, "the file is empty", "docs/config.md has an example to begin with");
            None
        }
        _ => {
            errors.add(
                tree.place,
                "the file must be a map of keys such as `version` and `name`",
                "was another kind of file given? docs/config.md has an example",
            );
            None
        }
    }
}

/// Keeps the first of entries with the same key, and reports the others.
pub(crate) fn drop_duplicates(node: &mut Node, errors: &mut Reporter<'_>) {
    match &mut node.value {
        Value::Map(entries) => {
            let mut seen = BTreeMap::new();
            entries.retain(|entry| match seen.get(&entry.key) {
                Some(line) => {
                    errors.add(
                        entry.place,
                        format!("key `{}` stands twice", entry.key),
                        format!("the first one is on line {line}; keep one of them"),
                    );
                    false
                }
                None => {
                    seen.insert(entry.key.clone(), entry.place.line);
                    true
                }
            });
            entries.iter_mut().for_each(|entry| drop_duplicates(&mut entry.node, errors));
        }
        Value::List(nodes) => nodes.iter_mut().for_each(|node| drop_duplicates(node, errors)),
        _ => {}
    }
}

/// Replaces every reference below `node`, which stands in the section `section`. Where that is
/// impossible the problem is reported and the value is left as it is.
fn replace_references(
    node: &mut Node,
    surroundings: &Surroundings<'_>,
    purpose: Purpose,
    section: &str,
    errors: &mut Reporter<'_>,
) {
    let place = node.place;
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                let section = if section.is_empty() { &*entry.key } else { section };
                let before = errors.len();
                replace_references(&mut entry.node, surroundings, purpose, section, errors);
                if errors.len() > before && matches!(entry.node.value, Value::Text(_)) {
                    errors.name_key(before, &entry.key);
                }
            }
        }
        Value::List(nodes) => {
            for node in nodes {
                replace_references(node, surroundings, purpose, section, errors);
            }
        }
        Value::Text(text) => match interpolate::interpolate(text, surroundings) {
            Ok(None) => {}
            Ok(Some(replaced)) => node.value = scalar(replaced),
            Err(bad)
                if bad.absent
                    && purpose == Purpose::Replay
                    && ["kafka", "clickhouse", "receivers"].contains(&section) =>
            {
                *text = "unset".to_owned();
            }
            Err(bad) => errors.add(place, bad.what, bad.advice),
        },
        _ => {}
    }
}

/// What a reference became: a number or truth value if it reads like one.
fn scalar(text: String) -> Value {
    match &*text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse() {
        Value::Number(Number::Unsigned(number), text)
    } else if let Ok(number) = text.parse() {
        Value::Number(Number::Signed(number), text)
    } else {
        Value::Text(text)
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
