//! Panes: what happened to a resource in each ten seconds, and the evidence made of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use plimsoll_model::evidence::{self, PANE_SECONDS};
use plimsoll_model::{OwnedHolder, Second, Time, Transition};
use serde::{Deserialize, Serialize};

use crate::view::HolderLevel;

/// How many panes are kept: two hours.
pub const PANES_MAX: i64 = 720;

/// The most accounts of holders that a resource's panes keep. Beyond it the oldest pane is
/// forgotten before its time.
const COUNTS_MAX: usize = 200_000;

/// How long before the beginning of an incident its evidence begins.
const LEAD_S: i64 = 30 * 60;

/// The most holders that an incident's evidence tells apart: the largest. The others, and units
/// that no row explains, are one row without a holder.
pub const EVIDENCE_HOLDERS_MAX: usize = 32;

/// How many of them are chosen at the first transition; the rest is for holders that grow later.
const HOLDERS_FIRST: usize = 24;

/// The most evidence rows of one transition.
pub const EVIDENCE_ROWS_MAX: usize = PANES_MAX as usize * (EVIDENCE_HOLDERS_MAX + 1);

/// What one holder did in one pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    opened: u64,
    closed: u64,
    refused: u64,
}

impl Count {
    fn of(level: &HolderLevel) -> Count {
        Count { opened: level.opened, closed: level.closed, refused: level.refused }
    }

    fn minus(self, other: Count) -> Count {
        Count {
            opened: self.opened - other.opened,
            closed: self.closed - other.closed,
            refused: self.refused - other.refused,
        }
    }

    fn plus(self, other: Count) -> Count {
        Count {
            opened: self.opened + other.opened,
            closed: self.closed + other.closed,
            refused: self.refused + other.refused,
        }
    }
}

/// One pane: its beginning, the level at its end, and the holders that changed, by index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pane {
    start: Second,
    held: u64,
    counts: Vec<(u32, Count)>,
}

/// The panes of one resource. A late row counts in the pane in which it was applied, so that a
/// pane never changes once it is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Panes {
    panes: VecDeque<Pane>,
    /// The sum of the lengths of their counts.
    counts: usize,
    /// The beginning of the pane that is not over.
    open: Option<Second>,
    /// The accounts at that moment, by holder index.
    base: Vec<Count>,
    /// The holders that changed since, in the order of their ticks.
    changed: Vec<u32>,
}

/// Which evidence an incident has had.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// The holders that it tells apart, by index.
    named: Vec<u32>,
    /// Its newest pane.
    through: Option<Second>,
    /// The tick at which it was told of that pane, which was not over.
    told_at: Second,
    /// What it said of that pane.
    told: BTreeMap<u32, Count>,
    /// The open calls that it was told of: when each began, its key, its holder.
    pub open: BTreeSet<(Time, u128, u32)>,
}

fn pane_of(second: Second) -> Second {
    Second(second.0 - second.0.rem_euclid(PANE_SECONDS))
}

impl Panes {
    /// Before the rows of the tick `tick`: ends the open pane if the tick is not in it.
    pub fn begin_tick(&mut self, tick: Second, levels: &[HolderLevel], held: u64) {
        let start = pane_of(tick);
        if self.open == Some(start) {
            return;
        }
        if let Some(pane) = self.open_pane(levels, held) {
            for (holder, _) in &pane.counts {
                self.base[*holder as usize] = Count::of(&levels[*holder as usize]);
            }
            self.counts += pane.counts.len();
            self.panes.push_back(pane);
        }
        self.changed.clear();
        self.open = Some(start);
        let oldest = Second(start.0 - PANES_MAX * PANE_SECONDS);
        while let Some(pane) = self.panes.front()
            && (pane.start < oldest || self.counts > COUNTS_MAX)
        {
            self.counts -= pane.counts.len();
            self.panes.pop_front();
        }
    }

    /// After the rows of a tick: `changed` holders have another account now.
    pub fn end_tick(&mut self, changed: &[u32], levels: &[HolderLevel]) {
        self.changed.extend_from_slice(changed);
        self.base.resize(levels.len(), Count::default());
    }

    /// The pane that is not over, as it looks now.
    fn open_pane(&self, levels: &[HolderLevel], held: u64) -> Option<Pane> {
        let mut changed = self.changed.clone();
        changed.sort_unstable();
        changed.dedup();
        let count = |holder: u32| {
            let place = holder as usize;
            (holder, Count::of(&levels[place]).minus(self.base[place]))
        };
        let counts = changed.into_iter().map(count).collect();
        Some(Pane { start: self.open?, held, counts })
    }

    /// The rows of the panes through `transition.as_of` that its incident has not had yet.
    ///
    /// The first pane has a row for every holder that holds something, later ones for those that
    /// changed: the newest row of each holder says what it holds. What changed in a pane after
    /// the incident was told of it is counted in the next, which begins in the tick after if the
    /// pane is not over yet: what was told stays true of the moment at which it was told.
    pub fn evidence(
        &self,
        proof: &mut Proof,
        transition: &Transition,
        levels: &[HolderLevel],
        held: u64,
    ) -> Vec<evidence::Pane> {
        let finding = &transition.finding;
        let Some(mut open) = self.open_pane(levels, held) else { return Vec::new() };
        let (opened_at, through) = (open.start, proof.through);
        let begin = match proof.through {
            Some(through) => Second(through.0 + PANE_SECONDS),
            None => pane_of(Second(finding.since.0 - LEAD_S)),
        };
        let told = std::mem::take(&mut proof.told);
        proof.told = open.counts.iter().copied().collect();
        let left = |(holder, count): (u32, Count)| {
            let told = told.get(&holder).copied().unwrap_or_default();
            Some((holder, count.minus(told))).filter(|(_, count)| *count != Count::default())
        };
        let mut carry: BTreeMap<u32, Count> = BTreeMap::new();
        if through == Some(opened_at) {
            open.start = Second(proof.told_at.0 + 1);
            open.counts = open.counts.into_iter().filter_map(left).collect();
        } else if let Some(pane) = self.panes.iter().find(|pane| Some(pane.start) == through) {
            carry = pane.counts.iter().copied().filter_map(left).collect();
        }
        proof.name_largest(levels);
        (proof.through, proof.told_at) = (Some(opened_at), transition.as_of);
        let new = self.panes.iter().filter(|pane| pane.start >= begin);
        let panes: Vec<&Pane> = new.chain([&open]).collect();
        let mut writer = Writer::new(proof, transition, levels, &panes);
        writer.continues = through.is_some();
        for pane in panes {
            writer.write(pane, std::mem::take(&mut carry));
        }
        debug_assert!(writer.rows.len() <= EVIDENCE_ROWS_MAX + EVIDENCE_HOLDERS_MAX + 1);
        writer.rows
    }
}

impl Proof {
    /// The tick of the newest transition that was proven.
    pub fn told_at(&self) -> Second {
        self.told_at
    }

    /// Tells the largest holders apart from now on. A holder without a name never is: its rows
    /// are those of the rest.
    fn name_largest(&mut self, levels: &[HolderLevel]) {
        let room = match self.named.len() {
            0 => HOLDERS_FIRST,
            named => EVIDENCE_HOLDERS_MAX - named,
        };
        let mut largest: Vec<(u64, u32)> = (0_u32..)
            .zip(levels)
            .filter(|(_, level)| level.held > 0 && !level.holder.borrow().is_empty())
            .map(|(holder, level)| (level.held, holder))
            .collect();
        largest.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        largest.truncate(HOLDERS_FIRST);
        largest.retain(|(_, holder)| !self.named.contains(holder));
        self.named.extend(largest.into_iter().take(room).map(|(_, holder)| holder));
        self.named.sort_unstable();
    }
}

/// Writes the rows of one transition, pane after pane.
struct Writer<'a> {
    transition: &'a Transition,
    levels: &'a [HolderLevel],
    /// What each named holder holds at the end of the pane before.
    held: BTreeMap<u32, u64>,
    /// What the rest held in its newest row; `None` before the first pane.
    rest: Option<u64>,
    /// Whether the incident has had panes before, which may say something else of the rest.
    continues: bool,
    rows: Vec<evidence::Pane>,
}

impl<'a> Writer<'a> {
    fn new(
        proof: &Proof,
        transition: &'a Transition,
        levels: &'a [HolderLevel],
        panes: &[&Pane],
    ) -> Writer<'a> {
        let now = |holder: &u32| (*holder, levels[*holder as usize].held);
        let mut held: BTreeMap<u32, u64> = proof.named.iter().map(now).collect();
        // Backwards from now to the beginning of the first pane.
        for (holder, count) in panes.iter().flat_map(|pane| &pane.counts) {
            if let Some(held) = held.get_mut(holder) {
                *held = held.wrapping_add(count.closed).wrapping_sub(count.opened);
            }
        }
        Writer { transition, levels, held, rest: None, continues: false, rows: Vec::new() }
    }

    fn write(&mut self, pane: &Pane, carry: BTreeMap<u32, Count>) {
        let mut counts = carry;
        for (holder, count) in &pane.counts {
            if let Some(held) = self.held.get_mut(holder) {
                *held = held.wrapping_add(count.opened).wrapping_sub(count.closed);
            }
            let sum = counts.entry(*holder).or_default();
            *sum = sum.plus(*count);
        }
        let is_first = self.rest.is_none();
        let mut named = 0;
        let mut rest = Count::default();
        for (holder, held) in &self.held {
            named += held;
            let count = counts.remove(holder);
            if count.is_some() || (is_first && *held > 0) {
                let owner = self.levels[*holder as usize].holder.clone();
                self.rows.push(self.row(pane, owner, count.unwrap_or_default(), *held));
            }
        }
        for count in counts.values() {
            rest = rest.plus(*count);
        }
        let rest_held = pane.held.saturating_sub(named);
        let is_known = match self.rest {
            Some(known) => rest_held == known,
            None => rest_held == 0 && !self.continues,
        };
        let is_news = rest != Count::default() || !is_known;
        if is_news {
            self.rows.push(self.row(pane, OwnedHolder::default(), rest, rest_held));
        }
        self.rest = Some(rest_held);
    }

    fn row(&self, pane: &Pane, holder: OwnedHolder, count: Count, held: u64) -> evidence::Pane {
        evidence::Pane {
            incident: self.transition.incident,
            pane: pane.start,
            resource: self.transition.finding.resource.clone(),
            holder,
            opened: count.opened,
            closed: count.closed,
            refused: count.refused,
            held,
        }
    }
}
