//! `plimsoll scan`: what a log or metrics file says, without a definition of a pipeline.
//!
//! Each file is recognised by its first lines ([`formats`]), read with the parser of its format,
//! and judged together with the others in event time, exactly as `replay` does. At the end of the
//! files, where nobody can wait for more, growth of memory with a short history is said as well.
//! Nothing is sent and nothing is stored.

mod fields;
pub mod formats;
mod haproxy;
mod head;
mod json;
mod other;
mod report;
mod words;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use plimsoll_detect::judge::Step;
use plimsoll_detect::settings::{ResourceConfig, Settings};
use plimsoll_ingest::config::SourceConfig;
use plimsoll_ingest::file::FileSource;
use plimsoll_ingest::haproxy::HaproxyConfig;
use plimsoll_ingest::map::MapConfig;
use plimsoll_ingest::parser::Parser;
use plimsoll_ingest::raw::RawBatch;
use plimsoll_ingest::timestamp::TimestampReader;
use plimsoll_model::{IncidentId, PartitionId, Time};
use serde::de::DeserializeOwned;

use crate::cli;
use crate::config::section_from_text;
use crate::exit::Exit;
use crate::feed::{self, Feed, FilePartition};
use crate::replay;
use crate::story::Story;
use crate::terminal::wrapped;
use formats::Guess;
use head::Head;

/// The most files of one scan: each is a partition with a thread of its own.
pub const FILES_MAX: usize = 256;

/// The pipeline's name in what is printed and in the ids of incidents.
const NAME: &str = "scan";

/// The command line asks for something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// What the command line says beside the files.
#[derive(Default)]
struct Asked {
    resource: Option<String>,
    timezone: Option<String>,
    map: Option<MapConfig>,
    haproxy: Option<HaproxyConfig>,
}

/// One file, and what it was taken for.
struct Scanned {
    /// The file's name, which is its source's name in the report.
    name: String,
    taken_for: TakenFor,
}

enum TakenFor {
    /// It is judged.
    Log { guess: Guess, source: Box<SourceConfig> },
    /// Its format is known, but more must be said before it can be judged.
    Unread(Guess),
    /// Nothing stands in it.
    Empty,
    /// It is no log that Plimsoll reads; the sentence says why.
    NoLog(String),
}

/// Recognises the files, judges them, and says what was found on `out`.
///
/// [`Exit::Findings`] if there is any finding; [`Exit::Unavailable`] if nothing was found because
/// none of the files could be judged. `width` is that of the terminal, if `out` is one.
pub fn scan(
    arguments: &cli::Scan,
    width: Option<usize>,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let asked = Asked::new(arguments)?;
    let mut files = Vec::new();
    let mut feeds = Vec::new();
    for (index, path) in arguments.files.iter().enumerate() {
        let id = PartitionId::new(index as u16, 0);
        let mut source = FileSource::open(path, id, 0)?;
        let head = Head::read(&mut source)?;
        let name = path.display().to_string();
        let taken_for = asked.recognise(path, &head);
        if let TakenFor::Log { source: config, .. } = &taken_for {
            feeds.push(feed_of(&name, path, id, config, head.batches, source)?);
        }
        files.push(Scanned { name, taken_for });
    }
    let settings = settings(&files, arguments)?;
    let mut story = Story::default();
    let mut decided: BTreeMap<(IncidentId, u32), Time> = BTreeMap::new();
    let mut tell = |step: Step, decided_at| {
        for transition in &step.transitions {
            story.add(transition);
            decided.insert((transition.incident, transition.sequence), decided_at);
        }
    };
    let mut end = None;
    let (report, mut judge) =
        replay::judge(settings.clone(), &feeds, |tick, _, step, decided_at| {
            tell(step, decided_at);
            end = Some((tick.second, decided_at));
            Ok(())
        })?;
    if let Some((second, decided_at)) = end {
        tell(judge.conclude(second), decided_at);
    }
    let found = report::Found { files: &files, settings: &settings, story, report, decided };
    match arguments.format {
        cli::ScanFormat::Text => out.write_all(wrapped(&found.text(&asked), width).as_bytes())?,
        cli::ScanFormat::Json => writeln!(out, "{}", found.json(&asked))?,
    }
    Ok(found.exit())
}

fn feed_of(
    name: &str,
    path: &Path,
    id: PartitionId,
    config: &SourceConfig,
    head: Vec<RawBatch>,
    source: FileSource,
) -> anyhow::Result<Feed> {
    let parser = Parser::new(name, config)?;
    let file =
        FilePartition { id, source: name.to_owned(), path: path.into(), config: config.clone() };
    let batches = feed::spawn_rest(&file, head, source, parser)?;
    Ok(Feed { id, source: file.source, settings: feed::partition_settings(config), batches })
}

impl Asked {
    fn new(arguments: &cli::Scan) -> Result<Asked, UsageError> {
        let files = &arguments.files;
        if files.len() > FILES_MAX {
            let problem = format!("{} files are more than {FILES_MAX}; name fewer", files.len());
            return Err(UsageError(problem));
        }
        for (at, file) in files.iter().enumerate() {
            if files[..at].contains(file) {
                let problem = format!("`{}` stands twice; it would count twice", file.display());
                return Err(UsageError(problem));
            }
        }
        if let Some(zone) = &arguments.timezone {
            TimestampReader::new(zone).map_err(UsageError)?;
        }
        let map = section("map", arguments.map.as_deref())?;
        let haproxy = section("haproxy", arguments.haproxy.as_deref())?;
        Ok(Asked {
            resource: arguments.resource.clone(),
            timezone: arguments.timezone.clone(),
            map,
            haproxy,
        })
    }

    fn recognise(&self, path: &Path, head: &Head) -> TakenFor {
        let lines = head.lines();
        if lines.is_empty() {
            return TakenFor::Empty;
        }
        if let Some(sentence) = other::binary(&lines) {
            return TakenFor::NoLog(sentence);
        }
        let Some(guess) = formats::best(&lines, self) else {
            return TakenFor::NoLog(other::sentence(&lines));
        };
        let Some(source) = &guess.source else { return TakenFor::Unread(guess) };
        let mut source = source.clone();
        source["file"] = path.to_string_lossy().into();
        if let Some(zone) = &self.timezone {
            source["timezone"] = zone.as_str().into();
        }
        let read =
            serde_json::from_value::<SourceConfig>(source).map_err(|error| error.to_string());
        let sound = read.and_then(|source| match source.validate("").into_iter().next() {
            None => Ok(source),
            Some(problem) => Err(problem),
        });
        match sound {
            Ok(source) => TakenFor::Log { guess, source: Box::new(source) },
            Err(problem) => {
                let advice = format!("it cannot be read like this: {problem}");
                TakenFor::Unread(Guess { source: None, advice, ..guess })
            }
        }
    }
}

/// What stands behind `--NAME`, as it would behind `NAME:` in a definition.
fn section<T: DeserializeOwned>(
    name: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, UsageError> {
    let read = text.map(|text| section_from_text(name, text)).transpose();
    read.map_err(|problems| {
        UsageError(format!("--{name} cannot be read as `{name}` of a definition\n\n{problems}"))
    })
}

/// The resources that the files name, with the limits of the command line.
fn settings(files: &[Scanned], arguments: &cli::Scan) -> Result<Settings, UsageError> {
    let mut units: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files {
        if let TakenFor::Log { guess, .. } = &file.taken_for {
            for resource in &guess.resources {
                units.entry(resource).or_insert(guess.unit);
            }
        }
    }
    for given in arguments.limits.iter().chain(&arguments.reserved) {
        let known: Vec<_> = units.keys().map(|name| format!("`{name}`")).collect();
        if let Some(name) = given.resource.as_deref().filter(|name| !units.contains_key(name)) {
            return Err(UsageError(format!(
                "no file is about a resource `{name}`; there is: {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )));
        }
        let concerned = units
            .iter()
            .filter(|(name, _)| given.resource.as_deref().is_none_or(|wanted| wanted == **name));
        for (name, unit) in concerned {
            if given.are_bytes && *unit != "memory" {
                return Err(UsageError(format!(
                    "resource `{name}` has {unit}, which are counted and not measured in bytes: write a number such as `--limit {name}=200`"
                )));
            }
        }
    }
    let mut settings = Settings::new(NAME);
    for (name, unit) in units {
        let limit = wanted(&arguments.limits, name);
        let reserved = wanted(&arguments.reserved, name).unwrap_or(0);
        let written = serde_json::json!({ unit: { "limit": limit, "reserved": reserved } });
        let resource: ResourceConfig = serde_json::from_value(written)
            .map_err(|error| UsageError(format!("resource `{name}`: {error}")))?;
        settings.resources.insert(name.to_owned(), resource);
    }
    Ok(settings)
}

/// The last value given for `name`, or else the last given for all.
fn wanted(given: &[cli::Units], name: &str) -> Option<u64> {
    let of = |wanted: Option<&str>| {
        let fits = |units: &&cli::Units| units.resource.as_deref() == wanted;
        given.iter().rev().find(fits).map(|units| units.count)
    };
    of(Some(name)).or_else(|| of(None))
}
