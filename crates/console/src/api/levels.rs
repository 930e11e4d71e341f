//! Who held what over time, from an incident's evidence.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType, UInt64Type};
use plimsoll_model::evidence::PANE_SECONDS;
use plimsoll_model::{Dimension, IncidentId, Owner, Second, Time};
use plimsoll_store::{Decided, Error, Snapshot};
use serde::Serialize;

/// Holders that have a band of their own; the others share one.
pub const BANDS_MAX: usize = 6;
/// Points of one band. A longer time has wider steps.
pub const POINTS_MAX: i64 = 480;
/// Evidence rows that are read for one answer. Of more, the newest segments are read, and
/// `evidence_left_off` counts the rows of the others.
pub const EVIDENCE_ROWS_READ_MAX: u64 = 200_000;

/// Stacked bands: their sum is what everybody held.
#[derive(Debug, Serialize)]
pub(super) struct Levels {
    /// What tells the bands apart.
    dimension: &'static str,
    /// The beginning of the first step.
    from: String,
    step_seconds: i64,
    bands: Vec<Band>,
    /// Requests refused during each step.
    refused: Vec<u64>,
    evidence_left_off: u64,
}

/// What one holder, or several, held at the end of each step.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Band {
    /// `owner`, `holder`, `others`, or `rest` for what is not told apart.
    kind: &'static str,
    /// The value of the dimension, for `owner` and `holder`.
    name: Option<String>,
    /// How many values share the band.
    values: usize,
    held: Vec<u64>,
}

/// One row of evidence.
#[derive(Clone, Debug)]
struct Row {
    pane: Second,
    holder: u64,
    values: [Option<String>; Dimension::COUNT],
    held: u64,
    refused: u64,
}

/// The levels of incident `id`, or `None` if it has no evidence (any more).
pub(super) fn read(
    snapshot: &Snapshot,
    id: IncidentId,
    transitions: &[Decided],
) -> Result<Option<Levels>, Error> {
    let ticks: BTreeSet<Second> = transitions.iter().map(|it| it.transition.as_of).collect();
    let mut segments = snapshot.segments()?;
    segments.retain(|(_, entry)| ticks.contains(&entry.tick));
    segments.sort_by(|a, b| b.1.tick.cmp(&a.1.tick).then_with(|| a.0.cmp(&b.0)));
    let (mut rows, mut read, mut left_off) = (Vec::new(), 0, 0);
    for (name, entry) in segments {
        if left_off > 0 || read + entry.rows > EVIDENCE_ROWS_READ_MAX {
            left_off += entry.rows;
            continue;
        }
        read += entry.rows;
        if let Some(batch) = snapshot.segment(&name)? {
            add_rows(&batch, id, &mut rows);
        }
    }
    let owner = transitions.last().map(|it| &it.transition.finding.owner);
    Ok(levels(rows, owner.unwrap_or(&Owner::Unknown), left_off))
}

/// Adds the rows of `id`; none if the batch has other columns than panes have.
fn add_rows(batch: &RecordBatch, id: IncidentId, rows: &mut Vec<Row>) {
    let id = id.to_string();
    let words = |name: &str| words(batch, name);
    let counts = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>();
    let times = batch.column_by_name("pane");
    let panes = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let (Some(incidents), Some(panes)) = (words("incident"), panes) else { return };
    let (Some(held), Some(refused), Some(holders)) =
        (counts("held"), counts("refused"), counts("holder_key"))
    else {
        return;
    };
    let dimensions = Dimension::ALL.map(|dimension| words(dimension.column()));
    for row in 0..batch.num_rows() {
        if incidents(row).as_deref() != Some(id.as_str()) {
            continue;
        }
        rows.push(Row {
            pane: Time::from_micros(panes.value(row)).second(),
            holder: holders.value(row),
            values: std::array::from_fn(|at| dimensions[at].as_ref().and_then(|of| of(row))),
            held: held.value(row),
            refused: refused.value(row),
        });
    }
}

/// Reads a dictionary column of text.
fn words<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Option<Box<dyn Fn(usize) -> Option<String> + 'a>> {
    let column = batch.column_by_name(name)?;
    let DataType::Dictionary(_, _) = column.data_type() else { return None };
    let keys = column.as_dictionary_opt::<arrow::datatypes::Int32Type>()?;
    let values = keys.values().as_string_opt::<i32>()?;
    Some(Box::new(move |row| Some(values.value(keys.key(row)?).to_owned())))
}

/// The dimension that tells the bands apart: the owner's, or the first of program, tenant and
/// the others that any row knows.
fn dimension(rows: &[Row], owner: &Owner) -> Dimension {
    if let Owner::Holder { dimension, .. } = owner {
        return *dimension;
    }
    let known =
        |dimension: &Dimension| rows.iter().any(|row| row.values[*dimension as usize].is_some());
    let order = [Dimension::ServiceName].into_iter().chain(Dimension::ALL);
    order.into_iter().find(known).unwrap_or(Dimension::ServiceName)
}

/// The newest row of each holder says what it holds: the sum over holders is the level.
fn levels(mut rows: Vec<Row>, owner: &Owner, evidence_left_off: u64) -> Option<Levels> {
    rows.sort_by_key(|row| (row.pane, row.holder));
    let (first, last) = (rows.first()?.pane, rows.last()?.pane);
    let dimension = dimension(&rows, owner);
    let panes = last.since(first) / PANE_SECONDS + 1;
    let step = PANE_SECONDS * (panes + POINTS_MAX - 1).div_euclid(POINTS_MAX);
    let points = usize::try_from(last.since(first) / step + 1).unwrap_or(0);
    let mut by_value: BTreeMap<Option<String>, Vec<u64>> = BTreeMap::new();
    let mut refused = vec![0_u64; points];
    let mut held: BTreeMap<u64, (Option<String>, u64)> = BTreeMap::new();
    let mut rows = rows.into_iter().peekable();
    for (point, refused) in refused.iter_mut().enumerate() {
        let end = first.0 + (point as i64 + 1) * step;
        while let Some(row) = rows.next_if(|row| row.pane.0 < end) {
            *refused += row.refused;
            let value = row.values.into_iter().nth(dimension as usize).flatten();
            held.insert(row.holder, (value, row.held));
        }
        for (value, held) in held.values() {
            let series = match by_value.get_mut(value) {
                Some(series) => series,
                None => by_value.entry(value.clone()).or_insert_with(|| vec![0; points]),
            };
            series[point] += held;
        }
    }
    let bands = bands(by_value, owner);
    let (from, dimension) = (first.to_string(), dimension.name());
    Some(Levels { dimension, from, step_seconds: step, bands, refused, evidence_left_off })
}

/// The owner at the bottom of the stack, then the largest holders, the others, the rest.
fn bands(mut by_value: BTreeMap<Option<String>, Vec<u64>>, owner: &Owner) -> Vec<Band> {
    let rest = by_value.remove(&None);
    let mut bands = Vec::new();
    if let Owner::Holder { value, .. } = owner {
        let name = Some(value.clone());
        if let Some(held) = by_value.remove(&name) {
            bands.push(Band { kind: "owner", name, values: 1, held });
        }
    }
    let mut others: Vec<_> = by_value.into_iter().collect();
    others.sort_by_key(|(_, held)| std::cmp::Reverse(held.iter().copied().max()));
    let named = BANDS_MAX.saturating_sub(bands.len());
    let beyond = others.split_off(named.min(others.len()));
    for (name, held) in others {
        bands.push(Band { kind: "holder", name, values: 1, held });
    }
    if !beyond.is_empty() {
        let (values, held) = (beyond.len(), sum(beyond.into_iter().map(|(_, held)| held)));
        bands.push(Band { kind: "others", name: None, values, held });
    }
    if let Some(held) = rest {
        bands.push(Band { kind: "rest", name: None, values: 1, held });
    }
    bands
}

fn sum(series: impl Iterator<Item = Vec<u64>>) -> Vec<u64> {
    let mut total: Vec<u64> = Vec::new();
    for held in series {
        total.resize(held.len(), 0);
        for (total, held) in total.iter_mut().zip(held) {
            *total += held;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pane: i64, service: &str, held: u64) -> Row {
        let mut values: [Option<String>; Dimension::COUNT] = Default::default();
        values[Dimension::ServiceName as usize] =
            Some(service).filter(|it| !it.is_empty()).map(str::to_owned);
        let holder = service.bytes().fold(7, |key, byte| key * 31 + u64::from(byte));
        Row { pane: Second(pane), holder, values, held, refused: 1 }
    }

    fn issuer() -> Owner {
        Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() }
    }

    /// Step width, refused, and each band as `kind name: held…`.
    #[track_caller]
    fn check(rows: Vec<Row>, step: i64, refused: &[u64], bands: &[&str]) {
        let levels = levels(rows, &issuer(), 0).unwrap();
        assert_eq!(levels.step_seconds, step);
        assert_eq!(levels.refused, refused);
        let said: Vec<String> = (levels.bands.iter())
            .map(|it| format!("{} {}: {:?}", it.kind, it.name.as_deref().unwrap_or("-"), it.held))
            .collect();
        assert_eq!(said, bands);
    }

    #[test]
    fn a_holder_without_a_newer_row_still_holds_what_it_held() {
        check(
            vec![row(0, "issuer", 4), row(0, "web", 9), row(20, "issuer", 6), row(20, "", 2)],
            10,
            &[2, 0, 2],
            &["owner issuer: [4, 4, 6]", "holder web: [9, 9, 9]", "rest -: [0, 0, 2]"],
        );
    }

    #[test]
    fn the_owner_stands_first_and_small_holders_share_a_band() {
        let mut rows = vec![row(0, "issuer", 1)];
        rows.extend(
            ["a", "b", "c", "d", "e", "f", "g"].iter().zip(2..).map(|(it, held)| row(0, it, held)),
        );
        check(
            rows,
            10,
            &[8],
            &[
                "owner issuer: [1]",
                "holder g: [8]",
                "holder f: [7]",
                "holder e: [6]",
                "holder d: [5]",
                "holder c: [4]",
                "others -: [5]",
            ],
        );
    }

    #[test]
    fn a_long_time_has_wider_steps_and_each_says_its_end() {
        let last = POINTS_MAX * PANE_SECONDS;
        let rows = vec![row(0, "issuer", 1), row(10, "issuer", 2), row(last, "issuer", 3)];
        let levels = levels(rows, &issuer(), 0).unwrap();
        assert_eq!(levels.step_seconds, 2 * PANE_SECONDS);
        let held = &levels.bands[0].held;
        assert_eq!((held.len(), held[0], held[held.len() - 1]), (241, 2, 3));
    }

    #[test]
    fn no_rows_no_levels() {
        assert!(levels(Vec::new(), &Owner::Nobody, 0).is_none());
    }
}
