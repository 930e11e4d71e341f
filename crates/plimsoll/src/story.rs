//! A replay told to a person: what would have been said, when, whom it names, and how long
//! before the first refusal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use plimsoll_model::{Change, IncidentId, RejectReason, Severity, Time, Transition};

use crate::replay::Report;
use crate::threshold::THRESHOLD;

/// One incident of a replay: its first transition, its first page, its last transition.
#[derive(Clone, Debug)]
pub struct Told {
    /// As it opened.
    pub opened: Transition,
    /// When it first was a page, if it ever was.
    pub paged: Option<Transition>,
    /// The last that was said of it.
    pub last: Transition,
}

impl Told {
    /// What people would have heard first: the page, or else the opening.
    pub fn first(&self) -> &Transition {
        self.paged.as_ref().unwrap_or(&self.opened)
    }
}

/// Collects transitions and tells them.
#[derive(Clone, Debug, Default)]
pub struct Story {
    incidents: BTreeMap<(i64, IncidentId), Told>,
}

impl Story {
    /// Takes in one transition.
    pub fn add(&mut self, transition: &Transition) {
        let key = (transition.opened_at.0, transition.incident);
        let told = self.incidents.entry(key).or_insert_with(|| Told {
            opened: transition.clone(),
            paged: None,
            last: transition.clone(),
        });
        let pages = transition.severity_peak == Severity::Page;
        if pages && told.paged.is_none() && transition.change != Change::Resolved {
            told.paged = Some(transition.clone());
        }
        told.last = transition.clone();
    }

    /// How many pages would have gone out.
    pub fn pages(&self) -> usize {
        self.incidents.values().filter(|told| told.paged.is_some()).count()
    }

    /// The incidents, in the order of their opening.
    pub fn incidents(&self) -> impl ExactSizeIterator<Item = &Told> {
        self.incidents.values()
    }

    /// The story of one pipeline, several lines.
    pub fn text(&self, pipeline: &str, report: &Report, took: Duration) -> String {
        let mut text = String::new();
        let rejected = report.rejected();
        let _ = writeln!(
            text,
            "{pipeline}: {} records, {rejected} rejected{}, {} ticks judged in {:.1} s",
            report.records,
            rejects_by_reason(report),
            report.ticks,
            took.as_secs_f64(),
        );
        if self.incidents.is_empty() {
            let _ = writeln!(text, "  nothing would have been said");
        }
        for told in self.incidents.values() {
            self.tell(told, report, &mut text);
        }
        text
    }

    /// One incident: whom it names, what to do, how long before the first refusal, how it ended.
    pub fn tell(&self, told: &Told, report: &Report, text: &mut String) {
        let first = told.first();
        let severity = first.severity_peak.name().to_uppercase();
        let finding = &first.finding;
        let _ = writeln!(text, "  {severity} {}  {}", first.as_of, first.headline);
        let _ = writeln!(text, "    do: {}", first.advice);
        let refusal = report.refusal_after(&finding.resource, first.opened_at.start());
        let _ = match refusal {
            Some(refusal) => {
                let lead = lead(first.as_of.end(), refusal);
                writeln!(text, "    the first refusal came at {}: {lead}", refusal.second())
            }
            None => writeln!(text, "    no refusal followed"),
        };
        let _ = writeln!(text, "    {}", threshold(first, report));
        let _ = match told.last.change {
            Change::Resolved => {
                writeln!(text, "    resolved {} ({})", told.last.as_of, told.last.reason.name())
            }
            _ => writeln!(text, "    still open at the end"),
        };
    }
}

fn lead(said: Time, refusal: Time) -> String {
    let seconds = refusal.micros_since(said) / 1_000_000;
    let (amount, side) = (seconds.abs(), if seconds >= 0 { "before" } else { "after" });
    format!("this was said {} {side} it", duration(amount))
}

/// What an alarm at nine tenths of the limit would have said of the same incident, and how often
/// it had cried before.
fn threshold(first: &Transition, report: &Report) -> String {
    let percent = (THRESHOLD * 100.0) as u32;
    let (resource, since) = (&first.finding.resource, first.finding.since);
    let said = match report.threshold.after(resource, since) {
        Some(raised) => {
            let seconds = raised.since(first.as_of);
            let side = if seconds >= 0 { "later" } else { "earlier" };
            let amount = duration(seconds.abs());
            format!("a {percent} % threshold would have said so {amount} {side}, naming nobody")
        }
        None => format!("a {percent} % threshold would have said nothing"),
    };
    match report.threshold.before(resource, since) {
        0 => said,
        1 => format!("{said}; it had cried once before"),
        count => format!("{said}; it had cried {count} times before"),
    }
}

fn duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", seconds as f64 / 3_600.0),
    }
}

fn rejects_by_reason(report: &Report) -> String {
    let mut parts = Vec::new();
    for (reason, count) in RejectReason::ALL.iter().zip(report.rejects) {
        if count > 0 {
            parts.push(format!("{} {count}", reason.name()));
        }
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_read_as_people_say_them() {
        let at = Time::from_seconds;
        assert_eq!(lead(at(0), at(90)), "this was said 90 s before it");
        assert_eq!(lead(at(0), at(1_800)), "this was said 30 min before it");
        assert_eq!(lead(at(9_000), at(0)), "this was said 2.5 h after it");
    }
}
