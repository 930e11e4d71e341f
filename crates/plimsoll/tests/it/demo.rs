//! `plimsoll demo` as a person meets it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cli::{check, folder, program, said};

fn pipelines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").canonicalize().unwrap()
}

#[test]
fn demo_once_tells_every_recording_and_ends() {
    let folder = folder(&[]);
    let line = format!("demo --once {}", pipelines().display());
    let output = check(folder.path(), &line, 0, &[]);
    let text = said(&output.stdout);
    for entry in fs::read_dir(pipelines()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let story = text.split_once(&format!("{name}: ")).map(|(_, story)| story);
        let story = story.unwrap_or_else(|| panic!("{name} is not told:\n{text}"));
        assert!(story.lines().nth(1).unwrap().starts_with("  PAGE "), "{name}:\n{text}");
    }
    for word in ["http", "127.0.0.1", "localhost", "kafka", "clickhouse"] {
        assert!(!text.to_lowercase().contains(word), "`{word}` is in:\n{text}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn demo_writes_into_no_folder_that_holds_something() {
    let folder = folder(&[("notes.txt", "mine")]);
    let recording = pipelines().join("held-open-end-lines");
    let line = format!("demo --once --data-dir . {}", recording.display());
    check(folder.path(), &line, 2, &["`.` is not empty", "--data-dir"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let line = format!("demo --once --data-dir new {}", recording.display());
    check(folder.path(), &line, 0, &["PAGE"]);
    check(folder.path(), &line, 2, &["`new` is not empty"]);
}

/// A demo that serves. Dropping it kills it.
struct Serving {
    child: Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// Waits until the address is told.
    fn start(mut command: Command) -> Serving {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut serving = Serving { child, address: String::new() };
        let stdout = BufReader::new(serving.child.stdout.take().unwrap());
        let mut lines = stdout.lines().map_while(Result::ok);
        let told = lines.find_map(|line| {
            let address = line.strip_prefix("look at http://")?.split('/').next()?;
            Some(address.to_owned())
        });
        serving.address = told.expect("the demo tells its address");
        serving
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn demo_serves_the_page_until_it_is_stopped() {
    let folder = folder(&[]);
    let line = format!("demo {}", pipelines().join("held-open-end-lines").display());
    let mut serving = Serving::start(program(folder.path(), &line));
    let page = serving.get("/");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("text/html"), "{page}");
    let incidents = serving.get("/api/incidents");
    assert!(incidents.starts_with("HTTP/1.1 200"), "{incidents}");
    assert!(incidents.contains("\"held_open\""), "{incidents}");
    let pid = serving.child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}
