//! Growth to the limit: speaks before a resource runs out, and says who fills it.
//!
//! Evidence, then cause, then consequence: `docs/detectors.md`, "Growth to the limit".

use std::time::Duration;

use plimsoll_model::{Finding, Interval, Kind, Owner, Reason, Second, Severity, Time};
use serde::{Deserialize, Serialize};

use crate::blame;
use crate::candidates::Field;
use crate::detector::Verdict;
use crate::explain::{self, Explanation, Surroundings};
use crate::forecast::{self, Outlook};
use crate::history::{Grid, History};
use crate::levels::{BUCKET_S, SCALES};
use crate::season::Season;
use crate::suspect::{Suspect, quiet_level};
use crate::trend;
use crate::view::ResourceView;

/// The thresholds of the detector. Each has a default and a reason in `docs/detectors.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrowthSettings {
    /// How long people need to act; scales every horizon. It is set once, for the pipeline.
    #[serde(skip)]
    pub response_time: Duration,
    /// The loudest severity that may be used.
    pub severity: Severity,
    /// A rise counts from this many standard deviations on; for a page it is more, the longer
    /// the resource has been watched and chance had its tries.
    pub evidence: f64,
    /// A rise counts from this many units on.
    pub rise_min: f64,
    /// A page needs a rise of this part of the room that there was before it.
    pub page_share: f64,
    /// A ticket needs a rise of this part of the room that there was before it.
    pub ticket_share: f64,
    /// A ticket is due when the limit may be reached within this many response times.
    pub ticket_horizon: f64,
    /// Above this part of the limit even growth with a harmless cause pages, if it is about to
    /// reach the limit.
    pub relentless: f64,
    /// A rise of everybody at once counts as a wave of reconnections for so long, in seconds.
    pub wave_s: u32,
    /// A service that was never seen before may fill its pools for so long, in seconds.
    pub warm_up_s: u32,
    /// An incident ends when the level has receded for so long, in seconds.
    pub receded_s: u32,
    /// An incident ends when growth has stopped for so long, in seconds, and for twice as long
    /// as the rise of a few units would have taken.
    pub stopped_s: u32,
}

impl Default for GrowthSettings {
    fn default() -> GrowthSettings {
        GrowthSettings {
            response_time: Duration::from_secs(30 * 60),
            severity: Severity::Page,
            evidence: 3.6,
            rise_min: 6.0,
            page_share: 1.0 / 3.0,
            ticket_share: 0.1,
            ticket_horizon: 96.0,
            relentless: 0.9,
            wave_s: 600,
            warm_up_s: 90,
            receded_s: 30,
            stopped_s: 300,
        }
    }
}

/// The detector's state for one resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Growth {
    settings: GrowthSettings,
    history: Option<History>,
    season: Option<Season>,
    judged_s: i64,
    /// What each scale saw when its last bucket was completed.
    seen: [Option<Owner>; SCALES],
    /// Who was found harmless last, and until when that is believed at every scale.
    harmless: Option<(Owner, i64)>,
    open: Option<Open>,
}

/// A fault that was found and has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    finding: Finding,
    /// The scale that saw it last, and the last time it did.
    scale: usize,
    seen_s: i64,
    /// How far from chance the rise is.
    deviations: f64,
    /// For how long the resource had been watched.
    known_s: i64,
    /// The owner's level before the rise and when it was found.
    base: f64,
    found_level: u64,
    /// The highest level of the owner, and when it was reached.
    high: u64,
    high_s: i64,
    /// Since when the level has been receded.
    low_since_s: Option<i64>,
    /// The forecast's numbers at `seen_s`, and the room that there was before the rise.
    outlook: Option<Outlook>,
    room: f64,
}

impl Growth {
    /// A detector that has seen nothing.
    pub fn new(settings: GrowthSettings) -> Growth {
        Growth {
            settings,
            history: None,
            season: None,
            judged_s: i64::MIN,
            seen: [const { None }; SCALES],
            harmless: None,
            open: None,
        }
    }

    /// Judges by other settings from now on: those of a restored detector may have changed.
    pub fn configure(&mut self, settings: GrowthSettings) {
        self.settings = settings;
    }

    /// The bytes that the histories take, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        self.history.as_ref().map_or(0, History::bytes)
    }

    /// Judges one resource at the end of tick `second`. Ticks come in order; a tick that is
    /// missing means that nothing changed in it.
    pub fn step(&mut self, second: Second, view: &ResourceView<'_>) -> Verdict {
        let now_s = second.next().0;
        let history = self.history.get_or_insert_with(|| History::new(view.first_seen.0));
        let season = self.season.get_or_insert_with(|| Season::new(view.first_seen.0));
        season.observe(now_s, history.held.value(), view.held);
        history.observe(now_s, view, quiet_level(self.settings.evidence));
        let before_s = std::mem::replace(&mut self.judged_s, now_s);
        if view.reset_at == Some(second) {
            return match self.open.take() {
                Some(_) => Verdict::Ended(Reason::ResourceRestarted),
                None => Verdict::Quiet,
            };
        }
        // The scales whose newest bucket was completed since the last tick, shortest first.
        for (scale, width) in BUCKET_S.into_iter().enumerate() {
            if now_s.div_euclid(width) == before_s.div_euclid(width) {
                continue;
            }
            let grid = self.look(scale, now_s);
            let found = grid.and_then(|grid| self.judge(scale, now_s, grid, view));
            let owner = found.as_ref().map(|found| found.finding.owner.clone());
            let before = std::mem::replace(&mut self.seen[scale], owner.clone());
            // One look may be deceived; a sure one, or two in a row that agree, are believed.
            let sure = |found: &Open| found.deviations >= self.settings.evidence + SURE;
            if owner == before || found.as_ref().is_some_and(sure) {
                self.open = match (found, self.open.take()) {
                    (Some(found), Some(open)) => Some(found.continues(open)),
                    (found, open) => found.or(open),
                };
            }
        }
        self.follow(now_s, view)
    }

    /// A cheap look at the total alone: whoever grows shows there, if only faintly.
    fn look(&self, scale: usize, now_s: i64) -> Option<Grid> {
        let history = self.history.as_ref()?;
        let grid = Grid::new(scale, now_s, history.known_from_s);
        let rise = trend::fit(&grid.read(&history.held), grid.fine)?;
        let noise = rise.rate_var.sqrt() * rise.length_s();
        (rise.height() >= noise.max(self.settings.rise_min / 2.0)).then_some(grid)
    }

    /// Who grows at one scale, and what follows from it.
    fn judge(
        &mut self,
        scale: usize,
        now_s: i64,
        grid: Grid,
        view: &ResourceView<'_>,
    ) -> Option<Open> {
        let history = self.history.take()?;
        let found = self.judge_with(scale, now_s, grid, view, &history);
        self.history = Some(history);
        found
    }

    fn judge_with(
        &mut self,
        scale: usize,
        now_s: i64,
        grid: Grid,
        view: &ResourceView<'_>,
        history: &History,
    ) -> Option<Open> {
        let total = grid.read(&history.held);
        let rise = trend::fit(&total, grid.fine)?;
        let field = Field::new(view, history, grid);
        let suspect = blame::suspect(&field, &total, &rise, self.settings.evidence)?;
        if suspect.height() < self.settings.rise_min {
            return None;
        }
        self.decide(&Case { scale, now_s, grid, suspect, total: &total, history, view })
    }

    fn decide(&mut self, case: &Case<'_>) -> Option<Open> {
        let Case { now_s, view, ref suspect, .. } = *case;
        let outlook = case.outlook();
        let response_s = self.settings.response_time.as_secs_f64();
        let known_s = now_s - case.history.known_from_s;
        let sure = suspect.deviations() >= page_evidence(&self.settings, known_s);
        let lasting = suspect.rise.length_s() >= response_s / 2.0;
        let Some(outlook) = outlook else {
            let told = sure && lasting && self.explanation(case).is_none();
            return told.then(|| self.open(case, Severity::Ticket, None));
        };
        let horizon_s = response_s * self.settings.ticket_horizon;
        let (from_s, to_s) = forecast::exhaustion_s(&outlook, horizon_s);
        let from_s = from_s?;
        let room = outlook.remaining + suspect.rise.height();
        let seen = suspect.height() / room.max(1.0);
        let severity = if from_s <= response_s && seen >= self.settings.page_share && sure {
            Severity::Page
        } else if seen >= self.settings.ticket_share && known_s >= DAY_S && lasting {
            Severity::Ticket
        } else {
            return None;
        };
        let explanation = self.explanation(case);
        if let Some(explanation) = explanation {
            let believed_s = match explanation {
                // The scale itself looks again after one of its buckets.
                Explanation::Flattening => 2 * case.grid.width_s(),
                _ => (suspect.rise.length_s() * HARMLESS) as i64,
            };
            self.harmless = Some((suspect.owner.clone(), now_s + believed_s));
        }
        // A cause that one scale has just seen is not gone because another cannot see it.
        let lately = self.harmless.as_ref().is_some_and(|(owner, until_s)| {
            *owner == suspect.owner && now_s <= *until_s && explanation.is_none()
        });
        if let Some(explanation) = explanation.or(lately.then_some(Explanation::Load)) {
            let full = view
                .usable
                .is_some_and(|usable| view.held as f64 >= self.settings.relentless * usable as f64);
            let soon = to_s.is_some_and(|to_s| to_s <= response_s / 2.0);
            if !(full && soon) || explanation == Explanation::Flattening {
                return None;
            }
        }
        Some(self.open(case, severity, Some(interval(now_s, from_s, to_s))))
    }

    fn explanation(&self, case: &Case<'_>) -> Option<Explanation> {
        if self.seasonal(case) {
            return Some(Explanation::Seasonal);
        }
        let known_from_s = case.history.known_from_s;
        let rise = &case.suspect.rise;
        // A rise is told from the filling of an empty server by the calm before it: as long as the
        // rise itself, or as long as a wave may take.
        let calm_s = (rise.length_s() as i64).min(i64::from(self.settings.wave_s));
        if case.now_s - known_from_s < i64::from(self.settings.warm_up_s)
            || rise.onset_s - known_from_s < calm_s
        {
            return Some(Explanation::WarmUp);
        }
        let around = Surroundings {
            now_s: case.now_s,
            known_from_s: case.history.known_from_s,
            held: case.view.held,
            usable: case.view.usable,
            wave_s: i64::from(self.settings.wave_s),
            warm_up_s: i64::from(self.settings.warm_up_s),
        };
        explain::explain(&case.suspect, &case.grid, &around)
    }

    /// Whether earlier days were as high at this clock time.
    fn seasonal(&self, case: &Case<'_>) -> bool {
        let Some(season) = &self.season else { return false };
        let rise = &case.suspect.rise;
        let third_s = (rise.length_s() / 3.0) as i64;
        if third_s < SEASON_MEAN_S {
            let peak = season.usual_peak(case.now_s);
            return peak.is_some_and(|peak| case.view.held as f64 <= peak as f64 * SEASON_MARGIN);
        }
        let from_s = case.now_s - third_s;
        let newest = case.total.iter().filter(|stretch| stretch.from_s >= from_s);
        let (sum, count) = newest.fold((0.0, 0.0), |(sum, count), s| (sum + s.mean, count + 1.0));
        let noise = (rise.noise / third_s as f64).sqrt();
        season
            .usual_mean(from_s, case.now_s)
            .is_some_and(|mean| sum / f64::max(count, 1.0) <= mean * SEASON_MARGIN + 2.0 * noise)
    }

    fn open(&self, case: &Case<'_>, severity: Severity, exhaustion: Option<Interval>) -> Open {
        let Case { view, suspect, .. } = case;
        let rise = &suspect.rise;
        // A count of all need not be told by holder.
        let held = match suspect.owner {
            Owner::Holder { .. } => suspect.held(),
            Owner::Nobody | Owner::Unknown => view.held,
        };
        let tolerance_s = 2 * case.grid.width_s() + (rise.length_s() / 4.0) as i64;
        let window_s = (2 * rise.length_s() as i64).max(RELEASE_WINDOW_S);
        let finding = Finding {
            kind: Kind::GrowthToLimit,
            resource: view.name.to_owned(),
            unit: view.unit.to_owned(),
            owner: suspect.owner.clone(),
            severity: severity.min(self.settings.severity),
            since: Second(rise.onset_s),
            level: view.held,
            usable: view.usable,
            owner_level: matches!(suspect.owner, Owner::Holder { .. }).then_some(held),
            owner_level_before: matches!(suspect.owner, Owner::Holder { .. })
                .then_some(rise.base.max(0.0).round() as u64),
            growth_per_minute: Some(rise.rate * 60.0),
            exhaustion,
            release: blame::release(suspect, view.lives, tolerance_s, window_s),
            refused: 0,
            doubts: view.doubts.to_vec(),
            detail: None,
        };
        Open {
            finding,
            scale: case.scale,
            seen_s: case.now_s,
            deviations: suspect.deviations(),
            known_s: case.now_s - case.history.known_from_s,
            base: rise.base,
            found_level: held,
            high: held,
            high_s: case.now_s,
            low_since_s: None,
            outlook: case.outlook(),
            room: case.outlook().map_or(0.0, |outlook| outlook.remaining + rise.height()),
        }
    }

    /// What is said at this tick of what is open.
    fn follow(&mut self, now_s: i64, view: &ResourceView<'_>) -> Verdict {
        let Some(open) = self.open.as_mut() else { return Verdict::Quiet };
        let held = match &open.finding.owner {
            Owner::Holder { dimension, value } => {
                self.history.as_ref().map_or(0, |history| history.held_by(*dimension, value, view))
            }
            Owner::Nobody | Owner::Unknown => view.held,
        };
        open.finding.level = view.held;
        open.finding.usable = view.usable;
        open.finding.owner_level = open.finding.owner_level.map(|_| held);
        if held > open.high {
            (open.high, open.high_s) = (held, now_s);
        }
        let receded = open.base + RECEDED * (open.found_level as f64 - open.base);
        if held as f64 <= receded {
            let since_s = *open.low_since_s.get_or_insert(now_s);
            if now_s - since_s >= i64::from(self.settings.receded_s) {
                self.open = None;
                return Verdict::Ended(Reason::LevelReceded);
            }
        } else {
            open.low_since_s = None;
        }
        let per_s = open.finding.growth_per_minute.unwrap_or(0.0) / 60.0;
        let quiet_s =
            (2.0 * STOPPED_UNITS / per_s.max(1e-9)).max(f64::from(self.settings.stopped_s));
        if open.finding.severity < self.settings.severity {
            raise(open, &self.settings, now_s, view);
        }
        let full = view.usable.is_some_and(|usable| view.held >= usable);
        if (now_s - open.high_s.max(open.seen_s)) as f64 >= quiet_s && !full {
            self.open = None;
            return Verdict::Ended(Reason::GrowthEnded);
        }
        Verdict::Found(open.finding.clone())
    }
}

impl Open {
    /// The same fault seen again: it began when it was first seen, and is as loud as it ever was.
    fn continues(self, open: Open) -> Open {
        if self.finding.owner != open.finding.owner {
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
        Open { finding, base, found_level, room, low_since_s: open.low_since_s, ..self }
    }
}

/// How many deviations a page needs: the chance of a false one in each doubling of the time
/// watched stays the same, since e^(-z²/2) shrinks as the number of tries grows.
fn page_evidence(settings: &GrowthSettings, known_s: i64) -> f64 {
    let tries = 1.0 + known_s as f64 / TRY_S;
    (settings.evidence.powi(2) + 2.0 * tries.ln()).sqrt()
}

/// Makes a page of a ticket whose limit has come near between two looks of its slow scale, if
/// the level is still where the forecast's line is.
fn raise(open: &mut Open, settings: &GrowthSettings, now_s: i64, view: &ResourceView<'_>) {
    let (Some(outlook), Some(usable)) = (open.outlook, view.usable) else { return };
    let passed_s = (now_s - open.seen_s) as f64;
    let remaining = outlook.remaining - outlook.rate * passed_s;
    let held = view.held as f64;
    let above = held - (usable as f64 - remaining);
    let response_s = settings.response_time.as_secs_f64();
    // The cheap bound first: the forecast is worth its cost once the line is near.
    let near = remaining <= 2.0 * outlook.rate * response_s + 3.0 * outlook.level_var.sqrt();
    // What chance could still explain must have used most of the room.
    let sure = open.deviations >= page_evidence(settings, open.known_s);
    let share = if sure { settings.page_share } else { UNSURE_SHARE };
    let used = open.room - remaining >= share * open.room;
    if !near || !used || above < -2.0 * outlook.level_var.sqrt() || now_s % RAISE_S != 0 {
        return;
    }
    let outlook = Outlook { remaining, above, ..outlook };
    let (from_s, to_s) = forecast::exhaustion_s(&outlook, 2.0 * response_s);
    let Some(from_s) = from_s.filter(|from_s| *from_s <= response_s) else { return };
    open.finding.severity = Severity::Page.min(settings.severity);
    open.finding.exhaustion = Some(interval(now_s, from_s, to_s));
}

fn interval(now_s: i64, from_s: f64, to_s: Option<f64>) -> Interval {
    let at = |seconds: f64| Time::from_micros(((now_s as f64 + seconds) * 1e6) as i64);
    Interval { from: at(from_s), to: to_s.map(at) }
}

/// An unsure ticket becomes a page when this part of the room is used.
const UNSURE_SHARE: f64 = 0.75;
/// How often a ticket is looked at again, in seconds.
const RAISE_S: i64 = 10;
const DAY_S: i64 = 86_400;
/// Chance has about one independent try in this many seconds.
const TRY_S: f64 = 120.0;
/// For this part of the rise's length a harmless cause is believed after it was last seen.
const HARMLESS: f64 = 0.25;
/// This many deviations above the evidence need no second look.
const SURE: f64 = 1.0;
/// Earlier days are compared by their means over at least one slot of the season.
const SEASON_MEAN_S: i64 = 600;
/// A day may be a twentieth higher than the highest of its week.
const SEASON_MARGIN: f64 = 1.05;
/// A release is looked for this far before the growth, at least.
const RELEASE_WINDOW_S: i64 = 900;
/// Back to this part of the rise is receded.
const RECEDED: f64 = 0.25;
/// Growth has stopped when this many units should have come and none did.
const STOPPED_UNITS: f64 = 6.0;

/// One scale's view of a suspect.
struct Case<'a> {
    scale: usize,
    now_s: i64,
    grid: Grid,
    suspect: Suspect<'a>,
    total: &'a [trend::Stretch],
    history: &'a History,
    view: &'a ResourceView<'a>,
}

impl Case<'_> {
    /// What the forecast needs, if there is a limit.
    fn outlook(&self) -> Option<Outlook> {
        let usable = self.view.usable? as f64;
        let rise = &self.suspect.rise;
        let onset = self.total.iter().position(|stretch| stretch.from_s >= rise.onset_s)?;
        let (_, total) = trend::fit_at(self.total, onset);
        // The variance of the level inside the stretches and of the stretches around the line.
        let squares = self.grid.read(&self.history.square);
        let (mut inside, mut around, mut count) = (0.0, 0.0, 0.0);
        for (square, stretch) in squares.iter().zip(self.total) {
            let middle_s = (stretch.from_s + stretch.to_s) / 2;
            inside += square.mean - stretch.mean * stretch.mean;
            around += (stretch.mean - total.level_at(middle_s)).powi(2);
            count += 1.0;
        }
        let level_var = (inside / count).max(0.0) + around / f64::max(count - 3.0, 1.0);
        let trend = total.level_at(self.now_s);
        // Where the line is now is only known as well as its slope: half of it is behind us.
        let level_var = level_var + total.rate_var * (total.length_s() / 2.0).powi(2);
        let stretches = &self.suspect.stretches;
        let (rate, rate_var) = trend::plausible_rate(stretches, self.grid.fine, rise.rate)?;
        Some(Outlook {
            remaining: usable - trend,
            above: self.view.held as f64 - trend,
            rate,
            rate_var,
            drift_var: rate,
            level_var,
            memory_s: (total.noise / (2.0 * level_var.max(1e-9))).clamp(1.0, 1e6),
        })
    }
}
