//! The holders of one resource, grouped by the values of their dimensions.
//!
//! Everything here follows from the holders' accounts and histories: it is not stored, but made
//! anew after a restart.

use std::collections::BTreeMap;

use plimsoll_model::Dimension;
use xxhash_rust::xxh3::xxh3_64;

use crate::history::{Grid, HolderHistory};
use crate::levels::Levels;
use crate::view::HolderLevel;

/// A group of so many holders has a history of its own; a smaller one is read member by member.
const OWN_HISTORY_MIN: u32 = 8;

/// No holder, or no group.
const NONE: u32 = u32::MAX;

/// The groups of every dimension.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    columns: [Column; Dimension::COUNT],
    /// What each holder that belongs to its groups holds, by index.
    held: Vec<u64>,
    /// A group is lively above this level; always, if there is none.
    quiet: Option<u64>,
}

/// The groups of one dimension.
#[derive(Clone, Debug, Default)]
struct Column {
    groups: Vec<Group>,
    /// The group of each holder, by index; empty if nobody has a value.
    of: Vec<u32>,
    /// The member that joined the holder's group before it, by index.
    before: Vec<u32>,
    /// Groups by the hash of their value. Of two values with one hash the later has the next key.
    by_key: BTreeMap<u64, u32>,
    /// Whether two holders differ.
    divided: bool,
}

/// The holders that share a value.
#[derive(Clone, Debug)]
pub struct Group {
    /// The member that joined last.
    newest: u32,
    size: u32,
    held: u64,
    /// When the level was last above the quiet one.
    lively_until_s: i64,
    /// The members' levels, added up.
    levels: Option<Box<Levels>>,
}

impl Groups {
    /// No groups yet. A group is lively while it holds more than `quiet` units.
    pub fn new(quiet: Option<u64>) -> Groups {
        Groups { quiet, ..Groups::default() }
    }

    /// Above which level a group is lively.
    pub fn quiet(&self) -> Option<u64> {
        self.quiet
    }

    /// How many holders belong to their groups.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no holder belongs to any.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The next holder joins its groups at `now_s`. Whether it was lively before is not known:
    /// its groups count as lively until `lively_until_s`.
    pub fn join(
        &mut self,
        now_s: i64,
        lively_until_s: i64,
        holders: &[HolderLevel],
        histories: &[HolderHistory],
    ) {
        let index = self.held.len();
        for (column, dimension) in self.columns.iter_mut().zip(Dimension::ALL) {
            let Some(place) = column.place(index, dimension, holders) else { continue };
            let group = &mut column.groups[place];
            group.held += holders[index].held;
            group.lively_until_s = group.lively_until_s.max(lively_until_s);
            column.add_levels(place, index, now_s, histories);
        }
        self.held.push(holders[index].held);
    }

    /// The holder `index` holds `held` units from `now_s` on; in its history, where it is unknown
    /// before its first change, the level went from `before` to `held`.
    pub fn change(&mut self, index: usize, now_s: i64, before: u64, held: u64) {
        let known = std::mem::replace(&mut self.held[index], held);
        if before == held && known == held {
            return;
        }
        for column in &mut self.columns {
            let Some(group) =
                column.of.get(index).and_then(|at| column.groups.get_mut(*at as usize))
            else {
                continue;
            };
            if self.quiet.is_none_or(|quiet| group.held > quiet) {
                group.lively_until_s = now_s;
            }
            group.held = group.held - known + held;
            if let Some(levels) = &mut group.levels {
                let value = levels.value() - before + held;
                levels.set(now_s, value);
            }
        }
    }

    /// Whether at most one value of the dimension occurs, and every holder has it.
    pub fn is_alone(&self, dimension: Dimension) -> bool {
        !self.columns[dimension as usize].divided
    }

    /// The groups of a dimension, in the order in which their values appeared.
    pub fn of(&self, dimension: Dimension) -> &[Group] {
        &self.columns[dimension as usize].groups
    }

    /// Whether the group may have held more than the quiet level at some time since `from_s`.
    pub fn is_lively(&self, group: &Group, from_s: i64) -> bool {
        group.lively_until_s > from_s || self.quiet.is_none_or(|quiet| group.held > quiet)
    }

    /// The members of a group of `dimension`, by index, in no order.
    pub fn members(&self, dimension: Dimension, group: &Group) -> impl Iterator<Item = usize> {
        let before = &self.columns[dimension as usize].before;
        let mut next = group.newest;
        std::iter::from_fn(move || {
            let member = next as usize;
            next = *before.get(member)?;
            Some(member)
        })
    }

    /// The group of `value`.
    pub fn find(
        &self,
        dimension: Dimension,
        value: &str,
        holders: &[HolderLevel],
    ) -> Option<&Group> {
        let column = &self.columns[dimension as usize];
        let (_, group) = column.find(dimension, value, holders);
        column.groups.get(group? as usize)
    }

    /// Adds the integrals of what the group held over the stretches to `sums`.
    pub fn add(
        &self,
        dimension: Dimension,
        group: &Group,
        grid: &Grid,
        histories: &[HolderHistory],
        sums: &mut [u64],
    ) {
        match &group.levels {
            Some(levels) => grid.add(levels, sums),
            None => self
                .members(dimension, group)
                .for_each(|member| grid.add(&histories[member].held, sums)),
        }
    }

    /// The bytes that the groups take, without what the allocator and the maps add.
    pub fn bytes(&self) -> usize {
        let of = |column: &Column| {
            let own = column.groups.iter().filter_map(|group| group.levels.as_ref());
            column.groups.capacity() * size_of::<Group>()
                + (column.of.capacity() + column.before.capacity()) * size_of::<u32>()
                + column.by_key.len() * size_of::<(u64, u32)>()
                + own.map(|levels| levels.bytes()).sum::<usize>()
        };
        self.columns.iter().map(of).sum::<usize>() + self.held.capacity() * size_of::<u64>()
    }
}

impl Default for Group {
    fn default() -> Group {
        Group { newest: NONE, size: 0, held: 0, lively_until_s: i64::MIN, levels: None }
    }
}

impl Group {
    /// The value that its members share.
    pub fn value<'a>(&self, dimension: Dimension, holders: &'a [HolderLevel]) -> &'a str {
        let newest = &holders[self.newest as usize];
        newest.holder.get(dimension).expect("a group is made of a value")
    }

    /// Units held now.
    pub fn held(&self) -> u64 {
        self.held
    }
}

impl Column {
    /// The group that the holder `index` joins, as its newest member.
    fn place(
        &mut self,
        index: usize,
        dimension: Dimension,
        holders: &[HolderLevel],
    ) -> Option<usize> {
        let Some(value) = holders[index].holder.get(dimension) else {
            if !self.groups.is_empty() {
                self.divided = true;
                self.of.push(NONE);
                self.before.push(NONE);
            }
            return None;
        };
        self.of.resize(index, NONE);
        self.before.resize(index, NONE);
        let place = match self.find(dimension, value, holders) {
            (_, Some(place)) => place,
            (key, None) => {
                let place = self.groups.len() as u32;
                self.by_key.insert(key, place);
                self.groups.push(Group::default());
                place
            }
        };
        self.divided |= index > 0 && self.of[0] != place;
        let group = &mut self.groups[place as usize];
        group.size += 1;
        self.of.push(place);
        self.before.push(std::mem::replace(&mut group.newest, index as u32));
        Some(place as usize)
    }

    /// Adds the history of the newest member, `index`, to that of its group, which begins to have
    /// one if it has become large.
    fn add_levels(&mut self, place: usize, index: usize, now_s: i64, histories: &[HolderHistory]) {
        let group = &mut self.groups[place];
        if let Some(levels) = &mut group.levels {
            levels.absorb(now_s, &histories[index].held);
        } else if group.size >= OWN_HISTORY_MIN {
            let mut levels = Box::new(histories[index].held.clone());
            let mut member = self.before[index] as usize;
            while let Some(before) = self.before.get(member) {
                levels.absorb(now_s, &histories[member].held);
                member = *before as usize;
            }
            group.levels = Some(levels);
        }
    }

    /// The key of `value`, and its group if there is one.
    fn find(
        &self,
        dimension: Dimension,
        value: &str,
        holders: &[HolderLevel],
    ) -> (u64, Option<u32>) {
        let mut key = xxh3_64(value.as_bytes());
        while let Some(&place) = self.by_key.get(&key) {
            if self.groups[place as usize].value(dimension, holders) == value {
                return (key, Some(place));
            }
            key = key.wrapping_add(1);
        }
        (key, None)
    }
}
