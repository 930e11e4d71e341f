//! What the proof of calls that are held open has beyond who holds what: rates, hold times and
//! what it costs others.

use plimsoll_model::detail::HeldOpen;
use plimsoll_model::{IncidentId, Second};

use super::{LEVEL, moment};
use crate::account::{FLOW_S, metric};
use crate::ledger::EVIDENCE_SESSIONS_MAX;

/// The columns; those of the owner only if there is one.
pub(super) fn columns(calls: &HeldOpen, has_owner: bool) -> Vec<String> {
    // Of what only has ended no row says who holds it: at most all of the level is theirs.
    let at_most_all =
        |of: &str| format!("CASE WHEN MAX({of}) > {LEVEL} THEN {LEVEL} ELSE MAX({of}) END");
    let (arrivals, held) = match calls.estimated {
        true => ("MAX(usual_rate)", at_most_all("all_held")),
        false => ("MAX(arrivals)", "MAX(all_held)".to_owned()),
    };
    let mut columns = Vec::new();
    if has_owner && calls.estimated {
        columns.push(format!("{} AS owner_level", at_most_all("one_held")));
        columns.push("ROUND(MAX(one_usual)) AS owner_level_before".to_owned());
    } else if has_owner {
        columns.push("MAX(open_calls) AS open_calls".to_owned());
    }
    if !calls.further.is_empty() {
        columns.push(format!("{held} AS culprits_level"));
    }
    let by_held = match calls.estimated {
        true => format!("{held} / CASE WHEN {arrivals} < 0.1 THEN 0.1 ELSE {arrivals} END"),
        false => {
            "MAX(held_age_s) / CASE WHEN MAX(all_held) < 1 THEN 1 ELSE MAX(all_held) END".to_owned()
        }
    };
    let by_ended = "MAX(ended_age_s) / CASE WHEN MAX(ended) < 1 THEN 1 ELSE MAX(ended) END";
    columns.extend([
        "MAX(limit_now) AS usable".to_owned(),
        format!("{arrivals} AS arrivals_per_s"),
        "MAX(usual_rate) AS arrivals_per_s_before".to_owned(),
        format!("CASE WHEN {by_held} > {by_ended} THEN {by_held} ELSE {by_ended} END AS hold_s"),
        "MAX(all_usual) / NULLIF(MAX(usual_rate), 0) AS hold_s_before".to_owned(),
        "ROUND(MAX(excess)) AS unfinished".to_owned(),
        "MAX(waiting) AS victims".to_owned(),
        "MAX(waited_s) AS victims_waited_s".to_owned(),
    ]);
    columns
}

/// The tables that the columns come from, and what to read.
///
/// `told` are the numbers of each culprit, or of everybody, at the transition; `culprits` has a
/// row for each, `flows` their sum, `costs` who waited (at the end: in all), and `calls` the owner's single calls.
pub(super) fn tables(
    incident: IncidentId,
    calls: &HeldOpen,
    owned: &str,
    (as_of, paid_at): (Second, Second),
) -> (String, &'static str) {
    let (now, after, paid) = (moment(as_of), moment(Second(as_of.0 + 1)), moment(paid_at));
    let of = |name: &str| format!("SUM(CASE WHEN metric = '{name}' THEN value END)");
    let held = match calls.estimated {
        true => format!(
            "ROUND({} + {} - {})",
            of(metric::USUAL_HELD),
            of(metric::OBSERVED_HELD),
            of(metric::EXPECTED_HELD)
        ),
        false => of(metric::HELD),
    };
    let [waited, others, others_s] =
        [metric::WAITED, metric::OTHERS_WAITING, metric::OTHERS_WAITED];
    let tables = format!(
        ", told AS (
  SELECT metric, value, holder_key, CASE WHEN {owned} THEN 1 ELSE 0 END AS is_owner
  FROM samples WHERE incident = '{incident}' AND time = '{now}'
), paid AS (
  SELECT metric, value FROM samples WHERE incident = '{incident}' AND time = '{paid}'
), limits AS (
  SELECT MAX(CASE WHEN metric = '{limit}' THEN value END) AS limit_now FROM told
), culprits AS (
  SELECT MAX(is_owner) AS is_first, {held} AS held_now, {usual_held} AS held_usually,
    {observed} - {expected} AS held_beyond, {rate} AS rate_usually,
    {held_age} AS held_age_now, {began} AS calls_began, {ended} AS calls_ended, {age} AS calls_ended_age
  FROM told WHERE metric NOT IN ('{limit}', '{waited}', '{others}', '{others_s}')
  GROUP BY holder_key
), flows AS (
  SELECT SUM(held_now) AS all_held, SUM(held_usually) AS all_usual,
    SUM(CASE WHEN is_first = 1 THEN held_now END) AS one_held,
    SUM(CASE WHEN is_first = 1 THEN held_usually END) AS one_usual,
    SUM(held_age_now) AS held_age_s, SUM(held_beyond) AS excess, SUM(rate_usually) AS usual_rate,
    SUM(calls_began) / {FLOW_S} AS arrivals,
    SUM(calls_ended) AS ended, SUM(calls_ended_age) AS ended_age_s
  FROM culprits
), costs AS (
  SELECT SUM(CASE WHEN metric = '{waited}' THEN 1 WHEN metric = '{others}' THEN value ELSE 0 END)
      AS waiting,
    SUM(CASE WHEN metric IN ('{waited}', '{others_s}') THEN value ELSE 0 END) AS waited_s
  FROM paid
), calls AS (
  SELECT CASE WHEN COUNT(*) BETWEEN 1 AND {most} THEN CAST(COUNT(*) AS DOUBLE) END AS open_calls
  FROM sessions
  WHERE incident = '{incident}' AND {owned} AND started_at < '{after}'
    AND (ended_at IS NULL OR ended_at >= '{after}')
)",
        usual_held = of(metric::USUAL_HELD),
        observed = of(metric::OBSERVED_HELD),
        expected = of(metric::EXPECTED_HELD),
        rate = of(metric::USUAL_RATE),
        held_age = of(metric::HELD_AGE),
        began = of(metric::CALLS_BEGAN),
        ended = of(metric::CALLS_ENDED),
        age = of(metric::CALLS_ENDED_AGE),
        limit = metric::USABLE,
        most = EVIDENCE_SESSIONS_MAX - 1,
    );
    (tables, "sums CROSS JOIN flows CROSS JOIN limits CROSS JOIN costs CROSS JOIN calls")
}
