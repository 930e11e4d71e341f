//! Files as partitions: one thread reads and parses each, a bounded channel hands over batches.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context;
use plimsoll_ingest::config::{Role, SourceConfig};
use plimsoll_ingest::file::FileSource;
use plimsoll_ingest::merge::PartitionSettings;
use plimsoll_ingest::parser::Parser;
use plimsoll_ingest::raw::RawBatch;
use plimsoll_model::{Batch, PartitionId, SourceId};

use crate::config::Config;

/// Parsed batches that may wait between a reading thread and the judge.
pub const BATCHES_WAITING_MAX: usize = 4;

/// One partition of one source, as a file.
#[derive(Clone, Debug)]
pub struct FilePartition {
    /// Its place in the merge.
    pub id: PartitionId,
    /// The source's name.
    pub source: String,
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// The source's definition.
    pub config: SourceConfig,
}

/// The rank of each source: its place among the names, sorted.
pub fn source_id(config: &Config, name: &str) -> SourceId {
    let rank = config.sources.keys().position(|key| key == name);
    let rank = rank.expect("the name was taken from the same map");
    SourceId(u16::try_from(rank).expect("check refuses more sources than fit"))
}

/// How the merge treats the partitions of a source.
pub fn partition_settings(source: &SourceConfig) -> PartitionSettings {
    PartitionSettings {
        reorder: source.reorder,
        max_ahead: source.max_ahead,
        context: source.role == Role::Context,
    }
}

/// The partitions of all sources that are files. A source's files are its partitions, in order.
pub fn file_partitions(config: &Config) -> Vec<FilePartition> {
    let mut partitions = Vec::new();
    for (name, source) in &config.sources {
        let id = source_id(config, name);
        for (index, path) in source.file.iter().enumerate() {
            partitions.push(FilePartition {
                id: PartitionId { source: id, partition: index as u32 },
                source: name.clone(),
                path: PathBuf::from(path),
                config: source.clone(),
            });
        }
    }
    partitions
}

/// One partition on its way to the judge.
#[derive(Debug)]
pub struct Feed {
    /// Its place in the merge.
    pub id: PartitionId,
    /// The source's name.
    pub source: String,
    /// How the merge treats it.
    pub settings: PartitionSettings,
    /// Its batches; see [`spawn`].
    pub batches: Receiver<anyhow::Result<Batch>>,
}

/// A file on its way to the judge, from its beginning.
pub fn open(file: &FilePartition) -> anyhow::Result<Feed> {
    Ok(Feed {
        id: file.id,
        source: file.source.clone(),
        settings: partition_settings(&file.config),
        batches: spawn(file, 0)?,
    })
}

/// A thread that reads and parses one file from `start` on.
///
/// An error ends the stream as its last item; a stream that ends without one is complete.
pub fn spawn(file: &FilePartition, start: i64) -> anyhow::Result<Receiver<anyhow::Result<Batch>>> {
    let parser = Parser::new(&file.source, &file.config)?;
    let source = FileSource::open(&file.path, file.id, start)
        .with_context(|| format!("source `{}`", file.source))?;
    spawn_rest(file, Vec::new(), source, parser)
}

/// The same for a file that is open already; `head` is what was read of it.
pub fn spawn_rest(
    file: &FilePartition,
    head: Vec<RawBatch>,
    mut source: FileSource,
    parser: Parser,
) -> anyhow::Result<Receiver<anyhow::Result<Batch>>> {
    let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
    let path = file.path.clone();
    let name = format!("read {}", file.source);
    std::thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = read(&head, &mut source, parser, &sender) {
            let error = error.context(format!("cannot go on reading `{}`", path.display()));
            // The receiver is gone when the program ends; then nobody needs the error.
            let _ = sender.send(Err(error));
        }
    })?;
    Ok(receiver)
}

fn read(
    head: &[RawBatch],
    source: &mut FileSource,
    mut parser: Parser,
    sender: &SyncSender<anyhow::Result<Batch>>,
) -> anyhow::Result<()> {
    for raw in head {
        if sender.send(Ok(parser.parse(raw))).is_err() {
            return Ok(());
        }
    }
    while let Some(raw) = source.next_batch()? {
        if sender.send(Ok(parser.parse(&raw))).is_err() {
            break;
        }
    }
    Ok(())
}
