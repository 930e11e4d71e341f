//! The figures as Markdown.

use std::fmt::Write;

use crate::Subject;
use crate::families::Case;
use crate::score::{FaultScore, score};

/// Runs that went wrong and are listed of one row; the others are counted.
const LISTED_MAX: usize = 4;

/// The rows of both kinds, by section.
#[derive(Default)]
pub struct Table {
    faults: Vec<(String, String)>,
    alike: Vec<(String, String)>,
    /// What went wrong, with its seed.
    wrong: Vec<String>,
}

/// What went wrong in one row.
struct Wrong<'a> {
    row: &'a str,
    lines: Vec<String>,
}

impl Wrong<'_> {
    fn add(&mut self, seed: u64, what: &str) {
        self.lines.push(format!("`{seed}` {what}"));
    }

    fn into_line(self) -> Option<String> {
        let more = self.lines.len().saturating_sub(LISTED_MAX);
        let mut line = self.lines[..self.lines.len() - more].join("; ");
        if more > 0 {
            let _ = write!(line, "; and {more} more");
        }
        (!line.is_empty()).then(|| format!("- {}: {line}", self.row))
    }
}

impl Table {
    /// Adds what became of the members of one family, a row for each of its faults.
    pub fn add(&mut self, subject: &Subject, seeds: &[u64], cases: &[Case]) {
        let scores: Vec<_> = cases.iter().map(score).collect();
        let Subject { section, name, .. } = subject;
        let row = format!("{section}: {name}");
        let mut wrong = Wrong { row: &row, lines: Vec::new() };
        for (seed, score) in seeds.iter().zip(&scores) {
            for said in &score.false_pages {
                wrong.add(*seed, &format!("false page at {} naming {}", said.at, said.owner));
            }
            for said in &score.false_tickets {
                wrong.add(*seed, &format!("false ticket at {} naming {}", said.at, said.owner));
            }
        }
        let false_pages: usize = scores.iter().map(|score| score.false_pages.len()).sum();
        let false_tickets: usize = scores.iter().map(|score| score.false_tickets.len()).sum();
        let faults = cases.iter().map(|case| case.faults.len()).max().unwrap_or(0);
        if faults == 0 {
            let line = format!("| {name} | {} | {false_pages} | {false_tickets} |", cases.len());
            self.alike.push((section.clone(), line));
        }
        for place in 0..faults {
            let of_it: Vec<&FaultScore> = scores.iter().map(|score| &score.faults[place]).collect();
            let what = cases[0].faults[place].what;
            let said = of_it.iter().filter(|score| score.said_at.is_some()).count();
            let late = of_it.iter().filter(|score| score.is_late).count();
            let names = of_it.iter().filter(|score| score.wrong_name.is_some()).count();
            let unnamed = of_it.iter().filter(|score| score.unnamed_until.is_some()).count();
            let pages: usize = of_it.iter().map(|score| score.pages).sum();
            let leads = quantiles(of_it.iter().filter_map(|score| score.lead_s).collect());
            let name = if what.is_empty() { name.clone() } else { format!("{name}: {what}") };
            // What is about no fault is told once.
            let wrongly = match place {
                0 => format!("{false_pages} | {false_tickets}"),
                _ => " | ".to_owned(),
            };
            let each = match said {
                0 => "–".to_owned(),
                _ => format!("{:.1}", pages as f64 / said as f64),
            };
            let (runs, missed) = (cases.len(), cases.len() - said);
            self.faults.push((
                section.clone(),
                format!("| {name} | {runs} | {missed} | {late} | {leads} | {unnamed} | {names} | {wrongly} | {each} |"),
            ));
            for (seed, score) in seeds.iter().zip(&of_it) {
                let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
                if let Some(went) = went_wrong(score) {
                    wrong.add(*seed, &format!("{went}{what}"));
                }
            }
        }
        self.wrong.extend(wrong.into_line());
    }

    /// The table of the faults, that of the look-alikes, and what went wrong.
    pub fn text(&self, commit: &str, seeds: &[u64]) -> String {
        let mut text = format!("Commit `{commit}`; seeds");
        for (place, seed) in seeds.iter().enumerate() {
            let _ = write!(text, "{} {seed}", if place == 0 { "" } else { "," });
        }
        text += ".\n\n| fault | runs | missed | late | lead: 10 % | median | 90 % | no name | wrong name | false pages | false tickets | pages each |\n";
        text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        lines(&mut text, &self.faults, " | | | | | | | | | | | |\n");
        text += "\n| look-alike | runs | false pages | false tickets |\n|---|--:|--:|--:|\n";
        lines(&mut text, &self.alike, " | | | |\n");
        if !self.wrong.is_empty() {
            let _ = write!(text, "\nWhat went wrong, by seed:\n\n{}\n", self.wrong.join("\n"));
        }
        text
    }
}

/// What went wrong with one fault, in words.
fn went_wrong(score: &FaultScore) -> Option<String> {
    let Some(said_at) = score.said_at else { return Some("missed".to_owned()) };
    let mut wrong = Vec::new();
    if score.is_late {
        let lead = score.lead_s.map(|lead| format!(", lead {}", time(lead)));
        wrong.push(format!("late{}", lead.unwrap_or_default()));
    }
    match score.unnamed_until {
        Some(Some(at)) => wrong.push(format!("without a name for {}", time(at - said_at))),
        Some(None) => wrong.push("never with a name".to_owned()),
        None => {}
    }
    wrong.extend(score.wrong_name.as_ref().map(|owner| format!("names {owner}")));
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

fn lines(text: &mut String, rows: &[(String, String)], blank: &str) {
    let mut section = "";
    for (of, line) in rows {
        if of != section {
            let _ = write!(text, "| **{of}**{blank}");
        }
        section = of;
        let _ = writeln!(text, "{line}");
    }
}

/// The 10 %, 50 % and 90 % points, each a number that was seen.
fn quantiles(mut leads: Vec<i64>) -> String {
    leads.sort_unstable();
    let at = |part: f64| leads.get(((leads.len() as f64 - 1.0) * part).round() as usize);
    let shown = |part| at(part).map_or("–".to_owned(), |lead| time(*lead));
    format!("{} | {} | {}", shown(0.1), shown(0.5), shown(0.9))
}

/// `42 s`, `7 min`, `3.4 h`, `12 d`.
fn time(seconds: i64) -> String {
    let amount = seconds.abs() as f64;
    let sign = if seconds < 0 { "−" } else { "" };
    match seconds.abs() {
        0..300 => format!("{sign}{amount} s"),
        300..7_200 => format!("{sign}{:.0} min", amount / 60.0),
        7_200..172_800 => format!("{sign}{:.1} h", amount / 3_600.0),
        _ => format!("{sign}{:.1} d", amount / 86_400.0),
    }
}
