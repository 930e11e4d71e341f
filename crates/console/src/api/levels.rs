//! Who held what over time, from an incident's evidence.

use std::collections::BTreeMap;

use plimsoll_model::evidence::{PANE_SECONDS, Table};
use plimsoll_model::samples::metric;
use plimsoll_model::{Dimension, Finding, IncidentId, Owner, Second};
use plimsoll_store::{Decided, Error, Snapshot};
use serde::Serialize;

use super::evidence::{Columns, Segments};

/// Holders that have a band of their own; the others share one.
pub const BANDS_MAX: usize = 6;
/// Points of one band. A longer time has wider steps.
pub const POINTS_MAX: i64 = 480;
/// How long a measured value stands when no other follows, in seconds.
const VALUE_STANDS_S: i64 = 300;
/// The same for the lowest value of a stretch of hours.
const FLOOR_STANDS_S: i64 = 12 * 3_600;

/// What each holder held, over time.
#[derive(Debug, Serialize)]
pub(super) struct Levels {
    /// What tells the bands apart.
    dimension: &'static str,
    /// Whether the bands add up to what counts against the limit. Otherwise each has the limit
    /// for itself.
    stacked: bool,
    /// The beginning of the first step.
    from: String,
    step_seconds: i64,
    bands: Vec<Band>,
    /// Requests refused during each step.
    refused: Vec<u64>,
    evidence_left_off: u64,
}

/// What one holder, or several, held at the end of each step; `null` where nothing is known.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Band {
    /// `owner`, `holder`, `others`, or `rest` for what is not told apart.
    kind: &'static str,
    /// The value of the dimension, for `owner` and `holder`.
    name: Option<String>,
    /// How many values share the band.
    values: usize,
    held: Vec<Option<u64>>,
}

/// One row of evidence.
#[derive(Clone, Debug)]
struct Row {
    second: Second,
    holder: u64,
    /// The value of the dimension that tells bands apart.
    value: Option<String>,
    is_owners: bool,
    held: u64,
    refused: u64,
    /// How long it stands when no other follows; what is stacked stands until the next.
    stands_s: i64,
}

/// The levels of incident `id`, or `None` if it has no evidence (any more).
pub(super) fn read(
    snapshot: &Snapshot,
    id: IncidentId,
    transitions: &[Decided],
) -> Result<Option<Levels>, Error> {
    let Some(last) = transitions.last() else { return Ok(None) };
    let finding = &last.transition.finding;
    let panes = Segments::read(snapshot, Table::Panes, id, transitions)?;
    let dimension = dimension(&panes, &finding.owner);
    let rows = panes.rows(|columns, row| pane(columns, row, finding, dimension));
    if !rows.is_empty() {
        return Ok(levels(rows, dimension, true, panes.left_off));
    }
    let samples = Segments::read(snapshot, Table::Samples, id, transitions)?;
    let dimension = match known(&samples, Dimension::ServiceInstanceId) {
        true => Dimension::ServiceInstanceId,
        false => self::dimension(&samples, &finding.owner),
    };
    let rows = samples.rows(|columns, row| sample(columns, row, finding, dimension));
    Ok(levels(rows, dimension, false, samples.left_off))
}

fn pane(columns: &Columns<'_>, row: usize, of: &Finding, dimension: Dimension) -> Option<Row> {
    (columns.word("resource", row)? == of.resource).then_some(())?;
    Some(Row {
        second: columns.time("pane", row)?.second(),
        holder: columns.count("holder_key", row)?,
        value: columns.holder(dimension, row).map(str::to_owned),
        is_owners: columns.is_of(&of.owner, row),
        held: columns.count("held", row)?,
        refused: columns.count("refused", row)?,
        stands_s: i64::MAX,
    })
}

/// How the names of the metrics begin that are the lowest levels of stretches of time.
const FLOOR_METRICS: &str = "memory_floor";

fn sample(columns: &Columns<'_>, row: usize, of: &Finding, dimension: Dimension) -> Option<Row> {
    (columns.word("resource", row)? == of.resource).then_some(())?;
    let stands_s = match columns.word("metric", row)? {
        metric::MEMORY => VALUE_STANDS_S,
        floor if floor.starts_with(FLOOR_METRICS) => FLOOR_STANDS_S,
        _ => return None,
    };
    Some(Row {
        second: columns.time("time", row)?.second(),
        holder: columns.count("holder_key", row)?,
        value: columns.holder(dimension, row).map(str::to_owned),
        is_owners: columns.is_of(&of.owner, row),
        held: columns.value("value", row)?.max(0.0) as u64,
        refused: 0,
        stands_s,
    })
}

/// The owner's dimension, or the first of program, tenant and the others that any row knows.
fn dimension(segments: &Segments, owner: &Owner) -> Dimension {
    if let Owner::Holder { dimension, .. } = owner {
        return *dimension;
    }
    let mut order = [Dimension::ServiceName].into_iter().chain(Dimension::ALL);
    order.find(|dimension| known(segments, *dimension)).unwrap_or(Dimension::ServiceName)
}

fn known(segments: &Segments, dimension: Dimension) -> bool {
    !segments.rows(|columns, row| columns.holder(dimension, row).map(|_| ())).is_empty()
}

/// What one value of the dimension held.
#[derive(Debug, Default)]
struct Series {
    is_owners: bool,
    held: Vec<Option<u64>>,
}

/// The newest row of each holder says what it holds.
fn levels(
    mut rows: Vec<Row>,
    dimension: Dimension,
    stacked: bool,
    evidence_left_off: u64,
) -> Option<Levels> {
    rows.sort_by_key(|row| (row.second, row.holder));
    let (first, last) = (pane_of(rows.first()?.second), pane_of(rows.last()?.second));
    let panes = last.since(first) / PANE_SECONDS + 1;
    let step = PANE_SECONDS * (panes + POINTS_MAX - 1).div_euclid(POINTS_MAX);
    let points = usize::try_from(last.since(first) / step + 1).unwrap_or(0);
    let mut by_value: BTreeMap<Option<String>, Series> = BTreeMap::new();
    let mut refused = vec![0_u64; points];
    let mut newest: BTreeMap<u64, Row> = BTreeMap::new();
    let mut rows = rows.into_iter().peekable();
    for (point, refused) in refused.iter_mut().enumerate() {
        let end = Second(first.0 + (point as i64 + 1) * step);
        while let Some(row) = rows.next_if(|row| row.second < end) {
            *refused += row.refused;
            newest.insert(row.holder, row);
        }
        for row in newest.values() {
            if !stacked && end.since(row.second) > row.stands_s.max(2 * step) {
                continue;
            }
            let series = match by_value.get_mut(&row.value) {
                Some(series) => series,
                None => by_value.entry(row.value.clone()).or_default(),
            };
            series.is_owners |= row.is_owners;
            series.held.resize(points, None);
            let before = series.held[point].unwrap_or(0);
            // Several instances that are not told apart: the highest is nearest to its limit.
            series.held[point] =
                Some(if stacked { before + row.held } else { before.max(row.held) });
        }
    }
    if stacked {
        let all = by_value.values_mut().flat_map(|series| &mut series.held);
        all.for_each(|held| *held = held.or(Some(0)));
    }
    Some(Levels {
        dimension: dimension.name(),
        stacked,
        from: first.to_string(),
        step_seconds: step,
        bands: bands(by_value, stacked),
        refused,
        evidence_left_off,
    })
}

fn pane_of(second: Second) -> Second {
    Second(second.0 - second.0.rem_euclid(PANE_SECONDS))
}

/// The owner first, which is the bottom of the stack, then the largest holders, the others, the
/// rest.
fn bands(mut by_value: BTreeMap<Option<String>, Series>, stacked: bool) -> Vec<Band> {
    let rest = by_value.remove(&None);
    let mut named: Vec<_> = by_value.into_iter().collect();
    named.sort_by_key(|(_, series)| {
        std::cmp::Reverse((series.is_owners, series.held.iter().copied().max()))
    });
    let beyond = named.split_off(BANDS_MAX.min(named.len()));
    let kind = |series: &Series| if series.is_owners { "owner" } else { "holder" };
    let mut bands: Vec<Band> = named
        .into_iter()
        .map(|(name, series)| Band { kind: kind(&series), name, values: 1, held: series.held })
        .collect();
    if !beyond.is_empty() {
        let values = beyond.len();
        let held = together(beyond.into_iter().map(|(_, series)| series.held), stacked);
        bands.push(Band { kind: "others", name: None, values, held });
    }
    if let Some(Series { held, is_owners }) = rest {
        let kind = if is_owners { "owner" } else { "rest" };
        bands.push(Band { kind, name: None, values: 1, held });
    }
    bands
}

/// The sum of stacked series; the highest of others.
fn together(series: impl Iterator<Item = Vec<Option<u64>>>, stacked: bool) -> Vec<Option<u64>> {
    let mut total: Vec<Option<u64>> = Vec::new();
    for held in series {
        total.resize(held.len(), None);
        for (total, held) in total.iter_mut().zip(held) {
            *total = match (*total, held) {
                (Some(total), Some(held)) if stacked => Some(total + held),
                (total, held) => total.max(held),
            };
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(second: i64, service: &str, held: u64) -> Row {
        let holder = service.bytes().fold(7, |key, byte| key * 31 + u64::from(byte));
        let value = Some(service).filter(|it| !it.is_empty()).map(str::to_owned);
        let is_owners = service == "issuer";
        Row { second: Second(second), holder, value, is_owners, held, refused: 1, stands_s: 300 }
    }

    /// Each band as `kind name: held…`.
    fn said(levels: &Levels) -> Vec<String> {
        let held = |held: &Option<u64>| held.map_or("-".to_owned(), |held| held.to_string());
        let said = levels.bands.iter().map(|band| {
            let held: Vec<String> = band.held.iter().map(held).collect();
            format!("{} {}: {}", band.kind, band.name.as_deref().unwrap_or("-"), held.join(" "))
        });
        said.collect()
    }

    #[track_caller]
    fn check(rows: Vec<Row>, stacked: bool, bands: &[&str]) {
        let levels = levels(rows, Dimension::ServiceName, stacked, 0).unwrap();
        assert_eq!(levels.step_seconds, 10);
        assert_eq!(said(&levels), bands);
    }

    #[test]
    fn a_holder_without_a_newer_row_still_holds_what_it_held() {
        check(
            vec![row(0, "issuer", 4), row(0, "web", 9), row(20, "issuer", 6), row(20, "", 2)],
            true,
            &["owner issuer: 4 4 6", "holder web: 9 9 9", "rest -: 0 0 2"],
        );
    }

    #[test]
    fn a_measured_value_does_not_stand_for_ever() {
        let mut expected = "1 ".repeat(30);
        expected.push('-');
        check(
            vec![row(3, "issuer", 1), row(303, "web", 2)],
            false,
            &[&format!("owner issuer: {}", expected), &format!("holder web: {}2", "- ".repeat(30))],
        );
    }

    #[test]
    fn the_owner_stands_first_and_small_holders_share_a_band() {
        let others = ["a", "b", "c", "d", "e", "f", "g"].iter().zip(2..);
        let mut rows = vec![row(0, "issuer", 1)];
        rows.extend(others.map(|(service, held)| row(0, service, held)));
        check(
            rows,
            true,
            &[
                "owner issuer: 1",
                "holder g: 8",
                "holder f: 7",
                "holder e: 6",
                "holder d: 5",
                "holder c: 4",
                "others -: 5",
            ],
        );
    }

    #[test]
    fn a_long_time_has_wider_steps_and_each_says_its_end() {
        let last = POINTS_MAX * PANE_SECONDS;
        let rows = vec![row(0, "issuer", 1), row(10, "issuer", 2), row(last, "issuer", 3)];
        let levels = levels(rows, Dimension::ServiceName, true, 0).unwrap();
        assert_eq!((levels.step_seconds, levels.refused.iter().sum::<u64>()), (20, 3));
        let held = &levels.bands[0].held;
        assert_eq!((held.len(), held[0], held[held.len() - 1]), (241, Some(2), Some(3)));
    }

    #[test]
    fn no_rows_no_levels() {
        assert!(levels(Vec::new(), Dimension::ServiceName, true, 0).is_none());
    }
}
