//! Records to rows: a [`Parser`] makes a [`Batch`] of each [`RawBatch`]. It cannot fail: what
//! cannot be used is a reject inside the batch.

use plimsoll_model::lives::LifeBuilder;
use plimsoll_model::samples::SampleBuilder;
use plimsoll_model::sessions::SessionBuilder;
use plimsoll_model::{Batch, Reject, RejectReason, Time};

use crate::config::{Format, SourceConfig};
use crate::error::Error;
use crate::haproxy::HaproxyDecoder;
use crate::mapped::MappedDecoder;
use crate::otlp::OtlpDecoder;
use crate::postgres::PostgresDecoder;
use crate::raw::{LINE_BYTES_MAX, RECORD_BYTES_MAX, RawBatch, RawRecord};

/// The deepest nesting of lists and objects that a record may have.
pub const NESTING_MAX: usize = 32;

/// The most rejects that one batch keeps with their excerpts; more are counted only.
pub const REJECTS_KEPT_PER_BATCH_MAX: usize = 100;

/// Parses the records of one source. It keeps nothing from one batch to the next, so any cut of
/// the records into batches gives the same rows.
pub struct Parser {
    decoder: Decoder,
    rows: Rows,
}

enum Decoder {
    Postgres(Box<PostgresDecoder>),
    Haproxy(Box<HaproxyDecoder>),
    Mapped(Box<MappedDecoder>),
    OtlpProto(Box<OtlpDecoder>),
    OtlpJson(Box<OtlpDecoder>),
}

/// The tables under construction.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) sessions: SessionBuilder,
    pub(crate) samples: SampleBuilder,
    pub(crate) lives: LifeBuilder,
    /// See [`Batch::times`].
    pub(crate) times: Vec<(i64, Time)>,
}

/// What a line that could be read is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It became rows.
    Used,
    /// It means nothing here.
    Irrelevant,
}

/// Why a line could not be used.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: RejectReason,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(reason: RejectReason, detail: impl Into<String>) -> Fault {
        Fault { reason, detail: detail.into() }
    }

    pub(crate) fn missing(field: &str) -> Fault {
        Fault::new(RejectReason::MissingField, format!("there is no `{field}`"))
    }

    pub(crate) fn malformed(error: &sonic_rs::Error) -> Fault {
        let detail = if error.is_unmatched_type() {
            "not a JSON object".to_owned()
        } else {
            format!("not JSON: wrong or cut short at byte {}", error.offset())
        };
        Fault::new(RejectReason::Malformed, detail)
    }
}

/// `time`, unless no record may carry it.
pub(crate) fn plausible(time: Time) -> Result<Time, Fault> {
    if time.is_plausible() {
        return Ok(time);
    }
    let detail = format!("{time} lies outside 2000 to 2099");
    Err(Fault::new(RejectReason::ImplausibleTime, detail))
}

impl Parser {
    /// A parser for the records of the source `source_name`.
    ///
    /// An error says what [`SourceConfig::validate`] says.
    pub fn new(source_name: &str, config: &SourceConfig) -> Result<Parser, Error> {
        let fail = |problem: String| Error::Config { source_name: source_name.into(), problem };
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(fail(problem));
        }
        let decoder = match config.format {
            Format::PostgresJsonlog => {
                Decoder::Postgres(Box::new(PostgresDecoder::new(config).map_err(fail)?))
            }
            Format::HaproxyHttp => {
                Decoder::Haproxy(Box::new(HaproxyDecoder::new(config).map_err(fail)?))
            }
            Format::Json => Decoder::Mapped(Box::new(MappedDecoder::new(config).map_err(fail)?)),
            Format::OtlpProto => {
                Decoder::OtlpProto(Box::new(OtlpDecoder::new(config).map_err(fail)?))
            }
            Format::OtlpJson => {
                Decoder::OtlpJson(Box::new(OtlpDecoder::new(config).map_err(fail)?))
            }
        };
        Ok(Parser { decoder, rows: Rows::default() })
    }

    /// Makes rows of records.
    pub fn parse(&mut self, raw: &RawBatch) -> Batch {
        let mut batch = Batch {
            partition: raw.partition,
            first_offset: raw.first_offset,
            next_offset: raw.next_offset,
            bytes: raw.bytes_read(),
            ..Batch::default()
        };
        for (offset, record) in raw.records() {
            match record {
                RawRecord::Whole(bytes) => self.parse_record(offset, bytes, &mut batch),
                RawRecord::Torn(line) => self.parse_torn(offset, line, &mut batch),
                RawRecord::Refused { reason, detail, head } => {
                    batch.records += 1;
                    keep_reject(offset, head, Fault::new(reason, detail), &mut batch);
                }
            }
        }
        batch.sessions = self.rows.sessions.finish();
        batch.samples = self.rows.samples.finish();
        batch.lives = self.rows.lives.finish();
        batch.times = std::mem::take(&mut self.rows.times);
        batch
    }

    /// A record is one line; several, separated by newlines, are parsed one by one. What follows
    /// the last newline counts only if there is something.
    fn parse_record(&mut self, offset: i64, record: &[u8], batch: &mut Batch) {
        if matches!(self.decoder, Decoder::OtlpProto(_)) {
            return self.parse_line(offset, record, batch);
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', record) {
            self.parse_line(offset, &record[start..end], batch);
            start = end + 1;
        }
        if start < record.len() || record.is_empty() {
            self.parse_line(offset, &record[start..], batch);
        }
    }

    fn parse_line(&mut self, offset: i64, line: &[u8], batch: &mut Batch) {
        batch.records += 1;
        match self.decode(offset, line) {
            Ok(Meaning::Used) => {}
            Ok(Meaning::Irrelevant) => batch.irrelevant += 1,
            Err(fault) => keep_reject(offset, line, fault, batch),
        }
    }

    /// A last line without its newline is used if it is whole.
    fn parse_torn(&mut self, offset: i64, line: &[u8], batch: &mut Batch) {
        batch.records += 1;
        match self.decode(offset, line) {
            Ok(Meaning::Used) => {}
            Ok(Meaning::Irrelevant) => batch.irrelevant += 1,
            Err(mut fault) => {
                if matches!(fault.reason, RejectReason::Malformed | RejectReason::Encoding) {
                    fault.reason = RejectReason::Truncated;
                    fault.detail = format!("the file ends inside a line: {}", fault.detail);
                }
                keep_reject(offset, line, fault, batch);
            }
        }
    }

    fn decode(&mut self, offset: i64, line: &[u8]) -> Result<Meaning, Fault> {
        if let Decoder::OtlpProto(decoder) = &self.decoder {
            return decoder.decode_proto(line, offset, &mut self.rows);
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(Meaning::Irrelevant);
        }
        let bytes_max = match self.decoder {
            Decoder::OtlpJson(_) => RECORD_BYTES_MAX,
            _ => LINE_BYTES_MAX,
        };
        if line.len() > bytes_max {
            let detail = format!("line has {} bytes; at most {bytes_max} are parsed", line.len());
            return Err(Fault::new(RejectReason::TooLong, detail));
        }
        let text = std::str::from_utf8(line).map_err(|error| {
            let detail = format!("not UTF-8 at byte {}", error.valid_up_to());
            Fault::new(RejectReason::Encoding, detail)
        })?;
        if let Some(at) = memchr::memchr(0, line) {
            return Err(Fault::new(RejectReason::Encoding, format!("NUL at byte {at}")));
        }
        if is_too_deep(line) {
            let detail = format!("lists and objects nest deeper than {NESTING_MAX}");
            return Err(Fault::new(RejectReason::TooDeep, detail));
        }
        match &mut self.decoder {
            Decoder::Postgres(decoder) => decoder.decode(text, offset, &mut self.rows),
            Decoder::Haproxy(decoder) => decoder.decode(text, offset, &mut self.rows),
            Decoder::Mapped(decoder) => decoder.decode(text, offset, &mut self.rows),
            Decoder::OtlpJson(decoder) => decoder.decode_json(text, offset, &mut self.rows),
            Decoder::OtlpProto(_) => Ok(Meaning::Irrelevant),
        }
    }
}

fn keep_reject(offset: i64, record: &[u8], fault: Fault, batch: &mut Batch) {
    if batch.rejects.len() < REJECTS_KEPT_PER_BATCH_MAX {
        batch.rejects.push(Reject {
            partition: batch.partition,
            offset,
            reason: fault.reason,
            detail: fault.detail,
            excerpt: Reject::excerpt_of(record),
        });
    } else {
        batch.rejects_beyond[fault.reason as usize] += 1;
    }
}

/// Whether lists and objects nest deeper than [`NESTING_MAX`], so that no decoder recurses into
/// the depth that a hostile line asks for.
fn is_too_deep(line: &[u8]) -> bool {
    // Nearly every line has fewer brackets than that, even counting those inside of texts.
    if memchr::memchr2_iter(b'{', b'[', line).nth(NESTING_MAX).is_none() {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > NESTING_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
