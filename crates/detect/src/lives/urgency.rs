//! What follows from a rise: a page, a ticket, or nothing yet.
//!
//! `docs/detectors.md`, "Growth within a life".

use std::time::Duration;

use plimsoll_model::{Release, Severity, Time};

use super::Place;
use super::fit::Line;
use super::ledger::{DEPLOY_S, Ledger, Life, Service};
use super::rise::{Rise, Shape};
use super::within::{WithinSettings, is_slower};

/// The share of the room that growth must have used for a page: what went on so far goes on for a
/// third of that again with a chance of three in four (Gott 1993).
const PAGE_SHARE: f64 = 0.75;

/// The same for growth that the life before has shown: a chance of one in two.
const EVEN_SHARE: f64 = 0.5;

/// The same for a ticket: a chance of one in four.
const TICKET_SHARE: f64 = 0.25;

/// The same for somebody who asks: one in ten.
const ASKED_SHARE: f64 = 0.1;

/// A share of the limit from which on the level itself is evidence enough.
const NEARLY_FULL: f64 = 0.9;

/// A climb of a program that nobody knows is slowing if its speed is so much of what it was.
const SLOWER: f64 = 0.8;

/// An instance is calm beside another if it moved by so much of what that climbed.
const CALM: f64 = 0.25;

/// A level is new if it lies so much of the limit above every level that was safe.
const NEW: f64 = 0.02;

/// A program has shown the levels of its days and of its weekends, in seconds.
const WEEK_KNOWN_S: f64 = 8.0 * DAY_S;

/// So many days of steady growth are more than a season of the week, in seconds.
const STEADY_S: f64 = 3.0 * DAY_S;

const DAY_S: f64 = 86_400.0;

/// So many times as long is the next window.
const LONGER: f64 = 4.0;

/// What goes on is spoken of with so much less.
const STILL: f64 = 0.8;

/// The metric whose floors no collector can make.
const AFTER_COLLECTION: u8 = 2;

/// Who is judged.
pub(crate) struct Case<'a> {
    pub settings: &'a WithinSettings,
    pub place: &'a Place<'a>,
    pub service: &'a Service,
    pub life: &'a Life,
    ledger: &'a Ledger,
    instance: u32,
    /// When this life's climb to its level began.
    onset: Time,
    /// What was gained since.
    climbed: f64,
    is_load: bool,
}

impl<'a> Case<'a> {
    /// The case of `instance`, if it lives.
    pub fn new(
        settings: &'a WithinSettings,
        place: &'a Place<'a>,
        ledger: &'a Ledger,
        instance: u32,
    ) -> Option<Case<'a>> {
        let own = &ledger.instances[instance as usize];
        let (service, life) = (&ledger.services[own.service as usize], own.life.as_ref()?);
        let (onset, climbed) = life.climb();
        let is_load = is_load(service, life);
        Some(Case { settings, place, service, life, ledger, instance, onset, climbed, is_load })
    }

    /// How long the program was known before the climb, in seconds.
    fn known_s(&self) -> f64 {
        self.onset.micros_since(self.service.first_seen) as f64 / 1e6
    }

    fn climb_s(&self) -> f64 {
        self.life.last.micros_since(self.onset) as f64 / 1e6
    }

    /// The share of the room that was used at the speed of `rise`: what it gained in its window,
    /// and what the climb before had gained at that speed, up to where a longer window knows it.
    fn share(&self, rise: &Rise) -> f64 {
        let climbed = self.climbed.min(rise.slope * self.climb_s());
        let gained = rise.gained.max(climbed.min(LONGER * rise.gained));
        gained / (gained + (rise.limit - rise.level).max(0.0))
    }

    /// The newest release before the climb, as near to it as the climb is long.
    pub fn release(&self) -> Option<Release> {
        let climb_us = self.life.last.micros_since(self.onset);
        let earliest = (2 * climb_us).max(DEPLOY_S * 1_000_000);
        let is_before =
            |at: Time| (-climb_us / 4..=earliest).contains(&self.onset.micros_since(at));
        let (at, version) = self.service.deploys.iter().rfind(|(at, _)| is_before(*at))?;
        Some(Release {
            service: self.service.name.clone()?,
            version: version.clone(),
            deployed_at: *at,
        })
    }

    /// How loudly to speak of a rise of which was spoken as loudly as `told`.
    pub fn urgency(&self, rise: &Rise, told: Option<Severity>) -> Option<Severity> {
        let is_page = told == Some(Severity::Page);
        if self.is_page(rise, is_page) {
            return Some(Severity::Page);
        }
        let is_told = told.is_some();
        let is_ticket = self.is_ticket(rise, is_told) || self.is_beside_calm(rise, is_told);
        is_ticket.then_some(Severity::Ticket)
    }

    /// Whether somebody who asks now is told of a rise that has no history.
    pub fn is_worth_a_look(&self, rise: &Rise) -> bool {
        self.share(rise) >= ASKED_SHARE
            && self.is_within(rise, self.settings.ticket_horizon, false)
            && self.is_new(rise)
    }

    /// The limit is near and most of the room is used, by a program that is known or to a level
    /// that is evidence by itself.
    fn is_page(&self, rise: &Rise, is_told: bool) -> bool {
        if !self.is_within(rise, self.settings.horizon, is_told) {
            return false;
        }
        if is_told {
            return self.share(rise) >= STILL * PAGE_SHARE;
        }
        self.share(rise) >= PAGE_SHARE
            && self.is_new(rise)
            && (self.is_known()
                || (self.life.level >= NEARLY_FULL * rise.limit && !self.is_slowing(rise)))
    }

    /// Whether a climb is slower now than it was: a leak is not, a first day and a first cache are.
    fn is_slowing(&self, rise: &Rise) -> bool {
        let newest = [4.0, 16.0];
        rise.slope * self.climb_s() < SLOWER * self.climbed
            || newest.iter().any(|part| is_slower(rise, self.life, *part, SLOWER))
    }

    /// Whether the limit is near, the odds are even, and another instance that lived through the
    /// climb shows that the program does not climb by itself: that needs no history.
    fn is_beside_calm(&self, rise: &Rise, is_told: bool) -> bool {
        let share = if is_told { STILL * EVEN_SHARE } else { EVEN_SHARE };
        self.is_within(rise, self.settings.horizon, is_told)
            && self.share(rise) >= share
            && (is_told || self.is_new(rise))
            && self.siblings().any(|life| {
                let tolerance = tenth(self.climb_s());
                life.started <= self.onset.plus(tolerance)
                    && life.last.plus(tolerance) >= self.life.last
                    && life.high - life.base <= CALM * self.climbed
            })
    }

    fn siblings(&self) -> impl Iterator<Item = &Life> {
        let own = &self.ledger.instances[self.instance as usize];
        let others = (0_u32..).zip(&self.ledger.instances);
        let siblings = others.filter(|(at, it)| *at != self.instance && it.service == own.service);
        siblings.filter_map(|(_, it)| it.life.as_ref())
    }

    /// Growth that no day, no week and no load explains.
    fn is_ticket(&self, rise: &Rise, is_told: bool) -> bool {
        let span_s = rise.span_s();
        if span_s < DAY_S || !self.is_within(rise, self.settings.ticket_horizon, is_told) {
            return false;
        }
        if is_told {
            return self.share(rise) >= STILL * TICKET_SHARE;
        }
        let is_lasting = (span_s >= STEADY_S && rise.is_steady)
            || self.known_s() >= WEEK_KNOWN_S.max(self.climb_s());
        self.share(rise) >= TICKET_SHARE && self.is_new(rise) && is_lasting && !self.is_load
    }

    /// Whether a rise that is known from the life before is one again: the odds are even without
    /// that knowledge.
    pub fn is_again(&self, rise: &Rise) -> bool {
        self.is_within(rise, self.settings.horizon, true) && self.share(rise) >= EVEN_SHARE
    }

    fn is_within(&self, rise: &Rise, horizon: u32, is_told: bool) -> bool {
        let horizon_us = us(self.place.response_time).saturating_mul(i64::from(horizon));
        let horizon_us = if is_told { horizon_us / 2 * 3 } else { horizon_us };
        rise.interval.from.micros_since(self.life.last) <= horizon_us
    }

    /// Whether the level is one that no life of the program came down from by and by.
    fn is_new(&self, rise: &Rise) -> bool {
        self.life.level > self.life.safe.max(self.service.safe) + NEW * rise.limit
    }

    /// Whether the program was known before this climb: for a day, and for half as long as it
    /// takes. The first climb of a program may be a collector's, unless it is measured after
    /// collections.
    fn is_known(&self) -> bool {
        let day_s = 48.0 * self.place.response_time.as_secs_f64();
        match self.life.kind {
            AFTER_COLLECTION => self.known_s() + self.climb_s() >= day_s,
            _ => self.known_s() >= day_s.max(self.climb_s() / 2.0),
        }
    }
}

/// The rise that is known best, of those that `fits`.
pub(crate) fn best<'a>(
    rises: impl Iterator<Item = &'a (Rise, Shape)>,
    fits: impl Fn(&Rise, Shape) -> bool,
) -> Option<&'a Rise> {
    let rises = rises.filter(|(rise, shape)| fits(rise, *shape)).map(|(rise, _)| rise);
    rises.min_by(|a, b| a.doubt.total_cmp(&b.doubt))
}

/// Whether the life before grew and its restart did not take away half of that: what grows is not
/// the life but what the program has to do.
fn is_load(service: &Service, life: &Life) -> bool {
    let apart = |ended: i64| (ended - life.started.as_micros()).abs();
    let before = service.past.iter().min_by_key(|past| apart(past.ended.as_micros()));
    let Some(before) = before.filter(|past| apart(past.ended.as_micros()) <= 3_600_000_000) else {
        return false;
    };
    let line = Line::through(&before.points(), |point| point.low);
    let begin = life.curve.points(super::across::WARM_UP);
    let (Some(line), Some(begin)) = (line, begin.first()) else { return false };
    let gained = line.slope * line.span_s;
    line.evidence() >= super::across::EVIDENCE && line.last - begin.low < 0.5 * gained
}

/// A tenth of `seconds`.
fn tenth(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds / 10.0).unwrap_or_default()
}

pub(crate) fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 1_000)
}
