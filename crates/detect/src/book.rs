//! The incident book: findings about one owner and one resource are one incident.
//!
//! The rules stand in `docs/detectors.md`, "Incident book".

use std::collections::BTreeMap;

use plimsoll_model::detail::HeldOpen;
use plimsoll_model::{
    Change, Detail, Dimension, Finding, IncidentId, Interval, Kind, Owner, Reason, Second,
    Transition,
};
use serde::{Deserialize, Serialize};

use crate::detector::Verdict;
use crate::{proof, sentence};

/// The most incidents that are open at a time. Findings beyond it are counted.
pub const INCIDENTS_MAX: usize = 256;

/// How long nothing may be found before an incident is resolved, unless it came back before.
const HOLD_S: i64 = 60;

/// It is news when an owner holds so many times what was said and this many units more, or when
/// so many times as many others wait.
const MUCH_MORE: f64 = 2.0;
const MORE_UNITS: u64 = 6;
/// Or when they have waited so many times as long in all, and by so many seconds: while nobody is
/// served the sum grows with the square of time, so that this is a trouble twice as old.
const WAITED_MORE: f64 = 4.0;
const MORE_WAIT_S: f64 = 60.0;

/// The most resolved incidents that are remembered to damp their return.
const RESOLVED_MAX: usize = 1_024;

/// Who says it: an incident may be fed by several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Witness {
    /// Calls that do not end.
    MissingCompletions,
    /// Calls that take longer.
    HoldTimeShift,
    /// Growth to the limit.
    Growth,
    /// Refusal of the whole resource.
    Refusal,
    /// Refusal at the limit of one account or database.
    NarrowRefusal(Dimension, String),
    /// A detector of lives, about one program or instance of the resource.
    Life(Kind, u32),
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
    /// What calls that are held open cost others when it was most: how many, and seconds.
    cost: (u64, f64),
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
    /// The same for how many others wait, and how long.
    pub cost_pause_s: i64,
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
        .or_else(|| of(&|incident| is_culprit(&incident.last.finding, owner)))
        .or_else(|| {
            of(&|incident| {
                !is_narrow(witness)
                    && !matches!(witness, Witness::Life(..))
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
            (Kind::GrowthToLimit | Kind::GrowthWithinLife, Some(_)) => Reason::ExhaustionForecast,
            (Kind::GrowthToLimit | Kind::GrowthWithinLife, None) => Reason::GrowthWithoutLimit,
            (Kind::HeldOpen, _) if witness == Witness::MissingCompletions => {
                Reason::CompletionsMissing
            }
            (Kind::HeldOpen, _) => Reason::HoldTimeShifted,
            (Kind::GrowthAcrossLives, _) => Reason::UptimeDebt,
            (Kind::NotBack, _) => Reason::Absent,
        };
        let key = (finding.resource.clone(), finding.owner.clone());
        let hold_s = match self.resolved.remove(&key) {
            Some(resolved) if second.since(resolved.at) <= rules.grace_s => {
                (2 * resolved.hold_s).min(rules.grace_s).max(HOLD_S)
            }
            _ => HOLD_S,
        };
        let incident = IncidentId::new(rules.pipeline, &finding.resource, &finding.owner, second);
        let last = Transition {
            incident,
            sequence: 1,
            change: Change::Opened,
            reason,
            as_of: second,
            pipeline: rules.pipeline.to_owned(),
            opened_at: second,
            severity_peak: finding.severity,
            headline: sentence::headline(&finding, second),
            advice: sentence::advice(&finding),
            proof: proof::proof(incident, &finding, second, None),
            finding: finding.clone(),
        };
        self.incidents.push(Incident {
            last: last.clone(),
            told: finding.exhaustion,
            cost: cost(&finding),
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
        let (victims, waited_s) = cost(&finding);
        self.cost = (self.cost.0.max(victims), self.cost.1.max(waited_s));
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
                    Kind::GrowthToLimit | Kind::GrowthWithinLife => Reason::GrowthEnded,
                    Kind::RefusalAtLimit => Reason::RefusalsEnded,
                    Kind::HeldOpen => Reason::HoldTimesUsual,
                    Kind::GrowthAcrossLives => Reason::LivesSteady,
                    Kind::NotBack => Reason::CameBack,
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
            // The end says what it came to.
            if let Some(Detail::HeldOpen(detail)) = &mut self.last.finding.detail {
                (detail.victims, detail.victims_waited_s) = self.cost;
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
            let Finding { severity, kind, .. } = testimony.finding;
            (severity, rank(kind), culprits_level(&testimony.finding))
        })?;
        let mut finding = strongest.finding.clone();
        for testimony in heard() {
            let other = &testimony.finding;
            finding.since = finding.since.min(other.since);
            finding.refused = finding.refused.max(other.refused);
            let is_less = finding.owner == Owner::Nobody && other.owner == Owner::Unknown;
            if !matches!(finding.owner, Owner::Holder { .. }) && !is_less {
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
        let is_told = told.kind == Kind::RefusalAtLimit || told.refused > 0;
        if !is_told && finding.kind == Kind::RefusalAtLimit {
            return Some(Reason::RefusalsBegan);
        }
        if finding.kind == Kind::HeldOpen && told.refused == 0 && finding.refused > 0 {
            return Some(Reason::RefusalsBegan);
        }
        if finding.severity > self.last.severity_peak {
            return Some(Reason::SeverityRaised);
        }
        if told.kind != Kind::NotBack && finding.kind == Kind::NotBack {
            return Some(Reason::Absent);
        }
        if told.kind == Kind::GrowthToLimit && finding.kind == Kind::HeldOpen {
            return Some(Reason::CauseFound);
        }
        if cost(told).0 == 0 && cost(finding).0 > 0 {
            return Some(Reason::OthersWait);
        }
        // A first name matters at once, a refinement only after a pause.
        let has_paused = second.since(self.last.as_of) >= rules.pause_s;
        let is_another = told.owner != finding.owner || has_new_culprit(told, finding);
        if is_another && (has_paused || !matches!(told.owner, Owner::Holder { .. })) {
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
        let others_pay = second.since(self.last.as_of) >= rules.cost_pause_s
            && others_wait_much_more(told, finding);
        if others_pay || (has_paused && holds_much_more(told, finding)) {
            return Some(Reason::CostGrown);
        }
        // Whoever knows that it refuses needs no forecast of it.
        let has_moved = finding
            .exhaustion
            .filter(|_| told.kind != Kind::RefusalAtLimit)
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
            self.last.proof = proof::proof(self.last.incident, &self.last.finding, second, None);
        }
        self.last.clone()
    }

    /// Why it is over: a restart explains everything; else the loudest witness says.
    fn end_reason(&self) -> Reason {
        let reasons = || self.testimonies.iter().filter_map(|testimony| testimony.ended);
        if reasons().any(|reason| reason == Reason::ResourceRestarted) {
            return Reason::ResourceRestarted;
        }
        let loudest = self
            .testimonies
            .iter()
            .max_by_key(|testimony| (testimony.finding.severity, rank(testimony.finding.kind)));
        loudest.and_then(|testimony| testimony.ended).unwrap_or(Reason::GrowthEnded)
    }
}

fn held_open(finding: &Finding) -> Option<&HeldOpen> {
    match &finding.detail {
        Some(Detail::HeldOpen(detail)) => Some(detail),
        _ => None,
    }
}

/// How many others wait, and for how long, in seconds, added up.
fn cost(finding: &Finding) -> (u64, f64) {
    held_open(finding).map_or((0, 0.0), |detail| (detail.victims, detail.victims_waited_s))
}

/// What all culprits hold.
fn culprits_level(finding: &Finding) -> u64 {
    let further = held_open(finding).into_iter().flat_map(|detail| &detail.further);
    finding.owner_level.unwrap_or(0) + further.map(|culprit| culprit.held).sum::<u64>()
}

/// Whether a reader of `told` would think the culprits' part much smaller than `finding` says.
fn holds_much_more(told: &Finding, finding: &Finding) -> bool {
    let (before, now) = (culprits_level(told), culprits_level(finding));
    let are_both = told.kind == Kind::HeldOpen && finding.kind == Kind::HeldOpen;
    are_both && now >= before + MORE_UNITS && now as f64 >= MUCH_MORE * before as f64
}

/// The same of what it costs others.
fn others_wait_much_more(told: &Finding, finding: &Finding) -> bool {
    let ((before, before_s), (now, now_s)) = (cost(told), cost(finding));
    (now > before && now as f64 >= MUCH_MORE * before as f64)
        || (now_s >= before_s + MORE_WAIT_S && now_s >= WAITED_MORE * before_s)
}

/// Whether `owner` is one of several culprits that `told` names.
fn is_culprit(told: &Finding, owner: &Owner) -> bool {
    let (Owner::Holder { dimension, value }, Owner::Holder { dimension: of, .. }) =
        (owner, &told.owner)
    else {
        return false;
    };
    let mut further = held_open(told).into_iter().flat_map(|detail| &detail.further);
    dimension == of && further.any(|culprit| culprit.value == *value)
}

/// Whether a culprit is named who was not named before.
fn has_new_culprit(told: &Finding, finding: &Finding) -> bool {
    let further = |finding| held_open(finding).into_iter().flat_map(|detail| &detail.further);
    let is_known = |value: &str| {
        let is_owner = matches!(&told.owner, Owner::Holder { value: known, .. } if known == value);
        is_owner || further(told).any(|known| known.value == value)
    };
    held_open(told).is_some() && further(finding).any(|culprit| !is_known(&culprit.value))
}

/// Of findings that are equally loud the one with the most to say: calls that hang explain the
/// refusals, refusals are nearer to users than growth, who is gone does not grow, and many lives
/// say more than one.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::HeldOpen | Kind::NotBack => 2,
        Kind::RefusalAtLimit | Kind::GrowthAcrossLives => 1,
        _ => 0,
    }
}

/// Whether two intervals have a moment in common. One without an end lasts forever.
fn overlap(a: &Interval, b: &Interval) -> bool {
    let begins_in = |a: &Interval, b: &Interval| b.to.is_none_or(|to| a.from <= to);
    begins_in(a, b) && begins_in(b, a)
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Release, Severity, Time};

    use super::*;

    const RULES: Rules<'_> =
        Rules { pipeline: "p", pause_s: 180, cost_pause_s: 20, grace_s: 1_800 };

    fn issuer() -> Owner {
        Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() }
    }

    /// Growth of `db` as a ticket, of an owner not known, 100 usable units, gone in 1000-2000 s.
    fn growth() -> Finding {
        let at = Time::from_seconds;
        Finding {
            kind: Kind::GrowthToLimit,
            resource: "db".to_owned(),
            unit: "connections".to_owned(),
            owner: Owner::Unknown,
            severity: Severity::Ticket,
            since: Second(0),
            level: 50,
            usable: Some(100),
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: Some(1.0),
            exhaustion: Some(Interval { from: at(1_000), to: Some(at(2_000)) }),
            release: None,
            refused: 0,
            doubts: Vec::new(),
            detail: None,
        }
    }

    fn refusal() -> Finding {
        let kind = Kind::RefusalAtLimit;
        Finding { kind, severity: Severity::Page, exhaustion: None, refused: 1, ..growth() }
    }

    fn release() -> Release {
        let deployed_at = Time::from_seconds(-60);
        Release { service: "issuer".to_owned(), version: Some("2.14".to_owned()), deployed_at }
    }

    /// What the book makes of the verdicts that `verdicts` gives for each second until `until`:
    /// `second incident.sequence reason`, with incidents numbered as they open.
    #[track_caller]
    fn check(
        until: i64,
        verdicts: impl Fn(i64) -> Vec<(Witness, Verdict)>,
        expected: &[&str],
    ) -> Vec<Transition> {
        let mut book = Book::default();
        let mut ids = Vec::new();
        let mut told = Vec::new();
        let mut transitions = Vec::new();
        for second in 0..=until {
            for transition in book.step(&RULES, Second(second), "db", verdicts(second)) {
                if transition.change == Change::Opened {
                    ids.push(transition.incident);
                }
                let number = ids.iter().position(|id| *id == transition.incident).unwrap() + 1;
                let Transition { sequence, reason, .. } = &transition;
                told.push(format!("{second} {number}.{sequence} {}", reason.name()));
                transitions.push(transition);
            }
        }
        assert_eq!(told, expected);
        transitions
    }

    fn found(finding: Finding) -> Vec<(Witness, Verdict)> {
        let witness = match finding.kind {
            Kind::RefusalAtLimit => Witness::Refusal,
            _ => Witness::Growth,
        };
        vec![(witness, Verdict::Found(finding))]
    }

    fn ended(reason: Reason) -> Vec<(Witness, Verdict)> {
        vec![(Witness::Growth, Verdict::Ended(reason))]
    }

    #[test]
    fn it_opens_once_and_resolves_after_the_hold() {
        let verdicts = |second| match second {
            0..10 => found(growth()),
            10 => ended(Reason::LevelReceded),
            _ => Vec::new(),
        };
        check(100, verdicts, &["0 1.1 exhaustion_forecast", "70 1.2 level_receded"]);
    }

    #[test]
    fn a_detector_that_only_falls_silent_ends_it_too() {
        let verdicts = |second| if second < 10 { found(growth()) } else { Vec::new() };
        check(100, verdicts, &["0 1.1 exhaustion_forecast", "70 1.2 growth_ended"]);
    }

    #[test]
    fn a_return_within_the_hold_says_nothing() {
        let verdicts =
            |second| if (10..60).contains(&second) { Vec::new() } else { found(growth()) };
        check(100, verdicts, &["0 1.1 exhaustion_forecast"]);
    }

    #[test]
    fn flapping_every_second_for_an_hour_is_one_incident() {
        let flap = |second| if second % 2 == 0 { found(growth()) } else { Vec::new() };
        check(3_600, flap, &["0 1.1 exhaustion_forecast"]);
    }

    #[test]
    fn slow_flapping_is_damped() {
        // 90 s seen, 90 s not seen. The first hold is 60 s, so it is resolved at 90 + 60; the
        // second is 120 s and outlasts the pause.
        let flap = |second: i64| if second % 180 < 90 { found(growth()) } else { Vec::new() };
        let expected =
            ["0 1.1 exhaustion_forecast", "150 1.2 growth_ended", "180 2.1 exhaustion_forecast"];
        check(3_600, flap, &expected);
    }

    #[test]
    fn refusals_after_growth_are_the_same_incident() {
        let verdicts = |second| match second {
            0..5 => found(growth()),
            _ => [found(growth()), found(refusal())].concat(),
        };
        let told = check(9, verdicts, &["0 1.1 exhaustion_forecast", "5 1.2 refusals_began"]);
        assert_eq!(told[1].severity_peak, Severity::Page);
        // What growth knows stays said.
        assert_eq!(told[1].finding.growth_per_minute, Some(1.0));
    }

    #[test]
    fn calls_held_open_and_the_growth_they_cause_are_one_incident() {
        let held_open = Finding {
            kind: Kind::HeldOpen,
            severity: Severity::Page,
            owner: issuer(),
            growth_per_minute: None,
            ..growth()
        };
        let verdicts = |second| {
            let mut verdicts = vec![(Witness::HoldTimeShift, Verdict::Found(held_open.clone()))];
            if second >= 3 {
                let grows = Finding { owner: issuer(), severity: Severity::Page, ..growth() };
                verdicts.extend(found(grows));
            }
            verdicts
        };
        let told = check(9, verdicts, &["0 1.1 hold_time_shifted"]);
        assert_eq!(told[0].finding.kind, Kind::HeldOpen);
    }

    /// Calls of the issuer that are held open: its units, and what that costs others.
    fn hangs(level: u64, victims: u64, victims_waited_s: f64) -> Finding {
        let detail = HeldOpen { victims, victims_waited_s, ..HeldOpen::default() };
        Finding {
            kind: Kind::HeldOpen,
            severity: Severity::Page,
            owner: issuer(),
            owner_level: Some(level),
            exhaustion: None,
            detail: Some(Detail::HeldOpen(detail)),
            ..growth()
        }
    }

    fn hang(finding: Finding) -> Vec<(Witness, Verdict)> {
        vec![(Witness::MissingCompletions, Verdict::Found(finding))]
    }

    #[test]
    fn a_share_that_doubles_is_told_after_a_pause() {
        let verdicts = |second| hang(hangs(if second < 5 { 10 } else { 20 }, 0, 0.0));
        let told = check(600, verdicts, &["0 1.1 completions_missing", "180 1.2 cost_grown"]);
        assert_eq!(told[1].finding.owner_level, Some(20));
        // Neither is half as much more, nor twice of almost nothing.
        let verdicts = |second| hang(hangs(if second < 5 { 10 } else { 15 }, 0, 0.0));
        check(600, verdicts, &["0 1.1 completions_missing"]);
        let verdicts = |second| hang(hangs(if second < 5 { 2 } else { 7 }, 0, 0.0));
        check(600, verdicts, &["0 1.1 completions_missing"]);
    }

    #[test]
    fn what_others_pay_is_told_and_summed_up_at_the_end() {
        let verdicts = |second| match second {
            0..5 => hang(hangs(40, 0, 0.0)),
            5..10 => hang(hangs(40, 3, 0.05)),
            10..200 => hang(hangs(40, 51, 340.0)),
            200..210 => hang(hangs(40, 52, 350.0)),
            _ => Vec::new(),
        };
        let expected = [
            "0 1.1 completions_missing",
            "5 1.2 others_wait",
            "25 1.3 cost_grown",
            "270 1.4 hold_times_usual",
        ];
        let told = check(300, verdicts, &expected);
        assert_eq!((cost(&told[2].finding), cost(&told[3].finding)), ((51, 340.0), (52, 350.0)));
        assert!(told[3].headline.contains("52 others waited 350 s"), "{}", told[3].headline);
    }

    #[test]
    fn calls_held_open_explain_growth_that_was_told_before() {
        let nobody = Finding { owner: Owner::Nobody, ..hangs(90, 0, 0.0) };
        let grows = Finding { owner: Owner::Nobody, severity: Severity::Page, ..growth() };
        let verdicts = |second| match second {
            0..5 => found(grows.clone()),
            _ => [found(grows.clone()), hang(nobody.clone())].concat(),
        };
        check(9, verdicts, &["0 1.1 exhaustion_forecast", "5 1.2 cause_found"]);
    }

    #[test]
    fn growth_that_is_seen_after_a_refusal_names_its_owner() {
        let named = || Finding { owner: issuer(), owner_level: Some(40), ..growth() };
        let verdicts = |second| match second {
            0..5 => found(refusal()),
            _ => [found(named()), found(refusal())].concat(),
        };
        let told = check(9, verdicts, &["0 1.1 limit_refused", "5 1.2 owner_named"]);
        assert_eq!((&told[1].finding.owner, told[1].finding.owner_level), (&issuer(), Some(40)));
    }

    #[test]
    fn an_owner_that_was_named_is_not_forgotten() {
        let named = Finding { owner: issuer(), release: Some(release()), ..growth() };
        let verdicts = |second| found(if second < 5 { named.clone() } else { growth() });
        let told = check(500, verdicts, &["0 1.1 exhaustion_forecast"]);
        assert_eq!(told[0].finding.owner, issuer());
    }

    #[test]
    fn the_refusal_at_one_roles_limit_is_an_incident_of_its_own() {
        let role = Owner::Holder { dimension: Dimension::UserName, value: "app".to_owned() };
        let witness = Witness::NarrowRefusal(Dimension::UserName, "app".to_owned());
        let narrow = Finding { owner: role, severity: Severity::Ticket, ..refusal() };
        let verdicts = |second| {
            let mut verdicts = vec![(witness.clone(), Verdict::Found(narrow.clone()))];
            if second >= 3 {
                verdicts.extend(found(refusal()));
            }
            verdicts
        };
        check(9, verdicts, &["0 1.1 limit_refused", "3 2.1 limit_refused"]);
    }

    #[test]
    fn news_that_matters_is_told_at_once() {
        let verdicts = |second| {
            let mut finding = growth();
            if second >= 2 {
                finding.severity = Severity::Page;
            }
            if second >= 4 {
                finding.owner = issuer();
            }
            if second >= 6 {
                finding.release = Some(release());
            }
            found(finding)
        };
        let expected = [
            "0 1.1 exhaustion_forecast",
            "2 1.2 severity_raised",
            "4 1.3 owner_named",
            "6 1.4 release_named",
        ];
        check(200, verdicts, &expected);
    }

    #[test]
    fn a_limit_that_becomes_known_is_told() {
        let unknown = Finding { usable: None, exhaustion: None, ..growth() };
        let verdicts = |second| found(if second < 5 { unknown.clone() } else { growth() });
        check(9, verdicts, &["0 1.1 growth_without_limit", "5 1.2 limit_learned"]);
    }

    #[test]
    fn a_forecast_that_moved_is_told_after_a_pause() {
        // The interval leaves 1000-2000 at once and comes a little further each second.
        let verdicts = |second: i64| {
            let at = |seconds| Time::from_seconds(seconds + second);
            let later = Interval { from: at(2_001), to: Some(at(2_050)) };
            let mut finding = growth();
            if second > 0 {
                finding.exhaustion = Some(later);
            }
            found(finding)
        };
        // Told at 180: 2181-2230. Disjoint from it since 230, and told at 360.
        let expected =
            ["0 1.1 exhaustion_forecast", "180 1.2 forecast_moved", "360 1.3 forecast_moved"];
        check(400, verdicts, &expected);
    }

    #[test]
    fn overlapping_forecasts_are_the_same_forecast() {
        let verdicts = |second: i64| {
            let at = |seconds| Time::from_seconds(seconds + second);
            let exhaustion = Some(Interval { from: at(1_000), to: None });
            found(Finding { exhaustion, ..growth() })
        };
        check(800, verdicts, &["0 1.1 exhaustion_forecast"]);
    }

    #[test]
    fn no_more_incidents_are_open_than_the_limit() {
        let mut book = Book::default();
        for resource in 0..INCIDENTS_MAX + 3 {
            let resource = format!("db-{resource}");
            let finding = Finding { resource: resource.clone(), ..growth() };
            book.step(&RULES, Second(0), &resource, found(finding));
        }
        assert_eq!((book.open().count(), book.beyond), (INCIDENTS_MAX, 3));
    }
}
