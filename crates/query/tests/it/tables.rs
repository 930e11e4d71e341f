//! What stands in the tables.

use plimsoll_store::Store;

use crate::world::{World, options, update};

#[track_caller]
fn check(sql: &str, expected: &[&str]) {
    assert_eq!(World::new().lines(sql), expected);
}

const ISSUER: &str = "00000000000000000000000000000007";

#[test]
fn incidents_are_in_their_current_state() {
    check(
        "select right(incident, 1), sequence, change, is_open, resolved_at, owner, owner_dimension, owner_value \
         from incidents order by incident",
        &[
            "7,3,resolved,false,2024-03-12T15:20:00Z,service.name issuer,service.name,issuer",
            "9,1,opened,true,,unknown,,",
        ],
    );
}

#[test]
fn events_have_every_number_in_its_column() {
    check(
        &format!(
            "select pipeline, sequence, reason, as_of, decided_at, opened_at, kind, severity, severity_peak, resource, \
             unit, since, level, usable, owner_level, owner_level_before, growth_per_minute, exhaustion_from, \
             exhaustion_to, release_service, release_version, deployed_at, refused, doubts, headline, advice, detail, \
             proof from incident_events where incident = '{ISSUER}' and sequence = 2"
        ),
        &[
            "payments,2,exhaustion_forecast,2024-03-12T15:11:00Z,2024-03-12T15:11:02Z,2024-03-12T15:10:00Z,\
           growth_to_limit,page,page,orders-db,connections,2024-03-12T15:02:00Z,110,197,80,41,2.5,\
           2024-03-12T15:21:00Z,2299-12-31T23:59:59.999999Z,issuer,2.14,2024-03-12T14:58:00Z,0,\
           [3 sessions are older than the log],issuer holds 80 of 197,Roll back issuer.,,SELECT 1",
        ],
    );
}

#[test]
fn deliveries_say_what_became_of_them() {
    check(
        "select delivery, sink, right(key, 1), action, right(incident, 1), sequence, ordered_at, state, attempts, \
         answered_at, answer from deliveries order by delivery",
        &[
            "0,oncall,7,trigger,7,1,2024-03-12T15:10:00Z,accepted,,2024-03-12T15:10:03Z,ok",
            "1,oncall,7,update,7,2,2024-03-12T15:11:00Z,pending,0,,",
            "2,oncall,7,resolve,7,3,2024-03-12T15:20:00Z,pending,0,,",
            "3,oncall,9,trigger,9,1,2024-03-12T15:30:00Z,pending,0,,",
        ],
    );
}

#[test]
fn evidence_of_all_segments_is_one_table() {
    check(
        "select service_name, count(*), max(held), max(pane), max(user_name) from panes \
         group by service_name order by service_name",
        &["issuer,5,90,2024-03-12T15:19:50Z,", "web,2,31,2024-03-12T15:10:10Z,"],
    );
}

#[test]
fn a_life_that_was_told_again_is_told_once() {
    check("select ended_at, cause from lives", &["2024-03-12T15:19:50Z,restart"]);
}

#[test]
fn rejects_name_their_source_where_it_is_known() {
    let row = "3,99,malformed,expected value at line 1,\"not, json\"";
    let sql = "select source, partition, record_offset, reason, detail, excerpt from rejects";
    check(sql, &[&format!("1,{row}")]);
    let mut world = World::new();
    world.query = world.query.clone().with_sources(vec!["deploys".into(), "db".into()]);
    assert_eq!(world.lines(sql), [format!("db,{row}")]);
}

#[test]
fn times_compare_with_text_in_utc() {
    let sql = "select count(*) from panes where pane ";
    let world = World::new();
    assert_eq!(world.lines(&format!("{sql} >= '2024-03-12 15:10:00'")), ["4"]);
    assert_eq!(
        world.lines(&format!("{sql} > timestamp '2024-03-12 15:10:00' + interval '10' second")),
        ["2"]
    );
    assert_eq!(
        world.lines("select distinct extract(epoch from min(pane)) from panes"),
        ["1710256170.0"]
    );
}

#[test]
fn a_running_pipeline_is_seen_from_answer_to_answer() {
    let world = World::new();
    let mut store = Store::open(world.folder.path(), options()).unwrap();
    let sql = "select max(sequence) from incident_events where incident like '%9'";
    assert_eq!(world.lines(sql), ["1"]);
    update(&mut store);
    assert_eq!(world.lines(sql), ["2"]);
}
