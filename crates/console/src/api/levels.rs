//! Who held what over time, from an incident's evidence.

use std::collections::BTreeMap;

use plimsoll_model::evidence::{PANE_SECONDS, Table};
use plimsoll_model::{Dimension, Finding, IncidentId, Owner, Second};
use plimsoll_store::{Decided, Error, Snapshot};
use serde::Serialize;

use super::evidence::{Columns, Segments};
use super::memory;

/// Holders that have a band of their own; the others share one.
pub const BANDS_MAX: usize = 6;
/// Points of one band. A longer time has wider steps.
pub const POINTS_MAX: i64 = 480;

/// What each holder held, over time.
#[derive(Debug, Serialize)]
pub(super) struct Levels {
    /// What tells the bands apart.
    dimension: &'static str,
    /// Whether the bands add up to what counts against the limit. Otherwise each has the limit
    /// for itself.
    stacked: bool,
    of: Of,
    /// The beginning of the first step.
    from: String,
    step_seconds: i64,
    /// Until when the evidence tells: the end of the last transition's tick.
    until: String,
    bands: Vec<Band>,
    /// Requests refused during each step.
    refused: Vec<u64>,
    evidence_left_off: u64,
}

/// What the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Of {
    /// What was held at the end of each step.
    Held,
    /// Measured values, joined where they follow each other.
    Measured,
    /// The lowest values of stretches of time, joined where they follow each other.
    Floors,
}

/// The steps that all bands share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// The beginning of the first step.
    pub first: Second,
    /// The width of each, in seconds.
    pub step: i64,
    /// How many there are.
    pub points: usize,
}

impl Grid {
    /// The steps from that of `first` to that of `last`, at most [`POINTS_MAX`].
    pub(super) fn over(first: Second, last: Second) -> Grid {
        let (first, last) = (pane_of(first), pane_of(last));
        let panes = last.since(first) / PANE_SECONDS + 1;
        let step = PANE_SECONDS * (panes + POINTS_MAX - 1).div_euclid(POINTS_MAX);
        let points = usize::try_from(last.since(first) / step + 1).unwrap_or(0);
        Grid { first, step, points }
    }
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
}

/// The levels of incident `id`, or `None` if it has no evidence (any more).
pub(super) fn read(
    snapshot: &Snapshot,
    id: IncidentId,
    transitions: &[Decided],
) -> Result<Option<Levels>, Error> {
    let Some(last) = transitions.last() else { return Ok(None) };
    let (finding, through) = (&last.transition.finding, last.transition.as_of);
    let panes = Segments::read(snapshot, Table::Panes, id, transitions)?;
    let dimension = dimension(&panes, &finding.owner);
    let rows = panes.rows(|columns, row| pane(columns, row, finding, dimension));
    if !rows.is_empty() {
        return Ok(levels(rows, dimension, through, panes.left_off));
    }
    let samples = Segments::read(snapshot, Table::Samples, id, transitions)?;
    let dimension = match known(&samples, Dimension::ServiceInstanceId) {
        true => Dimension::ServiceInstanceId,
        false => self::dimension(&samples, &finding.owner),
    };
    let points = samples.rows(|columns, row| memory::point(columns, row, finding, dimension));
    let lives = Segments::read(snapshot, Table::Lives, id, transitions)?.rows(memory::life);
    let lives = lives.into_iter().collect();
    let left_off = samples.left_off;
    Ok(memory::lines(points, &lives, through).map(|lines| {
        let refused = vec![0; lines.grid.points];
        let bands = bands(lines.by_value, false);
        Levels::new(dimension, lines.of, lines.grid, through, bands, refused, left_off)
    }))
}

impl Levels {
    fn new(
        dimension: Dimension,
        of: Of,
        grid: Grid,
        through: Second,
        bands: Vec<Band>,
        refused: Vec<u64>,
        evidence_left_off: u64,
    ) -> Levels {
        Levels {
            dimension: dimension.name(),
            stacked: of == Of::Held,
            of,
            from: grid.first.to_string(),
            step_seconds: grid.step,
            until: through.next().to_string(),
            bands,
            refused,
            evidence_left_off,
        }
    }
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
pub(super) struct Series {
    pub is_owners: bool,
    pub held: Vec<Option<u64>>,
}

/// The newest row of each holder says what it holds, through the tick `through`.
fn levels(
    mut rows: Vec<Row>,
    dimension: Dimension,
    through: Second,
    evidence_left_off: u64,
) -> Option<Levels> {
    rows.sort_by_key(|row| (row.second, row.holder));
    let grid = Grid::over(rows.first()?.second, rows.last()?.second.max(through));
    let mut by_value: BTreeMap<Option<String>, Series> = BTreeMap::new();
    let mut refused = vec![0_u64; grid.points];
    let mut newest: BTreeMap<u64, Row> = BTreeMap::new();
    let mut rows = rows.into_iter().peekable();
    for (point, refused) in refused.iter_mut().enumerate() {
        let end = Second(grid.first.0 + (point as i64 + 1) * grid.step);
        while let Some(row) = rows.next_if(|row| row.second < end) {
            *refused += row.refused;
            newest.insert(row.holder, row);
        }
        for row in newest.values() {
            let series = match by_value.get_mut(&row.value) {
                Some(series) => series,
                None => by_value.entry(row.value.clone()).or_default(),
            };
            series.is_owners |= row.is_owners;
            series.held.resize(grid.points, Some(0));
            series.held[point] = series.held[point].map(|held| held + row.held);
        }
    }
    let bands = bands(by_value, true);
    Some(Levels::new(dimension, Of::Held, grid, through, bands, refused, evidence_left_off))
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
        Row { second: Second(second), holder, value, is_owners, held, refused: 1 }
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
    fn check(rows: Vec<Row>, through: i64, bands: &[&str]) {
        let levels = levels(rows, Dimension::ServiceName, Second(through), 0).unwrap();
        assert_eq!(levels.step_seconds, 10);
        assert_eq!(said(&levels), bands);
    }

    #[test]
    fn a_holder_without_a_newer_row_still_holds_what_it_held() {
        check(
            vec![row(0, "issuer", 4), row(0, "web", 9), row(20, "issuer", 6), row(20, "", 2)],
            20,
            &["owner issuer: 4 4 6", "holder web: 9 9 9", "rest -: 0 0 2"],
        );
    }

    #[test]
    fn what_did_not_change_before_the_last_transition_is_held_until_then() {
        check(vec![row(0, "issuer", 4)], 25, &["owner issuer: 4 4 4"]);
    }

    #[test]
    fn the_owner_stands_first_and_small_holders_share_a_band() {
        let others = ["a", "b", "c", "d", "e", "f", "g"].iter().zip(2..);
        let mut rows = vec![row(0, "issuer", 1)];
        rows.extend(others.map(|(service, held)| row(0, service, held)));
        check(
            rows,
            0,
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
        let levels = levels(rows, Dimension::ServiceName, Second(0), 0).unwrap();
        assert_eq!((levels.step_seconds, levels.refused.iter().sum::<u64>()), (20, 3));
        let held = &levels.bands[0].held;
        assert_eq!((held.len(), held[0], held[held.len() - 1]), (241, Some(2), Some(3)));
    }

    #[test]
    fn no_rows_no_levels() {
        assert!(levels(Vec::new(), Dimension::ServiceName, Second(0), 0).is_none());
    }
}
