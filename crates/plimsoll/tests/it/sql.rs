//! `plimsoll sql` as a person meets it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use plimsoll_model::evidence::{Evidence, Pane};
use plimsoll_model::{IncidentId, OwnedHolder, Second};
use plimsoll_store::{Commit, Options, Store};
use tempfile::TempDir;

use crate::cli::{program, said};

/// A definition and its data directory, whose pipeline holds three panes, and the store that is
/// still being written.
fn pipeline() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let sources = "sources: {db: {file: x, format: postgres_jsonlog, resource: r}}";
    fs::write(folder.path().join("p.yaml"), format!("version: 1\nname: p\n{sources}\n")).unwrap();
    let options = Options { ballast_bytes: 0, ..Options::new("p") };
    let mut store = Store::open(&folder.path().join("data/p"), options).unwrap();
    commit(&mut store, 1_710_256_200, &[3, 4, 5]);
    (folder, store)
}

/// Panes that hold `held`, one after the other.
fn commit(store: &mut Store, tick: i64, held: &[u64]) {
    let pane = |(place, held): (i64, &u64)| Pane {
        incident: IncidentId(7),
        pane: Second(tick + 10 * place),
        resource: "r".into(),
        opened: 0,
        closed: 0,
        refused: 0,
        held: *held,
        holder: OwnedHolder::default(),
    };
    let panes = (0..).zip(held).map(pane).collect();
    let evidence = Evidence { panes, ..Evidence::default() };
    store.commit(&Commit { tick: Second(tick), evidence, ..Commit::default() }).unwrap();
}

fn ask(folder: &Path, words: &[&str], input: Option<&str>) -> Output {
    let mut command = program(folder, "sql");
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Some(input) = input else { return command.output().unwrap() };
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn check(words: &[&str], input: Option<&str>, stdout: &str) {
    let (folder, _store) = pipeline();
    let output = ask(folder.path(), words, input);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    assert_eq!(said(&output.stdout), stdout);
}

#[track_caller]
fn refuses(words: &[&str], code: i32, expected: &[&str]) {
    let (folder, _store) = pipeline();
    let output = ask(folder.path(), words, None);
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(said(&output.stdout), "");
    for word in expected {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

const HELD: &str = "select pane, held from panes order by pane desc limit 2";

#[test]
fn an_answer_is_written_in_the_form_that_is_asked_for() {
    check(
        &["-c", "p.yaml", HELD],
        None,
        "pane,held\n2024-03-12T15:10:20Z,5\n2024-03-12T15:10:10Z,4\n",
    );
    check(
        &["-c", "p.yaml", HELD, "--format", "json"],
        None,
        "{\"pane\":\"2024-03-12T15:10:20Z\",\"held\":5}\n{\"pane\":\"2024-03-12T15:10:10Z\",\"held\":4}\n",
    );
    check(
        &["--data-dir", "data/p", HELD, "--format", "table"],
        None,
        "pane                 held\n-------------------  ----\n2024-03-12 15:10:20     5\n2024-03-12 15:10:10     4\n",
    );
    check(&["-c", "p.yaml", "select held from panes where held > 9"], None, "held\n");
}

#[test]
fn several_queries_come_from_a_file_or_standard_input() {
    let two =
        "select count(*) as n from panes; -- how many; and\nselect max(held) as most from panes";
    check(&["-c", "p.yaml", "-"], Some(two), "n\n3\n\nmost\n5\n");
    check(&["-c", "p.yaml"], Some(two), "n\n3\n\nmost\n5\n");
    check(&["-c", "p.yaml", "-f", "-"], Some(two), "n\n3\n\nmost\n5\n");
}

#[test]
fn parquet_is_written_to_a_file() {
    let (folder, _store) = pipeline();
    let words = ["-c", "p.yaml", HELD, "--format", "parquet", "--out", "held.parquet"];
    let output = ask(folder.path(), &words, None);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let file = fs::read(folder.path().join("held.parquet")).unwrap();
    assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
}

#[test]
fn a_pipeline_that_goes_on_is_seen_and_not_disturbed() {
    let (folder, mut store) = pipeline();
    let words = ["-c", "p.yaml", "select count(*) as n from panes"];
    assert_eq!(said(&ask(folder.path(), &words, None).stdout), "n\n3\n");
    commit(&mut store, 1_710_256_300, &[6, 7]);
    assert_eq!(said(&ask(folder.path(), &words, None).stdout), "n\n5\n");
}

#[test]
fn a_cut_answer_says_so() {
    let (folder, _store) = pipeline();
    let output = ask(folder.path(), &["-c", "p.yaml", HELD, "--rows", "1"], None);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(said(&output.stdout).lines().count(), 2);
    assert_eq!(said(&output.stderr), "cut after 1 rows, the limit; there are more (--rows)\n");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    refuses(&["-c", "p.yaml", "select hold from panes"], 2, &["hold", "held"]);
    refuses(&["-c", "p.yaml", "select * from pane"], 2, &["'pane' not found", "panes"]);
    refuses(&["-c", "p.yaml", "drop table panes"], 2, &["`DROP TABLE panes …` is not a query"]);
    let endless = "select sum(a.value * b.value) from generate_series(1, 1000000) a \
                   cross join generate_series(1, 10000000) b";
    refuses(&["-c", "p.yaml", endless, "--timeout", "100ms"], 2, &["limit of time", "--timeout"]);
    let large = "select value, count(*) from generate_series(1, 10000000) group by value";
    refuses(&["-c", "p.yaml", large, "--memory-mib", "1"], 2, &["limit of memory", "--memory-mib"]);
    refuses(&["select 1"], 2, &["--config", "--data-dir"]);
    refuses(&["-c", "p.yaml", "select 1; select 2", "--format", "parquet"], 2, &["one query"]);
    refuses(&["-c", "gone.yaml", "select 1"], 78, &["gone.yaml"]);
    refuses(&["-c", "p.yaml", "-f", "gone.sql"], 69, &["gone.sql"]);
    refuses(&["--data-dir", "gone", "select 1"], 69, &["`gone`", "plimsoll run"]);
    refuses(&["--data-dir", ".", "select 1"], 69, &["not a data directory", "`data`"]);
    refuses(&["-c", "p.yaml", "describe nope"], 2, &["'nope' not found", "there are incidents"]);
    refuses(
        &["-c", "p.yaml", "select nope from panes"],
        2,
        &["no column `nope`", "`describe panes`"],
    );
}

#[test]
fn the_tables_can_be_listed() {
    let (folder, _store) = pipeline();
    let output = ask(folder.path(), &["-c", "p.yaml", "--tables"], None);
    let text = said(&output.stdout);
    for name in ["incidents", "panes", "holders_at(resource, time)"] {
        assert!(text.contains(name), "{text}");
    }
}
