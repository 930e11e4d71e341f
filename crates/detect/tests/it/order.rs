//! Results depend on the rows alone: not on batches, lateness, arrival, or where it was stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_detect::{Judge, Step};
use plimsoll_model::{OwnedHolder, Tick};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::script::{Statement, parse, settings, ticks, ticks_cut};

/// How long every script lasts, in seconds.
const UNTIL: i64 = 400;

/// One session: when it opens, how long it lasts, its service, and whether a limit refuses it.
fn session() -> impl Strategy<Value = (i64, i64, u8, u8)> {
    (0..300_i64, 0..90_i64, 0..5_u8, 0..8_u8)
}

/// Statements with ids that are used once; rows may be repeated.
fn script() -> impl Strategy<Value = Vec<Statement>> {
    (vec(session(), 1..60), vec(0..300_i64, 0..2), vec((0..300_i64, 0..40_u8), 0..3)).prop_map(
        |(sessions, resets, polls)| {
            let mut text = String::new();
            for (number, (opened, age, service, fate)) in sessions.into_iter().enumerate() {
                let end = opened + age;
                text += &format!("{opened}.{number:03} open s.{number} app-{service};");
                text += &match fate {
                    0 => format!("{opened}.9 refuse s.{number} app-{service} limit;"),
                    1 => String::new(),
                    2 => format!("{end}.95 close s.{number}; {end}.95 close s.{number};"),
                    _ => format!("{end}.95 close s.{number};"),
                };
            }
            for reset in resets {
                text += &format!("{reset}.97 reset;");
            }
            for (time, count) in polls {
                text += &format!("{time}.98 poll {count};");
            }
            parse(&text)
        },
    )
}

fn judge_all(judge: &mut Judge, ticks: &[Tick]) -> Vec<Step> {
    ticks.iter().map(|tick| judge.step(tick)).collect()
}

/// What everybody holds.
fn held(judge: &Judge) -> (u64, BTreeMap<OwnedHolder, u64>) {
    let held = judge.held().next().expect("one resource");
    let holders = held.holders.into_iter().map(|(holder, count)| (holder.clone(), count));
    (held.held, holders.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The same rows in other batches: the same transitions, evidence and saved bytes.
    #[test]
    fn any_cut_into_batches_gives_the_same(script in script(), cuts in vec(0..6_usize, 200)) {
        let mut one = Judge::new(settings(20));
        let mut other = Judge::new(settings(20));
        let steps = judge_all(&mut one, &ticks(&script, UNTIL));
        let cut = ticks_cut(&script, UNTIL, |statement| cuts[statement % cuts.len()]);
        prop_assert_eq!(steps, judge_all(&mut other, &cut));
        prop_assert_eq!(one.save(), other.save());
    }

    /// Stopped after any tick and restored: the same from there on.
    #[test]
    fn a_restored_judge_goes_on_as_if_nothing_happened(script in script(), stop in 0..UNTIL) {
        let ticks = ticks(&script, UNTIL);
        let (before, after) = ticks.split_at((stop as usize).min(ticks.len()));
        let mut judge = Judge::new(settings(20));
        judge_all(&mut judge, before);
        let saved = judge.save();
        let mut restored = Judge::restore(settings(20), &saved).unwrap();
        prop_assert_eq!(&restored.save(), &saved);
        prop_assert_eq!(judge_all(&mut judge, after), judge_all(&mut restored, after));
        prop_assert_eq!(judge.save(), restored.save());
    }

    /// Rows that are late by up to 100 s: in the end the same units are held by the same holders.
    #[test]
    fn late_rows_lead_to_the_same_ledger(script in script(), delays in vec(0..100_i64, 200)) {
        let mut punctual = Judge::new(settings(20));
        judge_all(&mut punctual, &ticks(&script, UNTIL + 100));
        let mut late = script.clone();
        for (place, statement) in late.iter_mut().enumerate() {
            // Counts are polled when they are polled: a late poll is another poll.
            if statement.verb != "poll" {
                statement.tick += delays[place % delays.len()];
            }
        }
        let mut judge = Judge::new(settings(20));
        judge_all(&mut judge, &ticks(&late, UNTIL + 100));
        prop_assert_eq!(held(&punctual).1, held(&judge).1);
    }
}

#[test]
fn the_order_of_batches_inside_a_tick_means_nothing() {
    let script = parse("0 open a.1 web; 0.5 open a.2 issuer; 0.7 refuse - web limit");
    let mut ticks = ticks(&script, 5);
    let mut one = Judge::new(settings(20));
    let steps = judge_all(&mut one, &ticks);
    for tick in &mut ticks {
        let last = tick.batches.len().saturating_sub(1) as u32;
        tick.batches.reverse();
        tick.rows.iter_mut().for_each(|row| row.batch = last - row.batch);
        tick.batches.push(Arc::default());
    }
    let mut other = Judge::new(settings(20));
    assert_eq!(steps, judge_all(&mut other, &ticks));
    assert_eq!(one.save(), other.save());
}

#[test]
fn bytes_of_another_version_are_refused_untouched() {
    let mut bytes = Judge::new(settings(20)).save();
    bytes[0] = 77;
    let error = Judge::restore(settings(20), &bytes).unwrap_err();
    assert!(error.to_string().contains("version 77"), "{error}");
    bytes[0] = 1;
    bytes.truncate(bytes.len() - 1);
    assert!(Judge::restore(settings(20), &bytes).is_err());
    assert!(Judge::restore(settings(20), &[]).is_err());
}
