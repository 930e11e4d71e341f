//! Growth that was found and has not ended: followed at every tick, between the looks.
//!
//! `docs/detectors.md`, "Growth to the limit", *End*.

use plimsoll_model::{Finding, Interval, Reason, Severity};
use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::forecast::{self, Outlook};
use crate::growth::{GrowthSettings, interval, page_evidence};
use crate::view::ResourceView;

/// A fault that was found and has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    /// What is said of it.
    pub finding: Finding,
    /// The last time that a scale saw it.
    pub seen_s: i64,
    /// How far from chance the rise is.
    pub deviations: f64,
    /// For how long the resource had been watched.
    pub known_s: i64,
    /// The owner's level before the rise and when it was found.
    pub base: f64,
    /// The owner's level when it was found.
    pub found_level: u64,
    /// The highest level of the owner, and when it was reached.
    pub high: u64,
    /// When `high` was reached.
    pub high_s: i64,
    /// Since when the level has been receded.
    pub low_since_s: Option<i64>,
    /// The forecast's numbers at `seen_s`, and the room that there was before the rise.
    pub outlook: Option<Outlook>,
    /// The room that there was before the rise.
    pub room: f64,
    /// It was found by comparing days: the level itself rises and falls.
    pub daily: bool,
    /// When it was found, all that the owner held who was told before is part of this.
    pub around_open: bool,
    /// How slow the growth may be, in units per second, and by how much chance may have set the
    /// newest high above the line.
    pub slowest: f64,
    /// See `slowest`.
    pub chance_high: f64,
    /// Whether the limit was all but reached.
    pub filled: bool,
}

impl Open {
    /// The same fault seen again: it began when it was first seen, and is as loud as it ever was.
    pub fn continues(self, open: Open) -> Open {
        if self.finding.owner != open.finding.owner {
            // What the day lets rise as well hides nobody who was told from it.
            if open.daily && !self.daily && self.around_open {
                let severity = self.finding.severity.max(open.finding.severity);
                let exhaustion = self.finding.exhaustion.or(open.finding.exhaustion);
                return Open { finding: Finding { severity, exhaustion, ..open.finding }, ..open };
            }
            return self;
        }
        let finding = Finding {
            severity: self.finding.severity.max(open.finding.severity),
            since: open.finding.since,
            owner_level_before: open.finding.owner_level_before,
            release: open.finding.release.or(self.finding.release),
            ..self.finding
        };
        let (base, found_level, room) = (open.base, open.found_level, open.room.max(self.room));
        let (low_since_s, filled) = (open.low_since_s, open.filled);
        Open { finding, base, found_level, room, low_since_s, filled, ..self }
    }

    /// Whether a level of the owner is back to where the rise began.
    pub fn is_receded(&self, held: u64) -> bool {
        held as f64 <= self.base + RECEDED * (self.found_level as f64 - self.base)
    }

    /// Takes over this tick, in which the owner holds `held` units; the reason if it has ended.
    pub fn follow(
        &mut self,
        now_s: i64,
        held: u64,
        view: &ResourceView<'_>,
        settings: &GrowthSettings,
    ) -> Option<Reason> {
        self.finding.level = view.held;
        self.finding.usable = view.usable;
        self.finding.owner_level = self.finding.owner_level.map(|_| held);
        let part =
            |part: f64| view.usable.is_some_and(|usable| view.held as f64 >= part * usable as f64);
        self.filled |= part(settings.relentless);
        if held > self.high {
            (self.high, self.high_s) = (held, now_s);
        }
        if self.is_receded(held) {
            let since_s = *self.low_since_s.get_or_insert(now_s);
            if now_s - since_s >= i64::from(settings.receded_s) {
                return Some(Reason::LevelReceded);
            }
        } else {
            self.low_since_s = None;
        }
        if self.finding.severity < settings.severity && now_s % RAISE_S == 0 {
            self.raise(settings, now_s, view);
        }
        if now_s % RENEW_S == 0 {
            self.renew(settings, now_s, view);
        }
        let awaited = 2.0 * STOPPED_UNITS + self.chance_high;
        let quiet_s = (awaited / self.slowest.max(1e-9)).max(f64::from(settings.stopped_s));
        let quiet = (now_s - self.high_s.max(self.seen_s)) as f64 >= quiet_s;
        (quiet && !part(1.0)).then_some(Reason::GrowthEnded)
    }

    /// What is remembered of it when it has ended and its owner holds `held` units.
    pub fn fault(self, now_s: i64, held: u64, settings: &GrowthSettings) -> Fault {
        Fault {
            owner: self.finding.owner,
            from_s: self.finding.since.0,
            to_s: now_s,
            held,
            paged: self.finding.severity >= Severity::Page.min(settings.severity),
            filled: self.filled,
        }
    }

    /// The numbers of the forecast as they are at `now_s`, if the line has gone on.
    fn outlook_at(&self, now_s: i64, view: &ResourceView<'_>) -> Option<Outlook> {
        let (outlook, usable) = (self.outlook?, view.usable? as f64);
        let remaining = outlook.remaining - outlook.rate * (now_s - self.seen_s) as f64;
        let above = view.held as f64 - (usable - remaining);
        Some(Outlook { remaining, above, ..outlook })
    }

    /// Makes a page of a ticket whose limit has come near between two looks of its slow scale, if
    /// the level is still where the forecast's line is.
    fn raise(&mut self, settings: &GrowthSettings, now_s: i64, view: &ResourceView<'_>) {
        let Some(outlook) = self.outlook_at(now_s, view) else { return };
        let Outlook { remaining, above, .. } = outlook;
        let response_s = settings.response_time.as_secs_f64();
        // The cheap bound first: the forecast is worth its cost once the line is near.
        let near = remaining <= 2.0 * outlook.rate * response_s + 3.0 * outlook.level_var.sqrt();
        // What chance could still explain must have used most of the room.
        let sure = self.deviations >= page_evidence(settings, self.known_s);
        let share = if sure { settings.page_share } else { UNSURE_SHARE };
        let used = self.room - remaining >= share * self.room;
        if !near || !used || above < -2.0 * outlook.level_var.sqrt() {
            return;
        }
        let (from_s, to_s) = forecast::exhaustion_s(&outlook, 2.0 * response_s);
        let Some(from_s) = from_s.filter(|from_s| *from_s <= response_s) else { return };
        self.finding.severity = Severity::Page.min(settings.severity);
        self.finding.exhaustion = Some(interval(now_s, from_s, to_s));
    }

    /// Tells the time of exhaustion as it looks now, once it was to have begun: the moment that
    /// was told has passed, and the limit has not been reached.
    fn renew(&mut self, settings: &GrowthSettings, now_s: i64, view: &ResourceView<'_>) {
        let begun = |told: Interval| told.from.as_micros() <= now_s * 1_000_000;
        if !self.finding.exhaustion.is_some_and(begun) {
            return;
        }
        let Some(mut outlook) = self.outlook_at(now_s, view) else { return };
        if outlook.above < -2.0 * outlook.level_var.sqrt() {
            // The line was left: what counts is where the level is.
            outlook =
                Outlook { remaining: outlook.remaining - outlook.above, above: 0.0, ..outlook };
        }
        let horizon_s = settings.response_time.as_secs_f64() * settings.ticket_horizon;
        let (from_s, to_s) = forecast::exhaustion_s(&outlook, horizon_s);
        self.finding.exhaustion = from_s.map(|from_s| interval(now_s, from_s, to_s));
    }
}

/// An unsure ticket becomes a page when this part of the room is used.
const UNSURE_SHARE: f64 = 0.75;
/// How often a ticket is looked at again, in seconds.
const RAISE_S: i64 = 10;
/// How often a forecast that has passed is made anew, in seconds.
const RENEW_S: i64 = 60;
/// Back to this part of the rise is receded.
const RECEDED: f64 = 0.25;
/// Growth has stopped when twice this many units should have come and none did.
const STOPPED_UNITS: f64 = 6.0;
