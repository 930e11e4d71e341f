//! Straight lines through floors, with what is not known of them.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::floors::Point;

/// The fewest floors that a line is laid through.
pub const POINTS_MIN: usize = 8;

/// A straight line by least squares. `docs/detectors.md`, "Lives".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Growth, bytes per second.
    pub slope: f64,
    /// Its standard error, with the residuals' likeness to their neighbours accounted for.
    pub slope_error: f64,
    /// The standard deviation of the residuals, bytes.
    pub noise: f64,
    /// The value of the line at the last point, bytes.
    pub last: f64,
    /// The mean of the values, bytes.
    pub mean: f64,
    /// From the first point to the last, seconds.
    pub span_s: f64,
    /// How many points are as good as independent, at least 3.
    pub independent: f64,
}

impl Line {
    /// The line through `value` of the points; `None` below [`POINTS_MIN`]. Flat points have
    /// slope zero, and no noise is taken to be smaller than a billionth of the level.
    pub fn through(points: &[Point], value: impl Fn(&Point) -> f64) -> Option<Line> {
        if points.len() < POINTS_MIN {
            return None;
        }
        let count = points.len() as f64;
        let origin = points[0].at_s;
        let mean_x = points.iter().map(|point| point.at_s - origin).sum::<f64>() / count;
        let mean_y = points.iter().map(&value).sum::<f64>() / count;
        let (mut xx, mut xy) = (0.0, 0.0);
        for point in points {
            let x = point.at_s - origin - mean_x;
            xx += x * x;
            xy += x * (value(point) - mean_y);
        }
        let slope = xy / xx;
        let rest: Vec<f64> = (points.iter())
            .map(|point| value(point) - mean_y - slope * (point.at_s - origin - mean_x))
            .collect();
        let squares: f64 = rest.iter().map(|rest| rest * rest).sum();
        let neighbours: f64 = rest.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let alike = if squares > 0.0 { (neighbours / squares).clamp(0.0, 0.8) } else { 0.0 };
        let stretch = (1.0 + alike) / (1.0 - alike);
        let noise = (squares / (count - 2.0)).sqrt().max(mean_y.abs() * 1e-9);
        let last = points[points.len() - 1].at_s - origin;
        Some(Line {
            slope,
            slope_error: noise / xx.sqrt() * stretch.sqrt(),
            noise,
            last: mean_y + slope * (last - mean_x),
            mean: mean_y,
            span_s: last,
            independent: (count / stretch).max(3.0),
        })
    }

    /// How many standard errors the slope lies above zero.
    pub fn evidence(&self) -> f64 {
        self.slope / self.slope_error
    }
}

/// The 90 % quantile of Student's distribution.
pub fn student_90(freedom: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom.max(1.0)).expect("freedom is positive");
    student.inverse_cdf(0.9)
}

/// The slopes of the first and of the second half of the points, bytes per second.
pub fn halves(points: &[Point]) -> (f64, f64) {
    let (first, second) = points.split_at(points.len() / 2);
    let slope = |half: &[Point]| {
        let count = half.len() as f64;
        let mean_x = half.iter().map(|point| point.at_s).sum::<f64>() / count;
        let mean_y = half.iter().map(|point| point.low).sum::<f64>() / count;
        let (mut xx, mut xy) = (0.0, 0.0);
        for point in half {
            xx += (point.at_s - mean_x).powi(2);
            xy += (point.at_s - mean_x) * (point.low - mean_y);
        }
        if xx > 0.0 { xy / xx } else { 0.0 }
    };
    (slope(first), slope(second))
}

/// The rise in the second half of the points divided by that in the first, each by its own line:
/// 1 for a line, e^(−T/2τ) for what fills with the time constant τ. `None` if there was no rise.
pub fn second_half(points: &[Point]) -> Option<f64> {
    let (early, late) = halves(points);
    (early > 0.0).then(|| late / early)
}

/// What is still to come, in shares of the rise so far, if rises over equal times form a geometric
/// series and the second half's was `ratio` of the first's; without end from 1 on.
pub fn more(ratio: f64) -> f64 {
    let ratio = ratio.max(0.0);
    if ratio >= 1.0 { f64::INFINITY } else { ratio * ratio / (1.0 + ratio) / (1.0 - ratio) }
}

/// Whether the least of each third of the points lies above that of the third before by at least
/// half of what a line that gains `gained` brings in that time.
pub fn is_steady(points: &[Point], gained: f64) -> bool {
    let third = points.len() / 3;
    if third == 0 {
        return false;
    }
    let lows = points.rchunks_exact(third).take(3);
    let lows: Vec<f64> =
        lows.map(|part| part.iter().map(|point| point.low).fold(f64::INFINITY, f64::min)).collect();
    lows.windows(2).all(|pair| pair[0] - pair[1] >= gained / 6.0)
}

/// The largest share of the rise that came from one floor to the next: nearly 1 for a step.
pub fn largest_jump(points: &[Point], rise: f64) -> f64 {
    let jumps = points.windows(2).map(|pair| pair[1].low - pair[0].low);
    jumps.fold(0.0, f64::max) / rise.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let values = values.into_iter().enumerate();
        values.map(|(at, low)| Point { at_s: at as f64, low, high: low }).collect()
    }

    #[test]
    fn a_line_is_found_as_it_is() {
        let line = Line::through(&points((0..10).map(|x| 3.0 + 2.0 * f64::from(x))), |it| it.low);
        let line = line.unwrap();
        assert!((line.slope - 2.0).abs() < 1e-12 && (line.last - 21.0).abs() < 1e-9);
    }

    #[test]
    fn the_error_of_a_slope_is_that_of_the_textbook() {
        // 0, 1, 0, 1 …: by hand, Sxx = 82.5, Sxy = 2.5, residual squares 2.5 − 2.5²/82.5 = 2.4242;
        // neighbours are unlike, so nothing is added: √(2.4242 / 8 / 82.5) = 0.060606.
        let line = Line::through(&points((0..10).map(|x| f64::from(x % 2))), |it| it.low).unwrap();
        assert!((line.slope - 2.5 / 82.5).abs() < 1e-12);
        assert!((line.slope_error - 0.060_606).abs() < 1e-5, "{line:?}");
    }

    #[test]
    fn few_points_have_no_line() {
        assert_eq!(Line::through(&points([1.0, 2.0, 3.0]), |it| it.low), None);
    }

    #[test]
    fn what_fills_up_is_slower_in_the_second_half() {
        // 1 − e^(−t/20) over 0..40: halves of 20, so the ratio is e⁻¹ = 0.368.
        let ratio = second_half(&points((0..40).map(|t| 1.0 - (-f64::from(t) / 20.0).exp())));
        assert!((ratio.unwrap() - 0.368).abs() < 1e-3, "{ratio:?}");
        assert!((second_half(&points((0..40).map(f64::from))).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_to_come_is_the_rest_of_a_geometric_series() {
        // By hand: 1/2 then 1/4 leaves 1/4, a third of the 3/4 so far.
        assert!((more(0.5) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((more(-0.2), more(1.0)), (0.0, f64::INFINITY));
    }

    #[test]
    fn a_line_is_steady_and_a_step_or_one_high_day_is_not() {
        let steady = |values: &[f64]| {
            let points = points(values.iter().copied());
            is_steady(&points, values[values.len() - 1] - values[0])
        };
        assert!(steady(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
        assert!(!steady(&[0.0, 0.0, 0.0, 0.0, 8.0, 8.0, 8.0, 8.0, 8.0]));
        assert!(!steady(&[0.0, 4.0, 0.0, 0.0, 4.0, 0.0, 0.0, 8.0, 8.0]));
    }

    #[test]
    fn the_quantile_of_student_is_that_of_the_tables() {
        assert!((student_90(10.0) - 1.372).abs() < 1e-3);
    }
}
