//! Whose growth it is: the value of one dimension that explains it, nobody, or unknown.
//!
//! `docs/detectors.md`, "The owner".

use plimsoll_model::lives::LifeEvent;
use plimsoll_model::{Dimension, Owner, Release, Second};

use crate::candidates::{Candidates, Field};
use crate::suspect::{Member, Suspect, deviations_at_most};
use crate::trend::{self, Rise, Stretch};
use crate::view::LifeMark;

/// Who explains the growth of `total`, of those who grow by `evidence` deviations. A group that is
/// quiet by `field` must be one that cannot. `usual_total` is the level where `total` is its
/// difference from the day before, and else nothing; of differences only a holder is an owner.
///
/// Ties are settled by the order of dimensions and values, never by that of arrival.
pub fn suspect<'a>(
    field: &Field<'a>,
    total: &[Stretch],
    rise: &Rise,
    usual_total: f64,
    evidence: f64,
) -> Option<Suspect<'a>> {
    let groups = field.groups;
    let mut best: Option<(f64, Suspect<'a>)> = None;
    let mut named = false;
    let alone = PREFERENCE.iter().all(|&dimension| groups.is_alone(dimension));
    for dimension in PREFERENCE {
        if !alone && groups.is_alone(dimension) {
            // A value that everybody shares tells nobody from the others.
            named = true;
            continue;
        }
        named |= !groups.of(dimension).is_empty();
        let candidates = Candidates::new(field, dimension, rise);
        for candidate in candidates.largest() {
            let stretches = field.grid.stretches(&candidate.sums);
            let Some(own) = trend::fit(&stretches, field.grid.fine) else { continue };
            let usual = field.usual(dimension, candidate.group, own.onset_s);
            if deviations_at_most(&stretches, &own, usual) < evidence {
                continue;
            }
            let Some(share) = share(&own, total, usual, usual_total) else { continue };
            if share < SHARE_MIN {
                continue;
            }
            let owner = Owner::Holder { dimension, value: candidate.value.to_owned() };
            let members = field.members(dimension, candidate.group);
            let suspect = Suspect { usual, ..Suspect::new(owner, members, stretches, own) };
            if suspect.deviations() < evidence || candidates.is_beaten_by_quiet(candidate) {
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
    if field.grid.is_daily() || deviations_at_most(total, rise, 0.0) < evidence {
        return None;
    }
    let owner = if named { Owner::Nobody } else { Owner::Unknown };
    let suspect = Suspect::new(owner, field.everybody(), total.to_vec(), *rise);
    (suspect.deviations() >= evidence).then_some(suspect)
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

/// The part of the total's growth that is the suspect's own, if the suspect stands out: it grows
/// more than its part of the level explains. `None` if it does not grow or does not stand out.
fn share(suspect: &Rise, total: &[Stretch], usual: f64, usual_total: f64) -> Option<f64> {
    let place = total.iter().position(|stretch| stretch.from_s == suspect.onset_s)?;
    let (_, rise) = trend::fit_at(total, place);
    let own = suspect.height();
    if own <= 0.0 {
        return None;
    }
    let share = own / rise.height().max(own);
    let (own_base, all_base) = (suspect.base + usual, rise.base + usual_total);
    let (base, rest) = (own_base.max(1.0), all_base - own_base);
    if rest <= all_base * (1.0 - ALONE) {
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
