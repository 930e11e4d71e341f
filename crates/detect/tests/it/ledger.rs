//! Who holds how many: the traps of a connection ledger, one test each.

use plimsoll_model::Dimension;

use crate::script::{parse, run, settings};

/// The last tick that a script speaks of.
fn last_tick(script: &str) -> i64 {
    parse(script).iter().map(|statement| statement.tick).max().unwrap_or(0)
}

/// What is held after `script`, as `total of usable: service count, …`.
/// All expectations are counted by hand.
#[track_caller]
fn check_with(limit: u64, script: &str, expected: &str) {
    let (judge, _) = run(settings(limit), script, last_tick(script));
    let held = judge.held().next().expect("one resource");
    let usable = held.usable.map(|usable| format!(" of {usable}")).unwrap_or_default();
    let holders = held.holders.iter().map(|(holder, count)| {
        format!(" {} {count}", holder.get(Dimension::ServiceName).unwrap_or("-"))
    });
    let text = format!("{}{usable}:{}", held.held, holders.collect::<Vec<_>>().join(","));
    assert_eq!(text, expected, "after {script}");
}

/// [`check_with`] for a resource of 100 units.
#[track_caller]
fn check(script: &str, expected: &str) {
    check_with(100, script, &expected.replacen(':', " of 100:", 1));
}

#[test]
fn a_session_is_held_until_it_closes() {
    check("0 open a.1 web; 1 open a.2 issuer; 2 open a.3 issuer; 3 close a.1", "2: issuer 2");
}

#[test]
fn refused_sessions_that_never_disconnect_do_not_pile_up() {
    check("0 open a.1 web; 1 open a.2 web; 1 refuse a.2 web reserved", "1: web 1");
    check("0 refuse a.1 web limit; 1 refuse - web limit", "0:");
    check("0 open a.1 web/app; 0 refuse a.1 web/app role_limit", "0:");
}

#[test]
fn a_disconnection_after_a_refusal_is_not_a_second_close() {
    check("0 open a.1 web; 1 open a.2 web; 2 refuse a.2 web limit; 3 close a.2", "1: web 1");
}

#[test]
fn a_refusal_that_comes_before_its_session_ends_it_all_the_same() {
    check("0 refuse a.1 web reserved; 3<0 open a.1 web", "0:");
}

#[test]
fn attempts_hold_nothing() {
    check("0 attempt a.1; 0 attempt a.2; 1 open a.1 web", "1: web 1");
}

#[test]
fn sessions_older_than_the_log_never_push_the_count_below_zero() {
    check("0 close b.1 600; 1 close b.2 600; 2 open a.1 web; 3 close b.3", "1: web 1");
}

#[test]
fn an_open_that_comes_after_its_close_is_annihilated() {
    check("0 open a.1 web; 5 close a.2; 7<3 open a.2 web", "1: web 1");
}

#[test]
fn a_shipper_that_repeats_itself_counts_once() {
    check(
        "0 open a.1 web; 1<0 open a.1 web; 2 open a.2 web; 3 close a.2; 4<3 close a.2",
        "1: web 1",
    );
    check("0 open a.1 web; 3 close a.1; 5<0 open a.1 web; 6<3 close a.1", "0:");
}

#[test]
fn two_clocks_that_disagree_a_little_leave_nobody_behind() {
    check("1 close a.1; 1.004 open a.1 web", "0:");
    check("1.004 open a.1 web; 2<1 close a.1", "0:");
}

#[test]
fn an_id_that_is_used_again_is_a_new_session() {
    check("0 open slot-7 web; 5 close slot-7; 9 open slot-7 issuer", "1: issuer 1");
    check("0 open slot-7 web; 5 close slot-7; 5 open slot-7 issuer", "1: issuer 1");
    // The first end was lost: the second use tells of it.
    check("0 open slot-7 web; 9 open slot-7 issuer", "1: issuer 1");
}

#[test]
fn a_crash_restart_ends_everybodys_sessions() {
    check("0 open a.1 web; 1 open a.2 issuer; 5 reset; 6 open a.3 web", "1: web 1");
}

#[test]
fn a_restart_that_is_told_late_spares_who_came_after_it() {
    check("0 open a.1 web; 5 open a.2 issuer; 8<3 reset", "1: issuer 1");
    check("0 open a.1 web; 3 reset; 6<1 open a.2 issuer", "0:");
}

#[test]
fn a_restart_that_is_told_three_times_is_one() {
    check("0 open a.1 web; 3 reset; 3.2 reset; 4 open a.2 web; 4<3.5 reset", "1: web 1");
}

#[test]
fn a_session_from_before_the_restart_that_disconnects_after_it_is_known() {
    check("0 open a.1 web; 3 reset; 4 open a.2 web; 5 close a.1 5", "1: web 1");
}

#[test]
fn a_polled_count_includes_who_came_before_the_log() {
    check("0 open a.1 web; 1 poll 41; 2 open a.2 web; 3 open a.3 web; 4 close a.1", "42: web 2");
}

#[test]
fn what_happened_before_the_poll_is_not_counted_twice() {
    check("0 open a.1 web; 3 poll 10; 5<2 open a.2 web; 6 open a.3 web", "11: web 3");
}

#[test]
fn an_older_poll_does_not_replace_a_newer_one() {
    check("0 open a.1 web; 5 poll 10; 6<3 poll 50", "10: web 1");
}

#[test]
fn a_restart_outdates_the_poll() {
    check("0 open a.1 web; 1 poll 41; 2 reset; 3 open a.2 web", "1: web 1");
}

#[test]
fn calls_are_held_from_their_start_to_their_finish() {
    check("0 start c.1 acme; 1 start c.2 acme; 2 finish c.1", "1: acme 1");
    check("1 finish c.1; 2<0 start c.1 acme", "0:");
}

#[test]
fn work_on_a_held_connection_is_not_another_one() {
    check("0 open a.1 web; 1 start a.1 web; 2 finish a.1; 3 start a.1 web", "1: web 1");
}

#[test]
fn sampled_holders_hold_what_was_sampled_last() {
    check("0 used 12 web; 0 used 5 issuer; 10 used 9 web; 11<4 used 77 web", "14: web 9, issuer 5");
}

#[test]
fn an_instance_that_is_not_sampled_any_more_is_gone() {
    // 310 s after its last sample, while the other goes on: more than 300 s.
    let script = "0 used 12 old; 0 used 5 new; 310 used 6 new; 320 used 6 new";
    check(script, "6: new 6");
}

#[test]
fn sessions_replace_samples_of_single_holders() {
    check("0 used 12 web; 1 open a.1 web; 2 used 12 web", "1: web 1");
}

#[test]
fn a_count_below_zero_or_with_a_fraction_is_made_whole() {
    check("0 used -3 web; 0 used 2.6 issuer", "3: issuer 3");
}

#[test]
fn a_limit_is_what_was_told_last_else_what_is_configured() {
    check_with(100, "0 open a.1 web", "1 of 100: web 1");
    check_with(100, "0 open a.1 web; 1 limit 50", "1 of 50: web 1");
    check_with(100, "0 open a.1 web; 1 limit 50; 2 relimit 80", "1 of 80: web 1");
    check_with(100, "0 open a.1 web; 2 limit 50; 3<1 relimit 80", "1 of 50: web 1");
    check_with(100, "0 open a.1 web; 2 limit 0; 3 relimit -4", "1 of 100: web 1");
    check_with(0, "0 open a.1 web", "1: web 1");
}

#[test]
fn a_refusal_teaches_an_unknown_limit() {
    check_with(
        0,
        "0 open a.1 web; 1 open a.2 web; 2 open a.3 web; 2.001 refuse a.3 web limit",
        "2 of 2: web 2",
    );
    check_with(100, "0 open a.1 web; 1 refuse - web limit", "1 of 100: web 1");
}

#[test]
fn clients_that_storm_the_limit_together_do_not_raise_it() {
    // Two hold units; three more are authorized together and then refused one by one.
    let storm = "2 open a.3 x; 2 open a.4 x; 2 open a.5 x; \
                 2.1 refuse a.3 x limit; 2.2 refuse a.4 x limit; 2.3 refuse a.5 x limit";
    check_with(0, &format!("0 open a.1 web; 0 open a.2 web; {storm}"), "2 of 2: web 2");
}

#[test]
fn the_limit_of_one_role_or_database_teaches_nothing() {
    check_with(0, "0 open a.1 web/app; 1 refuse a.2 web/app role_limit", "1: web 1");
    check_with(0, "0 open a.1 web/app/o; 1 refuse a.2 web/app/o database_limit", "1: web 1");
}

#[test]
fn more_units_than_a_learned_limit_raise_it() {
    let script = "0 open a.1 web; 1 refuse - web limit; 5 open a.2 web; 6 open a.3 web";
    check_with(0, script, "3 of 3: web 3");
}
