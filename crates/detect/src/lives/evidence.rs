//! The rows that prove findings about lives.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll_model::evidence::{Evidence, Life, Sample};
use plimsoll_model::lives::EndCause;
use plimsoll_model::samples::metric;
use plimsoll_model::{Detail, Dimension, Kind, OwnedHolder, Owner, Time, Transition};
use serde::{Deserialize, Serialize};

use super::ledger::{Instance, Ledger, PAST_MAX};
use super::within::Within;

/// The metric of the floors of an ended life, without its warm-up: the slope of growth across
/// lives is that of the least-squares line through them.
pub const FLOOR: &str = "memory_floor";

/// The most rows of one transition.
pub const ROWS_MAX: usize = (PAST_MAX + 64) * 34;

/// Which rows an incident has had.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Ended lives: whose, and since when.
    lives: BTreeSet<(OwnedHolder, Time)>,
    /// Single rows: when, of which metric, and whose.
    samples: BTreeSet<(Time, String, OwnedHolder)>,
}

/// Where the rows go.
struct Writer<'a> {
    transition: &'a Transition,
    rows: Evidence,
}

impl Told {
    /// The rows of `transition` that its incident has not had.
    pub fn rows(&mut self, ledger: &Ledger, within: &Within, transition: &Transition) -> Evidence {
        let mut writer = Writer { transition, rows: Evidence::default() };
        match transition.finding.kind {
            Kind::NotBack => self.absence(ledger, &mut writer),
            _ => self.growth(ledger, within, &mut writer),
        }
        debug_assert!(writer.rows.samples.len() <= ROWS_MAX);
        writer.rows
    }

    /// The ended lives since the growth began with their floors; the running life that is spoken
    /// of with the floors of its window, its level and its limit.
    fn growth(&mut self, ledger: &Ledger, within: &Within, writer: &mut Writer<'_>) {
        let finding = &writer.transition.finding;
        let services = ledger.services.iter().zip(0_u32..);
        for (service, place) in services {
            let is_owner = match &finding.owner {
                Owner::Holder { value, .. } => {
                    service.name.as_ref().is_none_or(|name| name == value)
                }
                _ => true,
            };
            if !is_owner {
                continue;
            }
            let is_across = match &finding.detail {
                Some(Detail::AcrossLives(_)) => true,
                Some(Detail::WithinLife(within)) => within.across.is_some(),
                _ => false,
            };
            if is_across {
                let usual = super::ledger::median(service.past.iter().map(|past| past.uptime_s()));
                for past in &service.past {
                    let is_measured =
                        past.uptime_s() >= usual / 4.0 && past.started.second() >= finding.since;
                    if is_measured && self.lives.insert((past.holder.clone(), past.started)) {
                        writer.life(
                            past.started,
                            past.start_known,
                            Some((past.ended, past.cause)),
                            &past.holder,
                        );
                        for (at_s, low) in &past.floors {
                            let at = Time::from_micros((at_s * 1e6) as i64);
                            writer.sample(at, FLOOR, f64::from(*low), &past.holder);
                        }
                    }
                }
            }
            if let Some(instance) = within.speaks_of(ledger, place)
                && finding.kind == Kind::GrowthWithinLife
            {
                self.running(ledger, within, instance, writer);
            }
        }
    }

    fn running(
        &mut self,
        ledger: &Ledger,
        within: &Within,
        instance: u32,
        writer: &mut Writer<'_>,
    ) {
        let own = &ledger.instances[instance as usize];
        let Some(life) = &own.life else { return };
        writer.life(life.started, life.start_known, None, &own.holder);
        if let Some((name, points)) = within.window(life, instance) {
            for point in points {
                let at = Time::from_micros((point.at_s * 1e6) as i64);
                if self.samples.insert((at, name.clone(), own.holder.clone())) {
                    writer.sample(at, &name, point.low, &own.holder);
                }
            }
        }
        writer.sample(life.last, metric::MEMORY, life.level, &own.holder);
        if let Some(limit) = writer.transition.finding.usable {
            writer.sample(life.last, metric::LIMIT, limit as f64, &own.holder);
        }
    }

    /// The life that ended with its last level, and the returns of the program before it.
    fn absence(&mut self, ledger: &Ledger, writer: &mut Writer<'_>) {
        let finding = &writer.transition.finding;
        let Owner::Holder { dimension, value } = &finding.owner else { return };
        // Of a program the one that died last.
        let mut owned =
            ledger.instances.iter().filter(|own| own.holder.get(*dimension) == Some(value));
        let ended = |own: &&Instance| own.end.as_ref().map(|end| end.at);
        let own = match dimension {
            Dimension::ServiceName => owned.rev().max_by_key(ended),
            _ => owned.next(),
        };
        let Some(own) = own else { return };
        let service = &ledger.services[own.service as usize];
        for past in &service.past {
            if self.lives.insert((past.holder.clone(), past.started)) {
                writer.life(
                    past.started,
                    past.start_known,
                    Some((past.ended, past.cause)),
                    &past.holder,
                );
            }
        }
        let Some(Detail::NotBack(absence)) = &finding.detail else { return };
        let at = absence.last_seen;
        let (started, start_known, cause) = match (&own.life, &own.end) {
            (Some(life), _) => (life.started, life.start_known, EndCause::Unknown),
            (None, Some(end)) => (end.started, end.start_known, end.cause),
            (None, None) => return,
        };
        if self.lives.insert((own.holder.clone(), started)) {
            writer.life(started, start_known, Some((at, cause)), &own.holder);
        }
        if self.samples.insert((at, metric::MEMORY.to_owned(), own.holder.clone())) {
            writer.sample(at, metric::MEMORY, finding.level as f64, &own.holder);
            if let Some(limit) = finding.usable {
                writer.sample(at, metric::LIMIT, limit as f64, &own.holder);
            }
            if let Some(usual_s) = absence.usual_return_s {
                let usual = Duration::try_from_secs_f64(usual_s).unwrap_or_default();
                writer.sample(at.plus(usual), "usual_return", usual_s, &own.holder);
            }
        }
    }
}

impl Writer<'_> {
    fn life(
        &mut self,
        started_at: Time,
        start_known: bool,
        end: Option<(Time, EndCause)>,
        holder: &OwnedHolder,
    ) {
        self.rows.lives.push(Life {
            incident: self.transition.incident,
            resource: self.transition.finding.resource.clone(),
            started_at,
            start_known,
            ended_at: end.map(|(at, _)| at),
            cause: end.map_or("", |(_, cause)| cause.name()).to_owned(),
            holder: holder.clone(),
        });
    }

    fn sample(&mut self, time: Time, metric: &str, value: f64, holder: &OwnedHolder) {
        let unit = if metric == "usual_return" { "seconds" } else { "bytes" };
        self.rows.samples.push(Sample {
            incident: self.transition.incident,
            time,
            resource: self.transition.finding.resource.clone(),
            metric: metric.to_owned(),
            value,
            unit: unit.to_owned(),
            holder: holder.clone(),
        });
    }
}
