//! Memory over time: a line for each life, through its floors where the evidence has them.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::samples::metric;
use plimsoll_model::{Dimension, Finding, Second};

use super::evidence::Columns;
use super::levels::{Grid, Of, Series};

/// Values of one life that are further apart are not joined, unless they usually are.
const JOINED_S: i64 = 300;
/// How many usual distances may lie between two values that are joined.
const JOINED_DISTANCES: i64 = 3;
/// How the names of the metrics begin that are the lowest levels of stretches of time.
const FLOORS: &str = "memory_floor";

/// One value in the evidence.
#[derive(Clone, Debug)]
pub(super) struct Point {
    second: Second,
    holder: u64,
    /// The value of the dimension that tells bands apart.
    value: Option<String>,
    is_owners: bool,
    metric: String,
    held: u64,
}

/// Whose life began when.
pub(super) type Life = (u64, Second);

/// Every life as a line on common steps.
#[derive(Debug)]
pub(super) struct Lines {
    pub grid: Grid,
    pub of: Of,
    pub by_value: BTreeMap<Option<String>, Series>,
}

pub(super) fn point(
    columns: &Columns<'_>,
    row: usize,
    of: &Finding,
    dimension: Dimension,
) -> Option<Point> {
    (columns.word("resource", row)? == of.resource).then_some(())?;
    let name = columns.word("metric", row)?;
    (name == metric::MEMORY || name.starts_with(FLOORS)).then_some(())?;
    Some(Point {
        second: columns.time("time", row)?.second(),
        holder: columns.count("holder_key", row)?,
        value: columns.holder(dimension, row).map(str::to_owned),
        is_owners: columns.is_of(&of.owner, row),
        metric: name.to_owned(),
        held: columns.value("value", row)?.max(0.0) as u64,
    })
}

pub(super) fn life(columns: &Columns<'_>, row: usize) -> Option<Life> {
    Some((columns.count("holder_key", row)?, columns.time("started_at", row)?.second()))
}

/// The lines through the tick `through`; `None` without any value.
///
/// A life is drawn by one metric, since floors of stretches of different widths, or a floor and a
/// value above it, would look like growth. No line goes from one life to the next.
pub(super) fn lines(points: Vec<Point>, lives: &BTreeSet<Life>, through: Second) -> Option<Lines> {
    let first = points.iter().map(|point| point.second).min()?;
    let last = points.iter().map(|point| point.second).max()?;
    let grid = Grid::over(first, last.max(through));
    let mut by_life: BTreeMap<Life, BTreeMap<String, Vec<Point>>> = BTreeMap::new();
    for point in points {
        let metrics = by_life.entry(life_of(&point, lives)).or_default();
        metrics.entry(point.metric.clone()).or_default().push(point);
    }
    let mut of = Of::Measured;
    let mut by_value: BTreeMap<Option<String>, Series> = BTreeMap::new();
    for mut metrics in by_life.into_values() {
        for points in metrics.values_mut() {
            points.sort_by_key(|point| (point.second, point.held));
            points.dedup_by_key(|point| point.second);
        }
        let Some(points) = metrics.into_values().max_by_key(|points| worth(points)) else {
            continue;
        };
        if points[0].metric.starts_with(FLOORS) {
            of = Of::Floors;
        }
        let series = by_value.entry(points[0].value.clone()).or_default();
        series.is_owners |= points[0].is_owners;
        series.held.resize(grid.points, None);
        for (held, here) in series.held.iter_mut().zip(on(&grid, &points)) {
            // Several lives that are not told apart: the highest is nearest to its limit.
            *held = (*held).max(here);
        }
    }
    Some(Lines { grid, of, by_value })
}

/// The last life of the point's holder that had begun; its first one if none had.
fn life_of(point: &Point, lives: &BTreeSet<Life>) -> Life {
    let (never, ever) = (Second(i64::MIN), Second(i64::MAX));
    let begun = lives.range((point.holder, never)..=(point.holder, point.second)).next_back();
    let mut all = lives.range((point.holder, never)..=(point.holder, ever));
    begun.or_else(|| all.next()).copied().unwrap_or((point.holder, never))
}

/// Which metric shows a life best: the floors of all of it, then those told last.
fn worth(points: &[Point]) -> (bool, bool, bool, Option<Second>) {
    let name = points[0].metric.as_str();
    let newest = points.last().map(|point| point.second);
    (points.len() > 1, name.starts_with(FLOORS), name == FLOORS, newest)
}

/// The values of one life, in the order of time, at the middle of each step.
fn on(grid: &Grid, points: &[Point]) -> Vec<Option<u64>> {
    let mut held = vec![None; grid.points];
    let step_of = |second: Second| (second.since(grid.first) / grid.step) as usize;
    let mut apart: Vec<i64> =
        points.windows(2).map(|pair| pair[1].second.since(pair[0].second)).collect();
    apart.sort_unstable();
    let usual = apart.get(apart.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    let joined_s = JOINED_S.max(JOINED_DISTANCES * usual);
    for pair in points.windows(2) {
        let [a, b] = pair else { continue };
        let apart = b.second.since(a.second);
        if apart > joined_s {
            continue;
        }
        let rise = b.held as f64 - a.held as f64;
        let before = held.iter_mut().enumerate().take(step_of(b.second));
        for (step, held) in before.skip(step_of(a.second) + 1) {
            let middle = grid.first.0 + step as i64 * grid.step + grid.step / 2;
            let share = (middle - a.second.0) as f64 / apart as f64;
            *held = Some((a.held as f64 + rise * share) as u64);
        }
    }
    for point in points {
        held[step_of(point.second)] = Some(point.held);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: &str = "memory_floor";
    const WIDE: &str = "memory_floor_128s";
    const VALUE: &str = "memory";

    fn point(second: i64, metric: &str, held: u64) -> Point {
        let (metric, value) = (metric.to_owned(), Some("web-1".to_owned()));
        Point { second: Second(second), holder: 7, value, is_owners: true, metric, held }
    }

    /// Steps of ten seconds; `-` where nothing is known.
    #[track_caller]
    fn check(points: &[Point], lives: &[i64], through: i64, of: Of, expected: &str) {
        let lives: BTreeSet<Life> = lives.iter().map(|second| (7, Second(*second))).collect();
        let lines = lines(points.to_vec(), &lives, Second(through)).unwrap();
        let held = &lines.by_value[&Some("web-1".to_owned())].held;
        let said: Vec<_> =
            held.iter().map(|held| held.map_or("-".to_owned(), |held| held.to_string())).collect();
        assert_eq!((lines.grid.step, lines.of, said.join(" ")), (10, of, expected.to_owned()));
    }

    #[test]
    fn values_that_follow_each_other_are_joined() {
        // From 10 at 5 s to 40 at 35 s: one a second; the steps between have their middle at 15
        // and 25 s.
        let points = [point(5, FLOOR, 10), point(35, FLOOR, 40)];
        check(&points, &[0], 0, Of::Floors, "10 20 30 40");
    }

    #[test]
    fn a_measured_value_does_not_stand_for_ever() {
        let gap = "- ".repeat(30);
        let points = [point(0, VALUE, 1), point(10, VALUE, 2), point(311, VALUE, 3)];
        check(&points, &[0], 0, Of::Measured, &format!("1 2 {}3", &gap[2..]));
    }

    #[test]
    fn after_the_last_value_nothing_is_known() {
        check(&[point(0, VALUE, 1)], &[0], 25, Of::Measured, "1 - -");
    }

    #[test]
    fn no_line_goes_from_one_life_to_the_next() {
        let points = [0, 10, 40, 50].map(|second| point(second, FLOOR, 9 - second as u64 / 10));
        check(&points, &[0, 30], 0, Of::Floors, "9 8 - - 5 4");
    }

    #[test]
    fn one_life_is_drawn_by_one_metric() {
        let points = [
            point(0, FLOOR, 10),
            point(10, WIDE, 5),
            point(20, FLOOR, 12),
            point(20, VALUE, 90),
            point(30, WIDE, 7),
        ];
        check(&points, &[0], 0, Of::Floors, "10 11 12 -");
    }

    #[test]
    fn a_life_that_goes_on_is_drawn_by_the_floors_that_were_told_last() {
        let wider = "memory_floor_512s";
        let points = [
            point(0, WIDE, 10),
            point(10, WIDE, 11),
            point(20, wider, 5),
            point(30, wider, 6),
            point(30, VALUE, 90),
        ];
        check(&points, &[0], 0, Of::Floors, "- - 5 6");
    }

    #[test]
    fn no_values_no_lines() {
        assert!(lines(Vec::new(), &BTreeSet::new(), Second(0)).is_none());
    }
}
