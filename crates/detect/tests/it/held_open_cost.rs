//! What calls held open cost others: told while it lasts, and proven by rows.

use std::collections::BTreeMap;

use plimsoll_detect::Step;
use plimsoll_model::detail::HeldOpen;
use plimsoll_model::evidence::{Pane, Sample};
use plimsoll_model::{Change, Detail, Kind, Transition};

use crate::held_open_world::{Cause, Log, World};
use crate::script::START;

/// A hang that lasts for two minutes: after six seconds others wait.
fn world(seed: u64, log: Log) -> World {
    World {
        lasts_s: 120.0,
        until_s: 520.0,
        ..World::new(seed, log, Cause::Hang { services: 1, part: 1.0 })
    }
}

fn detail(told: &Transition) -> &HeldOpen {
    match &told.finding.detail {
        Some(Detail::HeldOpen(detail)) => detail,
        other => panic!("{other:?}"),
    }
}

/// The transitions that say something new of calls held open, with all evidence told by then.
fn told(steps: &[Step]) -> Vec<(&Transition, Vec<&Pane>, Vec<&Sample>)> {
    let (mut panes, mut samples, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps {
        panes.extend(&step.evidence.panes);
        samples.extend(&step.evidence.samples);
        for transition in &step.transitions {
            if transition.change != Change::Resolved && transition.finding.kind == Kind::HeldOpen {
                told.push((transition, panes.clone(), samples.clone()));
            }
        }
    }
    told
}

#[test]
fn who_else_is_hit_is_told_while_it_lasts() {
    for (seed, log) in (1..=3).flat_map(|seed| [(seed, Log::Starts), (seed, Log::Ends)]) {
        let world = world(seed, log);
        let (made, steps) = (world.made(), world.steps());
        let told = told(&steps);
        let mut shown = format!("{world:?}\n");
        for (one, ..) in &told {
            shown += &format!("{} {}: {}\n", one.as_of.0 - START, one.reason.name(), one.headline);
        }
        println!("{shown}");
        for (one, ..) in &told {
            let (victims, waited_s) = made.cost(one.as_of.0 - START);
            let said = detail(one);
            assert_eq!(said.victims, victims, "{shown}");
            assert!((said.victims_waited_s - waited_s).abs() < 0.01, "{waited_s} {shown}");
        }
        // All nineteen others wait within the first minute; the reader knows most of them by then.
        let hang_ends = START + (world.onset_s + world.lasts_s) as i64;
        let by_then = told.iter().filter(|(one, ..)| one.as_of.0 < hang_ends);
        let victims = by_then.map(|(one, ..)| detail(one).victims).max();
        assert!(victims >= Some(12), "{shown}");
        // It is one incident, and an update that only refines keeps its distance.
        let ids = told.iter().map(|(one, ..)| one.incident);
        assert!(ids.eq(std::iter::repeat_n(told[0].0.incident, told.len())), "{shown}");
        for pair in told.windows(2) {
            let since_s = pair[1].0.as_of.since(pair[0].0.as_of);
            assert!(pair[1].0.reason.name() != "cost_grown" || since_s >= 20, "{shown}");
        }
        assert!(told.len() <= 8, "{shown}");
    }
}

/// The newest rows at or before each transition give its level again, also where two transitions
/// share a pane.
#[test]
fn panes_prove_every_level() {
    let mut shared = 0;
    for (seed, log) in (1..=6).flat_map(|seed| [(seed, Log::Starts), (seed, Log::Ends)]) {
        let world = world(seed, log);
        let steps = world.steps();
        let (all, seconds): (Vec<_>, Vec<_>) =
            told(&steps).into_iter().map(|(one, ..)| (one, one.as_of.0.div_euclid(10))).unzip();
        shared += seconds.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let rows: Vec<&Pane> = steps.iter().flat_map(|step| &step.evidence.panes).collect();
        for one in all {
            let mut newest: BTreeMap<_, (i64, u64)> = BTreeMap::new();
            for row in rows.iter().filter(|row| row.pane <= one.as_of) {
                let known = newest.entry(&row.holder).or_default();
                *known = (*known).max((row.pane.0, row.held));
            }
            let level: u64 = newest.values().map(|(_, held)| held).sum();
            assert_eq!(level, one.finding.level, "{} in {world:?}", one.headline);
        }
    }
    assert!(shared > 0, "no two transitions shared a pane");
}

/// What it cost in all, which the end says, has its rows as well.
#[test]
fn the_end_proves_what_it_cost() {
    for (seed, log) in (1..=3).flat_map(|seed| [(seed, Log::Starts), (seed, Log::Ends)]) {
        let world = World { until_s: 700.0, ..world(seed, log) };
        let steps = world.steps();
        let ends = steps.iter().flat_map(|step| {
            let resolved = |one: &&Transition| one.change == Change::Resolved;
            step.transitions.iter().filter(resolved).map(|one| (one, &step.evidence.samples))
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "{world:?}");
        let (end, rows) = ends[0];
        let waits: Vec<f64> =
            rows.iter().filter(|row| row.metric == "waited").map(|row| row.value).collect();
        assert_eq!(waits.len() as u64, detail(end).victims, "{}", end.headline);
        let off_s = waits.iter().sum::<f64>() - detail(end).victims_waited_s;
        assert!(off_s.abs() < 1e-6 * detail(end).victims_waited_s, "{off_s}: {}", end.headline);
        let at = end.as_of.to_string().replace('T', " ");
        assert!(end.proof.contains(at.trim_end_matches('Z')), "{}", end.proof);
    }
}

/// What a row of the transition's moment says, summed over holders.
fn sum(samples: &[&Sample], one: &Transition, metric: &str) -> f64 {
    let of_it = |row: &&&Sample| row.time == one.as_of.start() && row.metric == metric;
    samples.iter().filter(of_it).map(|row| row.value).sum()
}

/// Whoever adds up the rows gets the numbers of the sentence.
#[test]
fn rows_prove_rates_times_and_costs() {
    let mut checked = 0;
    for (seed, log) in (1..=3).flat_map(|seed| [(seed, Log::Starts), (seed, Log::Ends)]) {
        let steps = world(seed, log).steps();
        for (one, _, rows) in told(&steps) {
            let said = detail(one);
            let sum = |metric| sum(&rows, one, metric);
            let check = |name: &str, said: f64, proven: f64| {
                assert!((said - proven).abs() < 1e-6, "{name}: {said} {proven}: {}", one.headline);
            };
            let excess = sum("observed_held") - sum("expected_held");
            check("unfinished", said.unfinished as f64, excess.round());
            check("usual rate", said.arrivals_per_s_before, sum("usual_rate"));
            check("usual time", said.hold_s_before, sum("usual_held") / sum("usual_rate"));
            let waiting =
                rows.iter().filter(|row| row.time == one.as_of.start() && row.metric == "waited");
            check("victims", said.victims as f64, waiting.count() as f64);
            check("cost", said.victims_waited_s, sum("waited"));
            check("usable", one.finding.usable.unwrap() as f64, sum("usable"));
            if log == Log::Starts {
                check("rate", said.arrivals_per_s, sum("calls_began") / 10.0);
                check("held", one.finding.owner_level.unwrap() as f64, sum("held"));
                let ended_s = sum("calls_ended_age") / sum("calls_ended").max(1.0);
                check("time", said.hold_s, ended_s.max(sum("held_age") / sum("held")));
            } else {
                let level = (sum("usual_held") + excess).round().min(one.finding.level as f64);
                check("estimate", one.finding.owner_level.unwrap() as f64, level);
            }
            checked += 1;
        }
    }
    assert!(checked > 12, "{checked}");
}
