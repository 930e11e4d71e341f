//! Every incident carries a query that gives its numbers again from the evidence alone.

use std::collections::BTreeSet;

use plimsoll_model::{Change, Transition};
use serde_json::{Map, Value};

use crate::golden::{self, Told, ask};

/// How far a number may be off (`docs/sql.md`, "The proof of an incident"): the larger of so many
/// units and this part of it.
fn tolerance(column: &str) -> (f64, f64) {
    match column {
        "level" | "owner_level" => (1.0, 0.02),
        "usable" => (0.0, 0.0),
        "owner_level_before" => (4.0, 0.1),
        "refused" => (1.0, 0.02),
        "growth_per_minute" => (0.0, 0.25),
        other => panic!("`{other}` is not a number that a proof gives"),
    }
}

/// The transitions that say something new; the one that resolves repeats what was said.
pub fn telling(told: &[Told]) -> impl Iterator<Item = &Transition> {
    let all = told.iter().flat_map(|one| &one.transitions);
    all.filter(|transition| transition.change != Change::Resolved)
}

/// The numbers of a transition by the names of their columns.
fn said(transition: &Transition, column: &str) -> Option<f64> {
    let finding = &transition.finding;
    match column {
        "level" => Some(finding.level as f64),
        "usable" => finding.usable.map(|usable| usable as f64),
        "owner_level" => finding.owner_level.map(|level| level as f64),
        "owner_level_before" => finding.owner_level_before.map(|level| level as f64),
        "refused" => Some(finding.refused as f64),
        "growth_per_minute" => finding.growth_per_minute,
        _ => None,
    }
}

/// What `row`, the answer to a proof, says is what the transition says.
#[track_caller]
pub fn check(transition: &Transition, row: &Map<String, Value>) {
    for (column, value) in row {
        let (units, part) = tolerance(column);
        let (proven, said) = (value.as_f64(), said(transition, column));
        let (Some(proven), Some(said)) = (proven, said) else {
            panic!("{column}: proven {proven:?}, said {said:?} in {transition:#?}");
        };
        let off = (proven - said).abs();
        assert!(
            off <= units.max(part * said.abs()),
            "{column}: proven {proven}, said {said} in {transition:#?}"
        );
    }
    assert!(!row.is_empty());
}

#[test]
fn the_proofs_of_the_golden_incidents_give_their_numbers() {
    let mut kinds = BTreeSet::new();
    for (name, told) in golden::golden() {
        let whole = golden::stored(&name, &told, Clone::clone);
        let half = golden::stored(&name, &told, golden::half);
        for transition in telling(&told).filter(|transition| !transition.proof.is_empty()) {
            let rows = ask(whole.path(), &transition.proof);
            println!("{name} {} {}: {rows:?}", transition.as_of, transition.finding.kind.name());
            assert_eq!(rows.len(), 1, "{}", transition.proof);
            check(transition, &rows[0]);
            assert_ne!(
                rows,
                ask(half.path(), &transition.proof),
                "half of the evidence proves as much"
            );
            kinds.insert(transition.finding.kind);
        }
    }
    assert!(!kinds.is_empty(), "no incident was proven");
}

#[test]
fn the_end_carries_the_proof_of_what_was_said_last() {
    for (_, told) in golden::golden() {
        let all: Vec<&Transition> = told.iter().flat_map(|one| &one.transitions).collect();
        for end in all.iter().filter(|transition| transition.change == Change::Resolved) {
            let before = all
                .iter()
                .find(|other| other.incident == end.incident && other.sequence + 1 == end.sequence);
            assert_eq!(before.unwrap().proof, end.proof);
        }
    }
}
