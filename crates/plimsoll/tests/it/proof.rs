//! Every incident carries a query that gives its numbers again from the evidence alone.

use std::collections::BTreeSet;

use plimsoll_model::detail::HeldOpen;
use plimsoll_model::{Change, Detail, Finding, Kind, Transition};
use serde_json::{Map, Value};

use crate::golden::{self, Told, ask};

/// How far a number may be off (`docs/sql.md`, "The proof of an incident"): the larger of so many
/// units and this part of it.
fn tolerance(kind: Kind, column: &str) -> (f64, f64) {
    let is_of_lives =
        matches!(kind, Kind::GrowthWithinLife | Kind::GrowthAcrossLives | Kind::NotBack);
    match column {
        // A whole number of bytes is said, and a whole second.
        "level" | "owner_level" | "usable" | "last_seen_epoch_s" if is_of_lives => (1.0, 0.0),
        "usual_return_s" => (0.001, 0.0),
        "growth_per_minute" | "growth_per_hour" if is_of_lives => (0.0, 0.01),
        "level" | "owner_level" | "open_calls" => (1.0, 0.02),
        "owner_level_before" => (4.0, 0.1),
        "refused" => (1.0, 0.02),
        "culprits_level" | "unfinished" => (1.0, 0.0),
        "usable" | "victims" => (0.0, 0.0),
        "arrivals_per_s" | "arrivals_per_s_before" => (1e-6, 1e-6),
        "hold_s" | "hold_s_before" | "victims_waited_s" => (1e-6, 1e-6),
        "growth_per_minute" => (0.0, 0.25),
        other => panic!("`{other}` is not a number that a proof of {kind:?} gives"),
    }
}

/// The transitions that say something new; the one that resolves repeats what was said, but for
/// what calls held open have cost in all.
pub fn telling(told: &[Told]) -> impl Iterator<Item = &Transition> {
    let all = told.iter().flat_map(|one| &one.transitions);
    all.filter(|transition| {
        transition.change != Change::Resolved || transition.finding.kind == Kind::HeldOpen
    })
}

/// The numbers of a transition by the names of their columns.
fn said(transition: &Transition, column: &str) -> Option<f64> {
    let finding = &transition.finding;
    match column {
        "level" => Some(finding.level as f64),
        "culprits_level" => culprits_level(finding),
        "usable" => finding.usable.map(|usable| usable as f64),
        "owner_level" | "open_calls" => finding.owner_level.map(|level| level as f64),
        "owner_level_before" => finding.owner_level_before.map(|level| level as f64),
        "refused" => Some(finding.refused as f64),
        "growth_per_minute" => finding.growth_per_minute,
        _ => detail(finding.detail.as_ref()?, column),
    }
}

/// What all of several culprits hold.
fn culprits_level(finding: &Finding) -> Option<f64> {
    let Some(Detail::HeldOpen(calls)) = &finding.detail else { return None };
    let further: u64 = calls.further.iter().map(|culprit| culprit.held).sum();
    finding.owner_level.map(|level| (level + further) as f64)
}

fn detail(detail: &Detail, column: &str) -> Option<f64> {
    match (detail, column) {
        (Detail::HeldOpen(calls), _) => held_open(calls, column),
        (Detail::AcrossLives(lives), "growth_per_hour") => Some(lives.growth_per_hour),
        (Detail::NotBack(absence), "usual_return_s") => absence.usual_return_s,
        (Detail::NotBack(absence), "last_seen_epoch_s") => {
            Some(absence.last_seen.second().0 as f64)
        }
        _ => None,
    }
}

fn held_open(calls: &HeldOpen, column: &str) -> Option<f64> {
    match column {
        "arrivals_per_s" => Some(calls.arrivals_per_s),
        "arrivals_per_s_before" => Some(calls.arrivals_per_s_before),
        "hold_s" => Some(calls.hold_s),
        "hold_s_before" => Some(calls.hold_s_before),
        "unfinished" => Some(calls.unfinished as f64),
        "victims" => Some(calls.victims as f64),
        "victims_waited_s" => Some(calls.victims_waited_s),
        _ => None,
    }
}

/// What `row`, the answer to a proof, says is what the transition says.
#[track_caller]
pub fn check(transition: &Transition, row: &Map<String, Value>) {
    for (column, value) in row {
        let (units, part) = tolerance(transition.finding.kind, column);
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
        for transition in telling(&told) {
            let rows = ask(whole.path(), &transition.proof);
            println!("{name} {} {}: {rows:?}", transition.as_of, transition.finding.kind.name());
            assert_eq!(rows.len(), 1, "{}", transition.proof);
            check(transition, &rows[0]);
            if transition.finding.kind == Kind::HeldOpen {
                let said = ["owner_level", "hold_s", "arrivals_per_s", "unfinished", "victims"];
                let missing = said.iter().find(|column| !rows[0].contains_key(**column));
                assert_eq!(missing, None, "{}", transition.proof);
            }
            assert_ne!(
                rows,
                ask(half.path(), &transition.proof),
                "half of the evidence proves as much"
            );
            kinds.insert(transition.finding.kind);
        }
    }
    let expected = BTreeSet::from([
        Kind::GrowthToLimit,
        Kind::HeldOpen,
        Kind::GrowthAcrossLives,
        Kind::GrowthWithinLife,
        Kind::NotBack,
    ]);
    assert!(kinds.is_superset(&expected), "only {kinds:?} were proven");
}

#[test]
fn the_end_carries_the_proof_of_what_was_said_last() {
    for (_, told) in golden::golden() {
        let all: Vec<&Transition> = told.iter().flat_map(|one| &one.transitions).collect();
        let repeats = |transition: &&&Transition| {
            transition.change == Change::Resolved && transition.finding.kind != Kind::HeldOpen
        };
        for end in all.iter().filter(repeats) {
            let before = all
                .iter()
                .find(|other| other.incident == end.incident && other.sequence + 1 == end.sequence);
            assert_eq!(before.unwrap().proof, end.proof);
        }
    }
}
