//! Growth to the limit: speaks before a resource runs out, and says who fills it.
//!
//! Evidence, then cause, then consequence: `docs/detectors.md`, "Growth to the limit".

use std::time::Duration;

use plimsoll_model::{Finding, Interval, Kind, Owner, Reason, Second, Severity, Time};
use serde::{Deserialize, Serialize};

use crate::blame::{self, Suspect};
use crate::detector::Verdict;
use crate::explain::{self, Explanation, Surroundings};
use crate::forecast::{self, Outlook};
use crate::history::{Grid, History};
use crate::levels::BUCKET_S;
use crate::season::Season;
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
    /// A rise counts from this many standard deviations on.
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
            evidence: 4.0,
            rise_min: 6.0,
            page_share: 0.2,
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
    open: Option<Open>,
}

/// A fault that was found and has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    finding: Finding,
    /// The scale that saw it last, and the last time it did.
    scale: usize,
    seen_s: i64,
    /// The owner's level before the rise and when it was found.
    base: f64,
    found_level: u64,
    /// The highest level of the owner, and when it was reached.
    high: u64,
    high_s: i64,
    /// Since when the level has been receded.
    low_since_s: Option<i64>,
}

impl Growth {
    /// A detector that has seen nothing.
    pub fn new(settings: GrowthSettings) -> Growth {
        Growth { settings, history: None, season: None, judged_s: i64::MIN, open: None }
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
        history.observe(now_s, view);
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
            let Some(grid) = self.look(scale, now_s) else { continue };
            if let Some(history) = self.history.as_mut() {
                history.extend(now_s);
            }
            if let Some(found) = self.judge(scale, now_s, grid, view) {
                self.open = Some(found);
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
    fn judge(&self, scale: usize, now_s: i64, grid: Grid, view: &ResourceView<'_>) -> Option<Open> {
        let history = self.history.as_ref()?;
        let total = grid.read(&history.held);
        let rise = trend::fit(&total, grid.fine)?;
        let holders = history.holders(view);
        let suspect = blame::suspect(&holders, &total, &rise, &grid, self.settings.evidence)?;
        if suspect.rise.height() < self.settings.rise_min {
            return None;
        }
        self.decide(&Case { scale, now_s, grid, suspect, total: &total, history, view })
    }

    fn decide(&self, case: &Case<'_>) -> Option<Open> {
        let Case { now_s, view, ref suspect, .. } = *case;
        let outlook = case.outlook();
        let response_s = self.settings.response_time.as_secs_f64();
        let Some(outlook) = outlook else {
            let explained = self.explanation(case).is_some();
            return (!explained).then(|| self.open(case, Severity::Ticket, None));
        };
        let horizon_s = response_s * self.settings.ticket_horizon;
        let (from_s, to_s) = forecast::exhaustion_s(&outlook, horizon_s);
        let from_s = from_s?;
        let room = outlook.remaining + suspect.rise.height();
        let seen = suspect.rise.height() / room.max(1.0);
        let known_s = now_s - case.history.known_from_s;
        let severity = if from_s <= response_s && seen >= self.settings.page_share {
            Severity::Page
        } else if from_s > response_s && seen >= self.settings.ticket_share && known_s >= DAY_S {
            Severity::Ticket
        } else {
            return None;
        };
        if self.explanation(case).is_some() {
            let full = view
                .usable
                .is_some_and(|usable| view.held as f64 >= self.settings.relentless * usable as f64);
            let soon = to_s.is_some_and(|to_s| to_s <= response_s / 2.0);
            let flat = self.explanation(case) == Some(Explanation::Flattening);
            if !(full && soon) || flat {
                return None;
            }
        }
        let at = |seconds: f64| Time::from_micros(((now_s as f64 + seconds) * 1e6) as i64);
        let interval = Interval { from: at(from_s), to: to_s.map(at) };
        Some(self.open(case, severity, Some(interval)))
    }

    fn explanation(&self, case: &Case<'_>) -> Option<Explanation> {
        if self.seasonal(case) {
            return Some(Explanation::Seasonal);
        }
        if case.now_s - case.history.known_from_s < i64::from(self.settings.warm_up_s) {
            return Some(Explanation::WarmUp);
        }
        let around = Surroundings {
            now_s: case.now_s,
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
        let held = suspect.held();
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
        };
        Open {
            finding,
            scale: case.scale,
            seen_s: case.now_s,
            base: rise.base,
            found_level: held,
            high: held,
            high_s: case.now_s,
            low_since_s: None,
        }
    }

    /// What is said at this tick of what is open.
    fn follow(&mut self, now_s: i64, view: &ResourceView<'_>) -> Verdict {
        let Some(open) = self.open.as_mut() else { return Verdict::Quiet };
        let held = match &open.finding.owner {
            Owner::Holder { dimension, value } => {
                let of = view.holders.iter().filter(|h| h.holder.get(*dimension) == Some(value));
                of.map(|level| level.held).sum()
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
        let full = view.usable.is_some_and(|usable| view.held >= usable);
        if (now_s - open.high_s.max(open.seen_s)) as f64 >= quiet_s && !full {
            self.open = None;
            return Verdict::Ended(Reason::GrowthEnded);
        }
        Verdict::Found(open.finding.clone())
    }
}

const DAY_S: i64 = 86_400;
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
