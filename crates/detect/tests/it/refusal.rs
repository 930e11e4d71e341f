//! Refusal at the hard limit, from rows to transitions.

use plimsoll_detect::Switch;

use crate::script::{START, run, settings};

/// The transitions of `script` through `until`, as `tick reason severity owner`. The resource has
/// 10 units; growth is off.
#[track_caller]
fn check(script: &str, until: i64, expected: &[&str]) {
    let mut settings = settings(10);
    settings.detectors.growth_to_limit = Switch::Off;
    let (_, steps) = run(settings, script, until);
    let transitions = steps.iter().flat_map(|step| &step.transitions);
    let told: Vec<String> = transitions
        .map(|told| {
            let tick = told.as_of.0 - START;
            let severity = told.finding.severity.name();
            format!("{tick} {} {severity} {}", told.reason.name(), told.finding.owner)
        })
        .collect();
    assert_eq!(told, expected, "{script}");
}

/// `count` sessions of `service`, opened at second 0.
fn sessions(service: &str, count: usize) -> String {
    (0..count).map(|session| format!("0 open {service}.{session} {service}; ")).collect()
}

#[test]
fn the_first_refusal_pages_and_the_end_of_refusals_resolves() {
    // Quiet for 180 s, a tenth of 30 min, then the hold of 60 s.
    let script = sessions("web", 1) + "5 refuse - batch limit";
    let expected =
        ["5 limit_refused page service.name web", "245 refusals_ended page service.name web"];
    check(&script, 300, &expected);
}

#[test]
fn who_holds_most_by_far_is_named() {
    let script = sessions("web", 2) + &sessions("issuer", 8) + "5 refuse - batch limit";
    check(&script, 9, &["5 limit_refused page service.name issuer"]);
}

#[test]
fn who_holds_only_a_little_more_is_not_blamed() {
    let script = sessions("web", 4) + &sessions("issuer", 6) + "5 refuse - batch limit";
    check(&script, 9, &["5 limit_refused page nobody"]);
}

#[test]
fn refusals_that_return_within_the_pause_are_one_incident() {
    let script = sessions("web", 1)
        + "5 refuse - batch limit; 105 refuse - batch limit; 205 refuse - batch reserved";
    check(&script, 300, &["5 limit_refused page service.name web"]);
}

#[test]
fn it_is_not_over_while_no_unit_is_free() {
    let close = "; 900 close web.0";
    let script = sessions("web", 10) + "5 refuse - batch limit" + close;
    let expected =
        ["5 limit_refused page service.name web", "960 refusals_ended page service.name web"];
    check(&script, 1_000, &expected);
}

#[test]
fn a_refusal_of_an_hour_ago_opens_nothing() {
    check("3600 open a.1 web; 3600<5 refuse - web limit", 3_700, &[]);
}

#[test]
fn the_limit_of_one_role_is_a_ticket_for_that_role() {
    let script = "0 open a.1 web/app; 5 refuse a.2 web/app role_limit";
    let expected =
        ["5 limit_refused ticket user.name app", "245 refusals_ended ticket user.name app"];
    check(script, 300, &expected);
}

#[test]
fn the_limit_of_one_database_is_a_ticket_for_that_database() {
    let script = "0 open a.1 web/app/orders; 5 refuse a.2 web/app/orders database_limit";
    check(script, 9, &["5 limit_refused ticket db.namespace orders"]);
}

#[test]
fn a_refusal_for_another_reason_is_not_about_the_limit() {
    check("0 open a.1 web; 5 refuse a.2 web password", 9, &[]);
}

#[test]
fn a_detector_that_is_off_says_nothing() {
    let mut settings = settings(10);
    settings.detectors.refusal_at_limit = Switch::Off;
    assert_eq!(run(settings, "0 refuse - web limit", 9).1, []);
}
