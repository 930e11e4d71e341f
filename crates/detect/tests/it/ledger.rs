//! Who holds how many: the traps of a connection ledger, one test each.

use plimsoll_model::Dimension;

use crate::script::{parse, run, settings};

/// What is held after `script`, as `total: service count, …`. All expectations are counted by hand.
#[track_caller]
fn check(script: &str, expected: &str) {
    let until = parse(script).iter().map(|statement| statement.tick).max().unwrap_or(0);
    let (judge, _) = run(settings(100), script, until);
    let held = judge.held().next().expect("one resource");
    let holders = held.holders.iter().map(|(holder, count)| {
        format!(" {} {count}", holder.get(Dimension::ServiceName).unwrap_or("-"))
    });
    let text = format!("{}:{}", held.held, holders.collect::<Vec<_>>().join(","));
    assert_eq!(text, expected, "after {script}");
}

#[test]
fn a_session_is_held_until_it_closes() {
    check("0 open a.1 web; 1 open a.2 issuer; 2 open a.3 issuer; 3 close a.1", "2: issuer 2");
}
