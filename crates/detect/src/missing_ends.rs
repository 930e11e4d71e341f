//! Missing ends: whose calls do not end, where a line is written only when a call ends.
//!
//! [`crate::excess`] says that more is held than calls of the usual length explain; this says
//! whose it is. `docs/detectors.md`, "Missing completions".

use plimsoll_model::Second;

use crate::calls::{Calls, Track};
use crate::excess::{Excess, Look};
use crate::held_open::{Found, HeldOpenSettings, Part, excess_min, judge};
use crate::hold_time_shift;
use crate::view::ResourceView;

/// Over so many seconds ends are looked for.
const SPANS_S: [i64; 10] = [3, 6, 12, 24, 48, 96, 192, 384, 768, 1_536];
/// Of so many looks at an excess that nobody's missing ends explain, one names somebody.
const INNOCENT: f64 = 100.0;
/// What is missing explains at least this part of the excess. The rest may be that of further ones
/// whose ends are not surely missing yet.
const EXPLAINED: f64 = 0.6;
/// What is missing may be so many of its standard deviations less than the excess.
const EXCESS_CHANCE: f64 = 2.0;

/// Whose calls are held longer than usual, where more is held than is usual.
pub fn found(
    settings: &HeldOpenSettings,
    now: Second,
    view: &ResourceView<'_>,
    calls: &Calls,
    excess: &Excess,
    goes_on: bool,
) -> Option<Found> {
    let look = excess.look().filter(|look| look.is_evident(goes_on))?;
    let units = look.units();
    if units < excess_min(settings, view) {
        return None;
    }
    let mut most: Option<Found> = None;
    let known_s = now.since(view.first_seen);
    for span_s in SPANS_S.into_iter().filter(|span_s| *span_s <= known_s) {
        let parts = explained(now, span_s, units, calls);
        let found = parts.and_then(|parts| judge(settings, view, &parts));
        let known = most.as_ref().map_or(0.0, |found| found.part.excess());
        most = found.filter(|found| found.part.excess() > known).or(most);
    }
    if most.is_none() && !goes_on && excess.came_before() {
        return None;
    }
    let found = most.or_else(|| hold_time_shift::shifted(settings, now, view, calls, 0.0));
    let found = found.map_or_else(|| of_nobody_known(look), |found| found.at_most(units));
    Some(Found { ahead: Some(excess.ahead()), ..found })
}

/// An excess that nobody's ends are missing for: calls that come on top of the usual ones, or of
/// somebody who has not called before.
fn of_nobody_known(look: &Look) -> Found {
    let part = Part::counted(look.held, look.expected);
    Found { culprits: Vec::new(), part, names: false, ahead: None }
}

/// The parts of holders in a rise of the count within a span; `None` if what is missing does not
/// explain it. Holders whose ends are each missing beyond chance have their own part; the others
/// are asked together, and share theirs by their usual rates.
fn explained(now: Second, span_s: i64, rise: f64, calls: &Calls) -> Option<Vec<Part>> {
    let ends = |track: &Track| {
        let usual = track.usual.rate_per_s() * span_s as f64;
        (usual, track.since(now, span_s).ended as f64)
    };
    let ends: Vec<(f64, f64)> = calls.tracks().iter().map(ends).collect();
    // Any of them could be named by chance; the spans lie in each other and are one look.
    let needed = (2.0 * (ends.len() as f64 * INNOCENT).ln()).sqrt();
    // Of everybody fewer calls end where all are slower, or wait: whoever's ends are missing lacks
    // more of them than the others.
    let (all_usual, all_came) =
        ends.iter().fold((0.0, 0.0), |sum, (usual, came)| (sum.0 + usual, sum.1 + came));
    let slower = (all_came / f64::max(all_usual, 1e-9)).min(1.0);
    let is_missing = |(usual, came): (f64, f64)| shortfall(came, usual * slower) >= needed;
    let (mut usual, mut missing, mut rest) = (0.0, 0.0, (0.0, 0.0));
    for &(own, came) in &ends {
        if is_missing((own, came)) {
            usual += own;
            missing += own - came;
        } else {
            rest = (rest.0 + own, rest.1 + came);
        }
    }
    let rest_missing = if shortfall(rest.1, rest.0) >= needed { rest.0 - rest.1 } else { 0.0 };
    if rest_missing > 0.0 {
        usual += rest.0;
        missing += rest_missing;
    }
    // What is missing is known as well as what is usual in so short a time.
    if missing <= 0.0 || missing + EXCESS_CHANCE * usual.sqrt() < EXPLAINED * rise {
        return None;
    }
    let scale = (rise / missing).min(1.0);
    let part = |&(own, came): &(f64, f64)| {
        let excess = match is_missing((own, came)) {
            true => own - came,
            false => rest_missing * own / rest.0.max(1e-9),
        };
        Part::counted(came + excess * scale, came)
    };
    Some(ends.iter().map(part).collect())
}

/// How many standard deviations a count lies below the usual one: as
/// [`crate::held_open::distance`], below it.
fn shortfall(count: f64, usual: f64) -> f64 {
    if count >= usual {
        return 0.0;
    }
    let ratio = if count > 0.0 { count * (count / usual).ln() } else { 0.0 };
    (2.0 * (ratio + usual - count)).sqrt()
}
