//! What a scan found: text for people, one JSON document for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use plimsoll_detect::settings::Settings;
use plimsoll_ingest::timestamp::TimestampReader;
use plimsoll_model::{Change, IncidentId, Reject, RejectReason, Time};
use serde_json::{Map, Value, json};

use super::{Asked, Scanned, TakenFor};
use crate::exit::Exit;
use crate::output;
use crate::replay::{Report, SourceReport};
use crate::story::Story;

/// Everything that is to be said.
pub(super) struct Found<'a> {
    pub(super) files: &'a [Scanned],
    pub(super) settings: &'a Settings,
    pub(super) story: Story,
    pub(super) report: Report,
    /// When each transition could have been decided.
    pub(super) decided: BTreeMap<(IncidentId, u32), Time>,
}

impl Found<'_> {
    pub(super) fn exit(&self) -> Exit {
        let is_refused =
            |file: &Scanned| matches!(file.taken_for, TakenFor::NoLog(_) | TakenFor::Unread(_));
        let none_is_judged = self.judged() == 0 && self.files.iter().any(is_refused);
        match self.story.incidents().len() {
            0 if none_is_judged => Exit::Unavailable,
            0 => Exit::Ok,
            _ => Exit::Findings,
        }
    }

    pub(super) fn text(&self, asked: &Asked) -> String {
        let mut text = String::new();
        for file in self.files {
            self.tell_file(file, asked, &mut text);
        }
        for note in self.notes() {
            let _ = writeln!(text, "note: {note}");
        }
        let findings = self.story.incidents().len();
        let judged = self.judged();
        let _ = match findings {
            0 if judged == 0 => writeln!(text, "\nno finding, because nothing could be judged"),
            0 => writeln!(text, "\nno finding{}", self.until()),
            1 => writeln!(text, "\n1 finding"),
            _ => writeln!(text, "\n{findings} findings"),
        };
        for told in self.story.incidents() {
            self.story.tell(told, &self.report, &mut text);
        }
        text
    }

    /// How far "no finding" reaches, if a file is cut.
    fn until(&self) -> String {
        let mut ends = self.files.iter().filter_map(|file| {
            let read = self.read_of(file).filter(|read| is_cut(read))?;
            Some((read.span?.1, &file.name))
        });
        ends.next().map_or_else(String::new, |first| {
            let (end, name) = ends.fold(first, |first, other| first.min(other));
            format!(" up to {}, where {name} is cut", end.second())
        })
    }

    fn judged(&self) -> usize {
        self.files.iter().filter(|file| matches!(file.taken_for, TakenFor::Log { .. })).count()
    }

    fn tell_file(&self, file: &Scanned, asked: &Asked, text: &mut String) {
        let name = &file.name;
        let _ = match &file.taken_for {
            TakenFor::Empty => writeln!(text, "{name}: nothing stands in it"),
            TakenFor::NoLog(sentence) => {
                writeln!(text, "{name}: not a log that Plimsoll reads: {sentence}")
            }
            TakenFor::Log { guess, .. } | TakenFor::Unread(guess) => {
                let format = guess.format;
                let percent = percent(guess.confidence());
                writeln!(
                    text,
                    "{name}: {format} ({percent} %: {} of {} lines looked at {})",
                    guess.matched, guess.lines, guess.why
                )
            }
        };
        if let TakenFor::Unread(guess) = &file.taken_for {
            let _ = writeln!(text, "  not judged: {}", guess.advice);
            if let Some(starter) = &guess.starter {
                let _ = writeln!(
                    text,
                    "  a definition to begin with, for `plimsoll check` and `plimsoll replay -c`; or give its map as `--map`:\n"
                );
                for line in starter.lines() {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
        if let Some(read) = self.read_of(file) {
            let _ = writeln!(text, "  {}", counts(read));
            for reject in &read.examples {
                let _ = writeln!(text, "  {}", example(reject));
            }
        }
        for note in self.notes_of(file, asked) {
            let _ = writeln!(text, "  note: {note}");
        }
    }

    /// What was read of a file, if it was judged.
    fn read_of(&self, file: &Scanned) -> Option<&SourceReport> {
        match file.taken_for {
            TakenFor::Log { .. } => self.report.sources.get(&file.name),
            _ => None,
        }
    }

    /// What a person should know about one file before believing what is said of it.
    fn notes_of(&self, file: &Scanned, asked: &Asked) -> Vec<String> {
        let mut notes = Vec::new();
        let TakenFor::Log { guess, .. } = &file.taken_for else { return notes };
        let Some(read) = self.read_of(file) else { return notes };
        if asked.timezone.is_none() {
            if guess.has_no_zone {
                notes.push("its times do not say their zone and were read as UTC; `--timezone Europe/Berlin` names another".to_owned());
            }
            if let Some(zone) = read.examples.iter().find_map(unknown_zone) {
                notes.push(format!("its times are in zone `{zone}`, which is ambiguous: name the server's zone, for example `--timezone Europe/Berlin`"));
            }
        }
        notes.extend(guess.notes.iter().cloned());
        if is_cut(read) {
            notes.push("it ends in the middle of a line or of its compression; what came behind that is not judged".to_owned());
        }
        let used = read.records - read.irrelevant - read.rejected();
        if 2 * read.rejected() > read.records {
            notes.push("more than half of it could not be used: several formats in one file, or another format than it seems; give each file by itself".to_owned());
        } else if used == 0 && guess.format == "PostgreSQL's jsonlog" {
            notes.push("no line tells of a connection; set `log_connections = on` and `log_disconnections = on`".to_owned());
        }
        notes
    }

    /// What a person should know about all files together.
    fn notes(&self) -> Vec<String> {
        let without =
            self.settings.resources.iter().filter(|(_, resource)| resource.limit.is_none());
        let names: Vec<_> = without.map(|(name, _)| format!("`{name}`")).collect();
        let says_limit = self.files.iter().any(|file| match &file.taken_for {
            TakenFor::Log { source, .. } => {
                source.map.as_ref().is_some_and(|map| map.value.contains_key("limit"))
            }
            _ => false,
        });
        if names.is_empty() || says_limit {
            return Vec::new();
        }
        vec![format!(
            "no limit is known of {}; with one (`--limit 200`, `--reserved 3`) it can be said when it is reached",
            names.join(", ")
        )]
    }

    /// The document; its keys are described in `docs/scan.md`.
    pub(super) fn json(&self, asked: &Asked) -> String {
        let files: Vec<Value> = self.files.iter().map(|file| self.file_json(file, asked)).collect();
        let findings = self.story.incidents().map(|told| {
            let first = told.first();
            let key = (first.incident, first.sequence);
            let decided_at = self.decided.get(&key).copied().unwrap_or(first.as_of.end());
            let mut finding = output::json_value(first, decided_at);
            let resolved = told.last.change == Change::Resolved;
            let finding_of = &first.finding;
            let noticed = self.report.harms.after(finding_of, finding_of.since.start());
            finding["resolved_at"] = json!(resolved.then(|| told.last.as_of.to_string()));
            finding["resolved_reason"] = json!(resolved.then(|| told.last.reason.name()));
            finding["noticed_at"] = json!(noticed.map(|(time, _)| time.to_string()));
            finding
        });
        let findings: Vec<Value> = findings.collect();
        json!({ "files": files, "notes": self.notes(), "findings": findings }).to_string()
    }

    fn file_json(&self, file: &Scanned, asked: &Asked) -> Value {
        let mut value =
            json!({ "file": file.name, "format": null, "notes": self.notes_of(file, asked) });
        match &file.taken_for {
            TakenFor::Empty => value["not_judged"] = "nothing stands in it".into(),
            TakenFor::NoLog(sentence) => value["not_judged"] = sentence.as_str().into(),
            TakenFor::Log { guess, .. } | TakenFor::Unread(guess) => {
                value["format"] = guess.format.into();
                value["confidence"] = json!((guess.confidence() * 100.0).floor() / 100.0);
                let why =
                    format!("{} of {} lines looked at {}", guess.matched, guess.lines, guess.why);
                value["why"] = why.into();
                value["source"] = guess.source.clone().unwrap_or(Value::Null);
            }
        }
        if let TakenFor::Unread(guess) = &file.taken_for {
            value["not_judged"] = guess.advice.as_str().into();
            value["starter"] = json!(guess.starter);
        }
        if let Some(read) = self.read_of(file) {
            let rejected =
                reasons(&read.rejects).map(|(name, count)| (name.to_owned(), json!(count)));
            value["lines"] = read.records.into();
            value["irrelevant"] = read.irrelevant.into();
            value["rejected"] = read.rejected().into();
            value["rejected_by_reason"] = Value::Object(Map::from_iter(rejected));
            value["first_time"] = json!(read.span.map(|(first, _)| first.to_string()));
            value["last_time"] = json!(read.span.map(|(_, last)| last.to_string()));
            let examples = read.examples.iter().map(|reject| {
                json!({ "offset": reject.offset, "reason": reject.reason.name(),
                    "detail": reject.detail, "excerpt": reject.excerpt })
            });
            value["rejects"] = Value::Array(examples.collect());
        }
        value
    }
}

/// Whether a file ends before its end.
fn is_cut(read: &SourceReport) -> bool {
    read.rejects[RejectReason::Truncated as usize] > 0
}

/// Whole percent, rounded down: 100 is said only of all.
fn percent(share: f64) -> u32 {
    (share * 100.0).floor() as u32
}

fn counts(read: &SourceReport) -> String {
    let (records, irrelevant, rejected) = (read.records, read.irrelevant, read.rejected());
    let used = records - irrelevant - rejected;
    let mut text = format!(
        "{records} lines read: {used} used, {irrelevant} that say nothing about a resource, {rejected} rejected"
    );
    let by_reason: Vec<_> =
        reasons(&read.rejects).map(|(name, count)| format!("{name} {count}")).collect();
    if !by_reason.is_empty() {
        let _ = write!(text, " ({})", by_reason.join(", "));
    }
    if let Some((first, last)) = read.span {
        let _ = write!(text, "; from {} to {}", first.second(), last.second());
    }
    text
}

fn reasons(
    rejects: &[u64; RejectReason::ALL.len()],
) -> impl Iterator<Item = (&'static str, u64)> + '_ {
    let counts = RejectReason::ALL.iter().zip(rejects);
    counts.filter(|(_, count)| **count > 0).map(|(reason, count)| (reason.name(), *count))
}

/// The longest part of a rejected line that is shown to a person.
const EXCERPT_CHARS_MAX: usize = 80;

fn example(reject: &Reject) -> String {
    let mut excerpt: String = reject.excerpt.chars().take(EXCERPT_CHARS_MAX).collect();
    if excerpt.len() < reject.excerpt.len() {
        excerpt.push('…');
    }
    format!("  rejected at byte {}: {}: {excerpt}", reject.offset, reject.detail)
}

/// The zone abbreviation for which a line was rejected under UTC, if that is why.
fn unknown_zone(reject: &Reject) -> Option<String> {
    let zone = reject.detail.split('`').nth(1)?;
    let sample = format!("2026-01-01 00:00:00 {zone}");
    let under = |name: &str| TimestampReader::new(name).and_then(|mut it| it.read(&sample)).is_ok();
    let is_zone = reject.reason == RejectReason::BadValue && !under("UTC") && under("+01:00");
    is_zone.then(|| zone.to_owned())
}
