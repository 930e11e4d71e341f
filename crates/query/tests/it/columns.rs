//! The tables are those in `deploy/clickhouse`: names, order, types and meaning.

use plimsoll_query::{Column, Kind, Table};

use crate::world::World;

/// The columns that a file creates, except the one that the server fills and the one that tells
/// which of two rows is newer.
fn created(sql: &str) -> Vec<(&str, &str, String)> {
    let columns = sql.lines().filter(|line| line.starts_with("    ")).filter_map(|line| {
        let (name, rest) = line.trim().split_once(' ')?;
        let (kind, comment) = rest.split_once("COMMENT '")?;
        let comment = comment.trim_end_matches("',").trim_end_matches('\'').replace("''", "'");
        Some((name, kind.trim(), comment))
    });
    columns.filter(|(name, ..)| !["written_at", plimsoll_query::REVISION].contains(name)).collect()
}

fn in_clickhouse(column: &Column) -> &'static str {
    match (column.kind, column.nullable) {
        (Kind::Text, _) => "String",
        (Kind::Texts, _) => "Array(String)",
        (Kind::Flag, _) => "Bool",
        (Kind::Time, false) => "DateTime64(6, 'UTC')",
        (Kind::Time, true) => "Nullable(DateTime64(6, 'UTC'))",
        (Kind::Small, false) => "UInt32",
        (Kind::Small, true) => "Nullable(UInt32)",
        (Kind::Count, false) => "UInt64",
        (Kind::Count, true) => "Nullable(UInt64)",
        (Kind::Whole, _) => "Int64",
        (Kind::Number, false) => "Float64",
        (Kind::Number, true) => "Nullable(Float64)",
    }
}

#[track_caller]
fn check(table: &Table, sql: &str) {
    let ours = table.columns().filter(|column| !["is_open", "resolved_at"].contains(&column.name));
    let ours: Vec<_> = ours
        .map(|column| (column.name, in_clickhouse(column), column.comment.to_owned()))
        .collect();
    let mut theirs = created(sql);
    for (_, kind, _) in &mut theirs {
        *kind = kind.replace("LowCardinality(String)", "String").leak();
    }
    assert_eq!(ours, theirs, "{}", table.name);
}

#[test]
fn columns_are_those_in_clickhouse() {
    check(
        &plimsoll_query::INCIDENTS,
        include_str!("../../../../deploy/clickhouse/0001_incident_rows.sql"),
    );
    check(
        &plimsoll_query::INCIDENT_EVENTS,
        include_str!("../../../../deploy/clickhouse/0002_incident_event_rows.sql"),
    );
    check(&plimsoll_query::PANES, include_str!("../../../../deploy/clickhouse/0003_pane_rows.sql"));
    check(
        &plimsoll_query::SAMPLES,
        include_str!("../../../../deploy/clickhouse/0004_sample_rows.sql"),
    );
    check(&plimsoll_query::LIVES, include_str!("../../../../deploy/clickhouse/0005_life_rows.sql"));
    check(
        &plimsoll_query::SESSIONS,
        include_str!("../../../../deploy/clickhouse/0006_session_rows.sql"),
    );
    check(
        &plimsoll_query::DELIVERIES,
        include_str!("../../../../deploy/clickhouse/0013_delivery_rows.sql"),
    );
    check(
        &plimsoll_query::REJECTS,
        include_str!("../../../../deploy/clickhouse/0014_reject_rows.sql"),
    );
}

/// What is copied has the columns that a query shows, in their order, and one more.
#[test]
fn copies_have_the_columns_of_their_tables() {
    let (deliveries, rejects) = plimsoll_query::copies("p", &[], &Default::default());
    for (table, copy) in
        [(plimsoll_query::DELIVERIES, deliveries), (plimsoll_query::REJECTS, rejects)]
    {
        let schema = copy.schema();
        let (last, fields) = schema.fields().split_last().unwrap();
        assert_eq!(last.name(), plimsoll_query::REVISION);
        assert_eq!(fields, &table.schema().fields()[..], "{}", table.name);
    }
}

#[test]
fn every_table_tells_its_columns_and_what_they_mean() {
    let world = World::new();
    for table in plimsoll_query::TABLES {
        let told = world.lines(&format!("describe {}", table.name));
        assert_eq!(told.len(), table.columns().count(), "{}", table.name);
        assert_eq!(world.csv(&format!("select * from {} limit 0", table.name)).lines().count(), 1);
    }
    let told = world.lines("describe panes");
    assert_eq!(
        told[2],
        "pane,timestamp (UTC),NO,\"start of the pane, event time; a pane is 10 seconds wide\""
    );
    let listed = world.csv("show tables");
    for name in ["incidents", "rejects", "incident_window(incident, margin)", "holders_at("] {
        assert!(listed.contains(name), "{name} is not in {listed}");
    }
}

#[test]
fn the_docs_name_every_table_column_and_function() {
    let docs = include_str!("../../../../docs/sql.md");
    for table in plimsoll_query::TABLES {
        assert!(docs.contains(&format!("### `{}`", table.name)), "{}", table.name);
        for column in table.columns() {
            assert!(docs.contains(&format!("`{}`", column.name)), "{}.{}", table.name, column.name);
        }
    }
    for function in plimsoll_query::FUNCTIONS {
        assert!(docs.contains(&format!("### `{}`", function.call)), "{}", function.call);
    }
}
