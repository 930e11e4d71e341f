//! The owner of growth is the same as when everybody is asked at length.

use std::collections::BTreeMap;

use plimsoll_detect::blame;
use plimsoll_detect::candidates::Field;
use plimsoll_detect::history::{Grid, History};
use plimsoll_detect::suspect::{Suspect, quiet_level};
use plimsoll_detect::trend::{self, Rise, Stretch};
use plimsoll_detect::view::{HolderLevel, ResourceView};
use plimsoll_model::{Dimension, Owner, Second};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::growth_world::{START, holder};

const PREFERENCE: [Dimension; Dimension::COUNT] = [
    Dimension::Tenant,
    Dimension::ServiceName,
    Dimension::ServiceVersion,
    Dimension::UserName,
    Dimension::HostName,
    Dimension::ClientAddress,
    Dimension::DbNamespace,
    Dimension::ServiceInstanceId,
];

/// Who is found, with the deviations and the rise.
type Found = Option<(Owner, usize, f64, Rise)>;

/// Everybody is grouped by text, every history is read, and every test is made of every candidate:
/// as `docs/detectors.md` has it.
fn plain(field: &Field<'_>, total: &[Stretch], rise: &Rise, evidence: f64) -> Found {
    let value = |index: usize, dimension| field.holders[index].holder.get(dimension);
    let everybody: Vec<usize> = (0..field.holders.len()).collect();
    let is_alone =
        |dimension| everybody.iter().all(|&h| value(h, dimension) == value(0, dimension));
    let alone = PREFERENCE.into_iter().all(is_alone);
    let sums = |members: &[usize]| {
        let mut sums = vec![0; field.grid.len()];
        members.iter().for_each(|&h| field.grid.add(&field.histories[h].held, &mut sums));
        sums
    };
    let onset = total.iter().position(|stretch| stretch.from_s >= rise.onset_s).unwrap_or(0);
    let (before, after) = (onset.max(1), total.len() - (total.len() - onset).div_ceil(3));
    let mean = |sums: &[u64], from: usize, to: usize| {
        let seconds = (total[to - 1].to_s - total[from].from_s) as f64;
        sums[from..to].iter().sum::<u64>() as f64 / seconds
    };
    let suspect = |owner: Owner, members: &[usize]| {
        let stretches = field.grid.stretches(&sums(members));
        let rise = trend::fit(&stretches, field.grid.fine)?;
        let members = members.iter().map(|&h| (&field.holders[h], &field.histories[h])).collect();
        Some(Suspect::new(owner, members, stretches, rise))
    };
    let mut named = false;
    let mut best: Option<(f64, Suspect<'_>)> = None;
    for dimension in PREFERENCE {
        if !alone && is_alone(dimension) {
            named = true;
            continue;
        }
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &index in &everybody {
            if let Some(value) = value(index, dimension) {
                named = true;
                groups.entry(value).or_default().push(index);
            }
        }
        let growth = |members: &[usize]| {
            let sums = sums(members);
            mean(&sums, after, total.len()) - mean(&sums, 0, before)
        };
        let mut grown: Vec<(f64, &str)> =
            groups.iter().map(|(value, members)| (growth(members), *value)).collect();
        grown.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, value) in grown.iter().take(3).filter(|(growth, _)| *growth > 0.0) {
            let owner = Owner::Holder { dimension, value: (*value).to_owned() };
            let Some(suspect) = suspect(owner, &groups[value]) else { continue };
            let Some(share) = share(&suspect.rise, total) else { continue };
            let score = suspect.deviations() * share.min(1.0).sqrt();
            if share >= 0.4
                && suspect.deviations() >= evidence
                && best.as_ref().is_none_or(|(least, _)| score > least * 1.25)
                && !(dimension == Dimension::ServiceVersion && best.is_some())
            {
                best = Some((score, suspect));
            }
        }
    }
    let owner = if named { Owner::Nobody } else { Owner::Unknown };
    let found = best.map(|(_, suspect)| suspect).or_else(|| {
        let everybody = field.holders.iter().zip(field.histories).collect();
        let suspect = Suspect::new(owner, everybody, total.to_vec(), *rise);
        (suspect.deviations() >= evidence).then_some(suspect)
    })?;
    Some(brief(&found))
}

fn share(own: &Rise, total: &[Stretch]) -> Option<f64> {
    let place = total.iter().position(|stretch| stretch.from_s == own.onset_s)?;
    let (_, rise) = trend::fit_at(total, place);
    let (height, base) = (own.height(), own.base.max(1.0));
    let rest = rise.base - own.base;
    let others = (rise.height() - height).max(0.0) / rest.max(1.0);
    let stands_out = rest <= rise.base * (1.0 - 0.98) || others < height / base / 3.0;
    (height > 0.0 && stands_out).then(|| height / rise.height().max(height))
}

fn brief(suspect: &Suspect<'_>) -> (Owner, usize, f64, Rise) {
    (suspect.owner.clone(), suspect.members.len(), suspect.deviations(), suspect.rise)
}

fn view<'a>(levels: &'a [HolderLevel], changed: &'a [u32]) -> ResourceView<'a> {
    ResourceView {
        name: "db",
        unit: "connections",
        usable: None,
        held: levels.iter().map(|level| level.held).sum(),
        holders: levels,
        changed,
        lives: &[],
        reset_at: None,
        first_seen: Second(START),
        told: plimsoll_detect::view::Told::Sessions,
        ages: None,
        doubts: &[],
    }
}

/// Runs an estate of many holders that hold a few units each, in which now and then some grow, and
/// compares at every tick and at two scales. Returns how often somebody was named.
#[track_caller]
fn check(seed: u64, evidence: f64, holders: usize, seconds: i64) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut levels: Vec<HolderLevel> = Vec::new();
    let mut history = History::new(START);
    let mut named = 0;
    let mut grower = 0;
    for second in 0..seconds {
        let mut changed = Vec::new();
        if levels.len() < holders && (second == 0 || random.random_bool(0.3)) {
            for _ in 0..holders / 3 {
                let number = levels.len();
                let (app, user) = (number * 7 % 23, random.random_range(0..9));
                let mut words = format!("app=a{app} user=u{user} db=main addr=10.0.0.{number}");
                if !number.is_multiple_of(3) {
                    words += &format!(" host=h{}", number % 5);
                }
                let first_seen = Second(START + second);
                levels.push(HolderLevel {
                    holder: holder(&words),
                    first_seen,
                    ..HolderLevel::default()
                });
            }
        }
        if second % 97 == 0 {
            grower = random.random_range(0..levels.len());
        }
        for (index, level) in levels.iter_mut().enumerate() {
            let pull = if index == grower && second % 97 > 50 { 0.16 } else { 0.03 };
            let before = level.held;
            if random.random_bool(pull) {
                level.held += 1;
                level.opened += 1;
            }
            if level.held > 0 && random.random_bool(0.02 * level.held.min(20) as f64) {
                level.held -= 1;
                level.closed += 1;
                level.closed_age_us += 30_000_000;
            }
            if before != level.held {
                changed.push(index as u32);
            }
        }
        let view = view(&levels, &changed);
        let now_s = START + second + 1;
        if second == seconds / 2 {
            // What is restored has no groups yet.
            let bytes = postcard::to_stdvec(&history).expect("a vector takes every byte");
            history = postcard::from_bytes(&bytes).expect("it was just written");
        }
        history.observe(now_s, &view, quiet_level(evidence));
        for scale in [0, 1] {
            let grid = Grid::new(scale, now_s, START);
            let total = grid.read(&history.held);
            let Some(rise) = trend::fit(&total, grid.fine) else { continue };
            let field = Field::new(&view, &history, grid);
            let found = blame::suspect(&field, &total, &rise, 0.0, evidence).map(|s| brief(&s));
            assert_eq!(found, plain(&field, &total, &rise, evidence), "second {second}");
            named += usize::from(matches!(found, Some((Owner::Holder { .. }, ..))));
        }
    }
    named
}

#[test]
fn the_owner_of_few_large_holders_is_the_plain_ones() {
    assert!((0..6).map(|seed| check(seed, 3.6, 9, 900)).sum::<usize>() > 100);
}

#[test]
fn the_owner_of_many_small_holders_is_the_plain_ones() {
    let named: usize = (0..4).map(|seed| check(seed, 3.6, 60, 600)).sum();
    assert!(named > 20, "{named}");
}

#[test]
fn little_evidence_is_as_good_as_much() {
    assert!((0..3).map(|seed| check(seed, 1.5, 60, 400)).sum::<usize>() > 100);
    assert!(check(7, 0.0, 30, 300) > 100);
}

/// One service takes four units a second from second 32 on, which another one gives back until
/// second 60, so that the total rises only there. Then `others` take 118 at once: too little for
/// 21.95 deviations (2 √118 = 21.7), but more growth across second 60 than the first one's.
#[track_caller]
fn check_beaten(others: usize, expected: Option<&str>) {
    let apps = ["app=steady", "app=slow", "app=one", "app=two", "app=three"];
    let level = |words: &&str| HolderLevel { holder: holder(words), ..HolderLevel::default() };
    let mut levels: Vec<HolderLevel> = apps[..2 + others].iter().map(level).collect();
    let mut history = History::new(START + 1);
    let evidence = 21.95;
    for second in 1..68 {
        // What is told at the end of a second holds in the next one.
        let grown = |second: u64| if second < 32 { 0 } else { 4 * (second - 32) + 2 };
        levels[0].held = 2_000 - grown(second.min(59));
        levels[1].held = grown(second);
        levels[2..].iter_mut().for_each(|level| level.held = if second < 60 { 0 } else { 118 });
        let changed: Vec<u32> = (0..levels.len() as u32).collect();
        let view = view(&levels, &changed);
        history.observe(START + second as i64, &view, quiet_level(evidence));
    }
    let view = view(&levels, &[]);
    let grid = Grid::new(0, START + 68, START + 1);
    let total = grid.read(&history.held);
    let rise = trend::fit(&total, grid.fine).expect("there are enough stretches");
    let field = Field::new(&view, &history, grid);
    let found = blame::suspect(&field, &total, &rise, 0.0, evidence).map(|s| brief(&s));
    assert_eq!(found, plain(&field, &total, &rise, evidence));
    let named = found.and_then(|(owner, ..)| match owner {
        Owner::Holder { value, .. } => Some(value),
        Owner::Nobody | Owner::Unknown => None,
    });
    assert_eq!(named.as_deref(), expected);
}

#[test]
fn only_the_three_that_grew_most_are_looked_at_however_small_they_are() {
    check_beaten(2, Some("slow"));
    check_beaten(3, None);
}
