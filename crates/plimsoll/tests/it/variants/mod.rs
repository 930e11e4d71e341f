//! The program knows no incident: when a recording is changed, what is said changes with it and
//! with nothing else. Each test goes through every recording in `pipelines/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use plimsoll::expected::{Expected, compare};
use plimsoll::golden;
use plimsoll_model::{Change, Detail, Interval, Kind, Severity, Transition};
use serde_json::Value;

use crate::recordings::edit::{self, keep, seconds_of, shift, shift_moments, written_at};
use crate::recordings::{Recording, culprit, removed};

const DAY_S: i64 = 86_400;

/// Every recording with what is said of it unchanged; judged once for all tests.
fn recordings() -> Vec<(Recording, Vec<Transition>)> {
    static TOLD: OnceLock<Mutex<BTreeMap<PathBuf, Vec<Transition>>>> = OnceLock::new();
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut told = TOLD.get_or_init(Mutex::default).lock().unwrap();
    let mut recordings = Vec::new();
    for folder in golden::folders(&pipelines).unwrap() {
        let recording = Recording::read(&folder);
        let said = told.entry(folder).or_insert_with(|| recording.judge());
        assert!(!said.is_empty(), "nothing is said of {}", recording.name());
        recordings.push((recording, said.clone()));
    }
    recordings
}

/// What was said fits to `expected.yaml`.
#[track_caller]
fn check_expected(recording: &Recording, transitions: &[Transition]) {
    let expected = Expected::from_text(Path::new("expected.yaml"), &recording.expected).unwrap();
    assert_eq!(compare(&expected, transitions), [], "{}", recording.name());
}

/// Everything that transitions say, with incidents counted: their ids are made of owner and time.
fn said(transitions: &[Transition]) -> Vec<Value> {
    let mut ids: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for transition in transitions {
        let id = transition.incident.to_string();
        if !ids.contains(&id) {
            ids.push(id);
        }
        let mut text = serde_json::to_string(transition).unwrap();
        for (count, id) in ids.iter().enumerate() {
            text = text.replace(id, &format!("incident {count}"));
        }
        all.push(serde_json::from_str(&text).unwrap());
    }
    all
}

/// `value` with every moment in it so many days later.
fn moved(value: &mut Value, days: i64) {
    const MOMENTS: [&str; 8] =
        ["as_of", "opened_at", "since", "from", "to", "deployed_at", "last_seen", "started_at"];
    match value {
        Value::String(text) => *text = shift_moments(text, days * DAY_S),
        Value::Array(values) => values.iter_mut().for_each(|value| moved(value, days)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_i64().filter(|_| MOMENTS.contains(&name.as_str())) {
                    // Ticks are seconds, other moments microseconds.
                    Some(moment) if moment < 1_000_000_000_000 => {
                        *value = Value::from(moment + days * DAY_S);
                    }
                    Some(moment) => *value = Value::from(moment + days * DAY_S * 1_000_000),
                    None => moved(value, days),
                }
            }
        }
        _ => {}
    }
}

fn moved_all(transitions: &[Transition], days: i64) -> Vec<Value> {
    let mut all = said(transitions);
    all.iter_mut().for_each(|value| moved(value, days));
    all
}

fn is_page(transition: &&Transition) -> bool {
    transition.severity_peak == Severity::Page && transition.change != Change::Resolved
}

/// The first page of what was said.
fn page(transitions: &[Transition]) -> Option<&Transition> {
    transitions.iter().find(is_page)
}

#[test]
fn under_another_name_the_same_is_said_of_that_name() {
    // Longer than every name in the recordings, and elsewhere in the order of names.
    const OTHER: &str = "wholesale-europe-2";
    for (mut recording, told) in recordings() {
        let name = culprit(&told).to_owned();
        let rename = |text: &str| text.replace(&name, OTHER);
        recording.definition = rename(&recording.definition);
        recording.expected = rename(&recording.expected);
        recording.change_all(rename);
        let renamed = recording.judge();
        check_expected(&recording, &renamed);
        let expected: Vec<Value> = said(&told)
            .iter()
            .map(|value| serde_json::from_str(&rename(&value.to_string())).unwrap())
            .collect();
        assert_eq!(said(&renamed), expected, "{}", recording.name());
    }
}

/// Detectors cut time into stretches of powers of two, up to 2^17 s, counted from 1970: 31 days
/// later, those wider than 128 s begin elsewhere among the same samples, and a forecast is made
/// from slightly different points. So the same is said in the same order, and what comes from
/// wide stretches comes within one of them. See the next test for the rest of the proof.
#[test]
fn a_month_later_the_same_is_said_a_month_later() {
    const DAYS: i64 = 31;
    for (mut recording, told) in recordings() {
        recording.change_all(|text| shift(text, DAYS * DAY_S));
        recording.expected = shift_moments(&recording.expected, DAYS * DAY_S);
        let later = recording.judge();
        check_expected(&recording, &later);
        let within_s = match recording.name() {
            // Calls are counted in seconds.
            "held-open" | "held-open-end-lines" => {
                assert_eq!(said(&later), moved_all(&told, DAYS), "{}", recording.name());
                continue;
            }
            // The width through which growth over an hour is fitted.
            "db-saturation" => 512,
            // The width of the floors that the page of this recording names.
            "hidden-leak" => 32_768,
            other => panic!("say here which stretches what is said of `{other}` comes from"),
        };
        assert_eq!(later.len(), told.len(), "{}", recording.name());
        for (later, told) in later.iter().zip(&told) {
            let key = |it: &Transition| {
                let Transition { sequence, change, reason, severity_peak, finding, .. } =
                    it.clone();
                let release = finding.release.and_then(|release| release.version);
                (sequence, change, reason, severity_peak, finding.kind, finding.owner, release)
            };
            assert_eq!(key(later), key(told), "{}", recording.name());
            let off = later.as_of.since(told.as_of) - DAYS * DAY_S;
            assert!(off.abs() <= within_s, "{off} s off: {later:#?}");
        }
    }
}

/// 1024 days are whole days and whole stretches of every width up to 2^17 s: nothing may differ,
/// to the last digit. Together with the month before: no date is known, only clock and grid.
#[test]
fn whole_days_and_stretches_later_exactly_the_same_is_said() {
    const DAYS: i64 = 1_024;
    const { assert!(DAYS * DAY_S % (1 << 17) == 0) };
    for (mut recording, told) in recordings() {
        recording.change_all(|text| shift(text, DAYS * DAY_S));
        assert_eq!(said(&recording.judge()), moved_all(&told, DAYS), "{}", recording.name());
    }
}

/// The recording with twice the limit, until the single limit began to change what happened.
fn doubled(recording: &Recording) -> Recording {
    let reached = match recording.name() {
        "db-saturation" => "first_refusal",
        "held-open" | "held-open-end-lines" => "all_slots_taken",
        "hidden-leak" => "died_at",
        other => panic!("say here when the limit of `{other}` is reached"),
    };
    let reached = seconds_of(recording.truth(reached));
    let mut doubled = recording.clone();
    doubled.change_all(|text| keep(text, |line| written_at(line) < reached));
    let is_digit = |letter: char| letter.is_ascii_digit();
    doubled.definition = edit::after(&recording.definition, "limit:", is_digit, |limit| {
        (2 * limit.parse::<u64>().unwrap()).to_string()
    });
    assert_ne!(doubled.definition, recording.definition);
    doubled
}

#[test]
fn twice_the_limit_is_reached_later() {
    for (recording, told) in recordings() {
        let twice = doubled(&recording).judge();
        let name = recording.name();
        assert!(page(&told).is_some(), "{name}");
        if let (Some(first), Some(second)) = (page(&told), page(&twice)) {
            assert!(second.as_of > first.as_of, "{name}: {second:#?}");
        }
        let exhaustion = |it: &Transition| it.finding.exhaustion;
        let first = told.iter().find_map(exhaustion).unwrap();
        for Interval { from, to } in twice.iter().filter_map(exhaustion) {
            assert!(from > first.from, "{name}: {from} is not after {}", first.from);
            let is_later = to.zip(first.to).is_none_or(|(later, to)| later > to);
            assert!(is_later, "{name}: {to:?} is not after {:?}", first.to);
        }
        for (it, usable) in twice.iter().filter_map(|it| Some((it, it.finding.usable?))) {
            check_accordingly(it, usable, &told);
        }
    }
}

/// The exhaustion of twice the limit lies where a division by hand puts it.
#[track_caller]
fn check_accordingly(it: &Transition, usable: u64, told: &[Transition]) {
    let finding = &it.finding;
    if let (Kind::GrowthToLimit, Some(Interval { from, to }), Some(per_minute)) =
        (finding.kind, finding.exhaustion, finding.growth_per_minute)
    {
        // So many units are free, and so many go each minute.
        let seconds = 60.0 * (usable - finding.level) as f64 / per_minute;
        let expected = it.as_of.start().plus(std::time::Duration::from_secs_f64(seconds));
        assert!(from < expected && to.is_none_or(|to| expected < to), "{expected}: {finding:#?}");
    }
    let safe = |it: &Transition| match &it.finding.detail {
        Some(Detail::AcrossLives(across)) => Some((across.growth_per_hour, across.safe_uptime_s?)),
        _ => None,
    };
    let before = told.iter().find_map(|it| Some((it.finding.usable?, safe(it)?)));
    if let (Some((per_hour, (low, high))), Some((single, (_, (from, to))))) = (safe(it), before) {
        // What is there beyond the single limit lasts for so much longer.
        let longer_s = 3_600.0 * (usable - single) as f64 / per_hour;
        let expected = (from + to) / 2.0 + longer_s;
        assert!(low < expected && expected < high, "{expected}: {finding:#?}");
    }
}

#[test]
fn without_the_culprit_nobody_is_paged() {
    for (recording, told) in recordings() {
        let without = removed(&recording, culprit(&told)).judge();
        assert_eq!(page(&without), None, "{}", recording.name());
    }
}
