//! Growth to the limit: speaks before a resource runs out, and says who fills it.
//!
//! Evidence, then cause, then consequence: `docs/detectors.md`, "Growth to the limit".

use std::time::Duration;

use plimsoll_model::{Finding, Interval, Kind, Owner, Reason, Second, Severity, Time};
use serde::{Deserialize, Serialize};

use crate::blame;
use crate::candidates::{Field, mean_before};
use crate::detector::Verdict;
use crate::explain::{self, Explanation, Surroundings};
use crate::faults::Faults;
use crate::forecast::{self, Outlook};
use crate::growth_open::Open;
use crate::history::{Grid, History};
use crate::levels::{BUCKET_S, DAILY, SCALES};
use crate::season::Season;
use crate::suspect::{Member, Suspect, quiet_level};
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
    /// What each scale saw when its last bucket was completed, and at last the look at days.
    seen: [Option<Owner>; SCALES + 1],
    /// Who was found harmless last, and until when that is believed at every scale.
    harmless: Option<(Owner, i64)>,
    open: Option<Open>,
    faults: Faults,
}

impl Growth {
    /// A detector that has seen nothing.
    pub fn new(settings: GrowthSettings) -> Growth {
        Growth {
            settings,
            history: None,
            season: None,
            judged_s: i64::MIN,
            seen: [const { None }; SCALES + 1],
            harmless: None,
            open: None,
            faults: Faults::default(),
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
            return self.end(now_s, 0, Reason::ResourceRestarted);
        }
        // The scales whose newest bucket was completed since the last tick, shortest first.
        for (scale, width) in BUCKET_S.into_iter().enumerate() {
            if now_s.div_euclid(width) == before_s.div_euclid(width) {
                continue;
            }
            let grid = self.look(scale, now_s);
            let found = grid.and_then(|grid| self.judge(now_s, grid, view));
            self.take(scale, found);
            if scale == DAILY {
                let grid = self.look_at_days(now_s);
                let found = grid.and_then(|grid| self.judge(now_s, grid, view));
                self.take(SCALES, found);
            }
        }
        self.follow(now_s, view)
    }

    /// Takes over what one look has found.
    fn take(&mut self, look: usize, found: Option<Open>) {
        let owner = found.as_ref().map(|found| found.finding.owner.clone());
        let before = std::mem::replace(&mut self.seen[look], owner.clone());
        // One look may be deceived; a sure one, or two in a row that agree, are believed.
        let sure = |found: &Open| found.deviations >= self.settings.evidence + SURE;
        if owner == before || found.as_ref().is_some_and(sure) {
            self.open = match (found, self.open.take()) {
                (Some(found), Some(open)) => Some(found.continues(open)),
                (found, open) => found.or(open),
            };
        }
    }

    /// Whether the total is more above the day before than it was.
    fn look_at_days(&self, now_s: i64) -> Option<Grid> {
        let history = self.history.as_ref()?;
        let grid = Grid::daily(now_s, self.known_from_s(BUCKET_S[DAILY], history));
        let rise = trend::fit(&grid.read(&history.held), grid.fine)?;
        (rise.height() >= self.settings.rise_min / 2.0).then_some(grid)
    }

    /// A cheap look at the total alone: whoever grows shows there, if only faintly.
    fn look(&self, scale: usize, now_s: i64) -> Option<Grid> {
        let history = self.history.as_ref()?;
        let grid = Grid::new(scale, now_s, self.known_from_s(BUCKET_S[scale], history));
        let rise = trend::fit(&grid.read(&history.held), grid.fine)?;
        let noise = rise.rate_var.sqrt() * rise.length_s();
        (rise.height() >= noise.max(self.settings.rise_min / 2.0)).then_some(grid)
    }

    /// Where knowledge of the usual begins: with the resource, or after a fault that the stretches
    /// of this width would show.
    fn known_from_s(&self, width_s: i64, history: &History) -> i64 {
        let over_s = self.faults.over_s(width_s);
        over_s.map_or(history.known_from_s, |over_s| over_s.max(history.known_from_s))
    }

    /// Who grows at one scale, and what follows from it.
    fn judge(&mut self, now_s: i64, grid: Grid, view: &ResourceView<'_>) -> Option<Open> {
        let history = self.history.take()?;
        let found = self.judge_with(now_s, grid, view, &history);
        self.history = Some(history);
        found
    }

    fn judge_with(
        &mut self,
        now_s: i64,
        grid: Grid,
        view: &ResourceView<'_>,
        history: &History,
    ) -> Option<Open> {
        let total = grid.read(&history.held);
        let rise = trend::fit(&total, grid.fine)?;
        let field = Field::new(view, history, grid);
        let level = if grid.is_daily() { grid.plain().read(&history.held) } else { total.clone() };
        let usual = if grid.is_daily() { mean_before(&level, rise.onset_s) } else { 0.0 };
        let suspect = blame::suspect(&field, &total, &rise, usual, self.settings.evidence)?;
        if suspect.height() < self.settings.rise_min {
            return None;
        }
        self.decide(&Case { now_s, grid, suspect, total: &total, level: &level, history, view })
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
                // Differences of days are slow: they say nothing of shorter looks.
                _ if case.grid.is_daily() => 0,
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
        let open = self.open(case, severity, Some(interval(now_s, from_s, to_s)));
        // A stretch may still be high whose end is not, and a wide one may show what has ended.
        let told = self.faults.told(&suspect.owner, suspect.rise.onset_s).unwrap_or(0);
        let more = case.held() as f64 - told as f64;
        (!open.is_receded(case.held()) && more >= self.settings.rise_min).then_some(open)
    }

    fn explanation(&self, case: &Case<'_>) -> Option<Explanation> {
        if self.seasonal(case) {
            return Some(Explanation::Seasonal);
        }
        let known_from_s = self.known_from_s(case.grid.width_s(), case.history);
        let rise = &case.suspect.rise;
        // A rise is told from the filling of an empty server by the calm before it: as long as the
        // rise itself, or as long as a wave may take. Who grew before needs none after a wave.
        let wave_s = i64::from(self.settings.wave_s);
        let again = rise.length_s() as i64 >= wave_s && self.faults.has(&case.suspect.owner);
        let calm_s = if again { 0 } else { (rise.length_s() as i64).min(wave_s) };
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
            wave_s,
            faults: &self.faults,
            warm_up_s: i64::from(self.settings.warm_up_s),
        };
        if case.grid.is_daily() && case.daily_load() {
            return Some(Explanation::Load);
        }
        explain::explain(&case.suspect, &case.grid.plain(), &around)
    }

    /// Whether earlier days were as high at this clock time.
    fn seasonal(&self, case: &Case<'_>) -> bool {
        let Some(season) = &self.season else { return false };
        let rise = &case.suspect.rise;
        let third_s = (rise.length_s() / 3.0) as i64;
        // What a day may have more than the highest of its week: a little of the level, and never
        // as much of the room as is worth a word.
        let room = case.outlook().map(|outlook| outlook.remaining + rise.height());
        let most = room.map_or(f64::INFINITY, |room| self.settings.ticket_share * room.max(0.0));
        let allowed = |usual: f64| usual + (SEASON_MARGIN * usual).min(most);
        if third_s < SEASON_MEAN_S {
            let peak = season.usual_peak(case.now_s, &self.faults);
            return peak.is_some_and(|peak| case.view.held as f64 <= allowed(peak as f64));
        }
        let from_s = case.now_s - third_s;
        let newest = case.level.iter().filter(|stretch| stretch.from_s >= from_s);
        let (sum, count) = newest.fold((0.0, 0.0), |(sum, count), s| (sum + s.mean, count + 1.0));
        let noise = (rise.noise / third_s as f64).sqrt();
        season
            .usual_mean(from_s, case.now_s, &self.faults)
            .is_some_and(|mean| sum / f64::max(count, 1.0) <= allowed(mean) + 2.0 * noise)
    }

    fn open(&self, case: &Case<'_>, severity: Severity, exhaustion: Option<Interval>) -> Open {
        let Case { view, suspect, .. } = case;
        let rise = &suspect.rise;
        let held = case.held();
        let tolerance_s = 2 * case.grid.width_s() + (rise.length_s() / 4.0) as i64;
        let window_s = (2 * rise.length_s() as i64).max(RELEASE_WINDOW_S);
        // Of a difference from the day before the level before is what it would be without it.
        let base = match case.grid.is_daily() {
            true => (held as f64 - suspect.height()).max(0.0),
            false => rise.base.max(0.0),
        };
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
                .then_some(base.round() as u64),
            growth_per_minute: Some(rise.rate * 60.0),
            exhaustion,
            release: blame::release(suspect, view.lives, tolerance_s, window_s),
            refused: 0,
            doubts: view.doubts.to_vec(),
            detail: None,
        };
        let outlook = case.outlook();
        let slow = |outlook: Outlook| outlook.rate - LOW_QUANTILE * outlook.rate_var.sqrt();
        Open {
            finding,
            seen_s: case.now_s,
            deviations: suspect.deviations(),
            known_s: case.now_s - case.history.known_from_s,
            base: if case.grid.is_daily() { case.lowest().min(base) } else { rise.base },
            found_level: held,
            daily: case.grid.is_daily(),
            around_open: self.open.as_ref().is_some_and(|open| case.includes(&open.finding.owner)),
            high: held,
            high_s: case.now_s,
            low_since_s: None,
            outlook,
            room: outlook.map_or(0.0, |outlook| outlook.remaining + rise.height()),
            slowest: outlook.map_or(rise.rate, slow).clamp(SLOWEST * rise.rate, rise.rate),
            chance_high: suspect.hold_s.map_or(0.0, |_| 2.0 * base.sqrt()),
            filled: false,
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
        match open.follow(now_s, held, view, &self.settings) {
            None => Verdict::Found(open.finding.clone()),
            Some(reason) => self.end(now_s, held, reason),
        }
    }

    /// Ends what is open; what was reached meanwhile is remembered as no usual level.
    fn end(&mut self, now_s: i64, held: u64, reason: Reason) -> Verdict {
        match self.open.take() {
            Some(open) => {
                self.faults.add(open.fault(now_s, held, &self.settings));
                Verdict::Ended(reason)
            }
            None => Verdict::Quiet,
        }
    }
}

/// How many deviations a page needs: the chance of a false one in each doubling of the time
/// watched stays the same, since e^(-z²/2) shrinks as the number of tries grows.
pub(crate) fn page_evidence(settings: &GrowthSettings, known_s: i64) -> f64 {
    let tries = 1.0 + known_s as f64 / TRY_S;
    (settings.evidence.powi(2) + 2.0 * tries.ln()).sqrt()
}

pub(crate) fn interval(now_s: i64, from_s: f64, to_s: Option<f64>) -> Interval {
    let at = |seconds: f64| Time::from_micros(((now_s as f64 + seconds) * 1e6) as i64);
    Interval { from: at(from_s), to: to_s.map(at) }
}

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
const SEASON_MARGIN: f64 = 0.05;
/// One in ten of normally distributed rates is lower by this many deviations.
const LOW_QUANTILE: f64 = 1.28;
/// Nothing is waited for longer than growth at this part of the rate would take.
const SLOWEST: f64 = 0.25;
/// Arrivals that leave more than this part of a difference of days unexplained do not explain it.
const LOAD_UNEXPLAINED: f64 = 0.2;
/// A release is looked for this far before the growth, at least.
const RELEASE_WINDOW_S: i64 = 900;

/// One scale's view of a suspect.
struct Case<'a> {
    now_s: i64,
    grid: Grid,
    suspect: Suspect<'a>,
    /// What everybody holds; compared with the day before, if the grid does so.
    total: &'a [trend::Stretch],
    /// What everybody holds.
    level: &'a [trend::Stretch],
    history: &'a History,
    view: &'a ResourceView<'a>,
}

impl Case<'_> {
    /// Units that the suspect holds now: a count of all need not be told by holder.
    fn held(&self) -> u64 {
        match self.suspect.owner {
            Owner::Holder { .. } => self.suspect.held(),
            Owner::Nobody | Owner::Unknown => self.view.held,
        }
    }

    /// Whether all that `owner` holds is part of what the suspect holds.
    fn includes(&self, owner: &Owner) -> bool {
        let (Owner::Holder { dimension, value }, Owner::Holder { .. }) =
            (owner, &self.suspect.owner)
        else {
            return true;
        };
        let of_owner = |(level, _): &&Member<'_>| level.holder.get(*dimension) == Some(value);
        let part: u64 = self.suspect.members.iter().filter(of_owner).map(|m| m.0.held).sum();
        part == self.history.held_by(*dimension, value, self.view)
    }

    /// The lowest level of the suspect in the last day.
    fn lowest(&self) -> f64 {
        let mut sums = vec![0; self.grid.len()];
        let plain = self.grid.plain();
        for (_, history) in &self.suspect.members {
            plain.add(&history.held, &mut sums);
        }
        plain.stretches(&sums).iter().map(|stretch| stretch.mean).fold(f64::INFINITY, f64::min)
    }

    /// What the forecast needs, where the growth is that of a difference from the day before: the
    /// level itself is taken as it was in the newest stretch.
    fn outlook_of_days(&self, usable: f64) -> Option<Outlook> {
        let Suspect { stretches, rise, .. } = &self.suspect;
        let (rate, rate_var) = trend::plausible_rate(stretches, stretches.len(), rise.rate)?;
        let newest = self.level.last()?;
        let square = self.grid.plain().read(&self.history.square).last()?.mean;
        // Sessions that come and go vary as much as they are many, however calm the newest were.
        let poisson = self.suspect.hold_s.map_or(0.0, |_| self.suspect.usual);
        let level_var = (square - newest.mean * newest.mean).max(poisson);
        let trend = newest.mean + rate * (newest.to_s - newest.from_s) as f64 / 2.0;
        Some(Outlook {
            remaining: usable - trend,
            above: self.view.held as f64 - trend,
            rate,
            rate_var,
            drift_var: rate,
            level_var,
            // A difference has the noise of two days.
            memory_s: (rise.noise / (4.0 * level_var.max(1e-9))).clamp(1.0, 1e6),
        })
    }

    /// Whether the suspect opens so many more sessions than a day before that, each as long as
    /// usual, they are what it holds more (Little's law).
    fn daily_load(&self) -> bool {
        let suspect = &self.suspect;
        let Some(hold_s) = suspect.hold_s else { return false };
        let grid = Grid::new(SCALES - 1, self.now_s, self.history.known_from_s);
        let mut sums = vec![0; grid.len()];
        for (_, history) in &suspect.members {
            grid.add(&history.opened, &mut sums);
        }
        let opened = grid.stretches(&sums);
        // The count of opened sessions at the middle of the stretches, between which it is a line.
        let width_s = BUCKET_S[SCALES - 1] as f64;
        let at = |before_s: f64| {
            let place = opened.len() as f64 - 1.0 - before_s / width_s;
            let (low, part) = (place.floor(), place.fract());
            let (low, high) = (opened.get(low as usize)?, opened.get(low as usize + 1));
            Some(low.mean + part * (high.unwrap_or(low).mean - low.mean))
        };
        let span_s = 2.0 * width_s;
        let day_s = DAY_S as f64;
        let parts = (at(0.0), at(span_s), at(day_s), at(day_s + span_s));
        let (Some(now), Some(then), Some(day), Some(day_then)) = parts else { return false };
        if (opened.len() as f64 - 1.0) * width_s < day_s + span_s {
            return false;
        }
        let more = ((now - then) - (day - day_then)) / span_s * hold_s;
        more >= (1.0 - LOAD_UNEXPLAINED) * suspect.height()
    }

    /// What the forecast needs, if there is a limit.
    fn outlook(&self) -> Option<Outlook> {
        let usable = self.view.usable? as f64;
        let rise = &self.suspect.rise;
        if self.grid.is_daily() {
            return self.outlook_of_days(usable);
        }
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
        // The newest burst is no onset of its own: growth may have begun in any stretch.
        let stretches = &self.suspect.stretches;
        let (rate, rate_var) = trend::plausible_rate(stretches, stretches.len(), rise.rate)?;
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
