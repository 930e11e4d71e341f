//! Arguments of table functions: literals, since the rows are chosen before the query is planned.

use std::time::Duration;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

/// The widest margin: ten years.
const MARGIN_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The text of an argument; a cast around it changes nothing.
pub(super) fn text<'a>(argument: &'a Expr, what: &str, example: &str) -> Result<&'a str> {
    let mut inner = argument;
    while let Expr::Cast(cast) = inner {
        inner = &cast.expr;
    }
    match inner {
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(text)) => Ok(text),
            _ => plan_err!("{what} must be a text such as {example}, not {value}"),
        },
        other => plan_err!("{what} must be written out, for example {example}, not `{other}`"),
    }
}

/// A moment in microseconds since 1970; a text without a zone is UTC.
pub(super) fn time_us(argument: &Expr, what: &str) -> Result<i64> {
    const EXAMPLE: &str = "'2024-03-12 15:10:00'";
    if let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), _), _) = argument {
        return Ok(*micros);
    }
    if let Expr::Literal(ScalarValue::TimestampNanosecond(Some(nanos), _), _) = argument {
        return Ok(nanos.div_euclid(1_000));
    }
    let text = text(argument, what, EXAMPLE)?;
    match string_to_timestamp_nanos(text) {
        Ok(nanos) => Ok(nanos.div_euclid(1_000)),
        Err(_) => plan_err!("{what} `{text}` must be a time such as {EXAMPLE} (UTC)"),
    }
}

/// A length of time: `'15m'`, `'90 seconds'` or `INTERVAL '15 minutes'`.
pub(super) fn margin(argument: &Expr) -> Result<Duration> {
    let (margin, said) = match argument {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) => {
            let seconds = i64::from(value.days) * 86_400 + value.nanoseconds / 1_000_000_000;
            let seconds = u64::try_from(seconds).ok().filter(|_| value.months == 0);
            (seconds.map(Duration::from_secs), argument.to_string())
        }
        other => {
            let said = text(other, "the margin", "'15m'")?;
            (length(said), said.to_owned())
        }
    };
    match margin {
        Some(margin) if margin <= MARGIN_MAX => Ok(margin),
        _ => plan_err!(
            "the margin `{said}` must be a length of time such as '15m', '2h' or INTERVAL '90 seconds', ten years at most"
        ),
    }
}

fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    let seconds = match text[end..].trim() {
        "s" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[track_caller]
    fn check_margin(text: &str, expected: Option<u64>) {
        assert_eq!(margin(&lit(text)).ok(), expected.map(Duration::from_secs));
    }

    #[test]
    fn margins() {
        check_margin("15m", Some(900));
        check_margin(" 90 seconds ", Some(90));
        check_margin("2h", Some(7_200));
        check_margin("0s", Some(0));
        check_margin("3651d", Some(3651 * 86_400));
        check_margin("99999999d", None);
        check_margin("18446744073709551615d", None);
        check_margin("15", None);
        check_margin("-1m", None);
        check_margin("fifteen minutes", None);
        check_margin("", None);
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        // 2024-03-12T15:10:00Z is 1710256200 s, by Python's datetime.
        let micros = |text: &str| time_us(&lit(text), "the time").ok();
        assert_eq!(micros("2024-03-12 15:10:00"), Some(1_710_256_200_000_000));
        assert_eq!(micros("2024-03-12T16:10:00+01:00"), Some(1_710_256_200_000_000));
        assert_eq!(micros("yesterday"), None);
        assert_eq!(time_us(&lit(7), "the time").ok(), None);
    }
}
