//! Evidence rows reproduce what the transitions say.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_detect::panes::{EVIDENCE_HOLDERS_MAX, EVIDENCE_ROWS_MAX};
use plimsoll_detect::{Step, Switch};
use plimsoll_model::evidence::Pane;
use plimsoll_model::{Change, Dimension};

use crate::script::{START, run, settings};

fn judged(script: &str, until: i64) -> Vec<Step> {
    let mut settings = settings(1_000_000);
    settings.detectors.growth_to_limit = Switch::Off;
    run(settings, script, until).1
}

/// The sum over the newest rows of all holders: the level at the end of the newest pane.
fn level<'a>(rows: impl IntoIterator<Item = &'a Pane>) -> u64 {
    let mut newest = BTreeMap::new();
    for row in rows {
        newest.insert(&row.holder, row.held);
    }
    newest.values().sum()
}

#[test]
fn the_newest_rows_add_up_to_the_level_of_the_page() {
    let script = "0 open a.1 web; 1 open a.2 issuer; 12 open a.3 issuer; 35 close a.2; \
                  47 open a.4 web; 48 open a.5 batch; 49 refuse - web limit";
    let steps = judged(script, 60);
    let finding = &steps[0].transitions[0].finding;
    assert_eq!((finding.level, level(&steps[0].evidence.panes)), (4, 4));
    let row = |row: &Pane| {
        let service = row.holder.get(Dimension::ServiceName).unwrap_or("-").to_owned();
        (row.pane.0 - START, service, row.opened, row.closed, row.refused, row.held)
    };
    let rows: Vec<_> = steps[0].evidence.panes.iter().map(row).collect();
    let expected = [
        (0, "web", 1, 0, 0, 1),
        (0, "issuer", 1, 0, 0, 1),
        (10, "issuer", 1, 0, 0, 2),
        (30, "issuer", 0, 1, 0, 1),
        (40, "web", 1, 0, 1, 2),
        (40, "batch", 1, 0, 0, 1),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(pane, service, opened, closed, refused, held)| {
            (pane, service.to_owned(), opened, closed, refused, held)
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn units_that_no_row_explains_are_the_row_without_a_holder() {
    let steps = judged("0 open a.1 web; 1 poll 41; 2 open a.2 web; 3 refuse - web limit", 9);
    assert_eq!((steps[0].transitions[0].finding.level, level(&steps[0].evidence.panes)), (42, 42));
}

#[test]
fn every_row_is_told_once_and_nothing_is_lost_between_two_tellings() {
    // Opened at 3, inside the pane of 0; the rest of that pane is told with the pane of 10.
    let script = "0 open a.1 web; 3 refuse - web limit; 4 open a.2 web; 5 refuse - web limit; \
                  6 refuse - web limit; 25 close a.1; 31 refuse - web limit";
    let steps = judged(script, 400);
    let changes: Vec<_> = steps.iter().map(|step| step.transitions[0].change).collect();
    assert_eq!(changes, [Change::Opened, Change::Resolved]);
    let rows: Vec<&Pane> = steps.iter().flat_map(|step| &step.evidence.panes).collect();
    let places: BTreeSet<_> = rows.iter().map(|row| (&row.holder, row.pane)).collect();
    assert_eq!(places.len(), rows.len());
    let sum = |count: fn(&Pane) -> u64| rows.iter().map(|row| count(row)).sum::<u64>();
    assert_eq!(sum(|row| row.opened), 2);
    assert_eq!(sum(|row| row.closed), 1);
    assert_eq!(sum(|row| row.refused), 4);
    assert_eq!(level(rows.iter().copied()), 1);
}

#[test]
fn a_thousand_holders_are_told_in_a_bounded_number_of_rows() {
    let mut script = String::new();
    for session in 0..1_000 {
        script += &format!("{} open a.{session} app-{session};", session % 100);
        script += &format!("{} open b.{session} app-{};", session % 100, session % 40);
    }
    let steps = judged(&(script + "100 refuse - web limit"), 109);
    let evidence = &steps[0].evidence.panes;
    assert_eq!((steps[0].transitions[0].finding.level, level(evidence)), (2_000, 2_000));
    let holders: BTreeSet<_> = evidence.iter().map(|row| &row.holder).collect();
    assert!(holders.len() <= EVIDENCE_HOLDERS_MAX + 1, "{}", holders.len());
    assert!(evidence.len() <= EVIDENCE_ROWS_MAX);
}

#[test]
fn a_holder_that_is_told_apart_later_is_not_counted_twice() {
    // 24 holders of 30 units are told apart at first; `late` is among the rest, and grows.
    let mut script = "0 open l.0 late;".to_owned();
    for session in 0..24 * 30 {
        script += &format!("{} open a.{session} app-{};", session % 50, session % 24);
    }
    script += "60 refuse - web limit;";
    for session in 1..40 {
        script += &format!("{} open l.{session} late;", 70 + session);
    }
    let steps = judged(&(script + "115 refuse - web limit"), 500);
    let rows: Vec<_> = steps.iter().flat_map(|step| &step.evidence.panes).collect();
    let told = steps.iter().map(|step| step.transitions[0].change).collect::<Vec<_>>();
    assert_eq!(told, [Change::Opened, Change::Resolved]);
    // Before the refusal at 115 says anew what the rest holds.
    let before = rows.into_iter().filter(|row| row.pane.0 < START + 110);
    assert_eq!(level(before), 24 * 30 + 40);
}
