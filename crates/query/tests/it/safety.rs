//! Nothing is changed, and nothing but the tables is read.

use plimsoll_query::Error;

use crate::world::World;

#[track_caller]
fn refuses(sql: &str) -> String {
    let error = World::new().refusal(sql);
    assert!(matches!(error, Error::NotAQuery(_)), "{sql}: {error}");
    error.to_string()
}

#[test]
fn what_changes_something_is_refused() {
    for sql in [
        "create table t (a int)",
        "create table t as select * from panes",
        "create or replace table panes as select 1",
        "create view v as select 1",
        "create schema s",
        "create database d",
        "create function f() returns int return 1",
        "drop table panes",
        "drop view panes",
        "insert into panes values (1)",
        "insert into panes select * from panes",
        "update incidents set level = 1",
        "delete from incidents",
        "truncate table panes",
        "alter table panes add column a int",
        "copy panes to 'out.csv'",
        "copy (select 1) to 'out.csv' stored as csv",
        "set datafusion.execution.target_partitions = 4",
        "reset datafusion.execution.target_partitions",
        "begin",
        "commit",
        "prepare p as select 1",
        "execute p",
        "deallocate p",
        "explain insert into panes select * from panes",
        "explain analyze create table t as select 1",
        "explain copy panes to 'out.csv'",
    ] {
        let said = refuses(sql);
        assert!(said.contains("SELECT, WITH"), "{sql}: {said}");
    }
    assert!(refuses("drop table panes").contains("`DROP TABLE panes …` is not a query"));
}

#[test]
fn what_hides_a_change_in_a_query_is_refused() {
    for sql in [
        "select 1 into t",
        "with x as (insert into panes values (1)) select * from x",
        "with x as (delete from panes) select * from x",
        "(insert into panes values (1))",
    ] {
        World::new().refusal(sql);
    }
}

#[test]
fn what_would_fill_the_memory_from_nothing_is_not_there() {
    for call in [
        "repeat('x', 9)",
        "lpad('x', 9, 'y')",
        "rpad('x', 9, 'y')",
        "array_repeat(1, 9)",
        "list_repeat(1, 9)",
        "array_resize(make_array(1), 9)",
        "range(1, 9)",
        "generate_series(1, 9)",
    ] {
        let said = World::new().refusal(&format!("select {call}")).to_string();
        assert!(said.contains("Invalid function"), "{call}: {said}");
    }
}

#[test]
fn files_and_addresses_cannot_be_read() {
    refuses("create external table t stored as csv location '/etc/passwd'");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    let file = file.display();
    for sql in [
        format!("select * from '{file}'"),
        format!("select * from \"{file}\""),
        format!("select * from \"file://{file}\""),
        format!("select * from read_csv('{file}')"),
        format!("select * from csv_scan('{file}')"),
        "select * from \"http://127.0.0.1:1/t.csv\"".to_owned(),
        "select * from 's3://bucket/t.parquet'".to_owned(),
    ] {
        let error = World::new().refusal(&sql);
        assert!(matches!(error, Error::Query(_)), "{sql}: {error}");
        assert!(error.to_string().contains("there are incidents,"), "{sql}: {error}");
    }
}

#[test]
fn the_engine_does_not_speak_of_itself_or_its_surroundings() {
    for sql in [
        "select version()",
        "select input_file_name()",
        "show all",
        "select * from information_schema.df_settings",
        "select current_setting('x')",
        "select @@version",
        "select getenv('HOME')",
    ] {
        World::new().refusal(sql);
    }
}

#[test]
fn what_reads_is_answered() {
    let world = World::new();
    for sql in [
        "select 1;",
        "with a as (select level from incidents) select max(level) from a",
        "values (1), (2)",
        "(select 1) union all (select 2)",
        "explain select * from panes",
        "explain analyze select count(*) from panes",
        "describe incidents",
        "desc incidents",
        "show tables",
        "select column_name, column_comment from information_schema.columns where table_name = 'panes'",
        "select * from plimsoll.public.incidents",
        "select i.headline, count(*) from incidents i join panes p on p.incident = i.incident group by i.headline",
        "select * from generate_series(1, 3)",
        "select median(held), stddev(held), approx_percentile_cont(held, 0.9) from panes",
        "select regexp_replace(headline, 'is+uer', 'x'), upper(owner), date_trunc('minute', as_of) from incidents",
        "select held, lag(held) over (partition by holder_key order by pane) from panes",
        "select unnest(doubts), array_length(doubts) from incidents",
    ] {
        world.csv(sql);
    }
}

#[test]
fn a_mistake_is_named_with_what_would_be_right() {
    let world = World::new();
    let said = |sql: &str| world.refusal(sql).to_string();
    assert!(said("select * from incident").contains("'incident' not found; there are incidents,"));
    assert!(said("select levle from incidents").contains("levle"));
    assert!(said("select levle from incidents").contains("level"));
    assert_eq!(
        said("selec 1"),
        "Expected: an SQL statement, found: selec at Line: 1, Column: 1; a query begins with SELECT, WITH, VALUES, EXPLAIN, DESCRIBE or SHOW TABLES"
    );
    assert!(said("").contains("select * from incidents"));
    assert!(said("select 1; select 2").contains("2 statements; ask one at a time"));
    assert!(said("select 1/0").contains("zero"));
}
