//! The incident book: findings about one owner and one resource are one incident.
//!
//! The rules stand in `docs/detectors.md`, "Incident book".

use std::collections::BTreeMap;

use plimsoll_model::{
    Change, Dimension, Finding, IncidentId, Interval, Kind, Owner, Reason, Second, Transition,
};
use serde::{Deserialize, Serialize};

use crate::detector::Verdict;
use crate::sentence;

/// The most incidents that are open at a time. Findings beyond it are counted.
pub const INCIDENTS_MAX: usize = 256;

/// How long nothing may be found before an incident is resolved, unless it came back before.
const HOLD_S: i64 = 60;

/// The most resolved incidents that are remembered to damp their return.
const RESOLVED_MAX: usize = 1_024;

/// Who says it: an incident may be fed by several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Witness {
    /// Growth to the limit.
    Growth,
    /// Refusal of the whole resource.
    Refusal,
    /// Refusal at the limit of one account or database.
    NarrowRefusal(Dimension, String),
}

/// What one witness last said about an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Testimony {
    witness: Witness,
    /// The last finding.
    finding: Finding,
    /// Why it is over; `None` while it is found.
    ended: Option<Reason>,
}

/// One open incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Incident {
    last: Transition,
    testimonies: Vec<Testimony>,
    /// The interval that the reader was told last.
    told: Option<Interval>,
    /// How long nothing may be found before it is resolved.
    hold_s: i64,
    /// Since when nothing is found.
    quiet_since: Option<Second>,
}

/// When an incident of this resource and owner was resolved last, and with which hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Resolved {
    at: Second,
    hold_s: i64,
}

/// The incident book of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    /// In the order in which they opened.
    incidents: Vec<Incident>,
    resolved: BTreeMap<(String, Owner), Resolved>,
    /// Findings that opened nothing because too many incidents were open.
    pub beyond: u64,
}

/// What the book needs to know of its pipeline.
pub(crate) struct Rules<'a> {
    pub pipeline: &'a str,
    /// The least time between two updates that only refine what was said.
    pub pause_s: i64,
    /// A return within this time after the end doubles the hold; the hold never exceeds it.
    pub grace_s: i64,
}

impl Book {
    /// The last transition of every open incident, in the order in which they opened.
    pub fn open(&self) -> impl Iterator<Item = &Transition> {
        self.incidents.iter().map(|incident| &incident.last)
    }

    /// Takes what the witnesses say of one resource at the end of a tick.
    ///
    /// A witness that says nothing is quiet.
    pub fn step(
        &mut self,
        rules: &Rules<'_>,
        second: Second,
        resource: &str,
        verdicts: Vec<(Witness, Verdict)>,
    ) -> Vec<Transition> {
        let mut transitions = Vec::new();
        let mut heard: Vec<Witness> = Vec::new();
        for (witness, verdict) in verdicts {
            match verdict {
                Verdict::Found(finding) => {
                    heard.push(witness.clone());
                    match self.find(resource, &witness, &finding.owner) {
                        Some(place) => self.incidents[place].hear(witness, finding),
                        None => {
                            transitions.extend(self.open_one(rules, second, witness, finding));
                        }
                    }
                }
                Verdict::Ended(reason) => self.end(resource, &witness, reason),
                Verdict::Quiet => {}
            }
        }
        let mut kept = Vec::with_capacity(self.incidents.len());
        for mut incident in std::mem::take(&mut self.incidents) {
            if incident.last.finding.resource != resource {
                kept.push(incident);
                continue;
            }
            incident.silence(&heard);
            match incident.step(rules, second) {
                Some(transition) => {
                    if transition.change == Change::Resolved {
                        self.note_resolved(rules, &incident, second);
                    } else {
                        kept.push(incident);
                    }
                    transitions.push(transition);
                }
                None => kept.push(incident),
            }
        }
        self.incidents = kept;
        transitions
    }

    /// The open incident that a finding belongs to: the one that its witness feeds without a
    /// break, else one of the same owner, else one of the whole resource whose owner, or whose
    /// finding's, is not known.
    fn find(&self, resource: &str, witness: &Witness, owner: &Owner) -> Option<usize> {
        let of = |matches: &dyn Fn(&Incident) -> bool| {
            self.incidents.iter().position(|incident| {
                incident.last.finding.resource == resource && matches(incident)
            })
        };
        let is_narrow = |witness: &Witness| matches!(witness, Witness::NarrowRefusal(..));
        let is_named = |owner: &Owner| matches!(owner, Owner::Holder { .. });
        of(&|incident| {
            incident
                .testimonies
                .iter()
                .any(|testimony| testimony.witness == *witness && testimony.ended.is_none())
        })
        .or_else(|| of(&|incident| incident.last.finding.owner == *owner))
        .or_else(|| {
            of(&|incident| {
                !is_narrow(witness)
                    && !incident.testimonies.iter().all(|known| is_narrow(&known.witness))
                    && (!is_named(owner) || !is_named(&incident.last.finding.owner))
            })
        })
    }

    fn open_one(
        &mut self,
        rules: &Rules<'_>,
        second: Second,
        witness: Witness,
        finding: Finding,
    ) -> Option<Transition> {
        if self.incidents.len() >= INCIDENTS_MAX {
            self.beyond += 1;
            return None;
        }
        let reason = match (finding.kind, finding.usable) {
            (Kind::RefusalAtLimit, _) => Reason::LimitRefused,
            (Kind::GrowthToLimit, Some(_)) => Reason::ExhaustionForecast,
            (Kind::GrowthToLimit, None) => Reason::GrowthWithoutLimit,
        };
        let key = (finding.resource.clone(), finding.owner.clone());
        let hold_s = match self.resolved.remove(&key) {
            Some(resolved) if second.since(resolved.at) <= rules.grace_s => {
                (2 * resolved.hold_s).min(rules.grace_s).max(HOLD_S)
            }
            _ => HOLD_S,
        };
        let last = Transition {
            incident: IncidentId::new(rules.pipeline, &finding.resource, &finding.owner, second),
            sequence: 1,
            change: Change::Opened,
            reason,
            as_of: second,
            pipeline: rules.pipeline.to_owned(),
            opened_at: second,
            severity_peak: finding.severity,
            headline: sentence::headline(&finding, second),
            advice: sentence::advice(&finding),
            finding: finding.clone(),
        };
        self.incidents.push(Incident {
            last: last.clone(),
            told: finding.exhaustion,
            testimonies: vec![Testimony { witness, finding, ended: None }],
            hold_s,
            quiet_since: None,
        });
        Some(last)
    }

    fn end(&mut self, resource: &str, witness: &Witness, reason: Reason) {
        let of_resource =
            self.incidents.iter_mut().filter(|incident| incident.last.finding.resource == resource);
        for testimony in of_resource.flat_map(|incident| &mut incident.testimonies) {
            if testimony.witness == *witness && testimony.ended.is_none() {
                testimony.ended = Some(reason);
            }
        }
    }

    fn note_resolved(&mut self, rules: &Rules<'_>, incident: &Incident, second: Second) {
        let finding = &incident.last.finding;
        let key = (finding.resource.clone(), finding.owner.clone());
        self.resolved.insert(key, Resolved { at: second, hold_s: incident.hold_s });
        if self.resolved.len() > RESOLVED_MAX {
            self.resolved.retain(|_, resolved| second.since(resolved.at) <= rules.grace_s);
        }
        if self.resolved.len() > RESOLVED_MAX {
            self.resolved.pop_first();
        }
    }
}

impl Incident {
    /// The witness sees it again, or still.
    fn hear(&mut self, witness: Witness, finding: Finding) {
        match self.testimonies.iter_mut().find(|known| known.witness == witness) {
            Some(known) => *known = Testimony { witness, finding, ended: None },
            None => self.testimonies.push(Testimony { witness, finding, ended: None }),
        }
    }

    /// Witnesses that were not heard in this tick see nothing any more.
    fn silence(&mut self, heard: &[Witness]) {
        for testimony in &mut self.testimonies {
            if testimony.ended.is_none() && !heard.contains(&testimony.witness) {
                testimony.ended = Some(match testimony.finding.kind {
                    Kind::GrowthToLimit => Reason::GrowthEnded,
                    Kind::RefusalAtLimit => Reason::RefusalsEnded,
                });
            }
        }
    }

    fn step(&mut self, rules: &Rules<'_>, second: Second) -> Option<Transition> {
        let Some(finding) = self.finding() else {
            let quiet_since = *self.quiet_since.get_or_insert(second);
            if second.since(quiet_since) < self.hold_s {
                return None;
            }
            return Some(self.tell(Change::Resolved, self.end_reason(), second));
        };
        self.quiet_since = None;
        if self.last.as_of == second {
            return None;
        }
        let reason = self.news(rules, second, &finding)?;
        self.told = finding.exhaustion;
        self.last.severity_peak = self.last.severity_peak.max(finding.severity);
        self.last.finding = finding;
        Some(self.tell(Change::Updated, reason, second))
    }

    /// What the witnesses that see it say together: the facts of a refusal, where there is one,
    /// completed by what growth knows; the owner that was named before, if nobody names one.
    fn finding(&self) -> Option<Finding> {
        let heard = || self.testimonies.iter().filter(|testimony| testimony.ended.is_none());
        let strongest = heard().max_by_key(|testimony| {
            (testimony.finding.severity, testimony.finding.kind == Kind::RefusalAtLimit)
        })?;
        let mut finding = strongest.finding.clone();
        for testimony in heard() {
            let other = &testimony.finding;
            finding.since = finding.since.min(other.since);
            finding.refused = finding.refused.max(other.refused);
            if !matches!(finding.owner, Owner::Holder { .. }) {
                finding.owner = other.owner.clone();
                finding.owner_level = other.owner_level;
            }
            if other.kind == Kind::GrowthToLimit && finding.owner == other.owner {
                finding.owner_level_before = other.owner_level_before;
                finding.growth_per_minute = other.growth_per_minute;
                finding.release = finding.release.or_else(|| other.release.clone());
            }
        }
        let known = &self.last.finding;
        if !matches!(finding.owner, Owner::Holder { .. })
            && matches!(known.owner, Owner::Holder { .. })
        {
            finding.owner = known.owner.clone();
            finding.owner_level = known.owner_level;
            finding.owner_level_before = known.owner_level_before;
        }
        if finding.release.is_none() && finding.owner == known.owner {
            finding.release = known.release.clone();
        }
        Some(finding)
    }

    /// What in `finding` matters to somebody who was told `self.last`, the most important first.
    fn news(&self, rules: &Rules<'_>, second: Second, finding: &Finding) -> Option<Reason> {
        let told = &self.last.finding;
        if told.kind != finding.kind && finding.kind == Kind::RefusalAtLimit {
            return Some(Reason::RefusalsBegan);
        }
        if finding.severity > self.last.severity_peak {
            return Some(Reason::SeverityRaised);
        }
        // A first name matters at once, a refinement only after a pause.
        let has_paused = second.since(self.last.as_of) >= rules.pause_s;
        if told.owner != finding.owner
            && (has_paused || !matches!(told.owner, Owner::Holder { .. }))
        {
            return Some(Reason::OwnerNamed);
        }
        if finding.release.is_some()
            && told.release != finding.release
            && (has_paused || told.release.is_none())
        {
            return Some(Reason::ReleaseNamed);
        }
        if finding.usable.is_some()
            && told.usable != finding.usable
            && (has_paused || told.usable.is_none())
        {
            return Some(Reason::LimitLearned);
        }
        let has_moved = finding
            .exhaustion
            .is_some_and(|interval| self.told.is_none_or(|told| !overlap(&told, &interval)));
        (has_paused && has_moved).then_some(Reason::ForecastMoved)
    }

    fn tell(&mut self, change: Change, reason: Reason, second: Second) -> Transition {
        self.last.sequence += 1;
        self.last.change = change;
        self.last.reason = reason;
        self.last.as_of = second;
        if change == Change::Resolved {
            (self.last.headline, self.last.advice) = sentence::resolved(&self.last.finding, reason);
        } else {
            self.last.headline = sentence::headline(&self.last.finding, second);
            self.last.advice = sentence::advice(&self.last.finding);
        }
        self.last.clone()
    }

    /// Why it is over: a restart explains everything; else the loudest witness says.
    fn end_reason(&self) -> Reason {
        let reasons = || self.testimonies.iter().filter_map(|testimony| testimony.ended);
        if reasons().any(|reason| reason == Reason::ResourceRestarted) {
            return Reason::ResourceRestarted;
        }
        let loudest = self.testimonies.iter().max_by_key(|testimony| {
            (testimony.finding.severity, testimony.finding.kind == Kind::RefusalAtLimit)
        });
        loudest.and_then(|testimony| testimony.ended).unwrap_or(Reason::GrowthEnded)
    }
}

/// Whether two intervals have a moment in common. One without an end lasts forever.
fn overlap(a: &Interval, b: &Interval) -> bool {
    let begins_in = |a: &Interval, b: &Interval| b.to.is_none_or(|to| a.from <= to);
    begins_in(a, b) && begins_in(b, a)
}
