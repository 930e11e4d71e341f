//! Files in a running pipeline: read to the end, then followed as they grow.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context;
use plimsoll_ingest::parser::Parser;
use plimsoll_ingest::raw::RawBatch;
use plimsoll_model::PartitionId;
use tokio_util::sync::CancellationToken;

use super::judge::{Event, Paused};
use crate::feed::{self, FilePartition};

/// How often a followed file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Bytes read of a followed file at once; a longer line is told by its beginning.
const CHUNK_BYTES: usize = 1 << 20;

/// One thread for each file. Standard input and compressed files end; plain files are followed.
pub(super) fn spawn(
    files: &[FilePartition],
    resume: impl Fn(PartitionId) -> Option<i64>,
    sender: &SyncSender<Event>,
    paused: &Paused,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    for file in files {
        let (file, start) = (file.clone(), resume(file.id).unwrap_or(0));
        let (sender, paused, cancel) = (sender.clone(), Paused::clone(paused), cancel.clone());
        let name = format!("read {}", file.source);
        std::thread::Builder::new().name(name).spawn(move || {
            let ended = if is_followed(&file.path) {
                follow(&file, start, &sender, &paused, &cancel)
            } else {
                read_once(&file, start, &sender, &paused, &cancel)
            };
            if let Err(error) = ended {
                // The judge is gone when the program ends; then nobody needs the error.
                let _ = sender.send(Event::Broken(error));
            }
        })?;
    }
    Ok(())
}

/// The file's name in `/readyz`; `None` for one that is read once.
pub(super) fn dependency(file: &FilePartition) -> Option<String> {
    is_followed(&file.path).then(|| format!("file {}", file.source))
}

fn is_followed(path: &Path) -> bool {
    let compressed = path.extension().is_some_and(|end| end == "gz" || end == "zst");
    path != Path::new("-") && !compressed
}

fn read_once(
    file: &FilePartition,
    start: i64,
    sender: &SyncSender<Event>,
    paused: &Paused,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    for batch in feed::spawn(file, start)? {
        wait_for_room(file.id, paused, cancel);
        if cancel.is_cancelled() || sender.send(Event::Batch(Box::new(batch?))).is_err() {
            return Ok(());
        }
    }
    let _ = sender.send(Event::Finished(file.id));
    Ok(())
}

fn follow(
    file: &FilePartition,
    start: i64,
    sender: &SyncSender<Event>,
    paused: &Paused,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let mut parser = Parser::new(&file.source, &file.config)?;
    let mut offset = start;
    let mut skipping = false;
    let mut told_end = false;
    let mut works = false;
    let dependency = format!("file {}", file.source);
    while !cancel.is_cancelled() {
        wait_for_room(file.id, paused, cancel);
        let chunk = match read_chunk(&file.path, offset) {
            Ok(chunk) => chunk,
            Err(error) => {
                let error = format!("cannot read `{}`: {error}", file.path.display());
                works = false;
                let told = Event::Dependency(dependency.clone(), Some(error));
                if sender.send(told).is_err() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_secs(5));
                continue;
            }
        };
        if !std::mem::replace(&mut works, true)
            && sender.send(Event::Dependency(dependency.clone(), None)).is_err()
        {
            return Ok(());
        }
        let raw = lines(file.id, &mut offset, &mut skipping, &chunk);
        if let Some(raw) = raw {
            told_end = false;
            if sender.send(Event::Batch(Box::new(parser.parse(&raw)))).is_err() {
                return Ok(());
            }
            continue;
        }
        if !told_end {
            if sender.send(Event::AtEnd(file.id)).is_err() {
                return Ok(());
            }
            told_end = true;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// What the file holds from `offset` on, up to [`CHUNK_BYTES`].
fn read_chunk(path: &Path, offset: i64) -> anyhow::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let start = u64::try_from(offset).context("offsets of files are not negative")?;
    file.seek(SeekFrom::Start(start))?;
    let mut chunk = Vec::new();
    file.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// The whole lines of `chunk`; a last line without its end waits for it.
///
/// A line that fills a chunk is told by its beginning and skipped through its end.
fn lines(
    partition: PartitionId,
    offset: &mut i64,
    skipping: &mut bool,
    chunk: &[u8],
) -> Option<RawBatch> {
    let mut raw = RawBatch::new(partition);
    let mut rest = chunk;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        if !std::mem::take(skipping) {
            raw.push(*offset, &line[..end]);
        }
        *offset += line.len() as i64;
        rest = after;
    }
    if rest.len() == CHUNK_BYTES {
        if !*skipping {
            raw.push_too_long(*offset, rest, rest.len() as u64);
        }
        *skipping = true;
        *offset += rest.len() as i64;
    }
    raw.next_offset = *offset;
    (!raw.is_empty()).then_some(raw)
}

fn wait_for_room(partition: PartitionId, paused: &Paused, cancel: &CancellationToken) {
    let is_paused = || {
        let paused = paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paused.contains(&partition)
    };
    while is_paused() && !cancel.is_cancelled() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
