//! The table in `docs/detectors.md`: how early each fault is said, what is missed, and what is said
//! that is wrong, for every recording in `pipelines/` and every family of generated runs.
//!
//! `cargo run --release --example detector_table -- [--commit ID] [--seeds N]`
//!
//! The seeds come from the id of a commit, so that nobody can have tuned a detector to them. Truth
//! comes from the recording or the generator, never from what was said. Nothing is asserted: what
//! comes out is printed, with the seed of every run that went wrong, and
//! `--only 'part of a name' --seed N` shows all that is said of such a run.

#![allow(clippy::unwrap_used, reason = "it says what failed by panicking, as the tests do")]
#![allow(dead_code, reason = "of what it shares with the tests it uses a part")]

#[path = "../../../detect/tests/it/families/mod.rs"]
mod families;
mod goldens;
#[path = "../../../detect/tests/it/growth_world.rs"]
mod growth_world;
#[path = "../../../detect/tests/it/held_open_world.rs"]
mod held_open_world;
#[path = "../../../detect/tests/it/lives_world.rs"]
mod lives_world;
#[path = "../../tests/recordings/mod.rs"]
mod recordings;
mod score;
#[path = "../../../detect/tests/it/script.rs"]
mod script;
mod table;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use sha2::{Digest, Sha256};

use families::Case;
use table::Table;

/// Runs at the same time: each may hold weeks of generated samples.
const THREADS: usize = 2;

/// Prints how the detectors do, as Markdown.
#[derive(Debug, Parser)]
struct Arguments {
    /// The commit whose id the seeds are made of; the one that is checked out if not given
    #[arg(long)]
    commit: Option<String>,
    /// Members of each family
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Only what has this in its name, and all that was said of it
    #[arg(long)]
    only: Option<String>,
    /// Only the member of this seed
    #[arg(long)]
    seed: Option<u64>,
}

/// Something that is made and judged once for each seed.
pub struct Subject {
    /// The section of the table.
    pub section: String,
    /// What happens, or what looks like it.
    pub name: String,
    /// Makes the member of a seed and judges it.
    pub judge: Box<dyn Fn(u64) -> Case + Sync>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let commit = match &arguments.commit {
        Some(commit) => commit.clone(),
        None => checked_out()?,
    };
    let seeds: Vec<u64> = match arguments.seed {
        Some(seed) => vec![seed],
        None => (0..arguments.seeds).map(|number| seed(&commit, number)).collect(),
    };
    let mut subjects = goldens::subjects()?;
    subjects.extend(families::ALL.iter().map(|family| Subject {
        section: family.detector.to_owned(),
        name: family.name.to_owned(),
        judge: Box::new(family.judge),
    }));
    if let Some(only) = &arguments.only {
        let is_meant = |it: &Subject| format!("{}: {}", it.section, it.name).contains(only);
        subjects.retain(is_meant);
        ensure!(!subjects.is_empty(), "nothing has `{only}` in its name");
    }
    let started = Instant::now();
    let cases = judge_all(&subjects, &seeds);
    let mut table = Table::default();
    for (subject, cases) in subjects.iter().zip(cases) {
        if arguments.only.is_some() {
            show(subject, &seeds, &cases);
        }
        table.add(subject, &seeds, &cases);
    }
    println!("{}", table.text(&commit, &seeds));
    eprintln!("{} runs in {:.0} s", subjects.len() * seeds.len(), started.elapsed().as_secs_f64());
    Ok(())
}

/// The id of the commit that is checked out.
fn checked_out() -> anyhow::Result<String> {
    let git = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let output = git.context("cannot ask git for the commit; name one with --commit")?;
    ensure!(output.status.success(), "this is no checkout; name a commit with --commit");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The first eight bytes, the lowest first, of the SHA-256 of `<commit>:<number>`.
fn seed(commit: &str, number: u64) -> u64 {
    let digest = Sha256::digest(format!("{commit}:{number}"));
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// The cases of each subject, in the order of the seeds.
fn judge_all(subjects: &[Subject], seeds: &[u64]) -> Vec<Vec<Case>> {
    let (next, total) = (AtomicUsize::new(0), subjects.len() * seeds.len());
    let cases: Vec<Mutex<Case>> = (0..total).map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(place) else { break };
                    let subject = &subjects[place / seeds.len()];
                    let seed = seeds[place % seeds.len()];
                    let started = Instant::now();
                    *case.lock().unwrap() = (subject.judge)(seed);
                    let Subject { section, name, .. } = subject;
                    let took_s = started.elapsed().as_secs_f64();
                    eprintln!("{}/{total} {took_s:.1} s {section}: {name}", place + 1);
                }
            });
        }
    });
    let mut cases = cases.into_iter().map(|case| case.into_inner().unwrap());
    subjects.iter().map(|_| cases.by_ref().take(seeds.len()).collect()).collect()
}

/// All that was said of a subject, and the truth.
fn show(subject: &Subject, seeds: &[u64], cases: &[Case]) {
    for (seed, case) in seeds.iter().zip(cases) {
        println!("{}: {}, seed {seed}", subject.section, subject.name);
        for fault in &case.faults {
            println!("  truth: {fault:?}");
        }
        for said in &case.said {
            println!("  said: {said:?}");
        }
    }
}
