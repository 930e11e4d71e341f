//! Calls that are held open: whose they are, what that leads to, and what it costs others.
//!
//! What both detectors of it share. `docs/detectors.md`, "Held open".

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::detail::{self, HeldOpen};
use plimsoll_model::{
    Detail, Dimension, Finding, Interval, Kind, Owner, Reason, Second, Severity, Time,
};
use serde::{Deserialize, Serialize};

use crate::calls::Calls;
use crate::detector::Verdict;
use crate::view::{HolderLevel, ResourceView, Told};

/// The settings of both detectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeldOpenSettings {
    /// How loudly it is spoken of.
    pub severity: Severity,
    /// An excess counts from this many standard deviations on.
    pub evidence: f64,
    /// An owner's calls hold this many times what they usually would.
    pub ratio: f64,
    /// An excess counts from this many units on.
    pub excess_min: f64,
    /// A page needs an excess of this part of the room that there would be without it.
    pub page_share: f64,
    /// The same for a ticket.
    pub ticket_share: f64,
    /// When everybody is slower, only this much of the limit in use is a page.
    pub relentless: f64,
}

impl Default for HeldOpenSettings {
    fn default() -> Self {
        HeldOpenSettings {
            severity: Severity::Page,
            evidence: 4.0,
            ratio: 1.5,
            excess_min: 6.0,
            page_share: 0.25,
            ticket_share: 0.1,
            relentless: 0.9,
        }
    }
}

/// The most culprits that are told apart and named; what more than these share is nobody's fault.
pub const CULPRITS_MAX: usize = 4;
/// Each of several culprits has at least this part of the excess, and all of them this part.
const CULPRIT_SHARE: f64 = 0.2;
const COVERED: f64 = 0.6;
/// Another culprit takes the first place only with so many times the excess of the first.
const CLEARLY: f64 = 1.5;
/// What is left after the culprits may have grown by this part of their growth.
const OTHERS: f64 = 1.0 / 3.0;
/// It is over when nothing was seen for so long, in seconds.
const OVER_S: i64 = 15;
/// A ticket is not written for less than this; nobody's fault takes longer.
const TICKET_S: i64 = 30;
const NOBODY_S: i64 = 60;
/// After so long the new hold time is the usual one.
const NEW_NORMAL_S: i64 = 1_800;
/// The flow of calls is measured over so many seconds.
pub(crate) const FLOW_S: i64 = 10;

/// The dimensions that can name an owner, the most telling first.
const DIMENSIONS: [Dimension; 8] = [
    Dimension::Tenant,
    Dimension::ServiceName,
    Dimension::ServiceVersion,
    Dimension::UserName,
    Dimension::HostName,
    Dimension::ClientAddress,
    Dimension::DbNamespace,
    Dimension::ServiceInstanceId,
];

/// One holder's part: what was observed, and what is expected of calls that take their usual time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Observed.
    pub observed: f64,
    /// Expected.
    pub expected: f64,
    /// A count that says how sure the difference is, and its expectation: of one holder's calls
    /// few may be long by chance, and the sum of many is sure nevertheless.
    pub count: (f64, f64),
}

impl Part {
    /// A part whose observation is a count itself.
    pub fn counted(observed: f64, expected: f64) -> Part {
        Part { observed, expected, count: (observed, expected) }
    }

    fn add(&mut self, other: Part) {
        self.observed += other.observed;
        self.expected += other.expected;
        self.count.0 += other.count.0;
        self.count.1 += other.count.1;
    }

    fn is_evident(&self, settings: &HeldOpenSettings) -> bool {
        distance(self.count.0, self.count.1) >= settings.evidence
            && self.observed >= settings.ratio * self.expected
    }

    /// Observed beyond expected.
    pub fn excess(self) -> f64 {
        self.observed - self.expected
    }

    /// The excess in units of what is expected; one unit stands in for what is hardly expected.
    fn growth(self) -> f64 {
        self.excess() / self.expected.max(1.0)
    }
}

/// How many standard deviations a count lies above what is expected: the signed root of the
/// Poisson deviance.
///
/// Source: McCullagh and Nelder, *Generalized Linear Models*, 2nd ed., section 2.4.
pub fn distance(observed: f64, expected: f64) -> f64 {
    let expected = expected.max(1e-3);
    if observed <= expected {
        return 0.0;
    }
    (2.0 * (observed * (observed / expected).ln() - (observed - expected))).sqrt()
}

/// Somebody whose excess it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Culprit {
    dimension: Dimension,
    value: String,
    /// In units.
    excess: f64,
}

impl Culprit {
    fn is(&self, level: &HolderLevel) -> bool {
        level.holder.get(self.dimension) == Some(self.value.as_str())
    }

    fn has_the_name_of(&self, other: &Culprit) -> bool {
        self.dimension == other.dimension && self.value == other.value
    }
}

/// An excess and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The culprits, the largest first; none if everybody is slower.
    pub culprits: Vec<Culprit>,
    /// Their excess, or everybody's, in units.
    pub excess: f64,
    /// Whether there is anybody to name.
    pub names: bool,
}

/// Whose the excess of `parts` is, one for each holder; `None` if there is none.
pub fn judge(
    settings: &HeldOpenSettings,
    view: &ResourceView<'_>,
    parts: &[Part],
) -> Option<Found> {
    let mut total = Part::default();
    parts.iter().for_each(|part| total.add(*part));
    let excess_min = match view.usable {
        Some(usable) => settings.excess_min.min((usable as f64 / 2.0).max(2.0)),
        None => settings.excess_min,
    };
    if total.excess() < excess_min {
        return None;
    }
    let mut best: Option<(f64, Found)> = None;
    let mut names = false;
    for dimension in DIMENSIONS {
        let mut values: BTreeMap<&str, Part> = BTreeMap::new();
        for (level, part) in view.holders.iter().zip(parts) {
            if let Some(value) = level.holder.get(dimension) {
                values.entry(value).or_default().add(*part);
            }
        }
        if values.len() < 2 {
            continue;
        }
        names = true;
        let Some((share, found)) = culprits(settings, dimension, &values, total, excess_min) else {
            continue;
        };
        // A less telling dimension must explain a quarter more.
        if best.as_ref().is_none_or(|(known, _)| share > 1.25 * known) {
            best = Some((share, found));
        }
    }
    if let Some((_, found)) = best {
        return Some(found);
    }
    total.is_evident(settings).then(|| Found {
        culprits: Vec::new(),
        excess: total.excess(),
        names,
    })
}

/// The few values whose excess is that of all, while the others' is not.
fn culprits(
    settings: &HeldOpenSettings,
    dimension: Dimension,
    values: &BTreeMap<&str, Part>,
    total: Part,
    excess_min: f64,
) -> Option<(f64, Found)> {
    let mut largest: Vec<(&str, Part)> =
        values.iter().map(|(value, part)| (*value, *part)).collect();
    largest.sort_by(|a, b| b.1.excess().total_cmp(&a.1.excess()).then(a.0.cmp(b.0)));
    let (mut named, mut sum) = (Vec::new(), Part::default());
    for (value, part) in largest.into_iter().take(CULPRITS_MAX) {
        if !part.is_evident(settings) || part.excess() < CULPRIT_SHARE * total.excess() {
            break;
        }
        sum.add(part);
        named.push(Culprit { dimension, value: value.to_owned(), excess: part.excess() });
    }
    let others = Part {
        observed: total.observed - sum.observed,
        expected: total.expected - sum.expected,
        ..Part::default()
    };
    let share = sum.excess() / total.excess();
    let stands_out = others.growth() <= OTHERS * sum.growth();
    (!named.is_empty() && share >= COVERED && stands_out && sum.excess() >= excess_min).then(|| {
        let found = Found { culprits: named, excess: sum.excess(), names: true };
        (share.min(1.0), found)
    })
}

/// A time in which one detector sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spell {
    since: Option<Second>,
    seen: Second,
    looks: u32,
    found: Option<Found>,
    told: bool,
    /// The level when it was told.
    level: u64,
}

impl Spell {
    /// Whether something unusual is going on, so that waits are nobody's usual ones.
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Whether the calls of a holder are not its usual ones.
    pub fn is_unusual(&self, now: Second, level: &HolderLevel) -> bool {
        let Some(since) = self.since else { return false };
        let Some(found) = &self.found else { return false };
        now.since(since) < NEW_NORMAL_S
            && (found.culprits.is_empty() || found.culprits.iter().any(|culprit| culprit.is(level)))
    }

    /// The verdict, where `found` was seen at `now`.
    pub fn step(
        &mut self,
        settings: &HeldOpenSettings,
        now: Second,
        view: &ResourceView<'_>,
        calls: &Calls,
        found: Option<Found>,
    ) -> Verdict {
        match found {
            Some(found) => self.see(now, found),
            None if self.since.is_none() => return Verdict::Quiet,
            // No line tells of a call that still hangs, but the level does.
            None if self.told
                && view.told == Told::EndedCalls
                && 5 * view.held >= 4 * self.level =>
            {
                self.seen = now;
            }
            None if now.since(self.seen) >= OVER_S => {
                let told = std::mem::take(self).told;
                return if told { Verdict::Ended(Reason::HoldTimesUsual) } else { Verdict::Quiet };
            }
            None => {}
        }
        // Two looks that agree: one second's chance is nobody's hang.
        let (Some(since), Some(found), 2..) = (self.since, &self.found, self.looks) else {
            return Verdict::Quiet;
        };
        match severity(settings, view, found, now.since(since)) {
            None if !self.told => Verdict::Quiet,
            severity => {
                let severity = severity.unwrap_or(Severity::Ticket).min(settings.severity);
                let finding = finding(now, since, view, calls, found, severity);
                if !self.told {
                    (self.told, self.level) = (true, view.held);
                }
                Verdict::Found(finding)
            }
        }
    }

    fn see(&mut self, now: Second, mut found: Found) {
        self.since.get_or_insert(now);
        self.seen = now;
        self.looks += 1;
        // Once all units are taken everybody is slow: who was named before stays named.
        if let Some(first) = self.found.as_ref().and_then(|known| known.culprits.first()) {
            let place = found.culprits.iter().position(|other| other.has_the_name_of(first));
            match place {
                // Two of a size do not take turns.
                Some(place)
                    if found.culprits[0].excess < CLEARLY * found.culprits[place].excess =>
                {
                    found.culprits[..=place].rotate_right(1);
                }
                Some(_) => {}
                None if self.told => return,
                // Looks that do not agree: this is the first of another one.
                None => self.looks = 1,
            }
        }
        self.found = Some(found);
    }
}

/// What an excess leads to.
fn severity(
    settings: &HeldOpenSettings,
    view: &ResourceView<'_>,
    found: &Found,
    lasts_s: i64,
) -> Option<Severity> {
    let Some(usable) = view.usable else {
        return (lasts_s >= TICKET_S).then_some(Severity::Ticket);
    };
    let (usable, held) = (usable as f64, view.held as f64);
    let room = (usable - held + found.excess).clamp(1.0, usable);
    let share = found.excess / room;
    let is_named = !found.culprits.is_empty();
    let is_near = is_named || held >= settings.relentless * usable;
    if share >= settings.page_share && is_near {
        return Some(Severity::Page);
    }
    let enough_s = if is_named { TICKET_S } else { NOBODY_S };
    (share >= settings.ticket_share && lasts_s >= enough_s).then_some(Severity::Ticket)
}

fn finding(
    now: Second,
    since: Second,
    view: &ResourceView<'_>,
    calls: &Calls,
    found: &Found,
    severity: Severity,
) -> Finding {
    let (mut began, mut ended, mut age_us) = (0, 0, 0);
    let (mut usual_rate, mut usual_held) = (0.0, 0.0);
    let (mut victims, mut waited_us) = (BTreeSet::new(), 0);
    // Of each culprit what it holds and usually holds; of everybody if nobody is to blame.
    let mut shares = vec![(0, 0.0); found.culprits.len().max(1)];
    let dimension = found.culprits.first().map_or(Dimension::Tenant, |first| first.dimension);
    for (level, track) in view.holders.iter().zip(calls.tracks()) {
        let place = match found.culprits.is_empty() {
            true => Some(0),
            false => found.culprits.iter().position(|culprit| culprit.is(level)),
        };
        if let Some(place) = place {
            let flow = track.since(now, FLOW_S);
            began += flow.began;
            ended += flow.ended;
            age_us += flow.age_us;
            usual_rate += track.usual.rate_per_s();
            let usual = track.usual.rate_per_s() * track.usual.hold_s();
            usual_held += usual;
            shares[place].0 += level.held;
            shares[place].1 += usual;
        }
        let (calm_waits, calm_us, calm_refusals) = track.calm;
        let waits = level.waited - calm_waits + level.refused - calm_refusals;
        if waits > 0 && (place.is_none() || found.culprits.is_empty()) {
            victims.insert(level.holder.get(dimension).unwrap_or_default());
            waited_us += level.waited_us - calm_us;
        }
    }
    let estimated = view.told == Told::EndedCalls;
    if estimated {
        // No row tells who holds what: the excess comes on top of what is usual.
        let excess = |place: usize| found.culprits.get(place).map_or(found.excess, |c| c.excess);
        let mut left = view.held;
        for (place, (held, usual)) in shares.iter_mut().enumerate() {
            *held = ((*usual + excess(place)).round() as u64).min(left);
            left -= *held;
        }
    }
    let held: u64 = shares.iter().map(|(held, _)| held).sum();
    let flow = |calls: u64| calls as f64 / FLOW_S as f64;
    let (arrivals, grows) = match estimated {
        true => (usual_rate, usual_rate),
        false => (flow(began), flow(began) - flow(ended)),
    };
    // Little's law counts what is open; those that ended may have taken longer still.
    let ended_s = age_us as f64 / 1e6 / ended.max(1) as f64;
    let hold_s = (held as f64 / arrivals.max(0.1)).max(ended_s);
    let of_share = |(culprit, share): (&Culprit, &(u64, f64))| detail::Culprit {
        value: culprit.value.clone(),
        held: share.0,
        held_before: share.1.round() as u64,
    };
    let further = found.culprits.iter().zip(&shares).skip(1).map(of_share).collect();
    let owner = match (found.culprits.first(), found.names) {
        (Some(Culprit { dimension, value, .. }), _) => {
            Owner::Holder { dimension: *dimension, value: value.clone() }
        }
        (None, true) => Owner::Nobody,
        (None, false) => Owner::Unknown,
    };
    Finding {
        kind: Kind::HeldOpen,
        resource: view.name.to_owned(),
        unit: view.unit.to_owned(),
        owner,
        severity,
        since,
        level: view.held,
        usable: view.usable,
        owner_level: Some(shares[0].0),
        owner_level_before: Some(shares[0].1.round() as u64),
        growth_per_minute: None,
        exhaustion: exhaustion(now, view, found.excess, grows),
        release: None,
        refused: 0,
        doubts: view.doubts.to_vec(),
        detail: Some(Detail::HeldOpen(HeldOpen {
            arrivals_per_s: arrivals,
            arrivals_per_s_before: usual_rate,
            hold_s,
            hold_s_before: usual_held / usual_rate.max(1e-9),
            unfinished: found.excess.round() as u64,
            victims: victims.len() as u64,
            victims_waited_s: waited_us as f64 / 1e6,
            further,
            estimated,
        })),
    }
}

/// When the free units are gone, if calls go on to hang at `rate` a second: both the calls seen
/// and those to come are counts, so that the ratio of the two is log-normal to first order.
fn exhaustion(now: Second, view: &ResourceView<'_>, excess: f64, rate: f64) -> Option<Interval> {
    let free = view.usable?.checked_sub(view.held).filter(|free| *free > 0)? as f64;
    if rate < 0.05 {
        return None;
    }
    let spread = 1.2816 * (1.0 / free + 1.0 / excess.max(1.0)).sqrt();
    let at = |factor: f64| {
        let seconds = (free / rate * factor).min(1e9);
        Time::from_micros(now.end().as_micros() + (seconds * 1e6) as i64)
    };
    Some(Interval { from: at((-spread).exp()), to: Some(at(spread.exp())) })
}
