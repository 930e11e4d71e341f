//! Whose growth it is: the value of one dimension that explains it, nobody, or unknown.
//!
//! `docs/detectors.md`, "The owner".

use std::collections::BTreeMap;

use plimsoll_model::lives::LifeEvent;
use plimsoll_model::{Dimension, Owner, Release, Second};

use crate::history::{Grid, HolderHistory};
use crate::trend::{self, Rise, Stretch};
use crate::view::{HolderLevel, LifeMark};

/// A holder with its history.
pub type Member<'a> = (&'a HolderLevel, &'a HolderHistory);

/// Those who are said to grow, and how.
#[derive(Clone, Debug)]
pub struct Suspect<'a> {
    /// Who.
    pub owner: Owner,
    /// The holders that belong to it.
    pub members: Vec<Member<'a>>,
    /// Their level, added up.
    pub stretches: Vec<Stretch>,
    /// The rise of that level.
    pub rise: Rise,
}

impl<'a> Suspect<'a> {
    /// `members` under one name, with the rise that fits their level best.
    pub fn new(owner: Owner, members: Vec<Member<'a>>, grid: &Grid) -> Option<Suspect<'a>> {
        let mut sums = vec![0; grid.len()];
        for (_, history) in &members {
            grid.add(&history.held, &mut sums);
        }
        let stretches = grid.stretches(&sums);
        let rise = trend::fit(&stretches, grid.fine)?;
        Some(Suspect { owner, members, stretches, rise })
    }

    /// The mean time between opening and closing, in seconds; `None` if too few have closed.
    pub fn hold_s(&self) -> Option<f64> {
        let closed: u64 = self.members.iter().map(|(level, _)| level.closed).sum();
        let age_us: u64 = self.members.iter().map(|(level, _)| level.closed_age_us).sum();
        (closed >= CLOSED_MIN).then(|| (age_us as f64 / closed as f64 / 1e6).max(1.0))
    }

    /// How many standard deviations the level now is above what chance explains.
    ///
    /// Chance is the larger of the noise around the line and of the Poisson noise of sessions
    /// that come and go; `2 (√(v + height) − √v)` is the variance-stabilised distance.
    pub fn deviations(&self) -> f64 {
        let rise = &self.rise;
        let length_s = rise.length_s();
        let fitted = rise.rate_var_before * length_s * length_s;
        let (base, poisson) = match self.hold_s() {
            Some(hold_s) => {
                let base = self.cautious_base(hold_s);
                let before_s = (rise.onset_s - self.stretches[0].from_s) as f64;
                let means = mean_var(length_s / 4.0 / hold_s) + mean_var(before_s / hold_s);
                // Both are parts of one history: what is near in time is alike.
                (base, base * means * (1.0 - (-length_s / 2.0 / hold_s).exp()))
            }
            None => (rise.base.max(0.0), 0.0),
        };
        let variance = fitted.max(poisson);
        let height = (self.recent() - base).max(0.0);
        2.0 * ((variance + height).sqrt() - variance.sqrt())
    }

    /// The mean level over the newest quarter of the rise, in units: unlike the line's end, no
    /// slope can exaggerate it.
    pub fn recent(&self) -> f64 {
        let from_s = self.rise.length_s() * 0.75;
        self.mean_since_onset(from_s, self.rise.length_s())
    }

    /// How far the level has certainly risen, in units.
    pub fn height(&self) -> f64 {
        self.rise.height().min(self.recent() - self.rise.base)
    }

    /// The mean level between two moments of the rise, in seconds after its onset.
    pub fn mean_since_onset(&self, from_s: f64, to_s: f64) -> f64 {
        let (mut sum, mut width) = (0.0, 0.0);
        for stretch in &self.stretches {
            let from = (stretch.from_s - self.rise.onset_s) as f64;
            let to = (stretch.to_s - self.rise.onset_s) as f64;
            let shared = (to.min(to_s) - from.max(from_s)).max(0.0);
            sum += shared * stretch.mean;
            width += shared;
        }
        sum / width.max(1e-9)
    }

    /// The level before the rise, drawn towards the mean of all as if one more independent level
    /// had been seen there: an onset is chosen where the level is low, and a base that was seen
    /// for less than a few hold times is low by chance.
    fn cautious_base(&self, hold_s: f64) -> f64 {
        let (mut sum, mut width) = (0.0, 0.0);
        for stretch in &self.stretches {
            let seconds = (stretch.to_s - stretch.from_s) as f64;
            sum += seconds * stretch.mean;
            width += seconds;
        }
        let before_s = (self.rise.onset_s - self.stretches[0].from_s) as f64;
        let seen = 1.0 + before_s / (2.0 * hold_s);
        ((seen * self.rise.base + sum / width) / (seen + 1.0)).max(0.0)
    }

    /// Units held now.
    pub fn held(&self) -> u64 {
        self.members.iter().map(|(level, _)| level.held).sum()
    }
}

/// Fewer closed sessions do not say how long sessions last.
const CLOSED_MIN: u64 = 10;

/// The variance of the mean of a level over `holds` hold times, in units of the variance of the
/// level itself, which forgets exponentially.
///
/// Source: Cochran, *Sampling Techniques*, 3rd ed., chapter 8, for exponential correlation.
fn mean_var(holds: f64) -> f64 {
    if holds < 1e-3 {
        return 1.0;
    }
    2.0 / holds * (1.0 - (1.0 - (-holds).exp()) / holds)
}

/// Who explains the growth of `total`, of those who grow by `evidence` deviations.
///
/// Ties are settled by the order of dimensions and values, never by that of arrival.
pub fn suspect<'a>(
    holders: &[Member<'a>],
    total: &[Stretch],
    rise: &Rise,
    grid: &Grid,
    evidence: f64,
) -> Option<Suspect<'a>> {
    let mut best: Option<(f64, Suspect<'a>)> = None;
    let mut named = false;
    let alone = PREFERENCE.iter().all(|&dimension| is_alone(holders, dimension));
    for dimension in PREFERENCE {
        if !alone && is_alone(holders, dimension) {
            // A value that everybody shares tells nobody from the others.
            named = true;
            continue;
        }
        for value in candidates(holders, dimension, rise, grid, &mut named) {
            let members: Vec<Member<'a>> = holders
                .iter()
                .filter(|(level, _)| level.holder.get(dimension) == Some(value))
                .copied()
                .collect();
            let owner = Owner::Holder { dimension, value: value.to_owned() };
            let Some(suspect) = Suspect::new(owner, members, grid) else { continue };
            let Some(share) = share(&suspect, total) else { continue };
            if share < SHARE_MIN || suspect.deviations() < evidence {
                continue;
            }
            let score = suspect.deviations() * share.min(1.0).sqrt();
            let better = best.as_ref().is_none_or(|(score_best, _)| score > score_best * CLEARER);
            // A release of a service that is suspect itself is said as its release.
            if better && !(dimension == Dimension::ServiceVersion && best.is_some()) {
                best = Some((score, suspect));
            }
        }
    }
    if let Some((_, suspect)) = best {
        return Some(suspect);
    }
    let owner = if named { Owner::Nobody } else { Owner::Unknown };
    let suspect =
        Suspect { owner, members: holders.to_vec(), stretches: total.to_vec(), rise: *rise };
    (suspect.deviations() >= evidence).then_some(suspect)
}

/// Whether at most one value of the dimension occurs, and every holder has it.
fn is_alone(holders: &[Member<'_>], dimension: Dimension) -> bool {
    let mut values = holders.iter().map(|(level, _)| level.holder.get(dimension));
    let first = values.next().flatten();
    values.all(|value| value == first)
}

/// The order in which equally good names are preferred.
const PREFERENCE: [Dimension; Dimension::COUNT] = [
    Dimension::Tenant,
    Dimension::ServiceName,
    Dimension::ServiceVersion,
    Dimension::UserName,
    Dimension::HostName,
    Dimension::ClientAddress,
    Dimension::DbNamespace,
    Dimension::ServiceInstanceId,
];

/// Somebody with less of the growth than this is not its owner: with two culprits the larger has
/// at least half of what they have together.
const SHARE_MIN: f64 = 0.4;
/// A name that comes later in the order must be this much clearer.
const CLEARER: f64 = 1.25;
/// How many values of a dimension are looked at closely.
const CANDIDATES: usize = 3;

/// The part of the total's growth that is the suspect's own, if the suspect stands out: it grows
/// more than its part of the level explains. `None` if it does not grow or does not stand out.
fn share(suspect: &Suspect<'_>, total: &[Stretch]) -> Option<f64> {
    let place = total.iter().position(|stretch| stretch.from_s == suspect.rise.onset_s)?;
    let (_, rise) = trend::fit_at(total, place);
    let own = suspect.rise.height();
    if own <= 0.0 {
        return None;
    }
    let share = own / rise.height().max(own);
    let (base, rest) = (suspect.rise.base.max(1.0), rise.base - suspect.rise.base);
    if rest <= rise.base * (1.0 - ALONE) {
        return Some(share);
    }
    // In proportion to what they had, the others grow far less.
    let others = (rise.height() - own).max(0.0) / rest.max(1.0);
    (others < PROPORTION * own / base).then_some(share)
}

/// If the others grow by more than this part of the owner's own relative growth, the cause is
/// shared.
const PROPORTION: f64 = 1.0 / 3.0;
/// Who holds this part of everything is alone: its growth is the growth.
const ALONE: f64 = 0.98;

/// The values of a dimension that grew most across the total's onset, largest first.
fn candidates<'a>(
    holders: &[Member<'a>],
    dimension: Dimension,
    rise: &Rise,
    grid: &Grid,
    named: &mut bool,
) -> Vec<&'a str> {
    let onset = (0..grid.len()).find(|&place| grid.span(place).0 >= rise.onset_s).unwrap_or(0);
    let newest = grid.len() - (grid.len() - onset).div_ceil(3);
    let length_s = |from: usize, to: usize| (grid.span(to - 1).1 - grid.span(from).0) as f64;
    let (before_s, after_s) = (length_s(0, onset.max(1)), length_s(newest, grid.len()));
    let mut grown: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut sums = vec![0; grid.len()];
    for (level, history) in holders {
        let Some(value) = level.holder.get(dimension) else { continue };
        *named = true;
        sums.fill(0);
        grid.add(&history.held, &mut sums);
        let (before, after) = grown.entry(value).or_default();
        *before += sums[..onset.max(1)].iter().sum::<u64>();
        *after += sums[newest..].iter().sum::<u64>();
    }
    let growth = |&(before, after): &(u64, u64)| after as f64 / after_s - before as f64 / before_s;
    let mut values: Vec<(&str, f64)> =
        grown.iter().map(|(value, sums)| (*value, growth(sums))).collect();
    // Stable: equal growth stays in the order of the names.
    values.sort_by(|a, b| b.1.total_cmp(&a.1));
    values.truncate(CANDIDATES);
    values.into_iter().filter(|(_, growth)| *growth > 0.0).map(|(value, _)| value).collect()
}

/// The newest release of the suspect's service that was rolled out before its growth began, with
/// `tolerance_s` for not knowing exactly when it began, and at most `window_s` before.
pub fn release(
    suspect: &Suspect<'_>,
    lives: &[LifeMark],
    tolerance_s: i64,
    window_s: i64,
) -> Option<Release> {
    let latest = Second(suspect.rise.onset_s + tolerance_s).start();
    let earliest = Second(suspect.rise.onset_s - window_s).start();
    let concerns = |mark: &&LifeMark| {
        mark.event == LifeEvent::Deploy
            && (earliest..=latest).contains(&mark.time)
            && mark.holder.get(Dimension::ServiceName).is_some_and(|service| {
                let of = |(level, _): &Member<'_>| {
                    level.holder.get(Dimension::ServiceName) == Some(service)
                };
                let mut services = suspect.members.iter();
                // A suspect that is not a service has a release if all of it is that service.
                match &suspect.owner {
                    Owner::Holder { .. } => !suspect.members.is_empty() && services.all(of),
                    Owner::Nobody | Owner::Unknown => false,
                }
            })
    };
    let mark = lives.iter().rfind(concerns)?;
    Some(Release {
        service: mark.holder.get(Dimension::ServiceName)?.to_owned(),
        version: mark.holder.get(Dimension::ServiceVersion).map(str::to_owned),
        deployed_at: mark.time,
    })
}
