//! What a query may cost.

use std::time::Duration;

use plimsoll_query::{Error, Limits};

use crate::world::World;

#[test]
fn rows_beyond_the_limit_are_cut_and_it_is_said() {
    let world = World::new();
    let limits = Limits { rows: 3, ..Limits::default() };
    let answer = world.run("select * from panes", &limits).unwrap();
    assert_eq!((answer.rows, answer.is_cut), (3, true));
    let answer = world.run("select * from panes limit 3", &limits).unwrap();
    assert_eq!((answer.rows, answer.is_cut), (3, false));
    let answer = world.run("select count(*) from panes", &limits).unwrap();
    assert_eq!((answer.rows, answer.is_cut, answer.rows_read), (1, false, 7));
    let none = Limits { rows: 0, ..limits };
    let answer = world.run("select * from panes", &none).unwrap();
    assert_eq!((answer.rows, answer.is_cut), (0, true));
}

/// Queries that are busy for hours without reading another row.
const ENDLESS: [&str; 3] = [
    "select sum(a.value * b.value) from generate_series(1, 1000000) a \
     cross join generate_series(1, 10000000) b",
    "select count(*) from generate_series(1, 100000) a join generate_series(1, 10000000) b \
     on a.value < b.value + 1",
    "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t",
];

#[test]
fn a_query_that_takes_too_long_is_stopped() {
    let world = World::new();
    for time in [Duration::from_millis(50), Duration::from_secs(1)] {
        let limits = Limits { time, ..Limits::default() };
        for sql in ENDLESS {
            let error = world.run(sql, &limits).unwrap_err();
            assert!(matches!(error, Error::Time(_)), "{sql}: {error}");
        }
    }
    let limits = Limits { time: Duration::from_millis(50), ..Limits::default() };
    let error = world.run(ENDLESS[0], &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stopped after 0.05 s, the limit of time; ask for less, or raise the limit"
    );
}

#[test]
fn a_query_that_needs_too_much_memory_is_stopped() {
    let world = World::new();
    let limits = Limits { memory_bytes: 1024 * 1024, rows: usize::MAX, ..Limits::default() };
    for sql in [
        "select value from generate_series(1, 10000000) order by value % 7",
        "select value, count(*) from generate_series(1, 10000000) group by value",
        "select value from generate_series(1, 10000000)",
    ] {
        let error = world.run(sql, &limits).unwrap_err();
        assert!(matches!(error, Error::Memory(_)), "{sql}: {error}");
        assert!(error.to_string().contains("stopped at 1 MiB"), "{error}");
    }
    let answer = world.run("select count(*) from generate_series(1, 1000000)", &limits).unwrap();
    assert_eq!(answer.rows, 1);
}
