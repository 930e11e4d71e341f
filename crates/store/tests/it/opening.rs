//! Opening a data directory: whose it is, which version, what lies about in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process;

use plimsoll_model::Second;
use plimsoll_store::{Commit, Error, FORMAT_VERSION, Options, Reader, Retry, Store};

use crate::script::options;

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("our names are text");
        (name, fs::read(entry.path()).expect("the file is ours"))
    };
    entries.map(|entry| read(entry.expect("the directory can be read"))).collect()
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(dir.path(), options()).unwrap();
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(&error, Error::Locked { process: Some(id), .. } if *id == process::id()));
    assert_eq!(error.retry(), Retry::Later);
    assert!(error.to_string().contains(&format!("in use by process {}", process::id())));
}

#[test]
fn only_the_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("data");
    let _store = Store::open(&inner, options()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    assert_eq!(mode(&inner.join("plimsoll.redb")), 0o600);
}

#[test]
fn a_newer_version_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), options()).unwrap());
    fs::write(dir.path().join("format"), format!("{}\n", FORMAT_VERSION + 1)).unwrap();
    let before = contents(dir.path());
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found } if found == FORMAT_VERSION + 1));
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn the_directory_of_another_pipeline_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), options()).unwrap());
    let other = Options { pipeline: "logins".into(), ..options() };
    let error = Store::open(dir.path(), other).unwrap_err();
    assert!(matches!(&error, Error::OtherPipeline { .. }), "{error}");
}

#[test]
fn files_that_no_transaction_names_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["evidence-1-0.parquet", "evidence-2-0.parquet.tmp", "notes.txt"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    drop(Store::open(dir.path(), options()).unwrap());
    let names: Vec<String> = contents(dir.path()).into_keys().collect();
    assert_eq!(names, ["format", "lock", "notes.txt", "plimsoll.redb"]);
}

#[test]
fn another_process_reads_while_the_pipeline_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let before = reader.snapshot().unwrap();
    store.commit(&Commit { tick: Second(10), ..Commit::default() }).unwrap();
    assert_eq!(before.recover().unwrap().decided_through, None);
    let after = reader.snapshot().unwrap();
    assert_eq!(after.recover().unwrap().decided_through, Some(Second(10)));
}

#[test]
fn a_directory_without_a_store_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let error = Reader::open(dir.path()).err().unwrap();
    assert!(error.to_string().contains("is not a data directory; name"), "{error}");
}

#[test]
fn a_lost_database_is_not_replaced_by_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), options()).unwrap());
    fs::remove_file(dir.path().join("plimsoll.redb")).unwrap();
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert!(error.to_string().contains("file plimsoll.redb is missing"), "{error}");
}

#[test]
fn it_can_be_handed_to_another_thread() {
    fn check<T: Send + Sync>() {}
    check::<Store>();
    check::<Reader>();
    check::<plimsoll_store::Snapshot>();
}
