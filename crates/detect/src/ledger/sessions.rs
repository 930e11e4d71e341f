//! Which sessions are open, and which were closed lately.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use plimsoll_model::{Second, Time};
use serde::{Deserialize, Serialize};

/// The most open sessions that are followed per resource. Opens beyond it are counted only.
pub const SESSIONS_MAX: usize = 1 << 20;

/// The most closed sessions that are remembered per resource. Beyond it the oldest is forgotten
/// before its time: a row of it that comes late is then taken for one of an unknown session.
pub const TOMBSTONES_MAX: usize = 1 << 20;

/// How much later than its close an open may be stamped and still belong to it, where no other
/// open is known: two clocks rarely agree. A later open is another session under the same id.
const SKEW_US: i64 = 1_000_000;

/// Hands out a key that is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "only whole keys are hashed, not {} bytes", bytes.len());
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// A map whose keys are hashes. It is never iterated for a result.
pub(crate) type Keyed<K, V> = HashMap<K, V, BuildHasherDefault<Identity>>;

/// What is known of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Session {
    /// It holds a unit.
    Open {
        holder: u32,
        opened_at: Time,
        /// It was opened by a start line: a call, not a connection.
        call: bool,
    },
    /// A tombstone, so that its rows may come in any order and more than once.
    Closed {
        /// `None` while only its end is known.
        opened_at: Option<Time>,
        closed_at: Time,
        /// The tick that made the tombstone.
        buried: Second,
        refused: bool,
    },
}

/// What an open did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// One more unit is held.
    Held,
    /// It is open already, or was closed since: nothing new.
    Known,
    /// Its end was known before: it held a unit until then.
    Over { closed_at: Time, refused: bool },
    /// The id was open: that session has ended unseen, and this one holds its unit.
    Replaced { holder: u32, opened_at: Time },
    /// Too many sessions are open.
    Beyond,
}

/// Which row ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Finished,
    Refused,
}

/// What a close did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// One unit is free again.
    Freed { holder: u32, opened_at: Time },
    /// It was closed already, or another session has its id by now: nothing new.
    Known,
    /// It was closed already, and it is new that it was refused.
    KnownRefused,
    /// Its open was never seen.
    Unknown,
}

/// The sessions of one resource, by XXH3-128 of their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    sessions: Keyed<u128, Session>,
    open: usize,
    tombstones: usize,
    /// The tombstones in the order of their ticks, and some that are none any more.
    graves: VecDeque<(Second, u128)>,
}

impl Sessions {
    /// The session `key` was opened at `time` by `holder`.
    pub fn open(&mut self, key: u128, holder: u32, time: Time, call: bool) -> Opening {
        let new = Session::Open { holder, opened_at: time, call };
        let Some(session) = self.sessions.get_mut(&key) else {
            if self.open >= SESSIONS_MAX {
                return Opening::Beyond;
            }
            self.open += 1;
            self.sessions.insert(key, new);
            return Opening::Held;
        };
        match *session {
            Session::Open { holder: before, opened_at, call: by_call } => {
                if time <= opened_at || call {
                    // A start line on a held unit is work on it, not another unit.
                    if by_call && !call {
                        *session = Session::Open { holder: before, opened_at, call };
                    }
                    return Opening::Known;
                }
                *session = new;
                Opening::Replaced { holder: before, opened_at }
            }
            Session::Closed { opened_at: None, closed_at, buried, refused }
                if time.micros_since(closed_at) <= SKEW_US =>
            {
                *session = Session::Closed { opened_at: Some(time), closed_at, buried, refused };
                Opening::Over { closed_at, refused }
            }
            Session::Closed { opened_at: Some(opened_at), closed_at, .. }
                if time <= opened_at || time < closed_at =>
            {
                Opening::Known
            }
            Session::Closed { .. } => {
                if self.open >= SESSIONS_MAX {
                    return Opening::Beyond;
                }
                *session = new;
                self.open += 1;
                self.tombstones -= 1;
                Opening::Held
            }
        }
    }

    /// The session `key` ended at `time`, in a row of the tick `tick`.
    pub fn close(&mut self, key: u128, time: Time, end: End, tick: Second) -> Closing {
        let refused = end == End::Refused;
        let (closing, opened_at) = match self.sessions.get_mut(&key) {
            Some(Session::Open { call: false, .. }) if end == End::Finished => {
                return Closing::Known;
            }
            Some(&mut Session::Open { holder, opened_at, .. }) => {
                if opened_at.micros_since(time) > SKEW_US {
                    return Closing::Known;
                }
                self.open -= 1;
                (Closing::Freed { holder, opened_at }, Some(opened_at))
            }
            Some(Session::Closed { refused: known, .. }) => {
                let new = refused && !*known;
                *known |= refused;
                return if new { Closing::KnownRefused } else { Closing::Known };
            }
            None => (Closing::Unknown, None),
        };
        self.bury(key, opened_at, time, tick, refused);
        closing
    }

    /// The session `key`, of which only the end was seen, began at `began`: a start line that
    /// comes late says nothing new.
    pub fn know_beginning(&mut self, key: u128, began: Time) {
        if let Some(Session::Closed { opened_at: opened_at @ None, .. }) =
            self.sessions.get_mut(&key)
        {
            *opened_at = Some(began);
        }
    }

    /// Every session that was opened at or before `time` is over. Returns the holders of those
    /// that held a unit and when each was opened, in the order of the holders' indices.
    pub fn reset(&mut self, time: Time) -> Vec<(u32, Time)> {
        let mut freed: Vec<(u32, Time)> = Vec::new();
        self.sessions.retain(|_, session| match *session {
            Session::Open { holder, opened_at, .. } if opened_at <= time => {
                freed.push((holder, opened_at));
                false
            }
            _ => true,
        });
        self.open -= freed.len();
        freed.sort_unstable();
        freed
    }

    /// The open sessions of the holders for which `is_wanted`, the oldest first: when each was
    /// opened, its key, its holder.
    pub fn open_of(&self, is_wanted: impl Fn(u32) -> bool) -> Vec<(Time, u128, u32)> {
        let mut open: Vec<(Time, u128, u32)> = self
            .sessions
            .iter()
            .filter_map(|(key, session)| match *session {
                Session::Open { holder, opened_at, .. } if is_wanted(holder) => {
                    Some((opened_at, *key, holder))
                }
                _ => None,
            })
            .collect();
        open.sort_unstable();
        open
    }

    /// When the session `key`, which was opened at `opened`, ended, while that is remembered.
    pub fn ended(&self, key: u128, opened: Time) -> Option<Time> {
        match self.sessions.get(&key) {
            Some(Session::Closed { opened_at: Some(at), closed_at, .. }) if *at == opened => {
                Some(*closed_at)
            }
            _ => None,
        }
    }

    fn bury(&mut self, key: u128, opened: Option<Time>, closed: Time, tick: Second, refused: bool) {
        let tombstone =
            Session::Closed { opened_at: opened, closed_at: closed, buried: tick, refused };
        self.sessions.insert(key, tombstone);
        self.graves.push_back((tick, key));
        self.tombstones += 1;
        // Whole ticks are forgotten, so that nothing depends on an order inside a tick.
        while self.tombstones > TOMBSTONES_MAX
            && let Some((oldest, _)) = self.graves.front()
        {
            self.forget_through(*oldest);
        }
    }

    /// Forgets the tombstones made at or before `tick`.
    pub fn forget_through(&mut self, tick: Second) {
        while let Some((buried_at, key)) = self.graves.front().copied()
            && buried_at <= tick
        {
            self.graves.pop_front();
            // The id may have been opened again since, and even closed again.
            if let Some(Session::Closed { buried, .. }) = self.sessions.get(&key)
                && *buried == buried_at
            {
                self.sessions.remove(&key);
                self.tombstones -= 1;
            }
        }
    }
}

/// Stored as a list in the order of the keys: the same sessions give the same bytes, in whatever
/// order they came.
impl Serialize for Sessions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<(u128, Session)> =
            self.sessions.iter().map(|(key, session)| (*key, *session)).collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        sorted.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sessions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Sessions, D::Error> {
        let sorted = Vec::<(u128, Session)>::deserialize(deserializer)?;
        let mut graves: Vec<(Second, u128)> = Vec::new();
        let mut open = 0;
        for (key, session) in &sorted {
            match session {
                Session::Open { .. } => open += 1,
                Session::Closed { buried, .. } => graves.push((*buried, *key)),
            }
        }
        graves.sort_unstable();
        Ok(Sessions {
            sessions: sorted.into_iter().collect(),
            open,
            tombstones: graves.len(),
            graves: graves.into(),
        })
    }
}
