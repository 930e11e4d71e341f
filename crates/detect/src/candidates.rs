//! Who of those that share a value of one dimension grew most.
//!
//! `docs/detectors.md`, "The owner".

use std::cmp::Ordering;

use plimsoll_model::Dimension;

use crate::groups::{Group, Groups};
use crate::history::{Grid, History, HolderHistory};
use crate::suspect::Member;
use crate::trend::{Rise, Stretch};
use crate::view::{HolderLevel, ResourceView};

/// How many values of a dimension are looked at closely.
const CANDIDATES: usize = 3;

/// Everybody who may be the owner of growth, and the stretches that are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The holders' accounts, by index.
    pub holders: &'a [HolderLevel],
    /// The same holders' histories.
    pub histories: &'a [HolderHistory],
    /// The same holders by the values that they share.
    pub groups: &'a Groups,
    /// The stretches.
    pub grid: Grid,
}

impl<'a> Field<'a> {
    /// The holders of `view` that have a history.
    pub fn new(view: &ResourceView<'a>, history: &'a History, grid: Grid) -> Field<'a> {
        let histories = history.histories();
        let groups = history.groups();
        debug_assert_eq!(groups.len(), histories.len());
        Field { holders: &view.holders[..histories.len()], histories, groups, grid }
    }

    /// Every holder with its history. Nothing may depend on their order, which is that of arrival:
    /// what is added up over them is added as integers.
    pub fn everybody(&self) -> Vec<Member<'a>> {
        self.holders.iter().zip(self.histories).collect()
    }

    /// The mean level of one group before `onset_s` where the grid shows only differences from the
    /// day before, and else nothing: the fitted base is the level.
    pub fn usual(&self, dimension: Dimension, group: &Group, onset_s: i64) -> f64 {
        if !self.grid.is_daily() {
            return 0.0;
        }
        let plain = self.grid.plain();
        let mut sums = vec![0; plain.len()];
        self.groups.add(dimension, group, &plain, self.histories, &mut sums);
        mean_before(&plain.stretches(&sums), onset_s)
    }

    /// The members of one group, in no order.
    pub fn members(&self, dimension: Dimension, group: &Group) -> Vec<Member<'a>> {
        let member = |index: usize| (&self.holders[index], &self.histories[index]);
        self.groups.members(dimension, group).map(member).collect()
    }
}

/// The mean over the stretches before `onset_s`, or over all if none is.
pub fn mean_before(stretches: &[Stretch], onset_s: i64) -> f64 {
    let before = stretches.iter().take_while(|stretch| stretch.to_s <= onset_s);
    let (sum, count) = before.fold((0.0, 0.0), |(sum, count), s| (sum + s.mean, count + 1.0));
    if count > 0.0 { sum / count } else { stretches.first().map_or(0.0, |stretch| stretch.mean) }
}

/// The lively groups of one dimension that grew most.
///
/// A quiet group has not enough units to be the owner whatever happened, but it may have grown
/// more than a lively one, which then is not looked at. That is rare, and found out last.
#[derive(Clone, Debug)]
pub struct Candidates<'a> {
    field: &'a Field<'a>,
    dimension: Dimension,
    window: Window,
    largest: Vec<Candidate<'a>>,
}

/// One group and its growth.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The value that its members share.
    pub value: &'a str,
    /// The group.
    pub group: &'a Group,
    /// How far its level rose across the total's onset, in units.
    pub growth: f64,
    /// The integrals of its level over the stretches.
    pub sums: Vec<u64>,
}

impl<'a> Candidates<'a> {
    /// The lively groups of `dimension` that grew most across the total's `rise`.
    pub fn new(field: &'a Field<'a>, dimension: Dimension, rise: &Rise) -> Candidates<'a> {
        let window = Window::new(&field.grid, rise);
        let mut candidates = Candidates { field, dimension, window, largest: Vec::new() };
        let mut sums = vec![0; field.grid.len()];
        for group in field.groups.of(dimension) {
            if candidates.is_quiet(group) {
                continue;
            }
            let growth = candidates.growth(group, &mut sums);
            if growth > 0.0 {
                candidates.offer(group, growth, &sums);
            }
        }
        candidates
    }

    /// Those that grew most of the lively ones, largest first.
    pub fn largest(&self) -> &[Candidate<'a>] {
        &self.largest
    }

    /// Whether quiet groups grew so much more that `candidate` is not looked at.
    pub fn is_beaten_by_quiet(&self, candidate: &Candidate<'a>) -> bool {
        let groups = self.field.groups;
        // A quiet group cannot grow by more than what it may hold.
        if groups.quiet().is_none_or(|quiet| candidate.growth > quiet as f64) {
            return false;
        }
        let Candidate { growth, value, .. } = *candidate;
        let mut before = self.largest.partition_point(|other| other.order(growth, value).is_lt());
        let mut sums = vec![0; self.field.grid.len()];
        for group in groups.of(self.dimension) {
            if before >= CANDIDATES {
                break;
            }
            if self.is_quiet(group) {
                let growth = self.growth(group, &mut sums);
                let value = group.value(self.dimension, self.field.holders);
                before += usize::from(candidate.order(growth, value).is_gt());
            }
        }
        before >= CANDIDATES
    }

    fn is_quiet(&self, group: &Group) -> bool {
        !self.field.groups.is_lively(group, self.window.fine_from_s)
    }

    /// How far the level of a group rose; its integrals are left in `sums`.
    fn growth(&self, group: &Group, sums: &mut [u64]) -> f64 {
        let Field { histories, groups, grid, .. } = self.field;
        sums.fill(0);
        groups.add(self.dimension, group, grid, histories, sums);
        self.window.growth(grid, sums)
    }

    fn offer(&mut self, group: &'a Group, growth: f64, sums: &[u64]) {
        let value = group.value(self.dimension, self.field.holders);
        let place = self.largest.partition_point(|known| known.order(growth, value).is_lt());
        if place < CANDIDATES {
            self.largest.truncate(CANDIDATES - 1);
            self.largest.insert(place, Candidate { value, group, growth, sums: sums.to_vec() });
        }
    }
}

impl Candidate<'_> {
    /// How this candidate stands to another one: larger growth comes
    /// first, then the order of the names.
    fn order(&self, growth: f64, value: &str) -> Ordering {
        growth.total_cmp(&self.growth).then_with(|| self.value.cmp(value))
    }
}

/// The stretches before the total's onset and the newest ones after it.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// So many stretches are before.
    before: usize,
    before_s: f64,
    /// From this stretch on they are after.
    after: usize,
    after_s: f64,
    /// Where the stretches of the grid's own width begin.
    fine_from_s: i64,
}

impl Window {
    fn new(grid: &Grid, rise: &Rise) -> Window {
        let onset = (0..grid.len()).find(|&place| grid.span(place).0 >= rise.onset_s).unwrap_or(0);
        let (before, after) = (onset.max(1), grid.len() - (grid.len() - onset).div_ceil(3));
        let length_s = |from: usize, to: usize| (grid.span(to - 1).1 - grid.span(from).0) as f64;
        Window {
            before,
            before_s: length_s(0, before),
            after,
            after_s: length_s(after, grid.len()),
            fine_from_s: grid.span(grid.len() - grid.fine).0,
        }
    }

    fn growth(&self, grid: &Grid, sums: &[u64]) -> f64 {
        let integral = |sums: &[u64]| {
            grid.integral(sums.iter().fold(0, |sum: u64, part| sum.wrapping_add(*part)))
        };
        integral(&sums[self.after..]) / self.after_s
            - integral(&sums[..self.before]) / self.before_s
    }
}
