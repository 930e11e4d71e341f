//! Refusal at the hard limit: the resource says no, so users are hurt now.
//!
//! The rules stand in `docs/detectors.md`, "Refusal at the hard limit".

use std::collections::BTreeMap;

use plimsoll_model::{Dimension, Finding, Kind, Owner, Reason, Second, Severity, Time};
use serde::{Deserialize, Serialize};

use crate::detector::Verdict;
use crate::view::{HolderLevel, ResourceView};

/// The detector's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefusalSettings {
    /// How loudly a refusal of the whole resource is spoken of. That of one account's or one
    /// database's own limit is a ticket at most.
    pub severity: Severity,
}

impl Default for RefusalSettings {
    fn default() -> Self {
        RefusalSettings { severity: Severity::Page }
    }
}

/// The most accounts and databases whose own limits are followed at a time.
const NARROW_MAX: usize = 64;

/// The dimensions that may name the owner of a full resource, the most telling first. The bool
/// says whether a single value suffices: the only database of a server explains nothing.
const OWNER_DIMENSIONS: [(Dimension, bool); 6] = [
    (Dimension::Tenant, true),
    (Dimension::ServiceName, true),
    (Dimension::UserName, true),
    (Dimension::DbNamespace, false),
    (Dimension::HostName, false),
    (Dimension::ClientAddress, false),
];

/// What was refused in one tick.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// How often the limit of the whole resource refused.
    pub hard: u64,
    /// The event time of the newest of them.
    pub newest: Option<Time>,
    /// How often the limit of one account or database refused, and when last.
    pub narrow: BTreeMap<(Dimension, String), (u64, Time)>,
}

/// A run of refusals without a pause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Spell {
    since: Second,
    newest: Time,
    count: u64,
    owner: Owner,
    owner_level_before: Option<u64>,
}

/// The detector's state for one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    hard: Option<Spell>,
    narrow: BTreeMap<(Dimension, String), Spell>,
}

impl Refusal {
    /// The verdict on the limit of the whole resource.
    ///
    /// `pause_s` is how long nothing may be refused before it is over; a row that is later than
    /// that opens nothing. `grower` is the owner whom growth to the limit found, if it did.
    pub fn step(
        &mut self,
        settings: &RefusalSettings,
        pause_s: i64,
        second: Second,
        view: &ResourceView<'_>,
        refused: &Refused,
        grower: Option<&Owner>,
    ) -> Verdict {
        if let Some(newest) = refused.newest {
            if self.hard.is_none() && second.since(newest.second()) < pause_s {
                let owner = grower.cloned().unwrap_or(Owner::Unknown);
                self.hard = Some(Spell::new(second, newest, owner));
            }
            if let Some(spell) = &mut self.hard {
                spell.newest = spell.newest.max(newest);
                spell.count += refused.hard;
            }
        }
        let Some(spell) = &mut self.hard else { return Verdict::Quiet };
        let is_free = view.usable.is_none_or(|usable| view.held < usable);
        if second.since(spell.newest.second()) >= pause_s && is_free {
            self.hard = None;
            return Verdict::Ended(Reason::RefusalsEnded);
        }
        match grower {
            Some(grower @ Owner::Holder { .. }) => spell.owner = grower.clone(),
            _ if !matches!(spell.owner, Owner::Holder { .. }) && refused.hard > 0 => {
                spell.owner = dominant(view.holders);
            }
            _ => {}
        }
        let level = held_by(view.holders, &spell.owner);
        spell.owner_level_before = spell.owner_level_before.or(level);
        Verdict::Found(spell.finding(settings.severity, view, view.usable))
    }

    /// The verdicts on the limits of single accounts and databases, in their order. Only those
    /// that have something to say.
    pub fn step_narrow(
        &mut self,
        settings: &RefusalSettings,
        pause_s: i64,
        second: Second,
        view: &ResourceView<'_>,
        refused: &Refused,
    ) -> Vec<((Dimension, String), Verdict)> {
        for (owner, (count, newest)) in &refused.narrow {
            let is_known = self.narrow.contains_key(owner);
            if !is_known
                && (second.since(newest.second()) >= pause_s || self.narrow.len() >= NARROW_MAX)
            {
                continue;
            }
            let (dimension, value) = owner.clone();
            let holder = Owner::Holder { dimension, value };
            let spell = self.narrow.entry(owner.clone());
            let spell = spell.or_insert_with(|| Spell::new(second, *newest, holder));
            spell.newest = spell.newest.max(*newest);
            spell.count += count;
        }
        let mut verdicts = Vec::new();
        self.narrow.retain(|owner, spell| {
            let lasts = second.since(spell.newest.second()) < pause_s;
            let verdict = if lasts {
                let level = held_by(view.holders, &spell.owner);
                spell.owner_level_before = spell.owner_level_before.or(level);
                Verdict::Found(spell.finding(settings.severity.min(Severity::Ticket), view, None))
            } else {
                Verdict::Ended(Reason::RefusalsEnded)
            };
            verdicts.push((owner.clone(), verdict));
            lasts
        });
        verdicts
    }
}

impl Spell {
    fn new(since: Second, newest: Time, owner: Owner) -> Spell {
        Spell { since, newest, count: 0, owner, owner_level_before: None }
    }

    fn finding(&self, severity: Severity, view: &ResourceView<'_>, usable: Option<u64>) -> Finding {
        Finding {
            kind: Kind::RefusalAtLimit,
            resource: view.name.to_owned(),
            unit: view.unit.to_owned(),
            owner: self.owner.clone(),
            severity,
            since: self.since,
            level: view.held,
            usable,
            owner_level: held_by(view.holders, &self.owner),
            owner_level_before: self.owner_level_before,
            growth_per_minute: None,
            exhaustion: None,
            release: None,
            refused: self.count,
            doubts: view.doubts.to_vec(),
            detail: None,
        }
    }
}

/// Units held by `owner`; `None` if it is nobody or unknown.
fn held_by(holders: &[HolderLevel], owner: &Owner) -> Option<u64> {
    let Owner::Holder { dimension, value } = owner else { return None };
    let is_owner = |level: &&HolderLevel| level.holder.get(*dimension) == Some(value);
    // Whoever holds nothing need not be asked for its name.
    let holding = holders.iter().filter(|level| level.held > 0);
    Some(holding.filter(is_owner).map(|level| level.held).sum())
}

/// The holder of more than half of what is held, if that is at least three times the next; nobody
/// if there is none, although more than half has a name.
fn dominant(holders: &[HolderLevel]) -> Owner {
    let held: u64 = holders.iter().map(|level| level.held).sum();
    let is_named = |level: &&HolderLevel| {
        OWNER_DIMENSIONS.into_iter().any(|(dimension, _)| level.holder.get(dimension).is_some())
    };
    let named: u64 = holders.iter().filter(is_named).map(|level| level.held).sum();
    let owner = OWNER_DIMENSIONS.into_iter().find_map(|(dimension, alone_suffices)| {
        let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
        for level in holders.iter().filter(|level| level.held > 0) {
            if let Some(value) = level.holder.get(dimension) {
                *shares.entry(value).or_default() += level.held;
            }
        }
        let (value, largest) = shares.iter().max_by_key(|(_, share)| **share)?;
        let others = shares.iter().filter(|(other, _)| *other != value);
        let next = others.map(|(_, share)| *share).max();
        let stands_out = next.map_or(alone_suffices, |next| *largest >= 3 * next);
        (2 * largest > held && stands_out)
            .then(|| Owner::Holder { dimension, value: (*value).to_owned() })
    });
    owner.unwrap_or(if 2 * named > held { Owner::Nobody } else { Owner::Unknown })
}
