//! Files and standard input: plain, gzip or zstd, one record per line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memchr::{memchr, memchr_iter};
use plimsoll_model::reject::REJECT_EXCERPT_BYTES_MAX;
use plimsoll_model::{PartitionId, RejectReason};

use crate::error::Error;
use crate::raw::{LINE_BYTES_MAX, RawBatch};

/// How many bytes one batch is made from, about.
pub const BATCH_BYTES: usize = 1024 * 1024;

/// The most lines of one batch.
pub const BATCH_LINES_MAX: usize = 16 * 1024;

/// The path that means standard input.
pub const STANDARD_INPUT: &str = "-";

const MAGIC_BYTES: usize = 4;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one file to its end, line by line.
///
/// A record's offset is the byte at which its line begins in the decompressed stream, so reading
/// goes on at any [`RawBatch::next_offset`]. Calls block while the disk or a pipe does.
pub struct FileSource {
    path: String,
    partition: PartitionId,
    stream: Box<dyn Read + Send>,
    compressed: bool,
    /// Whether a batch is handed out as soon as it has a line: somebody may be typing.
    live: bool,
    /// What was read and is not yet in a batch.
    pending: Vec<u8>,
    /// The offset of the first byte of `pending`.
    position: i64,
    /// The line that is being skipped because it is too long.
    skipping: Option<Skipping>,
    ended: bool,
    /// What made the stream end too early, to be reported after its last line.
    early_end: Option<(RejectReason, String)>,
}

/// A line that is too long and has not ended yet.
struct Skipping {
    offset: i64,
    head: Vec<u8>,
    length: u64,
}

impl FileSource {
    /// Opens `path` (`-` is standard input) to read from `start_offset` on, which is 0 or a
    /// [`RawBatch::next_offset`] of an earlier reading.
    ///
    /// A plain file is not read before `start_offset`; a compressed one is decompressed up to it.
    pub fn open(
        path: &Path,
        partition: PartitionId,
        start_offset: i64,
    ) -> Result<FileSource, Error> {
        let name = path.display().to_string();
        if name == STANDARD_INPUT {
            let stdin = Box::new(io::stdin());
            let mut source = FileSource::from_reader(&name, stdin, partition, start_offset)?;
            source.live = true;
            return Ok(source);
        }
        let open = |error| Error::Open { path: name.clone(), error };
        let mut file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        if !metadata.is_file() {
            // A pipe or a device: it has no length, cannot be sought in, and may be slow.
            let mut source =
                FileSource::from_reader(&name, Box::new(file), partition, start_offset)?;
            source.live = true;
            return Ok(source);
        }
        let magic = read_magic(&mut file).map_err(open)?;
        file.rewind().map_err(open)?;
        if start_offset == 0 || Compression::of(&magic) != Compression::None {
            return FileSource::from_reader(&name, Box::new(file), partition, start_offset);
        }
        let length = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        file.seek(SeekFrom::Start(start_offset.min(length) as u64)).map_err(open)?;
        let mut source = FileSource::at(&name, Box::new(file), false, partition, start_offset);
        if length < start_offset {
            source.lose(length);
        }
        Ok(source)
    }

    /// Reads from any reader; `name` stands in messages. The first bytes say whether it is
    /// compressed. Everything before `start_offset` is read and thrown away.
    pub fn from_reader(
        name: &str,
        mut reader: Box<dyn Read + Send>,
        partition: PartitionId,
        start_offset: i64,
    ) -> Result<FileSource, Error> {
        let open = |error| Error::Open { path: name.to_owned(), error };
        let magic = read_magic(&mut reader).map_err(open)?;
        let compression = Compression::of(&magic);
        let whole = io::Cursor::new(magic).chain(reader);
        let stream: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(whole),
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::new(whole))),
            Compression::Zstd => Box::new(zstd::Decoder::new(whole).map_err(open)?),
        };
        let compressed = compression != Compression::None;
        let mut source = FileSource::at(name, stream, compressed, partition, start_offset);
        source.skip(start_offset)?;
        Ok(source)
    }

    /// The next records, or `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<RawBatch>, Error> {
        loop {
            self.fill()?;
            let batch = self.cut_batch();
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            if self.ended && self.pending.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The partition that the file is.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    fn at(
        name: &str,
        stream: Box<dyn Read + Send>,
        compressed: bool,
        partition: PartitionId,
        position: i64,
    ) -> FileSource {
        FileSource {
            path: name.to_owned(),
            partition,
            stream,
            compressed,
            live: false,
            pending: Vec::new(),
            position: position.max(0),
            skipping: None,
            ended: false,
            early_end: None,
        }
    }

    /// Throws away the first `count` bytes.
    fn skip(&mut self, count: i64) -> Result<(), Error> {
        let count = u64::try_from(count).unwrap_or(0);
        let mut counted = Counted { stream: &mut self.stream, bytes: 0 };
        let copied = io::copy(&mut (&mut counted).take(count), &mut io::sink());
        let skipped = counted.bytes;
        match copied {
            Err(error) if !self.is_format_error(&error) => Err(self.read_error(error)),
            _ if skipped < count => {
                self.lose(skipped as i64);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends a stream that is shorter than what was already read of it.
    fn lose(&mut self, length: i64) {
        let detail = format!(
            "there are only {length} bytes and reading was to go on at byte {}: replaced or cut",
            self.position
        );
        self.ended = true;
        self.early_end = Some((RejectReason::Lost, detail));
    }

    /// Reads until there is enough for a batch, or the stream ends.
    fn fill(&mut self) -> Result<(), Error> {
        while !self.ended && self.pending.len() < BATCH_BYTES {
            if self.live && memchr(b'\n', &self.pending).is_some() {
                break;
            }
            let before = self.pending.len();
            let read = if self.live {
                read_once(&mut self.stream, &mut self.pending)
            } else {
                let wanted = (BATCH_BYTES - before) as u64;
                self.pending.reserve_exact(BATCH_BYTES - before);
                (&mut self.stream).take(wanted).read_to_end(&mut self.pending)
            };
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.is_format_error(&error) => {
                    self.ended = true;
                    let detail = format!("the compressed stream is cut or damaged: {error}");
                    self.early_end = Some((RejectReason::Truncated, detail));
                }
                Err(error) => return Err(self.read_error(error)),
            }
        }
        Ok(())
    }

    /// Makes records of the whole lines in `pending` and keeps the rest.
    fn cut_batch(&mut self) -> RawBatch {
        let mut batch = RawBatch::new(self.partition);
        let buffer = std::mem::take(&mut self.pending);
        let mut start = self.skip_to_line(&buffer, &mut batch);
        if self.position == 0 && buffer.starts_with(BYTE_ORDER_MARK) {
            start = BYTE_ORDER_MARK.len();
        }
        let first = start;
        for end in memchr_iter(b'\n', &buffer[first..]).map(|end| first + end) {
            let offset = self.position + start as i64;
            if end - start > LINE_BYTES_MAX {
                batch.push_too_long(offset, &buffer[start..end], (end - start) as u64);
            } else {
                batch.mark(offset, start, end, false);
            }
            start = end + 1;
            if batch.len() == BATCH_LINES_MAX {
                break;
            }
        }
        if batch.len() < BATCH_LINES_MAX {
            start = self.cut_rest(&buffer, start, &mut batch);
        }
        self.pending = buffer[start..].to_vec();
        self.position += start as i64;
        batch.next_offset = match &self.skipping {
            Some(skipping) => skipping.offset,
            None => self.position,
        };
        batch.adopt(buffer);
        batch
    }

    /// What to do with the bytes after the last newline. Returns where the unused ones begin.
    fn cut_rest(&mut self, buffer: &[u8], start: usize, batch: &mut RawBatch) -> usize {
        let rest = &buffer[start..];
        let offset = self.position + start as i64;
        let length = rest.len() as u64;
        if !self.ended {
            if self.skipping.is_none() && rest.len() > LINE_BYTES_MAX {
                let head = rest[..REJECT_EXCERPT_BYTES_MAX].to_vec();
                self.skipping = Some(Skipping { offset, head, length });
                return buffer.len();
            }
            return start;
        }
        if let Some(skipping) = self.skipping.take() {
            batch.push_too_long(skipping.offset, &skipping.head, skipping.length);
        }
        if let Some((reason, detail)) = self.early_end.take() {
            batch.push_refused(offset, reason, detail, rest, length);
        } else if rest.len() > LINE_BYTES_MAX {
            batch.push_too_long(offset, rest, length);
        } else if !rest.is_empty() {
            batch.mark(offset, start, buffer.len(), true);
        }
        buffer.len()
    }

    /// Where the first line begins, after the rest of a line that is being skipped.
    fn skip_to_line(&mut self, buffer: &[u8], batch: &mut RawBatch) -> usize {
        let Some(mut skipping) = self.skipping.take() else { return 0 };
        let end = memchr(b'\n', buffer);
        skipping.length += end.unwrap_or(buffer.len()) as u64;
        match end {
            Some(end) => {
                batch.push_too_long(skipping.offset, &skipping.head, skipping.length);
                end + 1
            }
            None => {
                self.skipping = Some(skipping);
                buffer.len()
            }
        }
    }

    /// Whether an error comes from the decompressor, not from the disk.
    fn is_format_error(&self, error: &io::Error) -> bool {
        self.compressed && error.raw_os_error().is_none()
    }

    fn read_error(&self, error: io::Error) -> Error {
        let offset = self.position + self.pending.len() as i64;
        Error::Read { path: self.path.clone(), offset, error }
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Compression {
        match magic {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            // A skippable frame: what parallel compressors put first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

fn read_magic(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    reader.take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    Ok(magic)
}

/// One read, which returns what there is instead of waiting for more.
fn read_once(stream: &mut impl Read, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 64 * 1024];
    let read = stream.read(&mut chunk)?;
    into.extend_from_slice(&chunk[..read]);
    Ok(read)
}

/// Counts what is read, also when a read fails.
struct Counted<'a> {
    stream: &'a mut Box<dyn Read + Send>,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
