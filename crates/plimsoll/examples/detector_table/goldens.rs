//! The recordings in `pipelines/`, each changed by a seed so that its truth stays known: under
//! another name, at another time, its lines out of order as far as `reorder` allows, some of its
//! memory samples missing; also with a lower limit, as long as that is not reached; and without its
//! culprit.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use plimsoll::config::{Config, Purpose};
use plimsoll::expected::Expected;
use plimsoll::golden;
use plimsoll_model::{Owner, Severity};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Subject;
use crate::families::{Case, Fault, said};
use crate::recordings::edit::{after, keep, seconds_of, shift, shift_moments, value, written_at};
use crate::recordings::{Recording, removed};

/// What a recording is judged as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Whole,
    LowerLimit,
    WithoutCulprit,
}

/// A recording that a seed changes.
struct Golden {
    recording: Recording,
    /// The recording that tells when a limit is reached: another one knows more than some.
    counted: Recording,
    /// Who is to blame, as `tenant acme`.
    owner: (String, String),
    reorder_s: f64,
}

/// Every recording, as it is, with a lower limit, and without its culprit.
pub fn subjects() -> anyhow::Result<Vec<Subject>> {
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut subjects = Vec::new();
    for folder in golden::folders(&pipelines)? {
        let recording = Recording::read(&folder);
        let counted = match recording.name() {
            "held-open-end-lines" => Recording::read(&pipelines.join("held-open")),
            _ => recording.clone(),
        };
        let expected = Expected::from_text(Path::new("expected.yaml"), &recording.expected)?;
        let Owner::Holder { dimension, value } = &expected.incidents[0].owner.0 else {
            panic!("{} expects nobody by name", recording.name())
        };
        let owner = (dimension.to_string(), value.clone());
        let (config, _) = Config::load_for(&folder.join("pipeline.yaml"), Purpose::Replay)?;
        let reorder = config.sources.values().map(|source| source.reorder).min();
        let reorder_s = reorder.unwrap_or_default().as_secs_f64();
        let name = recording.name().to_owned();
        let golden = Arc::new(Golden { recording, counted, owner, reorder_s });
        for (variant, what) in [
            (Variant::Whole, ""),
            (Variant::LowerLimit, ", lower limit"),
            (Variant::WithoutCulprit, ", without its culprit"),
        ] {
            let golden = Arc::clone(&golden);
            subjects.push(Subject {
                section: "Recordings".to_owned(),
                name: format!("{name}{what}"),
                judge: Box::new(move |seed| golden.judge(variant, seed)),
            });
        }
    }
    Ok(subjects)
}

impl Golden {
    fn judge(&self, variant: Variant, seed: u64) -> Case {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut recording = self.recording.clone();
        let mut ends = None;
        match variant {
            Variant::Whole => {}
            Variant::WithoutCulprit => recording = removed(&recording, &self.owner.1),
            Variant::LowerLimit => {
                let (lowered, reached) = self.lowered(&mut rng);
                recording = lowered;
                ends = Some(reached);
            }
        }
        // Other letters, and elsewhere in the order of names.
        let letters = rng.random_range(5..20);
        let other: String =
            (0..letters).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
        let later_s = rng.random_range(0..1_000) * 86_400 + rng.random_range(0..86_400);
        let rename = |text: &str| text.replace(&self.owner.1, &other);
        recording.definition = rename(&recording.definition);
        recording.change_all(|text| shift(&rename(text), later_s));
        let truth = shift_moments(&rename(&recording.truth.to_string()), later_s);
        recording.truth = serde_json::from_str(&truth).unwrap();
        if recording.name() == "hidden-leak" {
            let missing = rng.random_range(0.0..0.02);
            let mut is_there = || rng.random::<f64>() >= missing;
            recording.change("memory", |text| {
                text.split_inclusive('\n').filter(|_| is_there()).collect()
            });
        }
        for text in recording.inputs.values_mut() {
            *text = shuffled(text, self.reorder_s, &mut rng);
        }
        let said = said(&recording.judge(), 0);
        let owner = format!("{} {other}", self.owner.0);
        let faults = match variant {
            Variant::WithoutCulprit => Vec::new(),
            _ => faults(&recording, &owner, ends.map(|ends| ends + later_s)),
        };
        Case { said, faults, ..Case::default() }
    }

    /// The recording with a limit that is 0.9 to 1 times as high, 0.75 to 1 for memory, up to the
    /// moment at which it is reached: from there on another story would have been recorded.
    fn lowered(&self, rng: &mut StdRng) -> (Recording, i64) {
        let least = if self.recording.name() == "hidden-leak" { 0.75 } else { 0.9 };
        let factor = rng.random_range(least..1.0);
        let mut lowered = self.recording.clone();
        let limit = value(&lowered.definition, "limit:").expect("a recording has a limit");
        let (number, unit) = match limit.strip_suffix("GiB") {
            Some(number) => (number, f64::from(1 << 30)),
            None => (limit, 1.0),
        };
        let limit = (number.parse::<f64>().unwrap() * unit * factor) as u64;
        let is_part = |letter: char| letter.is_ascii_alphanumeric();
        lowered.definition = after(&lowered.definition, "limit:", is_part, |_| limit.to_string());
        let reached = reached(&self.counted, limit).expect("a lower limit is reached as well");
        lowered.change_all(|text| keep(text, |line| written_at(line) < reached));
        (lowered, reached as i64)
    }
}

/// When a recording reached a limit after its fault began, by counting its lines.
fn reached(recording: &Recording, limit: u64) -> Option<f64> {
    match recording.name() {
        "db-saturation" => {
            let deployed = seconds_of(recording.truth("deployed"));
            let usable = limit as usize - 3;
            let mut held: BTreeSet<&str> = BTreeSet::new();
            for line in recording.inputs["db"].lines() {
                let session = value(line, "\"session_id\":").unwrap();
                if line.contains("\"message\":\"connection authorized") {
                    held.insert(session);
                } else if line.contains("\"message\":\"disconnection") {
                    held.remove(session);
                }
                if held.len() >= usable && written_at(line) >= deployed {
                    return Some(written_at(line));
                }
            }
            None
        }
        "held-open" => {
            let mut held = 0;
            let reaches = |line: &&str| {
                if line.contains("\"call.start\"") {
                    held += 1;
                } else {
                    held -= 1;
                }
                held >= limit
            };
            recording.inputs["calls"].lines().find(reaches).map(written_at)
        }
        "hidden-leak" => {
            let used = |line: &str| value(line, "\"rss_bytes\":").unwrap().parse::<u64>().unwrap();
            recording.inputs["memory"].lines().find(|line| used(line) >= limit).map(written_at)
        }
        other => panic!("say here when `{other}` reaches its limit"),
    }
}

/// The lines of a text in the order in which they come if each is delayed by chance, by less than
/// three quarters of `reorder_s`.
fn shuffled(text: &str, reorder_s: f64, rng: &mut StdRng) -> String {
    let mut lines: Vec<(f64, &str)> = text
        .split_inclusive('\n')
        .map(|line| (written_at(line) + rng.random::<f64>() * 0.75 * reorder_s, line))
        .collect();
    lines.sort_by(|one, other| one.0.total_cmp(&other.0));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// What must be said of a recording, from `truth.json`. `ends` is when a lower limit is reached,
/// with which the recording ends.
fn faults(recording: &Recording, owner: &str, ends: Option<i64>) -> Vec<Fault> {
    let moment = |field: &str| seconds_of(recording.truth(field)) as i64;
    let list = |field: &str| {
        let moments = recording.truth[field].as_array().unwrap();
        seconds_of(moments[0].as_str().unwrap()) as i64
    };
    match recording.name() {
        "db-saturation" => {
            let harm = ends.unwrap_or(moment("first_refusal"));
            vec![Fault::page(owner, moment("deployed"), harm)]
        }
        "held-open" => {
            let harm = ends.unwrap_or(moment("all_slots_taken"));
            vec![Fault::page(owner, list("gateway_hangs"), harm)]
        }
        "held-open-end-lines" => {
            let harm = ends.unwrap_or(moment("all_slots_taken"));
            let due = (moment("first_hung_call_ends") + 10).min(ends.unwrap_or(i64::MAX));
            vec![Fault { due, ..Fault::page(owner, list("gateway_hangs"), harm) }]
        }
        "hidden-leak" => {
            let (died, day) = (moment("died_at"), 86_400);
            let harm = ends.unwrap_or(died);
            let page = Fault {
                what: "page a day or more before the end",
                due: harm - day,
                ..Fault::page(owner, moment("leaking_release_at"), harm)
            };
            let ticket = Fault {
                what: "ticket while deploys hide it",
                severity: Severity::Ticket,
                due: moment("last_deploy_at"),
                ..page.clone()
            };
            let mut faults = vec![ticket, page];
            if ends.is_none() {
                // Three missed samples of a minute, and two seconds of `reorder`.
                let dead = format!("service.instance.id {}", recording.truth("dead"));
                let page = Fault::page(&dead, died, died);
                faults.push(Fault { what: "the death", due: died + 182, ..page });
            }
            faults
        }
        other => panic!("say here what must be said of `{other}`"),
    }
}
