//! Calls that are held open: whose they are, what that leads to, and what it costs others.
//!
//! What both detectors of it share. `docs/detectors.md`, "Held open".

use std::collections::BTreeMap;

use plimsoll_model::{Detail, Dimension, Finding, Kind, Owner, Reason, Second, Severity};
use serde::{Deserialize, Serialize};

use crate::account::{Account, FLOW_S};
use crate::calls::Calls;
use crate::detector::Verdict;
use crate::excess::Ahead;
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
    /// That others wait, or wait much longer, is told again after so many seconds at the earliest.
    pub cost_pause_s: u32,
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
            cost_pause_s: 20,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What it is.
    pub dimension: Dimension,
    /// Which.
    pub value: String,
    /// Its units.
    pub part: Part,
}

impl Culprit {
    /// Whether the holder is it, or a part of it.
    pub fn is(&self, level: &HolderLevel) -> bool {
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
    /// Their units, or everybody's.
    pub part: Part,
    /// Whether there is anybody to name.
    pub names: bool,
    /// How it goes on, where that is seen in what is held by all.
    pub ahead: Option<Ahead>,
}

impl Found {
    /// This, with no more than `units` in excess.
    pub fn at_most(mut self, units: f64) -> Found {
        let scale = (units / self.part.excess().max(1e-9)).clamp(0.0, 1.0);
        let all = self.culprits.iter_mut().map(|culprit| &mut culprit.part);
        for part in all.chain([&mut self.part]) {
            part.observed = part.expected + part.excess() * scale;
        }
        self
    }
}

/// A smaller excess is not looked at. Where only ended calls are logged it is known to be no
/// chance, and a quarter of a small resource is much.
pub fn excess_min(settings: &HeldOpenSettings, view: &ResourceView<'_>) -> f64 {
    let part = if view.told == Told::EndedCalls { 4.0 } else { 2.0 };
    match view.usable {
        Some(usable) => settings.excess_min.min((usable as f64 / part).max(2.0)),
        None => settings.excess_min,
    }
}

/// Whose the excess of `parts` is, one for each holder; `None` if there is none.
pub fn judge(
    settings: &HeldOpenSettings,
    view: &ResourceView<'_>,
    parts: &[Part],
) -> Option<Found> {
    let mut total = Part::default();
    parts.iter().for_each(|part| total.add(*part));
    let excess_min = excess_min(settings, view);
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
        part: total,
        names,
        ahead: None,
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
        named.push(Culprit { dimension, value: value.to_owned(), part });
    }
    let others = Part {
        observed: total.observed - sum.observed,
        expected: total.expected - sum.expected,
        ..Part::default()
    };
    let share = sum.excess() / total.excess();
    let stands_out = others.growth() <= OTHERS * sum.growth();
    (!named.is_empty() && share >= COVERED && stands_out && sum.excess() >= excess_min).then(|| {
        let found = Found { culprits: named, part: sum, names: true, ahead: None };
        (share.min(1.0), found)
    })
}

/// For so many times that waits were counted anew a detector still knows what they had cost.
pub const DEAREST_KEPT_MAX: usize = 4;

/// A time in which one detector sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spell {
    since: Option<Second>,
    seen: Second,
    looks: u32,
    found: Option<Found>,
    told: bool,
    /// What this tick's finding is made of.
    #[serde(skip)]
    account: Option<Account>,
    /// What findings were made of when they had cost most, also when they are over: the end says
    /// what it cost. The oldest first, one of each time until the waits were counted anew.
    dearest: Vec<Account>,
}

impl Spell {
    /// Whether something unusual is going on, so that waits are nobody's usual ones.
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it was told and is not over.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// Whether it is going on for so short a time that it is unusual still.
    pub fn is_new(&self, now: Second) -> bool {
        self.since.is_some_and(|since| now.since(since) < NEW_NORMAL_S)
    }

    /// What this tick's finding is made of, if there is one.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// What findings were made of when they had cost most, the newest first.
    pub fn dearest(&self) -> impl Iterator<Item = &Account> {
        self.dearest.iter().rev()
    }

    fn keep(&mut self, account: &Account) {
        // Waits only add up until it is calm again.
        let waited_s = account.detail.victims_waited_s;
        self.dearest.pop_if(|last| last.detail.victims_waited_s <= waited_s);
        if self.dearest.len() == DEAREST_KEPT_MAX {
            self.dearest.remove(0);
        }
        self.dearest.push(account.clone());
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
        self.account = None;
        match found {
            Some(found) => self.see(now, found),
            None if self.since.is_none() => return Verdict::Quiet,
            None if now.since(self.seen) >= OVER_S => {
                let over = std::mem::take(self);
                self.dearest = over.dearest;
                return if over.told {
                    Verdict::Ended(Reason::HoldTimesUsual)
                } else {
                    Verdict::Quiet
                };
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
                let account = Account::new(now, view, calls, found);
                let finding = finding(since, view, found, &account, severity);
                self.keep(&account);
                self.account = Some(account);
                self.told = true;
                Verdict::Found(finding)
            }
        }
    }

    fn see(&mut self, now: Second, mut found: Found) {
        self.since.get_or_insert(now);
        self.seen = now;
        self.looks += 1;
        // Everybody who was slower does not become somebody unknown.
        if let Some(known) = self.found.as_ref().filter(|_| found.culprits.is_empty()) {
            found.names |= known.names && known.culprits.is_empty();
        }
        // Once all units are taken everybody is slow: who was named before stays named.
        if let Some(first) = self.found.as_ref().and_then(|known| known.culprits.first()) {
            let place = found.culprits.iter().position(|other| other.has_the_name_of(first));
            match place {
                // Two of a size do not take turns.
                Some(place)
                    if found.culprits[0].part.excess()
                        < CLEARLY * found.culprits[place].part.excess() =>
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

/// The account of an owner whose units grow because it calls more often: by Little's law most of
/// what it holds beyond its usual level is what so many calls usually hold.
pub fn load(
    settings: &HeldOpenSettings,
    now: Second,
    view: &ResourceView<'_>,
    calls: &Calls,
    owner: &Owner,
) -> Option<Account> {
    let Owner::Holder { dimension, value } = owner else { return None };
    if view.told != Told::Calls || !calls.is_known() {
        return None;
    }
    let mut part = Part::default();
    let culprit = Culprit { dimension: *dimension, value: value.clone(), part };
    let (mut began, mut usual_rate, mut usual_held) = (0, 0.0, 0.0);
    for (holder, (level, track)) in view.holders.iter().zip(calls.tracks()).enumerate() {
        if culprit.is(level) {
            let expected = track.expected_open(now, &calls.usual(holder));
            part.add(Part::counted(level.held as f64, expected));
            began += track.since(now, FLOW_S).began;
            usual_rate += track.usual.rate_per_s();
            usual_held += track.usual_held();
        }
    }
    let flow = Part::counted(began as f64, usual_rate * FLOW_S as f64);
    let is_load = 2.0 * (part.expected - usual_held) >= part.observed - usual_held;
    (flow.is_evident(settings) && is_load).then(|| {
        let found =
            Found { culprits: vec![Culprit { part, ..culprit }], part, names: true, ahead: None };
        Account::new(now, view, calls, &found)
    })
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
    let excess = found.part.excess();
    let room = (usable - held + excess).clamp(1.0, usable);
    let share = excess / room;
    let is_named = !found.culprits.is_empty();
    let is_relentless = held >= settings.relentless * usable;
    let runs_out = found.ahead.is_none_or(|ahead| {
        ahead.rate_per_s > 0.0 && ahead.settles_within.is_none_or(|more| held + more >= usable)
    });
    if share >= settings.page_share && (is_relentless || is_named && runs_out) {
        return Some(Severity::Page);
    }
    let enough_s = if is_named { TICKET_S } else { NOBODY_S };
    (share >= settings.ticket_share && lasts_s >= enough_s).then_some(Severity::Ticket)
}

/// The finding that says `account`.
fn finding(
    since: Second,
    view: &ResourceView<'_>,
    found: &Found,
    account: &Account,
    severity: Severity,
) -> Finding {
    let owner = match (found.culprits.first(), found.names) {
        (Some(Culprit { dimension, value, .. }), _) => {
            Owner::Holder { dimension: *dimension, value: value.clone() }
        }
        (None, true) => Owner::Nobody,
        (None, false) => Owner::Unknown,
    };
    let (owner_level, owner_level_before) = account.owner_levels();
    Finding {
        kind: Kind::HeldOpen,
        resource: view.name.to_owned(),
        unit: view.unit.to_owned(),
        owner,
        severity,
        since,
        level: view.held,
        usable: view.usable,
        owner_level: Some(owner_level),
        owner_level_before: Some(owner_level_before),
        growth_per_minute: None,
        exhaustion: account.exhaustion,
        release: None,
        refused: 0,
        doubts: view.doubts.to_vec(),
        detail: Some(Detail::HeldOpen(account.detail.clone())),
    }
}
