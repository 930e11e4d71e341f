//! Growth across lives: every life grows with its uptime, and only restarts hide it.
//!
//! `docs/detectors.md`, "Growth across lives".

use plimsoll_model::detail::AcrossLives;
use plimsoll_model::{Detail, Finding, Kind, Release, Second, Severity, Time};
use serde::{Deserialize, Serialize};

use super::fit::Line;
use super::floors::Point;
use super::ledger::{Ledger, Past, Service, median};
use super::{Place, owner_of};

/// The share of a life that may be warm-up and is not looked at.
pub(crate) const WARM_UP: f64 = 0.1;

/// The fewest lives from which growth is told.
pub const LIVES_MIN: usize = 4;

/// The fewest deploys between which lives must have grown.
pub const GENERATIONS_MIN: usize = 3;

/// The chance with which lives that do not grow may look as if they did on average.
const CHANCE: f64 = 1e-3;

/// A life grows if its slope is so many standard errors above zero.
pub(super) const EVIDENCE: f64 = 3.0;

/// What the user sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcrossSettings {
    /// How loudly to speak.
    pub severity: Severity,
    /// Growth that takes longer than so many days of uptime to the limit is none.
    pub horizon_days: u32,
}

impl Default for AcrossSettings {
    fn default() -> AcrossSettings {
        AcrossSettings { severity: Severity::Ticket, horizon_days: 90 }
    }
}

/// A life with its line.
struct Measured<'a> {
    past: &'a Past,
    line: Line,
    /// The growth of its later half minus that of its earlier half, bytes per second.
    bend: f64,
    late: f64,
}

impl Measured<'_> {
    fn grows(&self) -> bool {
        self.line.evidence() >= EVIDENCE
    }

    fn rise(&self) -> f64 {
        self.line.slope * self.past.uptime_s()
    }
}

/// What the ended lives of a program say together, or `None`.
///
/// It is a pure function of the ledger; the caller asks again when a life has ended.
pub(crate) fn look(
    settings: &AcrossSettings,
    place: &Place<'_>,
    ledger: &Ledger,
    service: u32,
    now: Second,
) -> Option<Finding> {
    let own = &ledger.services[service as usize];
    let lives = measure(own);
    if lives.len() < LIVES_MIN {
        return None;
    }
    let first = beginning(&lives);
    let since = &lives[first..];
    let growing = since.iter().filter(|life| life.grows()).count();
    if since.len() < LIVES_MIN || 5 * growing < 4 * since.len() || newest_are_steady(since) {
        return None;
    }
    let slopes: Vec<f64> = since.iter().map(|life| life.line.slope).collect();
    let (mean, error) = mean_and_error(&slopes);
    if mean <= error * student(slopes.len(), 1.0 - CHANCE) || !restarts_cure(&lives, since) {
        return None;
    }
    let running = || (0_u32..).zip(&ledger.instances).filter(|(_, it)| it.service == service);
    let limits = running().filter_map(|(at, _)| ledger.limit_of(at, place.limit));
    let limit = limits.min_by(f64::total_cmp);
    if fills_up(since, limit) {
        return None;
    }
    let margin = error * student(slopes.len(), 0.9);
    let (low, high) = ((mean - margin).max(mean / 10.0), mean + margin);
    let start = median(since.iter().map(|life| life.line.last - life.rise()));
    let spread = median(since.iter().map(|life| f64::from(life.past.spread)));
    // The next life is one of them, not their mean.
    let apart = margin * (slopes.len() as f64 + 1.0).sqrt();
    let safe_uptime_s = limit.map(|limit| {
        let room = (limit - start - spread).max(0.0);
        (room / (mean + apart), room / (mean - apart).max(mean / 10.0))
    });
    let horizon_s = f64::from(settings.horizon_days) * 86_400.0;
    if safe_uptime_s.is_some_and(|(from, _)| from > horizon_s) {
        return None;
    }
    let level = running().filter_map(|(_, it)| it.life.as_ref()).map(|life| life.level);
    let level = level.fold(0.0, f64::max);
    let begun = since[0].past;
    let release = begun.release().filter(|_| first > 0);
    Some(Finding {
        kind: Kind::GrowthAcrossLives,
        resource: place.resource.to_owned(),
        unit: "bytes".to_owned(),
        owner: owner_of(own.name.as_deref(), &begun.holder),
        severity: settings.severity,
        since: begun.started.second().min(now),
        level: level as u64,
        usable: limit.map(|limit| limit as u64),
        owner_level: Some(level as u64),
        owner_level_before: None,
        growth_per_minute: Some(mean * 60.0),
        exhaustion: None,
        release: release.map(|version| Release {
            service: own.name.clone().unwrap_or_default(),
            version: Some(version.to_owned()),
            deployed_at: rolled_out(own, version, begun.started),
        }),
        refused: 0,
        doubts: Vec::new(),
        detail: Some(Detail::AcrossLives(AcrossLives {
            growth_per_hour: mean * 3_600.0,
            growth_per_hour_interval: (low * 3_600.0, high * 3_600.0),
            lives_growing: growing as u32,
            lives: since.len() as u32,
            since_release: release.map(str::to_owned),
            safe_uptime_s,
            restart_every_s: Some(mean_uptime_s(since)),
        })),
    })
}

/// The lives that are long enough to tell, in the order of their beginnings: at least a quarter of
/// the usual uptime.
fn measure(service: &Service) -> Vec<Measured<'_>> {
    let usual = median(service.past.iter().map(Past::uptime_s));
    let mut lives: Vec<Measured<'_>> = Vec::new();
    for past in service.past.iter().filter(|past| past.uptime_s() >= usual / 4.0) {
        let points = past.points();
        let Some(line) = Line::through(&points, |point| point.low) else { continue };
        let bend = bend(&points).unwrap_or(0.0);
        let late = line.slope + bend / 2.0;
        lives.push(Measured { past, line, bend, late });
    }
    lives.sort_by_key(|life| (life.past.started, life.past.ended));
    lives
}

/// Which life began it: the split with the fewest exceptions, steady lives before it and growing
/// ones from it on; the earliest of equals.
fn beginning(lives: &[Measured<'_>]) -> usize {
    let mut growing_from: i64 = lives.iter().filter(|life| life.grows()).count() as i64;
    let (mut steady_before, mut best) = (0, (growing_from, 0));
    for (place, life) in lives.iter().enumerate() {
        if life.grows() {
            growing_from -= 1;
        } else {
            steady_before += 1;
        }
        if steady_before + growing_from > best.0 {
            best = (steady_before + growing_from, place + 1);
        }
    }
    best.1
}

/// Whether it is over: the newest three lives do not grow.
fn newest_are_steady(lives: &[Measured<'_>]) -> bool {
    lives.iter().rev().take(3).all(|life| !life.grows())
}

/// Whether what a life gained is gone in the next: growth by uptime is, growth by load is not.
fn restarts_cure(all: &[Measured<'_>], since: &[Measured<'_>]) -> bool {
    let (mut gained, mut lost) = (0.0, 0.0);
    for next in since {
        let distance = |life: &&Measured<'_>| {
            let apart = life.past.ended.micros_since(next.past.started).abs();
            (
                life.past.holder.borrow().get(INSTANCE) != next.past.holder.borrow().get(INSTANCE),
                apart,
            )
        };
        let before = all.iter().filter(|life| life.past.started < next.past.started);
        let Some(before) = before.min_by_key(distance) else { continue };
        if distance(&before).1 > 3_600_000_000 {
            continue;
        }
        gained += before.line.slope * before.line.span_s;
        lost += before.line.last - (next.line.last - next.line.slope * next.line.span_s);
    }
    gained > 0.0 && lost >= 0.5 * gained
}

const INSTANCE: plimsoll_model::Dimension = plimsoll_model::Dimension::ServiceInstanceId;

/// Whether the lives may fill something up and stay below the limit. Rises over equal times that
/// shrink by the ratio r add up to late · r / (1 − r) more.
fn fills_up(lives: &[Measured<'_>], limit: Option<f64>) -> bool {
    // Siblings of one deploy see the same days: they are one opinion.
    let mut bends: Vec<(Time, Vec<f64>)> = Vec::new();
    for life in lives {
        match bends.last_mut() {
            Some((at, of)) if life.past.started.micros_since(*at) < 3_600_000_000 => {
                of.push(life.bend);
            }
            _ => bends.push((life.past.started, vec![life.bend])),
        }
    }
    if bends.len() < GENERATIONS_MIN {
        return true;
    }
    let bends: Vec<f64> =
        bends.iter().map(|(_, of)| of.iter().sum::<f64>() / of.len() as f64).collect();
    let (bend, error) = mean_and_error(&bends);
    let Some(limit) = limit else {
        return bend + error * student(bends.len(), 0.9) < 0.0;
    };
    let late = lives.iter().map(|life| life.late).sum::<f64>() / lives.len() as f64;
    let early = late - bend;
    let ratio = (late / early).clamp(0.0, 0.999);
    let half_s = mean_uptime_s(lives) / 2.0;
    let end = lives.iter().map(|life| life.line.last).fold(0.0, f64::max);
    end + late * half_s * ratio / (1.0 - ratio) < limit
}

/// How much faster the later half of a life grows than the earlier half, bytes per second. What is
/// compared are whole days, so that day and night are alike in both, and what lies between them is
/// stretched to half a life; halves of a life that is too short for that.
fn bend(points: &[Point]) -> Option<f64> {
    let (first, last) = (points.first()?.at_s, points.last()?.at_s);
    let span_s = last - first;
    let days = (span_s / 172_800.0).floor().max(1.0) * 86_400.0;
    let part_s = if span_s >= 1.25 * days { days } else { span_s / 2.0 };
    let at = |at_s: f64| {
        let next = points.iter().position(|point| point.at_s >= at_s).unwrap_or(points.len() - 1);
        let (a, b) = (&points[next.saturating_sub(1)], &points[next]);
        if b.at_s <= a.at_s {
            return b.low;
        }
        a.low + (b.low - a.low) * ((at_s - a.at_s) / (b.at_s - a.at_s)).clamp(0.0, 1.0)
    };
    let early = (at(first + part_s) - at(first)) / part_s;
    let late = (at(last) - at(last - part_s)) / part_s;
    Some((late - early) * (span_s / 2.0) / (span_s - part_s))
}

fn mean_uptime_s(lives: &[Measured<'_>]) -> f64 {
    lives.iter().map(|life| life.past.uptime_s()).sum::<f64>() / lives.len() as f64
}

/// The mean and its standard error, of at least two.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count - 1.0) / count).sqrt().max(mean.abs() * 1e-6))
}

fn student(count: usize, chance: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, StudentsT};
    let student = StudentsT::new(0.0, 1.0, count as f64 - 1.0).expect("there are several lives");
    student.inverse_cdf(chance)
}

/// When a release was rolled out: its deploy, or else the first life of it.
fn rolled_out(service: &Service, version: &str, first_life: Time) -> Time {
    let deploy = service.deploys.iter().find(|(_, told)| told.as_deref() == Some(version));
    deploy.map_or(first_life, |(at, _)| *at)
}
