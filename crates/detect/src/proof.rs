//! The proof of a transition: SQL over the tables of evidence that gives its numbers again.
//!
//! The text is made of the kind, names (the owner's, an instance's, a metric's), the incident's id
//! and the times `since` and `as_of`; of none of the numbers that it proves. It keeps to what DataFusion and ClickHouse
//! understand alike. `docs/sql.md`, "The proof of an incident", says how exact each number is.

mod held_open;

use plimsoll_model::{Detail, Dimension, Finding, IncidentId, Kind, Owner, Second};

/// The proof of `finding`, as incident `incident` told it at `as_of`; what it cost others was told
/// at `paid_at`, if that is another time.
pub(crate) fn proof(
    incident: IncidentId,
    finding: &Finding,
    as_of: Second,
    paid_at: Option<Second>,
) -> String {
    match finding.kind {
        Kind::GrowthToLimit | Kind::RefusalAtLimit | Kind::HeldOpen => {
            panes(incident, finding, as_of, paid_at.unwrap_or(as_of))
        }
        Kind::GrowthWithinLife => within(incident, finding, as_of),
        Kind::GrowthAcrossLives => across(incident, finding, as_of),
        Kind::NotBack => absence(incident, finding, as_of),
    }
}

/// Who held how much, from panes.
///
/// A row of `panes` says what one holder holds from the end of its pane on. Its difference from the
/// holder's row before, summed over holders and panes, is the level at each pane. The growth is the
/// slope of the least-squares line through that step function, by its integrals: between two
/// panes at a and b seconds the level is constant.
fn panes(incident: IncidentId, finding: &Finding, as_of: Second, paid_at: Second) -> String {
    let owner = match &finding.owner {
        Owner::Holder { dimension, value } => Some(is_owner(*dimension, value)),
        Owner::Nobody | Owner::Unknown => None,
    };
    let owned = owner.as_deref().unwrap_or("1 = 0");
    let grown = if owner.is_some() { "owned" } else { "held_units" };
    let is_growth = finding.kind == Kind::GrowthToLimit;
    let is_refusal = finding.kind == Kind::RefusalAtLimit;
    let since = moment(Second(finding.since.0 - finding.since.0.rem_euclid(10)));
    let mut columns = vec![format!("{LEVEL} AS level")];
    // No row says who holds what as long as only ended calls are logged.
    let calls = match &finding.detail {
        Some(Detail::HeldOpen(detail)) => Some(detail),
        _ => None,
    };
    if owner.is_some() && calls.is_none_or(|calls| !calls.estimated) {
        columns.push("MAX(CASE WHEN place = 1 THEN owned END) AS owner_level".to_owned());
        columns.push(match is_refusal {
            // What it held when the first was refused.
            true => "MAX(CASE WHEN since = 1 AND since_place = 1 THEN owned END) \
                     AS owner_level_before"
                .to_owned(),
            false => format!("ROUND({MEAN_BEFORE}) AS owner_level_before"),
        });
    }
    if let Some(calls) = calls {
        let has_calls = owner.is_some() && finding.kind == Kind::HeldOpen;
        columns.extend(held_open::columns(calls, has_calls));
    }
    columns.push("SUM(CASE WHEN since = 1 THEN refusals ELSE 0 END) AS refused".to_owned());
    if is_growth {
        columns.push(format!(
            "60 * (SUM(t0) * SUM(t1 * {grown}) - SUM(t1) * SUM(t0 * {grown})) / \
             NULLIF(SUM(t0) * SUM(t2) - SUM(t1) * SUM(t1), 0) AS growth_per_minute"
        ));
    }
    let refusals = match (finding.kind, finding.usable) {
        // The limit of one account: only its own refusals count.
        (Kind::RefusalAtLimit, None) => "CASE WHEN is_owner = 1 THEN refused ELSE 0 END",
        _ => "refused",
    };
    let (tables, source) = match calls {
        Some(calls) => held_open::tables(incident, calls, owned, (as_of, paid_at)),
        None => (String::new(), "sums"),
    };
    let as_of = moment(as_of);
    let columns = columns.join(",\n  ");
    format!(
        "WITH steps AS (
  SELECT pane, refused, CASE WHEN {owned} THEN 1 ELSE 0 END AS is_owner,
    CAST(held AS DOUBLE) - LAG(CAST(held AS DOUBLE), 1, CAST(0 AS DOUBLE))
      OVER (PARTITION BY holder_key ORDER BY pane) AS step
  FROM panes WHERE incident = '{incident}' AND pane <= '{as_of}'
), moves AS (
  SELECT pane, CAST(EXTRACT(EPOCH FROM pane) AS DOUBLE) AS at_s,
    CASE WHEN pane >= '{since}' THEN 1 ELSE 0 END AS since,
    SUM(CAST({refusals} AS DOUBLE)) AS refusals,
    SUM(step) AS total_step, SUM(step * is_owner) AS owner_step
  FROM steps GROUP BY pane
), levels AS (
  SELECT since, refusals, at_s - MIN(at_s) OVER () AS a,
    LEAD(at_s, 1, CAST(0 AS DOUBLE)) OVER (ORDER BY pane) - MIN(at_s) OVER () AS next,
    SUM(total_step) OVER (ORDER BY pane) AS held_units,
    SUM(owner_step) OVER (ORDER BY pane) AS owned,
    ROW_NUMBER() OVER (ORDER BY pane DESC) AS place,
    ROW_NUMBER() OVER (PARTITION BY since ORDER BY pane) AS since_place
  FROM moves
), spans AS (
  SELECT since, refusals, held_units, owned, place, since_place, a,
    CASE WHEN place = 1 THEN a + 10 ELSE next END AS b
  FROM levels
), sums AS (
  SELECT since, refusals, held_units, owned, place, since_place, a, b,
    since * (b - a) AS t0, since * (b * b - a * a) / 2 AS t1,
    since * (b * b * b - a * a * a) / 3 AS t2
  FROM spans
){tables}
SELECT
  {columns}
FROM {source}"
    )
}

/// The level and the limit of the instance that were measured last, and the least-squares line
/// through the floors of this life that show its growth.
fn within(incident: IncidentId, finding: &Finding, as_of: Second) -> String {
    let (whose, floors, since) = match &finding.detail {
        Some(Detail::WithinLife(life)) => {
            (is_instance(&life.instance), literal("metric", &life.floors), life.since)
        }
        _ => ("1 = 1".to_owned(), "metric LIKE 'memory_floor%'".to_owned(), finding.since),
    };
    let (since, as_of) = (moment(since), moment(Second(as_of.0 + 1)));
    format!(
        "WITH measured AS (
  SELECT metric, value, time, CAST(EXTRACT(EPOCH FROM date_trunc('second', time)) AS DOUBLE) AS at_s,
    ROW_NUMBER() OVER (PARTITION BY metric ORDER BY time DESC) AS place
  FROM samples WHERE incident = '{incident}' AND time < '{as_of}' AND {whose}
), floors AS (
  SELECT at_s - AVG(at_s) OVER () AS t, value - AVG(value) OVER () AS v
  FROM measured WHERE {floors} AND time >= '{since}'
), line AS (
  SELECT SUM(t * v) / NULLIF(SUM(t * t), 0) AS slope FROM floors
)
SELECT
  {LAST_MEASURED},
  MAX(60 * slope) AS growth_per_minute
FROM measured CROSS JOIN line"
    )
}

/// The mean slope of the lives: of each, that of the least-squares line through its floors.
fn across(incident: IncidentId, finding: &Finding, as_of: Second) -> String {
    let (since, as_of) = (moment(finding.since), moment(as_of));
    format!(
        "WITH floors AS (
  SELECT l.holder_key AS life, l.started_at AS born, s.value AS floor,
    CAST(EXTRACT(EPOCH FROM date_trunc('second', s.time)) AS DOUBLE) AS at_s
  FROM samples s JOIN lives l ON l.incident = s.incident AND l.holder_key = s.holder_key
  WHERE s.incident = '{incident}' AND s.metric = 'memory_floor' AND l.started_at >= '{since}'
    AND s.time >= l.started_at AND s.time <= l.ended_at AND l.ended_at <= '{as_of}'
), centred AS (
  SELECT life, born, at_s - AVG(at_s) OVER (PARTITION BY life, born) AS t,
    floor - AVG(floor) OVER (PARTITION BY life, born) AS v
  FROM floors
), slopes AS (
  SELECT life, born, SUM(t * v) / NULLIF(SUM(t * t), 0) AS slope FROM centred GROUP BY life, born
)
SELECT
  60 * AVG(slope) AS growth_per_minute,
  3600 * AVG(slope) AS growth_per_hour
FROM slopes"
    )
}

/// The level and the limit that were measured last, how long the program's instances usually stay
/// away, and the end of the instance's last life.
fn absence(incident: IncidentId, finding: &Finding, as_of: Second) -> String {
    let whose = match &finding.owner {
        Owner::Holder { dimension, value } => is_owner(*dimension, value),
        Owner::Nobody | Owner::Unknown => "1 = 0".to_owned(),
    };
    let as_of = moment(Second(as_of.0 + 1));
    format!(
        "WITH measured AS (
  SELECT metric, value, ROW_NUMBER() OVER (PARTITION BY metric ORDER BY time DESC) AS place
  FROM samples WHERE incident = '{incident}' AND time < '{as_of}' AND {whose}
), ends AS (
  SELECT MAX(CAST(EXTRACT(EPOCH FROM date_trunc('second', ended_at)) AS DOUBLE)) AS ended_s
  FROM lives WHERE incident = '{incident}' AND ended_at < '{as_of}' AND {whose}
)
SELECT
  {LAST_MEASURED},
  MAX(CASE WHEN metric = 'usual_return' AND place = 1 THEN value END) AS usual_return_s,
  MAX(ended_s) AS last_seen_epoch_s
FROM measured CROSS JOIN ends"
    )
}

/// The level at the end of the newest pane.
const LEVEL: &str = "MAX(CASE WHEN place = 1 THEN held_units END)";

/// The owner's mean level in the panes before `since`.
const MEAN_BEFORE: &str = "SUM(CASE WHEN since = 0 THEN owned * (b - a) END) / \
     NULLIF(SUM(CASE WHEN since = 0 THEN b - a END), 0)";

const LAST_MEASURED: &str =
    "MAX(CASE WHEN metric = 'memory' AND place = 1 THEN value END) AS level,
  MAX(CASE WHEN metric = 'memory' AND place = 1 THEN value END) AS owner_level,
  MAX(CASE WHEN metric = 'limit' AND place = 1 THEN value END) AS usable";

/// Whether a row is the owner's.
fn is_owner(dimension: Dimension, value: &str) -> String {
    literal(dimension.column(), value)
}

/// Whether a row is the instance's, which is known by one of three names.
fn is_instance(name: &str) -> String {
    let names = [Dimension::ServiceInstanceId, Dimension::HostName, Dimension::ServiceName];
    let any = names.map(|dimension| is_owner(dimension, name)).join(" OR ");
    format!("({any})")
}

/// Whether `column` is `value`. In a text literal a backslash means itself to one engine and an
/// escape to the other: it is matched as any character, and so is what stands beside it.
fn literal(column: &str, value: &str) -> String {
    if !value.contains('\\') {
        return format!("{column} = '{}'", value.replace('\'', "''"));
    }
    let pattern = value.replace(['\\', '\'', '%', '_'], "_");
    format!("{column} LIKE '{pattern}'")
}

/// `2024-03-12 15:10:00`, which both engines compare with a time column in UTC.
fn moment(second: Second) -> String {
    second.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plimsoll_model::detail::{Culprit, HeldOpen};
    use plimsoll_model::{Interval, Severity, Time};

    use super::*;

    fn calls(estimated: bool) -> HeldOpen {
        let culprit = |value: &str| Culprit { value: value.to_owned(), held: 5, held_before: 1 };
        HeldOpen {
            arrivals_per_s: 9.8,
            victims: 51,
            victims_waited_s: 340.0,
            further: vec![culprit("batch")],
            estimated,
            ..HeldOpen::default()
        }
    }

    fn finding(kind: Kind, owner: Owner) -> Finding {
        let is_held_open = kind == Kind::HeldOpen;
        Finding {
            kind,
            resource: "orders-db".to_owned(),
            unit: "connections".to_owned(),
            owner,
            severity: Severity::Page,
            since: Second(1_710_255_720),
            level: 7_180,
            usable: Some(7_197),
            owner_level: Some(7_148),
            owner_level_before: Some(7_041),
            growth_per_minute: Some(71.7),
            exhaustion: Some(Interval { from: Time::from_seconds(1_710_256_900), to: None }),
            release: None,
            refused: 7_012,
            doubts: vec!["ledger 7180, polled 7210".to_owned()],
            detail: is_held_open.then(|| Detail::HeldOpen(calls(false))),
        }
    }

    fn issuer() -> Owner {
        Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() }
    }

    fn text(finding: &Finding) -> String {
        proof(IncidentId(7), finding, Second(1_710_256_200), None)
    }

    #[test]
    fn no_number_that_it_proves_stands_in_it() {
        for kind in Kind::ALL {
            let told = finding(kind, issuer());
            let other = Finding {
                level: 1,
                usable: Some(2),
                owner_level: Some(3),
                owner_level_before: Some(4),
                growth_per_minute: Some(5.0),
                exhaustion: None,
                refused: 6,
                doubts: Vec::new(),
                ..told.clone()
            };
            assert_eq!(text(&told), text(&other), "{kind:?}");
        }
        for estimated in [false, true] {
            let told = |calls| Finding {
                detail: Some(Detail::HeldOpen(calls)),
                ..finding(Kind::HeldOpen, issuer())
            };
            let other = HeldOpen {
                arrivals_per_s: 1.0,
                hold_s: 2.0,
                unfinished: 3,
                victims: 4,
                victims_waited_s: 5.0,
                further: vec![Culprit { value: "web".to_owned(), held: 6, held_before: 7 }],
                ..calls(estimated)
            };
            assert_eq!(text(&told(calls(estimated))), text(&told(other)));
        }
    }

    /// The names behind FROM and JOIN that the text does not define itself.
    #[track_caller]
    fn check_read(kind: Kind, expected: &[&str]) {
        let text = text(&finding(kind, issuer()));
        let words: Vec<&str> = text.split_whitespace().collect();
        let after = words.windows(2).filter(|pair| ["FROM", "JOIN"].contains(&pair[0]));
        let is_own = |name: &str| text.contains(&format!("{name} AS (\n"));
        let read: BTreeSet<&str> = after
            .map(|pair| pair[1])
            .filter(|name| !is_own(name) && !name.contains(['(', ')']))
            .collect();
        assert_eq!(read.into_iter().collect::<Vec<_>>(), expected, "{text}");
        let incident = "incident = '00000000000000000000000000000007'";
        assert!(text.contains(incident) && text.contains("'2024-03-12 15:10:0"), "{text}");
    }

    #[test]
    fn evidence_is_all_that_it_reads() {
        check_read(Kind::GrowthToLimit, &["panes"]);
        check_read(Kind::RefusalAtLimit, &["panes"]);
        check_read(Kind::HeldOpen, &["panes", "samples", "sessions"]);
        check_read(Kind::GrowthWithinLife, &["samples"]);
        check_read(Kind::GrowthAcrossLives, &["lives", "samples"]);
        check_read(Kind::NotBack, &["lives", "samples"]);
    }

    #[track_caller]
    fn check_owner(value: &str, expected: &str) {
        assert_eq!(is_owner(Dimension::ServiceName, value), expected);
    }

    #[test]
    fn a_hostile_name_stays_inside_its_quotes() {
        check_owner("issuer", "service_name = 'issuer'");
        check_owner("O'Brien", "service_name = 'O''Brien'");
        check_owner("x' OR 1=1 --", "service_name = 'x'' OR 1=1 --'");
        check_owner(r"x\' OR 1=1 --", "service_name LIKE 'x__ OR 1=1 --'");
        check_owner("50%", "service_name = '50%'");
        check_owner(r"50%\", "service_name LIKE '50__'");
    }
}
