//! What calls that are held open come to: the numbers of a finding, and the rows that prove them.
//!
//! `docs/detectors.md`, "Held open", names the rows.

use std::collections::BTreeMap;

use plimsoll_model::detail::{self, HeldOpen};
use plimsoll_model::evidence::Sample;
use plimsoll_model::{Dimension, Holder, Interval, OwnedHolder, Second, Time, Transition};
use serde::{Deserialize, Serialize};

use crate::calls::Calls;
use crate::excess::Ahead;
use crate::held_open::{Culprit, Found, Part};
use crate::view::{ResourceView, Told};

/// The flow of calls is measured over so many seconds.
pub(crate) const FLOW_S: i64 = 10;

/// The most victims that have a row of their own, those that waited longest; the others share one.
pub const EVIDENCE_VICTIMS_MAX: usize = 500;

/// The metrics of the rows, each at the moment of its transition. Those of a culprit, or of
/// everybody if nobody is to blame:
pub(crate) mod metric {
    /// Units that it holds.
    pub const HELD: &str = "held";
    /// How long it has held them, added up.
    pub const HELD_AGE: &str = "held_age";
    /// Units that it usually holds.
    pub const USUAL_HELD: &str = "usual_held";
    /// How many of its calls usually end, a second.
    pub const USUAL_RATE: &str = "usual_rate";
    /// Units that the detector saw it hold over the span that it looked at.
    pub const OBSERVED_HELD: &str = "observed_held";
    /// Units that as many calls usually hold over that span.
    pub const EXPECTED_HELD: &str = "expected_held";
    /// Its calls that began in the last [`super::FLOW_S`] seconds.
    pub const CALLS_BEGAN: &str = "calls_began";
    /// Its calls that ended in them.
    pub const CALLS_ENDED: &str = "calls_ended";
    /// How long those had taken, added up.
    pub const CALLS_ENDED_AGE: &str = "calls_ended_age";
    /// Of the resource: units that can be held.
    pub const USABLE: &str = "usable";
    /// Of one victim: how long its requests waited since the last calm moment, added up.
    pub const WAITED: &str = "waited";
    /// Of the victims without a row of their own: how many they are.
    pub const OTHERS_WAITING: &str = "others_waiting";
    /// How long they waited.
    pub const OTHERS_WAITED: &str = "others_waited";
}

/// One culprit's calls, or everybody's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Share {
    holder: OwnedHolder,
    /// Its name; empty if it is everybody.
    value: String,
    held: u64,
    held_age_us: u64,
    part: Part,
    usual_held: f64,
    usual_rate: f64,
    began: u64,
    ended: u64,
    age_us: u64,
}

/// What one finding says, and what it is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// What the finding says of its kind.
    pub detail: HeldOpen,
    /// When the free units are gone.
    pub exhaustion: Option<Interval>,
    unit: String,
    usable: Option<u64>,
    shares: Vec<Share>,
    dimension: Dimension,
    /// How long each victim waited, in microseconds.
    victims: BTreeMap<String, u64>,
}

impl Account {
    /// The account of `found` at the tick `now`.
    pub fn new(now: Second, view: &ResourceView<'_>, calls: &Calls, found: &Found) -> Account {
        let mut shares: Vec<Share> = match found.culprits.is_empty() {
            true => vec![Share { part: found.part, ..Share::default() }],
            false => found.culprits.iter().map(Share::of).collect(),
        };
        let dimension = found.culprits.first().map_or(Dimension::Tenant, |first| first.dimension);
        let mut victims: BTreeMap<String, u64> = BTreeMap::new();
        for (level, track) in view.holders.iter().zip(calls.tracks()) {
            let place = match found.culprits.is_empty() {
                true => Some(0),
                false => found.culprits.iter().position(|culprit| culprit.is(level)),
            };
            if let Some(place) = place {
                let (share, flow) = (&mut shares[place], track.since(now, FLOW_S));
                share.began += flow.began;
                share.ended += flow.ended;
                share.age_us += flow.age_us;
                share.usual_rate += track.usual.rate_per_s();
                share.usual_held += track.usual_held();
                share.held += level.held;
                let now_us = i128::from(now.end().as_micros()) * i128::from(level.held);
                let age_us = (now_us - level.held_since_us).max(0);
                share.held_age_us += u64::try_from(age_us).unwrap_or(u64::MAX);
            }
            let (calm_waits, calm_us, calm_refusals) = track.calm;
            let waits = level.waited - calm_waits + level.refused - calm_refusals;
            if waits > 0 && (place.is_none() || found.culprits.is_empty()) {
                let value = level.holder.get(dimension).unwrap_or_default();
                let waited_us = level.waited_us - calm_us;
                match victims.get_mut(value) {
                    Some(known) => *known += waited_us,
                    None => {
                        victims.insert(value.to_owned(), waited_us);
                    }
                }
            }
        }
        if view.told == Told::EndedCalls {
            // No row tells who holds what: the excess comes on top of what is usual.
            let mut left = view.held;
            for share in &mut shares {
                let held = share.usual_held + share.part.excess();
                share.held = (held.round() as u64).min(left);
                left -= share.held;
            }
        }
        let (detail, exhaustion) = numbers(now, view, found, &shares, &victims);
        let (unit, usable) = (view.unit.to_owned(), view.usable);
        Account { detail, exhaustion, unit, usable, shares, dimension, victims }
    }

    /// Units that the first culprit, or everybody, holds now and usually.
    pub fn owner_levels(&self) -> (u64, u64) {
        let first = &self.shares[0];
        (first.held, first.usual_held.round() as u64)
    }

    /// The rows that prove `transition`, whose finding this account is.
    pub fn samples(&self, transition: &Transition) -> Vec<Sample> {
        let sample = |metric: &str, unit: &str, value: f64, holder: OwnedHolder| {
            sample(transition, metric, unit, value, holder)
        };
        let (mut rows, unit) = (Vec::new(), self.unit.as_str());
        for share in &self.shares {
            let numbers = [
                (metric::USUAL_HELD, unit, share.usual_held),
                (metric::USUAL_RATE, "calls/s", share.usual_rate),
                (metric::OBSERVED_HELD, unit, share.part.observed),
                (metric::EXPECTED_HELD, unit, share.part.expected),
                (metric::CALLS_BEGAN, "calls", share.began as f64),
                (metric::CALLS_ENDED, "calls", share.ended as f64),
                (metric::CALLS_ENDED_AGE, "seconds", share.age_us as f64 / 1e6),
            ];
            for (metric, unit, value) in numbers {
                rows.push(sample(metric, unit, value, share.holder.clone()));
            }
            if !self.detail.estimated {
                let (held, age_s) = (share.held as f64, share.held_age_us as f64 / 1e6);
                rows.push(sample(metric::HELD, unit, held, share.holder.clone()));
                rows.push(sample(metric::HELD_AGE, "seconds", age_s, share.holder.clone()));
            }
        }
        if let Some(usable) = self.usable {
            let everybody = OwnedHolder::default();
            rows.push(sample(metric::USABLE, unit, usable as f64, everybody));
        }
        rows.extend(self.costs(transition));
        rows
    }

    /// The rows that prove what it cost others.
    pub fn costs(&self, transition: &Transition) -> Vec<Sample> {
        let sample = |metric: &str, unit: &str, value: f64, holder: OwnedHolder| {
            sample(transition, metric, unit, value, holder)
        };
        let mut rows = Vec::new();
        let mut victims: Vec<(&str, u64)> =
            self.victims.iter().map(|(value, us)| (value.as_str(), *us)).collect();
        victims.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let others = victims.split_off(EVIDENCE_VICTIMS_MAX.min(victims.len()));
        for (value, waited_us) in victims {
            let holder = holder(self.dimension, value);
            rows.push(sample(metric::WAITED, "seconds", waited_us as f64 / 1e6, holder));
        }
        if !others.is_empty() {
            let waited_us: u64 = others.iter().map(|(_, us)| us).sum();
            let (count, waited_s) = (others.len() as f64, waited_us as f64 / 1e6);
            let everybody = OwnedHolder::default;
            rows.push(sample(metric::OTHERS_WAITING, "holders", count, everybody()));
            rows.push(sample(metric::OTHERS_WAITED, "seconds", waited_s, everybody()));
        }
        rows
    }
}

/// A row of the moment of `transition`.
fn sample(
    transition: &Transition,
    metric: &str,
    unit: &str,
    value: f64,
    holder: OwnedHolder,
) -> Sample {
    Sample {
        incident: transition.incident,
        time: transition.as_of.start(),
        resource: transition.finding.resource.clone(),
        metric: metric.to_owned(),
        value,
        unit: unit.to_owned(),
        holder,
    }
}

impl Share {
    fn of(culprit: &Culprit) -> Share {
        Share {
            holder: holder(culprit.dimension, &culprit.value),
            value: culprit.value.clone(),
            part: culprit.part,
            ..Share::default()
        }
    }
}

fn holder(dimension: Dimension, value: &str) -> OwnedHolder {
    Holder::default().with(dimension, value).to_owned()
}

/// Rates, times and costs of all `shares` together.
fn numbers(
    now: Second,
    view: &ResourceView<'_>,
    found: &Found,
    shares: &[Share],
    victims: &BTreeMap<String, u64>,
) -> (HeldOpen, Option<Interval>) {
    let estimated = view.told == Told::EndedCalls;
    let count = |of: fn(&Share) -> u64| shares.iter().map(of).sum::<u64>();
    let sum = |of: fn(&Share) -> f64| shares.iter().map(of).sum::<f64>();
    let usual_rate = sum(|share| share.usual_rate);
    let flow = |calls: u64| calls as f64 / FLOW_S as f64;
    let (began, ended) = (count(|share| share.began), count(|share| share.ended));
    let held = count(|share| share.held);
    let seconds = |us: u64, calls: u64| us as f64 / 1e6 / calls.max(1) as f64;
    // Of what only has ended Little's law tells how long it is held: the units over the rate.
    let (arrivals, grows, held_s) = match estimated {
        true => (usual_rate, usual_rate, held as f64 / usual_rate.max(0.1)),
        false => (
            flow(began),
            flow(began) - flow(ended),
            seconds(count(|share| share.held_age_us), held),
        ),
    };
    // Those that ended may have taken longer still than those that are open have by now.
    let hold_s = held_s.max(seconds(count(|share| share.age_us), ended));
    let further = |share: &Share| detail::Culprit {
        value: share.value.clone(),
        held: share.held,
        held_before: share.usual_held.round() as u64,
    };
    let excess = found.part.excess();
    let detail = HeldOpen {
        arrivals_per_s: arrivals,
        arrivals_per_s_before: usual_rate,
        hold_s,
        hold_s_before: sum(|share| share.usual_held) / usual_rate.max(1e-9),
        unfinished: excess.round() as u64,
        victims: victims.len() as u64,
        victims_waited_s: victims.values().sum::<u64>() as f64 / 1e6,
        further: shares.iter().skip(1).map(further).collect(),
        estimated,
    };
    let exhaustion = match found.ahead {
        None => exhaustion(now, view, excess, grows),
        Some(Ahead { settles_within: Some(more), .. })
            if view.usable.is_none_or(|usable| view.held as f64 + more < usable as f64) =>
        {
            None
        }
        Some(ahead) => exhaustion(now, view, ahead.gain, ahead.rate_per_s),
    };
    (detail, exhaustion)
}

/// When the free units are gone, if calls go on to hang at `rate` a second: both the calls seen
/// and those to come are counts, so that the ratio of the two is log-normal to first order.
fn exhaustion(now: Second, view: &ResourceView<'_>, excess: f64, rate: f64) -> Option<Interval> {
    let free = view.usable?.checked_sub(view.held).filter(|free| *free > 0)? as f64;
    if rate < 0.05 {
        return None;
    }
    let spread = 1.2816 * (1.0 / free + 1.0 / excess.max(1.0)).sqrt();
    let at = |factor: f64| {
        let seconds = (free / rate * factor).min(1e9);
        Time::from_micros(now.end().as_micros() + (seconds * 1e6) as i64)
    };
    Some(Interval { from: at((-spread).exp()), to: Some(at(spread.exp())) })
}
