//! The formats that a file is held against. Another one is one function and one line of
//! `CANDIDATES`.

use serde_json::{Map, Value, json};

use super::head::Line;
use super::json::{context_events, mapped};
use super::{Asked, haproxy};

/// Looks at the first lines of a file; `None` if nothing speaks for the format.
type Weigh = fn(&[Line<'_>], &Asked) -> Option<Guess>;

/// Every format, the most particular first: where two fit a file equally well, the first wins.
const CANDIDATES: &[Weigh] = &[postgres_jsonlog, haproxy_http, otlp_json, context_events, mapped];

/// Below this part of the lines a format is not believed.
pub const CONFIDENCE_MIN: f64 = 0.2;

/// What a file is taken for.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    /// The format in words.
    pub(super) format: &'static str,
    /// Lines that speak for it, of `lines` that were looked at.
    pub(super) matched: usize,
    pub(super) lines: usize,
    /// What those lines have, as the end of a sentence that begins with "lines that".
    pub(super) why: String,
    /// The section that a definition would have for it; `None` if more must be said first.
    pub(super) source: Option<Value>,
    /// What must be said, or what was assumed; empty if nothing.
    pub(super) advice: String,
    /// What a person should know before believing what comes of it.
    pub(super) notes: Vec<String>,
    /// A definition to begin with, where one is of use.
    pub(super) starter: Option<String>,
    /// The resources that it is about, and the key of their unit in a definition.
    pub(super) resources: Vec<String>,
    pub(super) unit: &'static str,
    /// Whether its times do not say their zone.
    pub(super) has_no_zone: bool,
}

impl Guess {
    /// How sure it is, from 0 to 1: the part of the lines that speak for it.
    pub(super) fn confidence(&self) -> f64 {
        self.matched as f64 / self.lines.max(1) as f64
    }
}

/// The format that most lines speak for. One that can be judged comes before one that cannot.
pub(super) fn best(lines: &[Line<'_>], asked: &Asked) -> Option<Guess> {
    let rank = |guess: &Guess| (guess.source.is_some(), guess.matched);
    let mut best: Option<Guess> = None;
    for weigh in CANDIDATES {
        let Some(guess) = weigh(lines, asked) else { continue };
        let is_better = best.as_ref().is_none_or(|best| rank(&guess) > rank(best));
        if is_better && guess.confidence() >= CONFIDENCE_MIN {
            best = Some(guess);
        }
    }
    best
}

/// A format whose lines need nothing but the name of their resource.
fn simple(
    format: &'static str,
    (key, default, unit): (&str, &str, &'static str),
    matched: usize,
    lines: &[Line<'_>],
    asked: &Asked,
) -> Option<Guess> {
    let resource = asked.resource.as_deref().unwrap_or(default);
    (matched > 0).then(|| Guess {
        format,
        matched,
        lines: lines.len(),
        why: String::new(),
        source: Some(json!({ "format": key, "resource": resource })),
        advice: String::new(),
        notes: Vec::new(),
        starter: None,
        resources: vec![resource.to_owned()],
        unit,
        has_no_zone: false,
    })
}

fn postgres_jsonlog(lines: &[Line<'_>], asked: &Asked) -> Option<Guess> {
    let is_one = |object: &Map<String, Value>| {
        let has = |key: &&&str| object.contains_key(**key);
        object.contains_key("timestamp")
            && ["error_severity", "backend_type", "session_id", "line_num"]
                .iter()
                .filter(has)
                .count()
                >= 3
    };
    let matched = lines.iter().filter(|line| line.object.as_ref().is_some_and(is_one)).count();
    let key = ("postgres_jsonlog", "postgresql", "connections");
    let guess = simple("PostgreSQL's jsonlog", key, matched, lines, asked)?;
    let why =
        "are JSON objects with `timestamp`, `error_severity`, `session_id` and `backend_type`";
    Some(Guess { why: why.to_owned(), ..guess })
}

fn haproxy_http(lines: &[Line<'_>], asked: &Asked) -> Option<Guess> {
    let matched: Vec<&str> =
        lines.iter().filter_map(|line| line.text).filter(|line| is_haproxy(line)).collect();
    let key = ("haproxy_http", "haproxy", "slots");
    let mut guess = simple("HAProxy's HTTP log", key, matched.len(), lines, asked)?;
    guess.why = "have a date in brackets, a frontend, `backend/server` and five times".to_owned();
    guess.has_no_zone = true;
    let source = guess.source.as_mut().expect("it was made with a source");
    match &asked.haproxy {
        Some(given) => source["haproxy"] = json!(given),
        None => {
            let (slots, notes) = haproxy::slots(&matched);
            source["haproxy"] = json!({ "slots": slots });
            guess.notes = notes;
            guess.notes.extend(haproxy::headers(&matched));
        }
    }
    Some(guess)
}

/// `… [22/Nov/2026:20:58:20.227] edge app/a1 0/0/0/101/101 200 …`
fn is_haproxy(line: &str) -> bool {
    line.match_indices('[').any(|(at, _)| begins_request(&line[at + 1..]))
}

/// Whether this is the part of HAProxy's line that begins with the date in brackets.
fn begins_request(text: &str) -> bool {
    let Some((date, rest)) = text.split_once("] ") else { return false };
    let mut words = rest.split(' ');
    let (frontend, server, times) = (words.next(), words.next(), words.next());
    let is_date = date.split('/').count() == 3 && date.matches(':').count() == 3;
    let is_time = |part: &str| part.trim_start_matches(['+', '-']).parse::<u64>().is_ok();
    let has_times =
        times.is_some_and(|times| times.split('/').count() == 5 && times.split('/').all(is_time));
    is_date && frontend.is_some() && server.is_some_and(|word| word.contains('/')) && has_times
}

fn otlp_json(lines: &[Line<'_>], asked: &Asked) -> Option<Guess> {
    let is_one = |object: &Map<String, Value>| object.contains_key("resourceMetrics");
    let matched = lines.iter().filter(|line| line.object.as_ref().is_some_and(is_one)).count();
    let key = ("otlp_json", "memory", "memory");
    let guess = simple("OTLP metrics in JSON", key, matched, lines, asked)?;
    Some(Guess { why: "are JSON objects with `resourceMetrics`".to_owned(), ..guess })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let asked = Asked::default();
        let lines: Vec<_> = text.lines().map(|line| Line::new(line.as_bytes())).collect();
        let guess = best(&lines, &asked);
        let seen = guess.as_ref().map(|guess| (guess.format, guess.confidence()));
        let seen = seen.map(|(format, confidence)| (format, format!("{confidence:.2}")));
        assert_eq!(seen, expected.map(|(format, confidence)| (format, confidence.to_owned())));
    }

    const POSTGRES: &str = r#"{"timestamp":"2026-11-22 18:00:00 UTC","session_id":"1.1","error_severity":"LOG","backend_type":"postmaster"}"#;
    /// Two lines that HAProxy 2.6 wrote.
    const HAPROXY: &str = "127.0.0.1:57948 [22/Nov/2026:20:58:20.227] edge app/a1 0/0/0/101/101 200 63 - - ---- 1/1/0/0/0 0/0 {acme|r1} {2.1} \"GET /0.1 HTTP/1.1\"\nNov 22 21:00:05 host haproxy[411]: 127.0.0.1:57964 [22/Nov/2026:20:58:20.512] edge~ app/<NOSRV> 0/-1/-1/-1/+51 503 63 - - sQ-- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"";
    const DEPLOY: &str = r#"{"time":"2026-11-22T18:00:00Z","event":"deploy","service.name":"a"}"#;

    #[test]
    fn each_format_is_known_by_its_marks() {
        check(POSTGRES, Some(("PostgreSQL's jsonlog", "1.00")));
        check(HAPROXY, Some(("HAProxy's HTTP log", "1.00")));
        check(r#"{"resourceMetrics":[]}"#, Some(("OTLP metrics in JSON", "1.00")));
        check(DEPLOY, Some(("context events", "1.00")));
        check(r#"{"ts":1795370400,"active":3}"#, Some(("JSON lines", "1.00")));
        let call = r#"{"time":"2026-11-22T18:00:00Z","event":"start","call_id":1}"#;
        check(call, Some(("JSON lines", "1.00")));
    }

    #[test]
    fn the_format_of_most_lines_is_believed_as_far_as_it_goes() {
        check(
            &format!("{POSTGRES}\n{POSTGRES}\n{DEPLOY}\nwhat"),
            Some(("PostgreSQL's jsonlog", "0.50")),
        );
    }

    #[test]
    fn prose_and_other_logs_are_no_format() {
        check("once upon a time\nthere was [a] b/c d/e/f", None);
        check(&format!("{POSTGRES}{}", "\nno".repeat(9)), None);
    }
}
