//! The holders of one resource and their accounts.

use plimsoll_model::{Holder, Second, Time};
use serde::{Deserialize, Serialize};

use super::sessions::Keyed;
use crate::view::HolderLevel;

/// The most holders that are told apart per resource. Those beyond are one holder without a name.
pub const HOLDERS_MAX: usize = 1 << 14;

/// Every holder that a resource ever had, and which of them changed in the open tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    levels: Vec<HolderLevel>,
    by_key: Keyed<u64, u32>,
    /// The newest tick in which each holder changed.
    touched: Vec<Second>,
    changed: Vec<u32>,
    /// Rows of holders beyond [`HOLDERS_MAX`].
    pub beyond: u64,
}

impl Holders {
    /// The index of the holder `key`; `holder` is asked only if it is new.
    pub fn index<'a>(&mut self, key: u64, tick: Second, holder: impl Fn() -> Holder<'a>) -> u32 {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let holder = holder();
        if self.levels.len() < HOLDERS_MAX || holder.is_empty() {
            return self.append(key, holder, tick);
        }
        self.beyond += 1;
        let nobody = Holder::default();
        match self.by_key.get(&nobody.key()) {
            Some(index) => *index,
            None => self.append(nobody.key(), nobody, tick),
        }
    }

    fn append(&mut self, key: u64, holder: Holder<'_>, tick: Second) -> u32 {
        let index = u32::try_from(self.levels.len()).expect("HOLDERS_MAX fits");
        self.by_key.insert(key, index);
        self.touched.push(Second(i64::MIN));
        self.levels.push(HolderLevel {
            holder: holder.to_owned(),
            first_seen: tick,
            ..HolderLevel::default()
        });
        index
    }

    /// The account of `index`, which changes in the tick `tick`.
    pub fn change(&mut self, index: u32, tick: Second) -> &mut HolderLevel {
        let place = index as usize;
        if self.touched[place] != tick {
            self.touched[place] = tick;
            self.changed.push(index);
        }
        &mut self.levels[place]
    }

    /// Every account.
    pub fn levels(&self) -> &[HolderLevel] {
        &self.levels
    }

    /// The holders that changed in the open tick; ascending once [`Holders::end_tick`] ran.
    pub fn changed(&self) -> &[u32] {
        &self.changed
    }

    /// Forgets what changed in the tick before.
    pub fn begin_tick(&mut self) {
        self.changed.clear();
    }

    /// Puts the changed holders in order.
    pub fn end_tick(&mut self) {
        self.changed.sort_unstable();
    }
}

/// What is stored of [`Holders`]: between two ticks nothing else is known.
#[derive(Serialize, Deserialize)]
struct Stored {
    levels: Vec<HolderLevel>,
    beyond: u64,
}

impl Serialize for Holders {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { levels: self.levels.clone(), beyond: self.beyond }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Holders {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Holders, D::Error> {
        let Stored { levels, beyond } = Stored::deserialize(deserializer)?;
        let key = |(index, level): (usize, &HolderLevel)| {
            (level.holder.borrow().key(), u32::try_from(index).unwrap_or(u32::MAX))
        };
        Ok(Holders {
            by_key: levels.iter().enumerate().map(key).collect(),
            touched: vec![Second(i64::MIN); levels.len()],
            changed: Vec::new(),
            levels,
            beyond,
        })
    }
}

/// When each holder's count was sampled last, for resources without session rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sampled {
    /// By holder index; the newest sample's time, `None` if it was never sampled.
    pub at: Vec<Option<Time>>,
    /// The newest sample of any holder.
    pub newest: Time,
}

impl Sampled {
    /// Notes a sample of `index`; `false` if a newer one is known.
    pub fn note(&mut self, index: u32, time: Time) -> bool {
        let place = index as usize;
        if self.at.len() <= place {
            self.at.resize(place + 1, None);
        }
        if self.at[place].is_some_and(|newest| time < newest) {
            return false;
        }
        self.at[place] = Some(time);
        self.newest = self.newest.max(time);
        true
    }
}
