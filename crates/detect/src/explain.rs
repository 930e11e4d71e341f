//! Growth that is no fault: the look-alikes of a leak, told apart by what the rows show.
//!
//! `docs/detectors.md`, "Look-alikes".

use plimsoll_model::Owner;
use serde::{Deserialize, Serialize};

use crate::faults::Faults;
use crate::history::Grid;
use crate::suspect::{Member, Suspect};
use crate::trend;

/// A harmless cause of growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explanation {
    /// It has slowed down in its newest part.
    Flattening,
    /// Earlier days were as high at this clock time.
    Seasonal,
    /// The same holders return to a level that they had, or to twice that level while the other
    /// side still holds the lost half of their sessions.
    Returning,
    /// New instances hold what instances of the same service hold.
    ScaleOut,
    /// A service that was not there before fills its pools.
    WarmUp,
    /// More sessions arrive, each lasts as long as usual, and that ends below the limit.
    Load,
}

/// What the rest of the resource looks like.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The end of the tick.
    pub now_s: i64,
    /// Where all knowledge of the resource begins.
    pub known_from_s: i64,
    /// Units held by everybody.
    pub held: u64,
    /// Units that can be held.
    pub usable: Option<u64>,
    /// A rise of everybody counts as a wave of reconnections for so long, in seconds.
    pub wave_s: i64,
    /// A service that was never seen before may fill its pools for so long, in seconds.
    pub warm_up_s: i64,
    /// Faults of the resource that are over.
    pub faults: &'a Faults,
}

/// The harmless cause of the suspect's growth, if the rows show one.
pub fn explain(
    suspect: &Suspect<'_>,
    grid: &Grid,
    around: &Surroundings<'_>,
) -> Option<Explanation> {
    let missing = trend::missing_since_plateau(&suspect.stretches, grid.fine);
    let missing = missing.is_some_and(|units| units >= MISSING_MIN);
    if flattens(suspect) || missing || pauses(suspect, grid, around) {
        return Some(Explanation::Flattening);
    }
    returns(suspect, around)
        .or_else(|| scales_out(suspect, grid, around))
        .or_else(|| follows_load(suspect, grid, around))
}

/// Growth at random brings none of four expected units with a chance of e⁻⁴, 2 %.
const MISSING_MIN: f64 = 4.0;

/// Whether the last third, or the last sixth, of the rise gained less than half of what a straight
/// line gains.
///
/// Half a standard deviation of the difference is granted, so that noise alone does not delay.
fn flattens(suspect: &Suspect<'_>) -> bool {
    let rise = &suspect.rise;
    [3.0, 6.0].into_iter().any(|parts| {
        let (end_s, part_s) = (rise.length_s(), rise.length_s() / parts);
        let last = suspect.mean_since_onset(end_s - part_s, end_s);
        let gained = last - suspect.mean_since_onset(end_s - 2.0 * part_s, end_s - part_s);
        let noise = (2.0 * rise.noise / part_s).sqrt();
        gained + 0.5 * noise < 0.5 * rise.rate * part_s
    })
}

/// Whether nothing has come for so long that the rise is missing units by now.
///
/// This looks at the next finer scale: where a rise stops within a wide stretch depends on the
/// grid alone. A rise that has paused like that twice before and went on comes in bursts.
fn pauses(suspect: &Suspect<'_>, grid: &Grid, around: &Surroundings<'_>) -> bool {
    let finer = grid.finer(around.now_s, around.known_from_s);
    // A difference from the day before stands on its own grid; a level of sessions that come and
    // go pauses by chance.
    let steady = suspect.usual == 0.0 && suspect.hold_s.is_none();
    let Some(finer) = finer.filter(|_| steady) else { return false };
    let mut sums = vec![0; finer.len()];
    for (_, history) in &suspect.members {
        finer.add(&history.held, &mut sums);
    }
    let rise = &suspect.rise;
    let level = finer.stretches(&sums);
    let mut pauses =
        trend::pauses_s(&level, HALF_UNIT).take_while(|(from_s, _)| *from_s >= rise.onset_s);
    let Some((_, newest_s)) = pauses.next() else { return false };
    let earlier = pauses.filter(|(_, lasted_s)| *lasted_s >= newest_s).count();
    earlier < PAUSES_MIN && rise.rate * newest_s as f64 >= MISSING_MIN
}

/// A mean that gained less has gained no unit.
const HALF_UNIT: f64 = 0.5;
/// So many earlier pauses as long as the newest one show that growth goes on after them.
const PAUSES_MIN: usize = 2;

/// The highest mean of the suspect's level before its rise, but not that of an earlier fault.
fn peak_before(suspect: &Suspect<'_>, faults: &Faults) -> f64 {
    let before = suspect.stretches.iter().filter(|stretch| stretch.to_s <= suspect.rise.onset_s);
    let before = before.filter(|stretch| !faults.spoils(&suspect.owner, stretch));
    before.map(|stretch| stretch.mean).fold(0.0, f64::max)
}

fn returns(suspect: &Suspect<'_>, around: &Surroundings<'_>) -> Option<Explanation> {
    let peak = peak_before(suspect, around.faults);
    let level = suspect.stretches.last()?.mean;
    let before = suspect.stretches.iter().filter(|stretch| stretch.to_s <= suspect.rise.onset_s);
    let lowest = before.map(|stretch| stretch.mean).fold(f64::INFINITY, f64::min);
    let wave = suspect.rise.length_s() <= around.wave_s as f64;
    // Closed in a mass, or everybody at once: a wave. Otherwise only the old level is innocent.
    let dropped = lowest < DROPPED * peak && peak >= PEAK_MIN;
    let everybody = suspect.owner == Owner::Nobody;
    let innocent = if wave && (dropped || everybody) { DOUBLED * peak } else { peak };
    (level <= innocent).then_some(Explanation::Returning)
}

/// A level that fell below this part of its peak was dropped, not left one by one.
const DROPPED: f64 = 0.5;
const PEAK_MIN: f64 = 4.0;
/// Half-open sessions double a level; a tenth for the sessions of the moment.
const DOUBLED: f64 = 2.1;

fn scales_out(
    suspect: &Suspect<'_>,
    grid: &Grid,
    around: &Surroundings<'_>,
) -> Option<Explanation> {
    let onset_s = suspect.rise.onset_s;
    // Seen for no longer before the rise than the rise has lasted.
    let young_s = (2 * grid.width_s()).max(suspect.rise.length_s() as i64);
    let newcomer = |(level, _): &Member<'_>| {
        level.first_seen.0 >= (onset_s - young_s).max(around.known_from_s + NEWCOMER_MIN_S)
    };
    let newcomers: Vec<&Member<'_>> = suspect.members.iter().filter(|m| newcomer(m)).collect();
    if newcomers.is_empty() {
        return None;
    }
    let mut usual: f64 = 0.0;
    let mut established = false;
    for member in suspect.members.iter().filter(|member| !newcomer(member)) {
        established = true;
        let read = grid.read(&member.1.held);
        let before = read.iter().filter(|stretch| stretch.to_s <= onset_s);
        usual = before.map(|stretch| stretch.mean).fold(usual, f64::max);
    }
    if !established {
        let age_s = |member: &&Member<'_>| around.now_s - member.0.first_seen.0;
        let oldest_s = newcomers.iter().map(age_s).max().unwrap_or(0);
        return (oldest_s <= around.warm_up_s).then_some(Explanation::WarmUp);
    }
    let allowed = USUAL_MARGIN * usual + 2.0;
    // Whole units, so that the sum does not depend on the order.
    let allowed = allowed.ceil() as u64;
    let brought: u64 = newcomers.iter().map(|member| member.0.held.min(allowed)).sum();
    // What is left is for the established ones to answer for.
    let left = suspect.rise.height() - brought as f64;
    (left < UNEXPLAINED * suspect.rise.height()).then_some(Explanation::ScaleOut)
}

/// Whoever comes within the first seconds of all that is known was there before.
const NEWCOMER_MIN_S: i64 = 5;
/// An instance may hold a quarter more than any other did.
const USUAL_MARGIN: f64 = 1.25;
/// A cause that leaves more than this part of the rise unexplained does not explain it.
const UNEXPLAINED: f64 = 0.3;

/// Little's law: the level that the arrivals would make if sessions lasted as long as usual.
fn follows_load(
    suspect: &Suspect<'_>,
    grid: &Grid,
    around: &Surroundings<'_>,
) -> Option<Explanation> {
    // A difference from the day before has an account of its own.
    let hold_s = suspect.hold_s.filter(|_| suspect.usual == 0.0)?;
    let rise = &suspect.rise;
    if rise.length_s() < LOAD_HOLDS * hold_s {
        return None;
    }
    let mut sums = vec![0; grid.len()];
    for (_, history) in &suspect.members {
        grid.add(&history.opened, &mut sums);
    }
    let opened = grid.stretches(&sums);
    let middle = |place: usize| (opened[place].from_s + opened[place].to_s) as f64 / 2.0;
    let onset = opened.iter().position(|stretch| stretch.from_s >= rise.onset_s)?;
    let arrivals_before = opened[onset].mean - opened[0].mean;
    if arrivals_before < ARRIVALS_MIN {
        return None;
    }
    let usual = arrivals_before / (middle(onset) - middle(0));
    let (mut level, mut plateau) = (rise.base, rise.base);
    for place in onset..opened.len() - 1 {
        let seconds = middle(place + 1) - middle(place);
        let arrivals = (opened[place + 1].mean - opened[place].mean) / seconds;
        plateau = rise.base * arrivals / usual;
        level = plateau + (level - plateau) * (-seconds / hold_s).exp();
    }
    let unexplained = rise.level_at(rise.end_s) - level;
    let others = around.held as f64 - suspect.held() as f64;
    let fits = around.usable.is_none_or(|usable| others + plateau.max(level) < usable as f64);
    // One standard deviation of a level whose arrivals are known.
    let granted = LOAD_UNEXPLAINED * rise.height() + level.max(0.0).sqrt();
    (fits && unexplained < granted).then_some(Explanation::Load)
}

/// Before sessions had the time to close, arrivals and leaks look the same.
const LOAD_HOLDS: f64 = 1.5;
/// Arrivals that leave more than this part of the rise unexplained do not explain it.
const LOAD_UNEXPLAINED: f64 = 0.2;
/// Fewer arrivals do not say how many are usual.
const ARRIVALS_MIN: f64 = 20.0;
