//! Growth within a life: the floors of one instance rise towards its limit.
//!
//! `docs/detectors.md`, "Growth within a life".

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_model::detail::WithinLife;
use plimsoll_model::{Detail, Finding, Interval, Kind, Severity, Time};
use serde::{Deserialize, Serialize};

use super::fit::{self, Line};
use super::floors::{Point, SCALES, width_s};
use super::ledger::{Ledger, Life, Service};
use super::{Place, name_of, owner_of};

/// The scale after the last: the curve of the whole life.
const WHOLE_LIFE: u8 = SCALES as u8;

/// A slope is one if it is so many standard errors above zero.
const EVIDENCE: f64 = 4.0;

/// The share of the room that growth must have used: what went on so far goes on for a third of
/// that again with a chance of three in four (Gott 1993).
const SHARE: f64 = 0.75;

/// A share of the limit from which on the level itself is evidence enough.
const NEARLY_FULL: f64 = 0.9;

/// No two neighbouring floors may make more of the rise: that is a step.
const JUMP_MAX: f64 = 0.4;

/// What the user sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WithinSettings {
    /// How loudly to speak.
    pub severity: Severity,
    /// It speaks when the limit may come within so many response times: two days if the response
    /// time is 30 minutes.
    pub horizon: u32,
}

impl Default for WithinSettings {
    fn default() -> WithinSettings {
        WithinSettings { severity: Severity::Page, horizon: 96 }
    }
}

/// Growth at one scale of one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rise {
    since: Time,
    slope: f64,
    /// The relative error of the slope.
    doubt: f64,
    noise: f64,
    /// The value of the line at `at`.
    level: f64,
    at: Time,
    /// What was gained over the window.
    gained: f64,
    interval: Interval,
    limit: f64,
}

/// What the detector remembers: the rises that it sees.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Within {
    rises: BTreeMap<(u32, u8), Rise>,
    /// Instances that it speaks of, and when they last had a reason.
    told: BTreeMap<u32, Time>,
}

impl Within {
    /// The life of `instance` began or ended: no window crosses that.
    pub fn forget(&mut self, instance: u32) {
        self.rises.retain(|(of, _), _| *of != instance);
        self.told.remove(&instance);
    }

    /// `instance` has a new sample; `complete` are the scales with a new complete stretch.
    pub fn look(
        &mut self,
        settings: &WithinSettings,
        place: &Place<'_>,
        ledger: &mut Ledger,
        instance: u32,
        complete: u8,
    ) {
        let own = &ledger.instances[instance as usize];
        let Some(life) = &own.life else { return };
        let limit = ledger.limit_of(instance, place.limit);
        let service = &ledger.services[own.service as usize];
        for scale in 0..SCALES as u8 {
            if complete & 1 << scale != 0 {
                let width = width_s(scale.into()) as f64;
                let points = life.floors.points(scale.into());
                self.note(
                    instance,
                    scale,
                    limit.and_then(|limit| rise(service, &points, width, limit)),
                );
            }
        }
        if complete != 0 {
            let width = life.curve.width_s() as f64;
            let points = life.curve.points(super::across::WARM_UP);
            self.note(
                instance,
                WHOLE_LIFE,
                limit.and_then(|limit| rise(service, &points, width, limit)),
            );
        }
        let best = self.best(instance, life);
        let forecast = best.map(|rise| rise.interval);
        let is_told = self.told.contains_key(&instance);
        let horizon_us = us(place.response_time) * i64::from(settings.horizon);
        let now = life.last;
        let is_news =
            best.is_some_and(|rise| is_reason(rise, life, service, place, horizon_us, is_told));
        if is_news {
            self.told.insert(instance, now);
        } else if let Some(at) = self.told.get(&instance)
            && now.micros_since(*at) > us(place.response_time)
        {
            self.told.remove(&instance);
        }
        if let Some(life) = &mut ledger.instances[instance as usize].life {
            life.forecast = forecast;
        }
    }

    fn note(&mut self, instance: u32, scale: u8, rise: Option<Rise>) {
        match rise {
            Some(rise) => self.rises.insert((instance, scale), rise),
            None => self.rises.remove(&(instance, scale)),
        };
    }

    /// The rise that is known best, of those that the newest level has not left.
    fn best(&self, instance: u32, life: &Life) -> Option<&Rise> {
        let rises = self.rises.range((instance, 0)..=(instance, WHOLE_LIFE)).map(|(_, rise)| rise);
        let goes_on = |rise: &&Rise| {
            let window_us = (rise.gained / rise.slope * 1e6) as i64;
            life.level >= rise.level - 4.0 * rise.noise - 0.1 * rise.gained
                && life.last.micros_since(rise.at) < window_us / 2
        };
        rises.filter(goes_on).min_by(|a, b| a.doubt.total_cmp(&b.doubt))
    }

    /// What is to be said of each program: the instance whose limit comes first.
    pub fn findings(
        &self,
        settings: &WithinSettings,
        place: &Place<'_>,
        ledger: &Ledger,
    ) -> BTreeMap<u32, Finding> {
        let mut findings: BTreeMap<u32, Finding> = BTreeMap::new();
        for instance in self.told.keys() {
            let own = &ledger.instances[*instance as usize];
            let Some(life) = &own.life else { continue };
            let Some(rise) = self.best(*instance, life) else { continue };
            let name = ledger.services[own.service as usize].name.as_deref();
            let finding = Finding {
                kind: Kind::GrowthWithinLife,
                resource: place.resource.to_owned(),
                unit: "bytes".to_owned(),
                owner: owner_of(name, &own.holder),
                severity: settings.severity,
                since: rise.since.second(),
                level: life.level as u64,
                usable: Some(rise.limit as u64),
                owner_level: Some(life.level as u64),
                owner_level_before: Some((rise.level - rise.gained).max(0.0) as u64),
                growth_per_minute: Some(rise.slope * 60.0),
                exhaustion: Some(rise.interval),
                release: None,
                refused: 0,
                doubts: Vec::new(),
                detail: Some(Detail::WithinLife(WithinLife {
                    instance: name_of(&own.holder).to_owned(),
                    since: rise.since.second(),
                    floors: self.window(life, *instance).map_or(String::new(), |(name, _)| name),
                    across: None,
                })),
            };
            let known = findings.get(&own.service).and_then(|known| known.exhaustion);
            if known.is_none_or(|known| rise.interval.from < known.from) {
                findings.insert(own.service, finding);
            }
        }
        findings
    }

    /// The instance that [`Within::findings`] speaks of for a program.
    pub fn speaks_of(&self, ledger: &Ledger, service: u32) -> Option<u32> {
        let of_service = self
            .told
            .keys()
            .copied()
            .filter(|instance| ledger.instances[*instance as usize].service == service);
        let from = |instance: &u32| {
            let life = ledger.instances[*instance as usize].life.as_ref()?;
            self.best(*instance, life).map(|rise| rise.interval.from)
        };
        of_service.filter(|instance| from(instance).is_some()).min_by_key(from)
    }
}

/// Growth at one scale, or `None`: evidence, and none of the harmless shapes.
fn rise(service: &Service, points: &[Point], width_s: f64, limit: f64) -> Option<Rise> {
    let line = Line::through(points, |point| point.low)?;
    let gained = line.slope * line.span_s;
    // Between two collections floors rise by themselves.
    if width_s < 1.5 * service.cycle_s(gained / 4.0) {
        return None;
    }
    if line.evidence() < EVIDENCE || fit::largest_jump(points, gained) > JUMP_MAX {
        return None;
    }
    let newest = Line::through(&points[points.len() - (points.len() / 3).max(8)..], |it| it.low)?;
    if newest.slope + newest.slope_error < 0.5 * line.slope {
        return None;
    }
    // What is judged against the limit are the peaks, unless they are held down while the floors
    // rise: a collector lets the heap fill up to its limit.
    let peaks = Line::through(points, |point| point.high)?;
    let judged = if peaks.slope >= 0.5 * line.slope { peaks } else { line };
    let room = (limit - judged.last).max(0.0);
    if let Some(ratio) = fit::second_half(points)
        && ratio < 1.0
    {
        let more = gained / (1.0 + ratio) * ratio * ratio / (1.0 - ratio);
        if judged.last + more < limit {
            return None;
        }
    }
    let student = fit::student_90(line.independent - 2.0);
    let (fast, slow) =
        (line.slope + student * line.slope_error, line.slope - student * line.slope_error);
    let spread = 1.28 * judged.noise;
    let at_s = points[points.len() - 1].at_s;
    let moment = |room: f64, slope: f64| Time::from_micros(((at_s + room / slope) * 1e6) as i64);
    let from = moment((room - spread).max(0.0), fast);
    let to = (slow > 0.0).then(|| moment(room + spread, slow)).filter(|to| to.is_plausible());
    Some(Rise {
        since: Time::from_micros((points[0].at_s * 1e6) as i64),
        slope: line.slope,
        doubt: line.slope_error / line.slope,
        noise: judged.noise,
        level: judged.last,
        at: Time::from_micros((at_s * 1e6) as i64),
        gained,
        interval: Interval { from, to },
        limit,
    })
}

/// Whether a rise is a reason to speak, or to go on speaking: the limit is near, most of the room
/// is used, and the level is one that no life came down from.
fn is_reason(
    rise: &Rise,
    life: &Life,
    service: &Service,
    place: &Place<'_>,
    horizon_us: i64,
    is_told: bool,
) -> bool {
    let now = life.last;
    let (share_min, horizon_us) =
        if is_told { (0.8 * SHARE, horizon_us / 2 * 3) } else { (SHARE, horizon_us) };
    if rise.interval.from.micros_since(now) > horizon_us {
        return false;
    }
    let room = (rise.limit - rise.level).max(0.0);
    let share = rise.gained / (rise.gained + room);
    let safe = life.safe.max(service.safe);
    let is_new = life.level > safe + 0.02 * rise.limit;
    let is_nearly_full = life.level >= NEARLY_FULL * rise.limit;
    // A young program has no history to tell a warm-up from a leak.
    let history_us = now.micros_since(service.first_seen);
    let has_history = history_us >= 48 * us(place.response_time);
    share >= share_min && (is_told || is_new) && (is_told || has_history || is_nearly_full)
}

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 1_000)
}

impl Within {
    /// The floors through which the best line of `instance` goes, with the name of their metric:
    /// `memory_floor_2048s` says the width of a stretch.
    pub fn window(&self, life: &Life, instance: u32) -> Option<(String, Vec<Point>)> {
        let best = self.best(instance, life)?;
        let scale =
            self.rises.iter().find(|(_, rise)| *rise == best).map(|((_, scale), _)| *scale)?;
        let (width_s, points) = match scale {
            WHOLE_LIFE => (life.curve.width_s(), life.curve.points(super::across::WARM_UP)),
            scale => (width_s(scale.into()), life.floors.points(scale.into())),
        };
        Some((format!("memory_floor_{width_s}s"), points))
    }
}
