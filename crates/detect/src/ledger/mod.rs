//! The ledger of one resource: who holds how many units since when.
//!
//! Rows may come late, twice and in any order inside `correct_within`: once they are all there,
//! the same units are held. `docs/detectors.md`, "Ledger", has the rules and their reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_model::evidence::{self, PANE_SECONDS};
use plimsoll_model::samples::{SampleRows, metric};
use plimsoll_model::sessions::{SessionEvent, SessionRows, refusal};
use plimsoll_model::{Change, Dimension, Kind, Owner, Second, Time, Transition};
use serde::{Deserialize, Serialize};

use crate::open_ages::OpenAges;
use crate::panes::{Panes, Proof};
use crate::refusal::Refused;
use crate::settings::ResourceConfig;
use crate::view::{HolderLevel, LifeMark, ResourceView, Told};

mod holders;
mod limit;
mod polled;
mod sessions;

pub use holders::HOLDERS_MAX;
pub use sessions::{SESSIONS_MAX, TOMBSTONES_MAX};

use holders::{Holders, Sampled};
use limit::Limit;
use polled::Polled;
use sessions::{Closing, End, Opening, Sessions};

/// The most life marks that are remembered per resource.
pub const LIVES_MAX: usize = 256;

/// How long life marks are remembered.
const LIVES_KEPT: Duration = Duration::from_secs(2 * 86_400);

/// The most accounts and databases whose own limits are followed per tick.
const NARROW_MAX: usize = 64;

/// A sampled holder that is silent for so long while others are sampled is gone.
const SAMPLE_GONE: Duration = Duration::from_secs(300);

/// The most parts of a resource that are counted; what further ones hold is not known.
pub const PARTS_MAX: usize = 256;

/// A log that is younger may lack sessions that began before it.
const YOUNG_LOG_S: i64 = 3_600;

/// The most sessions that one transition takes along as evidence.
pub const EVIDENCE_SESSIONS_MAX: usize = 2_000;

/// A shorter wait is none: balancers round to milliseconds.
const WAIT_US_MIN: i64 = 10_000;

/// One resource's ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    name: String,
    holders: Holders,
    sessions: Sessions,
    sampled: Sampled,
    limit: Limit,
    polled: Option<Polled>,
    /// The newest count of each part of the resource.
    parts: BTreeMap<String, (Time, u64)>,
    /// The sum of what the holders hold.
    total: u64,
    /// Whether session rows tell who holds what; samples of single holders are then not used.
    by_sessions: bool,
    /// Whether units are connections, as soon as one was opened.
    connections: bool,
    /// Whether a call has started or finished.
    calls: bool,
    first_seen: Option<Second>,
    reset_at: Option<Time>,
    /// The tick that applied it.
    reset_tick: Option<Second>,
    /// Whether the count is known to be complete: since a reset or a polled count.
    complete: bool,
    /// Sessions that ended and had begun before the log.
    before_log: u64,
    /// Sessions that ended and whose beginning should be in the log and is not.
    unseen: u64,
    /// Sessions beyond [`SESSIONS_MAX`].
    beyond: u64,
    /// Whether there were more than [`PARTS_MAX`] parts.
    beyond_parts: bool,
    /// The longest age of a session that ended.
    age_us_max: i64,
    lives: Vec<LifeMark>,
    panes: Panes,
    /// Where only ended calls are logged.
    ages: OpenAges,
    #[serde(skip)]
    refused: Refused,
    /// The lowest level in this tick at which everybody's limit refused.
    #[serde(skip)]
    refused_at: Option<u64>,
    #[serde(skip)]
    doubts: Vec<String>,
}

impl Ledger {
    /// The empty ledger of the resource `name`, for which `lives` have happened already.
    pub fn new(name: &str, lives: &[LifeMark]) -> Ledger {
        Ledger { name: name.to_owned(), lives: lives.to_vec(), ..Ledger::default() }
    }

    /// The resource's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was refused in this tick.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Units held by everybody, as far as known.
    pub fn held(&self) -> u64 {
        self.polled.map_or(self.total, |polled| polled.held(self.total))
    }

    /// Whether any row was about this resource.
    pub fn is_seen(&self) -> bool {
        self.first_seen.is_some()
    }

    /// Every holder's account.
    pub fn levels(&self) -> &[HolderLevel] {
        self.holders.levels()
    }

    /// The ledger as detectors see it; call it after [`Ledger::end_tick`].
    pub fn view<'a>(&'a self, config: &ResourceConfig, tick: Second) -> ResourceView<'a> {
        ResourceView {
            name: &self.name,
            unit: config.unit.name(),
            usable: self.limit.usable(config),
            held: self.held(),
            told: match (self.calls && !self.connections, self.by_sessions) {
                (false, _) => Told::Sessions,
                (true, true) => Told::Calls,
                (true, false) => Told::EndedCalls,
            },
            ages: self.is_of_ended_calls().then_some(&self.ages),
            holders: self.holders.levels(),
            changed: self.holders.changed(),
            lives: &self.lives,
            reset_at: self.reset_tick,
            first_seen: self.first_seen.unwrap_or(tick),
            doubts: &self.doubts,
        }
    }

    /// The rows that prove `transition` and that its incident has not had yet.
    pub fn evidence(&self, proof: &mut Proof, transition: &Transition) -> Vec<evidence::Pane> {
        self.panes.evidence(proof, transition, self.holders.levels(), self.held())
    }

    /// The calls that the owner of a held-open incident holds now, the oldest first, at most
    /// [`EVIDENCE_SESSIONS_MAX`]. A session is named by the XXH3-128 of its id, in hexadecimal
    /// digits: texts of all open sessions would be the largest part of the ledger.
    ///
    /// A call that the incident was told of and that has ended since is told once more, with its
    /// end; with `as_of` if the end is forgotten.
    pub fn open_sessions(
        &self,
        proof: &mut Proof,
        transition: &Transition,
    ) -> Vec<evidence::Session> {
        let finding = &transition.finding;
        let Owner::Holder { dimension, value } = &finding.owner else { return Vec::new() };
        if finding.kind != Kind::HeldOpen || transition.change == Change::Resolved {
            return Vec::new();
        }
        let levels = self.holders.levels();
        let is_owner = |holder: u32| levels[holder as usize].holder.get(*dimension) == Some(value);
        let open = self.sessions.open_of(is_owner).into_iter().take(EVIDENCE_SESSIONS_MAX);
        let open: BTreeSet<(Time, u128, u32)> = open.collect();
        let known = std::mem::replace(&mut proof.open, open);
        let ended = known.difference(&proof.open).map(|call| {
            let end = self.sessions.ended(call.1, call.0);
            (*call, Some(end.unwrap_or(transition.as_of.start())))
        });
        let open = proof.open.iter().map(|call| (*call, None));
        open.chain(ended)
            .map(|((started_at, key, holder), ended_at)| evidence::Session {
                incident: transition.incident,
                resource: self.name.clone(),
                session: format!("{key:032x}"),
                started_at,
                ended_at,
                waited_us: 0,
                refused: false,
                holder: levels[holder as usize].holder.clone(),
            })
            .collect()
    }

    /// Begins the tick `tick`: closed sessions are forgotten after `correct_within`.
    pub fn begin_tick(&mut self, tick: Second, correct_within: Duration) {
        self.panes.begin_tick(tick, self.holders.levels(), self.held());
        self.holders.begin_tick();
        self.refused = Refused::default();
        self.refused_at = None;
        if self.is_of_ended_calls() {
            self.ages.begin(tick.0);
        }
        self.sessions.forget_through(tick.start().minus(correct_within).second());
    }

    /// Applies session row `row`.
    pub fn session(&mut self, rows: &SessionRows, row: usize, tick: Second) {
        self.first_seen.get_or_insert(tick);
        let event = rows.event(row);
        match event {
            SessionEvent::Attempted => {}
            SessionEvent::Opened | SessionEvent::Started => {
                self.count_by_sessions(tick);
                self.connections |= event == SessionEvent::Opened;
                self.calls |= event == SessionEvent::Started;
                self.open(rows, row, tick, event == SessionEvent::Started);
            }
            SessionEvent::Closed => self.close(rows, row, tick, End::Closed),
            SessionEvent::Finished => {
                self.calls = true;
                self.wait(rows, row, tick);
                self.close(rows, row, tick, End::Finished);
            }
            SessionEvent::Refused => {
                self.wait(rows, row, tick);
                self.refuse(rows, row, tick);
            }
            SessionEvent::Reset => self.reset(rows.time(row), tick),
        }
    }

    fn open(&mut self, rows: &SessionRows, row: usize, tick: Second, call: bool) {
        let Some(key) = session_key(rows, row) else { return };
        let time = rows.time(row);
        let holder = self.holders.index(rows.holder_key(row), tick, || rows.holder(row));
        if self.reset_at.is_some_and(|reset_at| time < reset_at) {
            // It ended with the restart, whose row came first.
            self.pass(holder, tick, 0);
            return;
        }
        match self.sessions.open(key, holder, time, call) {
            Opening::Held => self.hold(holder, time, tick),
            Opening::Known => {}
            Opening::Over { closed_at, refused } => {
                self.pass(holder, tick, closed_at.micros_since(time).max(0));
                match (refused, self.is_before_log(time)) {
                    (true, _) => {}
                    (false, true) => self.before_log = self.before_log.saturating_sub(1),
                    (false, false) => self.unseen = self.unseen.saturating_sub(1),
                }
            }
            Opening::Replaced { holder: before, opened_at } => {
                self.free(before, opened_at, time.micros_since(opened_at), time, tick);
                self.hold(holder, time, tick);
            }
            Opening::Beyond => self.beyond += 1,
        }
    }

    /// A request waited for its unit, whether it got one or not.
    fn wait(&mut self, rows: &SessionRows, row: usize, tick: Second) {
        let Some(waited_us) = rows.waited_us(row).filter(|waited| *waited >= WAIT_US_MIN) else {
            return;
        };
        let holder = self.holders.index(rows.holder_key(row), tick, || rows.holder(row));
        let level = self.holders.change(holder, tick);
        level.waited += 1;
        level.waited_us += waited_us.unsigned_abs();
    }

    fn close(&mut self, rows: &SessionRows, row: usize, tick: Second, end: End) {
        let Some(key) = session_key(rows, row) else { return };
        let time = rows.time(row);
        let age_us = rows.age_us(row).filter(|age| *age >= 0);
        if let Some(age_us) = age_us {
            self.age_us_max = self.age_us_max.max(age_us);
        }
        let began = rows
            .started(row)
            .or_else(|| age_us.map(|age| time.minus(Duration::from_micros(age.unsigned_abs()))));
        let ended_by_reset =
            |reset_at: Time| time <= reset_at || began.is_some_and(|t| t <= reset_at);
        match self.sessions.close(key, time, end, tick) {
            Closing::Freed { holder, opened_at } => {
                let age_us = age_us.unwrap_or_else(|| time.micros_since(opened_at).max(0));
                self.free(holder, opened_at, age_us, time, tick);
            }
            Closing::Known | Closing::KnownRefused => {}
            Closing::Unknown if self.reset_at.is_some_and(ended_by_reset) => {}
            // A line at the end of a call that says when it began tells all of it.
            Closing::Unknown
                if end == End::Finished
                    && began.is_some_and(|t| !self.by_sessions || !self.is_before_log(t)) =>
            {
                let began = began.unwrap_or(time);
                self.sessions.know_beginning(key, began);
                let holder = self.holders.index(rows.holder_key(row), tick, || rows.holder(row));
                self.pass(holder, tick, time.micros_since(began).max(0));
                if !self.by_sessions {
                    self.ages.begin(tick.0);
                    self.ages.end(began, time);
                }
            }
            Closing::Unknown if began.is_some_and(|began| self.is_before_log(began)) => {
                self.before_log += 1;
            }
            Closing::Unknown => self.unseen += 1,
        }
    }

    fn refuse(&mut self, rows: &SessionRows, row: usize, tick: Second) {
        let time = rows.time(row);
        let mut holder = None;
        if let Some(key) = session_key(rows, row) {
            match self.sessions.close(key, time, End::Refused, tick) {
                Closing::Freed { holder: opened_by, opened_at } => {
                    holder = Some(opened_by);
                    let age_us = time.micros_since(opened_at);
                    self.free(opened_by, opened_at, age_us, time, tick);
                }
                Closing::Known => return,
                Closing::KnownRefused | Closing::Unknown => {}
            }
        }
        let holder = holder
            .unwrap_or_else(|| self.holders.index(rows.holder_key(row), tick, || rows.holder(row)));
        self.holders.change(holder, tick).refused += 1;
        let held = self.held();
        let narrow = |dimension| {
            let named = self.holders.levels()[holder as usize].holder.get(dimension);
            named
                .or_else(|| rows.holder(row).get(dimension))
                .map(|name| (dimension, name.to_owned()))
        };
        let refused = &mut self.refused;
        match rows.reason(row) {
            Some(refusal::LIMIT | refusal::RESERVED) => {
                refused.hard += 1;
                refused.newest = refused.newest.max(Some(time));
                self.refused_at = Some(self.refused_at.map_or(held, |level| level.min(held)));
            }
            Some(reason @ (refusal::ROLE_LIMIT | refusal::DATABASE_LIMIT)) => {
                let dimension = match reason {
                    refusal::ROLE_LIMIT => Dimension::UserName,
                    _ => Dimension::DbNamespace,
                };
                let Some(owner) = narrow(dimension) else { return };
                if refused.narrow.len() < NARROW_MAX || refused.narrow.contains_key(&owner) {
                    let (count, newest) = refused.narrow.entry(owner).or_insert((0, time));
                    *count += 1;
                    *newest = time.max(*newest);
                }
            }
            _ => {}
        }
    }

    fn reset(&mut self, time: Time, tick: Second) {
        for (holder, opened_at) in self.sessions.reset(time) {
            let level = self.holders.change(holder, tick);
            level.held -= 1;
            level.held_since_us -= i128::from(opened_at.as_micros());
            level.closed += 1;
            self.shift(time, -1);
        }
        if self.polled.is_some_and(|polled| polled.time <= time) {
            self.polled = None;
        }
        if self.reset_at.is_none_or(|newest| time > newest) {
            self.reset_at = Some(time);
            self.reset_tick = Some(tick);
            self.ages = OpenAges::default();
            self.complete = true;
            (self.before_log, self.unseen) = (0, 0);
        }
    }

    /// Applies sample row `row`. Metrics that nobody knows are none of the ledger's business.
    pub fn sample(&mut self, rows: &SampleRows, row: usize, tick: Second) {
        self.first_seen.get_or_insert(tick);
        let (time, value) = (rows.time(row), rows.value(row));
        match rows.metric(row) {
            metric::LIMIT => self.limit.tell(time, value),
            metric::USED => {
                // A count that is no whole number is a mean; a negative one is none.
                let count = value.round().clamp(0.0, u32::MAX.into()) as u64;
                if rows.holder(row).is_empty() {
                    self.poll(time, count);
                } else {
                    let key = rows.holder_key(row);
                    let holder = self.holders.index(key, tick, || rows.holder(row));
                    self.sample_holder(holder, time, count, tick);
                }
            }
            metric::USED_OF_PART => {
                let count = value.round().clamp(0.0, u32::MAX.into()) as u64;
                let holder = rows.holder(row);
                if let Some(part) = holder.get(Dimension::ServiceInstanceId) {
                    self.count_part(time, part, count);
                }
            }
            _ => {}
        }
    }

    /// One part of the resource was counted. A part that is gone has let go of its last unit
    /// before, so that what is old is still true.
    fn count_part(&mut self, time: Time, part: &str, count: u64) {
        match self.parts.get_mut(part) {
            Some(known) if known.0 > time => return,
            Some(known) => *known = (time, count),
            None => {
                if self.parts.len() >= PARTS_MAX {
                    self.parts.retain(|_, (_, count)| *count > 0);
                }
                if self.parts.len() >= PARTS_MAX {
                    self.beyond_parts = true;
                    return;
                }
                self.parts.insert(part.to_owned(), (time, count));
            }
        }
        self.poll(time, self.parts.values().map(|(_, count)| count).sum());
    }

    fn poll(&mut self, time: Time, count: u64) {
        if self.polled.is_some_and(|newest| time < newest.time)
            || self.reset_at.is_some_and(|reset_at| time < reset_at)
        {
            return;
        }
        self.polled = Some(Polled { time, count, ledger: self.total });
        if self.is_of_ended_calls() {
            self.ages.count(count, time);
        }
        self.complete = true;
        (self.before_log, self.unseen) = (0, 0);
    }

    fn sample_holder(&mut self, holder: u32, time: Time, count: u64, tick: Second) {
        let is_overflow = self.holders.levels()[holder as usize].holder.borrow().is_empty();
        if self.by_sessions || is_overflow || !self.sampled.note(holder, time) {
            return;
        }
        let held = self.holders.levels()[holder as usize].held;
        if count != held {
            self.set_held(holder, count, time, tick);
        }
    }

    /// Moves a sampled holder to `count`: the difference was opened or closed.
    fn set_held(&mut self, holder: u32, count: u64, time: Time, tick: Second) {
        let level = self.holders.change(holder, tick);
        let change = count as i64 - level.held as i64;
        level.opened += u64::try_from(change).unwrap_or(0);
        level.closed += u64::try_from(-change).unwrap_or(0);
        level.held = count;
        self.shift(time, change);
    }

    /// From now on session rows tell who holds what: sampled holders hold nothing.
    fn count_by_sessions(&mut self, tick: Second) {
        if self.by_sessions {
            return;
        }
        self.by_sessions = true;
        self.ages = OpenAges::default();
        self.release_sampled(tick, |_| true);
        self.sampled = Sampled::default();
    }

    fn release_sampled(&mut self, tick: Second, gone: impl Fn(Time) -> bool) {
        for place in 0..self.sampled.at.len() {
            let holder = place as u32;
            if self.sampled.at[place].is_some_and(&gone) && self.holders.levels()[place].held > 0 {
                self.set_held(holder, 0, tick.start(), tick);
            }
        }
    }

    /// Something happened to a program or to this resource.
    pub fn life(&mut self, mark: &LifeMark) {
        remember_life(&mut self.lives, mark);
    }

    /// A context event changed the limit of this resource.
    pub fn tell_limit(&mut self, mark: &LifeMark) {
        if let Some(value) = mark.value {
            self.limit.tell(mark.time, value);
        }
    }

    /// Rows of holders beyond [`HOLDERS_MAX`].
    pub fn holders_beyond(&self) -> u64 {
        self.holders.beyond
    }

    /// Sessions beyond [`SESSIONS_MAX`].
    pub fn sessions_beyond(&self) -> u64 {
        self.beyond
    }

    /// Ends the tick: what is derived from all its rows.
    pub fn end_tick(&mut self, tick: Second) {
        if tick.0 % PANE_SECONDS == 0 {
            let newest = self.sampled.newest;
            self.release_sampled(tick, |at| at.plus(SAMPLE_GONE) < newest);
        }
        self.holders.end_tick();
        self.panes.end_tick(self.holders.changed(), self.holders.levels());
        let held = self.held();
        match self.refused_at {
            // Clients that come all at once are opened all at once before all but a few are
            // refused: the level counts once the tick has settled.
            Some(level) => self.limit.learn(level.max(held)),
            None => self.limit.exceed(held),
        }
        forget_lives(&mut self.lives, tick);
        self.doubts = self.doubts(tick);
    }

    fn doubts(&self, tick: Second) -> Vec<String> {
        let mut doubts = Vec::new();
        // Where only ended calls are logged the ledger holds nothing, and the poll is all there is.
        let is_counted = self.by_sessions || !self.calls;
        if is_counted
            && let Some(disagreement) = self.polled.and_then(|polled| polled.disagreement())
        {
            doubts.push(disagreement);
        }
        if let Some(first_seen) = self.first_seen
            && self.by_sessions
            && !self.complete
            && tick.since(first_seen) < YOUNG_LOG_S.max(self.age_us_max / 500_000)
        {
            let ended = match self.before_log {
                0 => String::new(),
                ended => format!("; {ended} of them have ended"),
            };
            doubts.push(format!(
                "sessions from before the log ({first_seen}) are not counted{ended}"
            ));
        }
        if self.unseen > 0 {
            doubts.push(format!("{} sessions ended whose beginning was not logged", self.unseen));
        }
        if self.beyond > 0 {
            doubts.push(format!(
                "{} sessions beyond the limit of {SESSIONS_MAX} were not followed",
                self.beyond
            ));
        }
        if self.beyond_parts {
            doubts.push(format!("only {PARTS_MAX} parts of the resource are counted"));
        }
        if self.holders.beyond > 0 {
            doubts.push(format!("holders beyond the limit of {HOLDERS_MAX} are counted as one"));
        }
        doubts
    }

    fn is_of_ended_calls(&self) -> bool {
        self.calls && !self.connections && !self.by_sessions
    }

    fn is_before_log(&self, time: Time) -> bool {
        self.first_seen.is_none_or(|first_seen| time < first_seen.start())
    }

    /// A unit is held.
    fn hold(&mut self, holder: u32, time: Time, tick: Second) {
        let level = self.holders.change(holder, tick);
        level.opened += 1;
        level.held += 1;
        level.held_since_us += i128::from(time.as_micros());
        self.shift(time, 1);
    }

    /// A unit that was held since `opened_at` is free.
    fn free(&mut self, holder: u32, opened_at: Time, age_us: i64, time: Time, tick: Second) {
        let level = self.holders.change(holder, tick);
        level.closed += 1;
        level.held -= 1;
        level.held_since_us -= i128::from(opened_at.as_micros());
        level.closed_age_us += age_us.max(0).unsigned_abs();
        level.ages.add(age_us.max(0).unsigned_abs());
        self.shift(time, -1);
    }

    /// A unit was held and is free, both in the past.
    fn pass(&mut self, holder: u32, tick: Second, age_us: i64) {
        let level = self.holders.change(holder, tick);
        level.opened += 1;
        level.closed += 1;
        level.closed_age_us += age_us.unsigned_abs();
        level.ages.add(age_us.unsigned_abs());
    }

    fn shift(&mut self, time: Time, change: i64) {
        self.total = self.total.saturating_add_signed(change);
        if let Some(polled) = &mut self.polled {
            polled.correct(time, change);
        }
    }
}

/// Adds `mark` at its place in time; at most [`LIVES_MAX`] are kept, the newest.
pub(crate) fn remember_life(lives: &mut Vec<LifeMark>, mark: &LifeMark) {
    let place = lives.partition_point(|known| known.time <= mark.time);
    lives.insert(place, mark.clone());
    if lives.len() > LIVES_MAX {
        lives.remove(0);
    }
}

/// Forgets marks that are older than two days.
pub(crate) fn forget_lives(lives: &mut Vec<LifeMark>, tick: Second) {
    let oldest = tick.start().minus(LIVES_KEPT);
    let old = lives.partition_point(|mark| mark.time < oldest);
    lives.drain(..old);
}

fn session_key(rows: &SessionRows, row: usize) -> Option<u128> {
    rows.session(row).map(|id| xxhash_rust::xxh3::xxh3_128(id.as_bytes()))
}
