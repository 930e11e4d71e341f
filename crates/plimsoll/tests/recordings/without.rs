//! Recordings without their culprit: what the same servers would have written without it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;

use super::Recording;
use super::edit::{after, keep, seconds, seconds_of, value, written_at};

const MEBIBYTE: f64 = 1_048_576.0;

/// The recording without what `owner` did, and without what came of it.
pub fn removed(recording: &Recording, owner: &str) -> Recording {
    let mut without = recording.clone();
    match recording.name() {
        "db-saturation" => {
            let refused = |line: &str| line.contains("\"state_code\":\"53300\"");
            without.change("db", |log| {
                sessions_gone(log, |line| line.contains(owner) || refused(line))
            });
            without.change("deploys", |events| keep(events, |line| !line.contains(owner)));
        }
        "held-open" | "held-open-end-lines" => {
            let waits = waits_ms(&recording.inputs["edge"]);
            without.change("edge", |log| requests_gone(log, owner));
            if recording.inputs.contains_key("calls") {
                without.change("calls", |log| calls_gone(log, owner, &waits));
            }
        }
        "hidden-leak" => {
            let starts = leaking_starts(recording);
            let died = seconds_of(recording.truth("died_at"));
            without.change("memory", |samples| {
                let alive = keep(samples, |line| written_at(line) < died);
                alive.split_inclusive('\n').map(|line| leakless(recording, &starts, line)).collect()
            });
            without.change("manager", |events| keep(events, |line| written_at(line) < died));
        }
        other => panic!("say here what `{other}` is without its culprit"),
    }
    without
}

/// PostgreSQL's log without all lines of the sessions of which any line `is_gone`.
fn sessions_gone(log: &str, is_gone: impl Fn(&str) -> bool) -> String {
    fn session(line: &str) -> &str {
        value(line, "\"session_id\":").unwrap_or_default()
    }
    let gone: BTreeSet<&str> = log.lines().filter(|line| is_gone(line)).map(session).collect();
    keep(log, |line| !gone.contains(session(line)))
}

/// A request in HAProxy's log, by the words of its line.
pub struct Request<'a> {
    words: Vec<&'a str>,
    began_ms: i64,
    timers_ms: [i64; 5],
}

impl<'a> Request<'a> {
    pub fn read(line: &'a str) -> Option<Request<'a>> {
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let date = words.get(1)?.strip_prefix('[')?.strip_suffix(']')?;
        let began = DateTime::strptime("%d/%b/%Y:%H:%M:%S%.f", date).ok()?;
        let mut timers_ms = [0; 5];
        for (timer, digits) in timers_ms.iter_mut().zip(words.get(4)?.split('/')) {
            *timer = digits.parse().ok()?;
        }
        Some(Request { began_ms: (seconds(began) * 1e3).round() as i64, words, timers_ms })
    }

    /// When its line was written.
    pub fn end_ms(&self) -> i64 {
        self.began_ms + self.timers_ms[4]
    }

    /// The captured headers: who, and the request's id.
    fn captures(&self) -> (&'a str, &'a str) {
        self.words[12].trim_matches(['{', '}']).split_once('|').unwrap()
    }

    /// How long it stood in the queue.
    fn waited_ms(&self) -> i64 {
        self.timers_ms[1].max(0)
    }
}

/// How long each request stood in the queue.
fn waits_ms(log: &str) -> BTreeMap<&str, i64> {
    let requests = log.lines().filter_map(Request::read);
    requests.map(|request| (request.captures().1, request.waited_ms())).collect()
}

/// HAProxy's log without the requests of `owner`. Nobody waits for them: each of the others is
/// served as it comes, takes as long, and counts only the others.
fn requests_gone(log: &str, owner: &str) -> String {
    let mut requests: Vec<Request<'_>> = log.lines().filter_map(Request::read).collect();
    requests.retain(|request| request.captures().0 != owner);
    for request in &mut requests {
        request.timers_ms[4] -= request.waited_ms();
        request.timers_ms[1] = request.timers_ms[1].min(0);
    }
    requests.sort_by_key(Request::end_ms);
    let ends: Vec<i64> = requests.iter().map(Request::end_ms).collect();
    let mut starts: Vec<i64> = requests.iter().map(|request| request.began_ms).collect();
    starts.sort_unstable();
    let mut without = String::new();
    for request in &requests {
        let end = request.end_ms();
        let started = starts.partition_point(|start| *start <= end);
        let held = started - ends.partition_point(|other| *other <= end);
        let timers = request.timers_ms.map(|timer| timer.to_string()).join("/");
        let counts = format!("{}/{}/{held}/{held}/0", held + 1, held + 1);
        let mut words = request.words.clone();
        (words[4], words[10], words[11]) = (&timers, &counts, "0/0");
        without += &words.join(" ");
        without.push('\n');
    }
    without
}

/// The application's log without the calls of `owner`, the others as early as they came.
fn calls_gone(log: &str, owner: &str, waits_ms: &BTreeMap<&str, i64>) -> String {
    let mut lines: Vec<(f64, String)> = Vec::new();
    for line in log.lines().filter(|line| value(line, "\"tenant\":") != Some(owner)) {
        let request = value(line, "\"request\":").unwrap();
        let at = written_at(line) - waits_ms.get(request).map_or(0.0, |wait| *wait as f64 / 1e3);
        let is_part = |letter: char| letter.is_ascii_digit() || letter == '.';
        lines.push((at, after(line, "\"ts\":", is_part, |_| format!("{at:.6}")) + "\n"));
    }
    lines.sort_by(|one, other| one.0.total_cmp(&other.0));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// When the lives of each instance began since the release that leaks.
fn leaking_starts(recording: &Recording) -> BTreeMap<String, Vec<f64>> {
    let leaks_from = seconds_of(recording.truth("leaking_release_at"));
    let mut starts: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in recording.inputs["manager"].lines() {
        let instance = value(line, "\"service.instance.id\":");
        if let (Some("start"), Some(instance)) = (value(line, "\"event\":"), instance) {
            starts.entry(instance.to_owned()).or_default().push(written_at(line));
        }
    }
    starts.values_mut().for_each(|times| times.retain(|time| *time >= leaks_from));
    starts
}

/// A sample without what its life has leaked until then, at the rate of the truth. The rest stays:
/// warm-up, the rhythm of the day, the collector, noise.
fn leakless(recording: &Recording, starts: &BTreeMap<String, Vec<f64>>, line: &str) -> String {
    let (at, instance) = (written_at(line), value(line, "\"pod\":").unwrap());
    let Some(start) = starts[instance].iter().rev().find(|start| **start <= at) else {
        return line.to_owned();
    };
    let rate = recording.truth["leak_mib_per_hour"][instance].as_f64().unwrap();
    let leaked = rate * MEBIBYTE * (at - start) / 3_600.0;
    let is_digit = |letter: char| letter.is_ascii_digit();
    after(line, "\"rss_bytes\":", is_digit, |bytes| {
        (bytes.parse::<i64>().unwrap() - leaked as i64).to_string()
    })
}
