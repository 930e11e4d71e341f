//! The table functions.

use crate::world::World;

#[track_caller]
fn check(sql: &str, expected: &[&str]) {
    assert_eq!(World::new().lines(sql), expected);
}

#[track_caller]
fn refuses(sql: &str, words: &[&str]) {
    let error = World::new().refusal(sql).to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

/// Levels by hand: 41 + 30, 60 + 30, 80 + 30, 80 + 31, 90 + 31, 40 + 31.
#[test]
fn a_window_has_the_level_at_each_pane_and_its_phase() {
    let sql = "select extract(minute from pane) * 60 + extract(second from pane), service_name, held, level, phase \
               from incident_window('00000000000000000000000000000007', '5m') order by pane, service_name";
    check(
        sql,
        &[
            "570,issuer,41,71,during",
            "570,web,30,71,during",
            "590,issuer,60,90,during",
            "600,issuer,80,110,during",
            "610,web,31,111,during",
            "660,issuer,90,121,during",
            "1190,issuer,40,71,during",
        ],
    );
}

#[test]
fn the_newest_incident_may_have_no_panes() {
    check("select count(*) from incident_window('latest', interval '15 minutes')", &["0"]);
}

#[test]
fn a_window_of_what_does_not_exist_says_so() {
    refuses("select * from incident_window('latest')", &["two arguments", "'15m'"]);
    refuses("select * from incident_window('x', '15m')", &["32 hexadecimal digits", "latest"]);
    refuses("select * from incident_window('latest', 'soon')", &["margin `soon`", "'2h'"]);
    let unknown = "select * from incident_window('000000000000000000000000000000ff', '1m')";
    refuses(unknown, &["no incident", "from incidents"]);
    refuses("select * from incident_windw('latest', '1m')", &["incident_window(incident, margin)"]);
}

#[test]
fn holders_are_those_of_the_pane_that_contains_the_time() {
    let at =
        |time: &str| format!("select service_name, held from holders_at('orders-db', '{time}')");
    check(&at("2024-03-12 15:09:35"), &["issuer,41", "web,30"]);
    check(&at("2024-03-12 15:10:05"), &["issuer,80", "web,30"]);
    check(&at("2024-03-12T16:19:59+01:00"), &["issuer,40", "web,31"]);
    check(&at("2024-03-12 15:09:00"), &[]);
    check(&at("2024-03-12 15:20:00"), &[]);
    check("select * from holders_at('other', timestamp '2024-03-12 15:10:00')", &[]);
    refuses("select * from holders_at('orders-db', 'noon')", &["noon", "UTC"]);
    refuses("select * from holders_at('orders-db', now())", &["written out"]);
}
