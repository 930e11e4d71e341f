//! One rise: the line through the floors of one window, what it may be, and when it reaches the
//! limit.
//!
//! `docs/detectors.md`, "Growth within a life".

use plimsoll_model::{Interval, Time};
use serde::{Deserialize, Serialize};

use super::fit::{self, Line};
use super::floors::Point;
use super::ledger::{Life, Service};

/// A slope is one if it is so many standard errors above zero.
const EVIDENCE: f64 = 4.0;

/// No two neighbouring floors may make more of the rise: that is a step.
const JUMP_MAX: f64 = 0.4;

/// What has not been collected for so many of the usual times between two falls is not.
const CYCLES: f64 = 1.5;

/// Growth in one window of one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rise {
    /// Which window it is.
    pub scale: u8,
    /// The first floor of the line.
    pub since: Time,
    /// The newest floor.
    pub at: Time,
    /// Bytes per second.
    pub slope: f64,
    /// The relative error of the slope.
    pub doubt: f64,
    pub noise: f64,
    /// What is held against the limit, on the line at `at`.
    pub level: f64,
    /// What was gained over the window.
    pub gained: f64,
    pub limit: f64,
    /// When the limit is reached.
    pub interval: Interval,
    /// Whether each third of the window brought at least half of what a line brings.
    pub is_steady: bool,
}

/// What a rise may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// Growth that goes on.
    Straight,
    /// It looks as if it levelled off below the limit, and may as well not.
    Bent,
    /// Chance, a step, a collector between two collections, what levels off, or what began within
    /// the window.
    Harmless,
}

/// One window.
pub(crate) struct Window {
    pub scale: u8,
    /// Its complete stretches.
    pub points: Vec<Point>,
    /// Their width, in seconds.
    pub width_s: f64,
}

impl Rise {
    /// The rise that a window shows and what it may be; `None` if it does not rise.
    pub fn measure(
        window: &Window,
        service: &Service,
        life: &Life,
        limit: f64,
    ) -> Option<(Rise, Shape)> {
        let Window { scale, points, width_s } = window;
        let line = Line::through(points, |point| point.low)?;
        if line.slope <= 0.0 {
            return None;
        }
        let gained = line.slope * line.span_s;
        // What is judged against the limit are the peaks, unless they are held down while the
        // floors rise: a collector lets the heap fill up to its limit.
        let peaks = Line::through(points, |point| point.high)?;
        let judged = if peaks.slope >= 0.5 * line.slope { peaks } else { line };
        let after_s = peak_after_s(points, line.slope, *width_s, service.interval_s());
        let passage = Passage { line, judged, after_s };
        let at_s = points[points.len() - 1].at_s;
        let level = passage.level();
        let (from_s, to_s) = passage.reaches_s(limit);
        let moment = |after_s: f64| Time::from_micros(((at_s + after_s) * 1e6) as i64);
        let to = to_s.map(moment).filter(|to| to.is_plausible());
        let rise = Rise {
            scale: *scale,
            since: Time::from_micros((points[0].at_s * 1e6) as i64),
            at: moment(0.0),
            slope: line.slope,
            doubt: line.slope_error / line.slope,
            noise: judged.noise,
            level,
            gained,
            limit,
            interval: Interval { from: moment(from_s), to },
            is_steady: fit::is_steady(points, gained),
        };
        let shape = rise.shape(window, &line, service, life);
        Some((rise, shape))
    }

    fn shape(&self, window: &Window, line: &Line, service: &Service, life: &Life) -> Shape {
        let Window { points, width_s, .. } = window;
        // Between two collections floors rise by themselves, as long as there are any.
        let is_between = |rise: f64| {
            let cycle_s = CYCLES * service.cycle_s(rise / 4.0);
            let unfallen_us = life.last.micros_since(life.unfallen_since(rise / 4.0));
            *width_s < cycle_s && (unfallen_us as f64 / 1e6) < cycle_s
        };
        if is_between(self.gained)
            || is_between(life.climb().1)
            || line.evidence() < EVIDENCE
            || fit::largest_jump(points, self.gained) > JUMP_MAX
        {
            return Shape::Harmless;
        }
        let third = &points[points.len() - (points.len() / 3).max(8)..];
        let goes_on = Line::through(third, |point| point.low)
            .is_some_and(|third| third.slope + third.slope_error >= 0.5 * line.slope);
        let (early, late) = fit::halves(points);
        if !goes_on || early + late <= 0.0 {
            return Shape::Harmless;
        }
        // The slope of half of the points is 2√2 times less certain than that of all.
        let error = 2.0 * std::f64::consts::SQRT_2 * line.slope_error;
        // It began within the window: a shorter one knows it better.
        if late - error > 2.0 * (early + error) {
            return Shape::Harmless;
        }
        let ends_below = |early: f64, late: f64| {
            early > 0.0 && self.level + self.gained * fit::more(late / early) < self.limit
        };
        match (ends_below(early, late), ends_below(early - error, late + error)) {
            (false, _) => Shape::Straight,
            (true, false) => Shape::Bent,
            (true, true) => Shape::Harmless,
        }
    }

    /// How long the window is, in seconds.
    pub fn span_s(&self) -> f64 {
        self.at.micros_since(self.since) as f64 / 1e6
    }

    /// Whether `level`, seen at `now`, still lies where the line leads, and the line is not old.
    pub fn goes_on(&self, level: f64, now: Time) -> bool {
        level >= self.level - 4.0 * self.noise - 0.1 * self.gained
            && now.micros_since(self.at) < self.at.micros_since(self.since) / 2
            && self.interval.to.is_none_or(|to| now <= to)
    }

    /// Whether the floors of a shorter window, which is at the end of this one, certainly rise less
    /// than `share` times as fast.
    pub fn is_slower_in(&self, newest: &[Point], share: f64) -> bool {
        let Some(line) = Line::through(newest, |point| point.low) else { return false };
        let student = fit::student_90(line.independent - 2.0);
        line.slope + student * line.slope_error < share * self.slope
    }
}

/// How far after the middle of its stretch the most in use lies, in seconds: at the newest sample
/// of the stretch as far as the rise explains what lies between the least and the most.
fn peak_after_s(points: &[Point], slope: f64, width_s: f64, every_s: f64) -> f64 {
    let inner_s = (width_s - every_s).max(0.0);
    let range =
        points.iter().map(|point| point.high - point.low).sum::<f64>() / points.len() as f64;
    let explained = (slope * inner_s / range.max(f64::MIN_POSITIVE)).min(1.0);
    inner_s / 2.0 * explained
}

/// The way of the peaks to the limit: their level, and the slope of the floors.
struct Passage {
    line: Line,
    judged: Line,
    after_s: f64,
}

impl Passage {
    /// Where the line of the peaks is at the newest floor.
    fn level(&self) -> f64 {
        self.judged.mean + self.line.slope * (self.judged.span_s / 2.0 - self.after_s)
    }

    /// The 10 % and the 90 % quantile of the time from the newest floor until a peak reaches
    /// `limit`, in seconds.
    ///
    /// A peak at x seconds from the middle of the window is normal around m + b x with the variance
    /// σ² (1 + 1/n) + s² x². The moments at which the limit is one of its quantiles solve a
    /// quadratic equation.
    ///
    /// Source: Draper and Smith, *Applied Regression Analysis*, 3rd ed., 3.2, inverse regression.
    fn reaches_s(&self, limit: f64) -> (f64, Option<f64>) {
        let (slope, slope_error) = (self.line.slope, self.line.slope_error);
        let student = fit::student_90(self.line.independent.min(self.judged.independent) - 2.0);
        let room = limit - self.judged.mean;
        let single = self.judged.noise.powi(2) * (1.0 + 1.0 / self.judged.independent);
        let (level_2, slope_2) = (student.powi(2) * single, (student * slope_error).powi(2));
        let steep = slope * slope - slope_2;
        let newest_s = self.judged.span_s / 2.0 - self.after_s;
        // A line that is less certain than this may as well fall.
        if steep <= 0.0 {
            let soon_s = (room - level_2.sqrt()) / (slope + slope_2.sqrt());
            return ((soon_s - newest_s).max(0.0), None);
        }
        let root = (level_2 * steep + slope_2 * room * room).max(0.0).sqrt();
        let at_s = |sign: f64| ((slope * room + sign * root) / steep - newest_s).max(0.0);
        (at_s(-1.0), Some(at_s(1.0)))
    }
}
