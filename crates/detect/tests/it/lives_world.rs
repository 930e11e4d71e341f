//! Programs whose memory is drawn from a known truth, and what the judge says of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_detect::settings::{ResourceConfig, Unit};
use plimsoll_detect::{Judge, Settings};
use plimsoll_model::evidence::Evidence;
use plimsoll_model::lives::{EndCause, LifeBuilder, LifeEvent, LifeRow};
use plimsoll_model::samples::{SampleBuilder, SampleRow, metric};
use plimsoll_model::{
    Batch, Change, Dimension, Holder, PartitionId, Row, RowKind, Second, Severity, Tick, Time,
    Transition,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// The first second of every run: some Monday at 06:00.
pub const START: i64 = 1_699_855_200;
pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 86_400;
pub const MIB: f64 = 1_048_576.0;

/// What memory does with the hours of uptime and the seconds of the run, in MiB above the base.
pub type Shape = Box<dyn Fn(f64, i64) -> f64>;

/// One program.
pub struct Program {
    pub name: &'static str,
    pub instances: usize,
    /// The number of the first instance, from zero.
    pub first: usize,
    pub base_mib: f64,
    pub shape: Shape,
    pub noise_mib: f64,
    /// Amplitude in MiB and period in seconds of what a collector gives back.
    pub sawtooth: (f64, f64),
    pub every_s: i64,
    /// The share of samples that are missing.
    pub missing: f64,
    /// When it is rolled out, seconds of the run.
    pub deploys: Vec<i64>,
    /// Ends that no deploy explains: instance, second, cause.
    pub deaths: Vec<(usize, i64, Option<EndCause>)>,
    /// Whether rows tell of starts and ends.
    pub told: bool,
    /// When further instances begin, under names of their own.
    pub newcomers: Vec<i64>,
    /// When the number of instances is changed, and to how many.
    pub scales: Vec<(i64, f64)>,
    /// Page cache, in MiB by seconds of the run: part of `memory`, and not of `memory_anonymous`.
    pub cache: Option<Box<dyn Fn(i64) -> f64>>,
}

impl Program {
    pub fn new(name: &'static str, shape: impl Fn(f64, i64) -> f64 + 'static) -> Program {
        Program {
            name,
            instances: 2,
            first: 0,
            base_mib: 400.0,
            shape: Box::new(shape),
            noise_mib: 4.0,
            sawtooth: (0.0, 1.0),
            every_s: 60,
            missing: 0.0,
            deploys: Vec::new(),
            deaths: Vec::new(),
            told: true,
            newcomers: Vec::new(),
            scales: Vec::new(),
            cache: None,
        }
    }
}

/// The world.
pub struct World {
    pub programs: Vec<Program>,
    pub limit_mib: f64,
    pub response: Duration,
    pub rng: StdRng,
    /// Nobody's samples arrive in these seconds.
    pub gap: std::ops::Range<i64>,
}

/// What was said.
#[derive(Default)]
pub struct Heard {
    pub transitions: Vec<Transition>,
    pub evidence: Evidence,
    /// When an instance reached its limit, by name.
    pub out: BTreeMap<String, i64>,
}

enum What {
    Sample(&'static str, f64),
    Event(LifeEvent, Option<EndCause>),
    Scale(f64),
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            programs: Vec::new(),
            limit_mib: 2_048.0,
            response: Duration::from_secs(1_800),
            rng: StdRng::seed_from_u64(seed),
            gap: 0..0,
        }
    }

    pub fn with(mut self, program: Program) -> World {
        self.programs.push(program);
        self
    }

    /// What the judge says until second `until` of the run.
    pub fn run(mut self, until: i64) -> Heard {
        let mut heard = Heard::default();
        let mut rows: BTreeMap<i64, Vec<(String, &'static str, String, What)>> = BTreeMap::new();
        let programs = std::mem::take(&mut self.programs);
        for program in &programs {
            for instance in 0..program.instances + program.newcomers.len() {
                self.live(program, instance, until, &mut rows, &mut heard);
            }
            for (number, at) in program.deploys.iter().enumerate() {
                let event = What::Event(LifeEvent::Deploy, None);
                let row = (String::new(), program.name, format!("1.{}", number + 1), event);
                rows.entry(*at).or_default().push(row);
            }
            for (at, number) in &program.scales {
                let row = (String::new(), program.name, String::new(), What::Scale(*number));
                rows.entry(*at).or_default().push(row);
            }
        }
        let mut settings = Settings::new("p");
        settings.response_time = self.response;
        let limit = Some((self.limit_mib * MIB) as u64);
        let memory = ResourceConfig { unit: Unit::Bytes, limit, ..ResourceConfig::default() };
        settings.resources.insert("memory".to_owned(), memory);
        let mut judge = Judge::new(settings);
        while let Some(first) = rows.keys().next().copied() {
            // A batch holds an hour: building one costs more than a row.
            let later = rows.split_off(&(first + HOUR));
            for tick in ticks(std::mem::replace(&mut rows, later)) {
                let step = judge.step(&tick);
                heard.evidence.extend(step.evidence);
                heard.transitions.extend(step.transitions);
            }
        }
        heard
    }

    /// One instance through all its lives.
    fn live(
        &mut self,
        program: &Program,
        instance: usize,
        until: i64,
        rows: &mut BTreeMap<i64, Vec<(String, &'static str, String, What)>>,
        heard: &mut Heard,
    ) {
        let name = format!("{}-{}", program.name, program.first + instance + 1);
        let offset = self.rng.random_range(0..program.every_s);
        let newcomer = instance.checked_sub(program.instances);
        let mut begins = match newcomer {
            None => vec![(offset - program.every_s - 30, 0)],
            Some(place) => vec![(program.newcomers[place], 0)],
        };
        let first = begins[0].0;
        for (number, at) in program.deploys.iter().enumerate().filter(|(_, at)| **at > first) {
            begins.push((at + 20 + 60 * instance as i64, number + 1));
        }
        let mut noise = 0.0;
        for (place, (begin, release)) in begins.iter().enumerate() {
            let death = program.deaths.iter().find(|(of, at, _)| *of == instance && at > begin);
            let next = begins.get(place + 1).map_or(until, |(at, _)| *at);
            let (end, cause) = match death {
                Some((_, at, cause)) if *at < next => (*at, *cause),
                _ => (next, Some(EndCause::Stopped)),
            };
            let version = format!("1.{release}");
            let started = begin + if place == 0 { 0 } else { 14 };
            let mut add = |at: i64, what| {
                if (0..until).contains(&at) {
                    rows.entry(at).or_default().push((
                        name.clone(),
                        program.name,
                        version.clone(),
                        what,
                    ));
                }
            };
            if program.told && place > 0 {
                add(started, What::Event(LifeEvent::Start, None));
            }
            let mut at = started - (started - offset).rem_euclid(program.every_s) + program.every_s;
            let mut died = false;
            while at < end {
                let keep = (-(program.every_s as f64) / 300.0).exp();
                let fresh: f64 = StandardNormal.sample(&mut self.rng);
                noise = noise * keep + program.noise_mib * (1.0 - keep * keep).sqrt() * fresh;
                let hours = (at - started) as f64 / HOUR as f64;
                let (amplitude, period) = program.sawtooth;
                let tooth = amplitude * (((at - started) as f64 / period).fract());
                let mib = program.base_mib + (program.shape)(hours, at) + noise + tooth;
                if mib >= self.limit_mib {
                    heard.out.entry(name.clone()).or_insert(at);
                    if program.told {
                        add(at, What::Event(LifeEvent::End, Some(EndCause::OutOfMemory)));
                    }
                    died = true;
                    break;
                }
                let is_missing = self.rng.random::<f64>() < program.missing;
                if at >= 0 && !is_missing && !self.gap.contains(&at) {
                    match &program.cache {
                        None => add(at, What::Sample(metric::MEMORY, mib * MIB)),
                        Some(cache) => {
                            add(at, What::Sample(metric::MEMORY, (mib + cache(at)) * MIB));
                            add(at, What::Sample(metric::MEMORY_ANONYMOUS, mib * MIB));
                        }
                    }
                }
                at += program.every_s;
            }
            let is_dead = died || death.is_some_and(|(_, at, _)| *at == end);
            if !died && program.told && end < until && cause.is_some() {
                add(end, What::Event(LifeEvent::End, cause));
            }
            if is_dead {
                break;
            }
        }
    }
}

/// The ticks of these rows, and of every tenth second: others bring no news.
fn ticks(rows: BTreeMap<i64, Vec<(String, &'static str, String, What)>>) -> Vec<Tick> {
    let (mut samples, mut lives) = (SampleBuilder::default(), LifeBuilder::default());
    let (mut count, mut events) = (0, 0);
    let mut ticks: Vec<Tick> = Vec::new();
    let mut second = rows.keys().next().copied().unwrap_or(0);
    for (at, rows) in &rows {
        while second < *at {
            ticks.push(Tick::empty(Second(START + second)));
            second = (second - second % 10 + 10).min(*at);
        }
        let time = Time::from_seconds(START + at);
        let mut tick = Tick::empty(Second(START + at));
        let partition = PartitionId::default();
        for (name, service, version, what) in rows {
            let holder = Holder::default()
                .with(Dimension::ServiceName, service)
                .with(Dimension::ServiceVersion, version)
                .with(Dimension::ServiceInstanceId, name);
            let (kind, index) = match what {
                What::Sample(metric, value) => {
                    samples.append(&SampleRow {
                        time,
                        resource: "memory",
                        metric,
                        value: *value,
                        holder,
                        ..SampleRow::default()
                    });
                    count += 1;
                    (RowKind::Sample, count - 1)
                }
                What::Event(event, cause) => {
                    let (event, cause) = (*event, *cause);
                    lives.append(&LifeRow { time, event, cause, holder, ..LifeRow::default() });
                    events += 1;
                    (RowKind::Life, events - 1)
                }
                What::Scale(number) => {
                    let holder = Holder::default().with(Dimension::ServiceName, service);
                    let (event, value) = (LifeEvent::Scale, Some(*number));
                    lives.append(&LifeRow { time, event, value, holder, ..LifeRow::default() });
                    events += 1;
                    (RowKind::Life, events - 1)
                }
            };
            tick.rows.push(Row { time, partition, offset: 0, batch: 0, kind, index });
        }
        tick.rows.sort_by_key(|row| row.kind);
        ticks.push(tick);
        second = at + 1;
    }
    let batch = Batch { samples: samples.finish(), lives: lives.finish(), ..Batch::default() };
    let batch = Arc::new(batch);
    ticks.iter_mut().for_each(|tick| tick.batches.push(Arc::clone(&batch)));
    ticks
}

impl Heard {
    /// `second kind owner severity` of every opening.
    pub fn openings(&self) -> Vec<String> {
        let opened = self.transitions.iter().filter(|it| it.change == Change::Opened);
        opened.map(|it| format!("{} {}", it.as_of.0 - START, it.headline)).collect()
    }

    /// The second of the run in which an incident about `owner` of this kind opened.
    pub fn opened(&self, kind: plimsoll_model::Kind, owner: &str) -> Option<i64> {
        let opened = self.transitions.iter().find(|it| {
            it.change == Change::Opened
                && it.finding.kind == kind
                && it.finding.owner.to_string().ends_with(&format!(" {owner}"))
        });
        opened.map(|it| it.as_of.0 - START)
    }

    /// The first page about `owner`, with its second of the run.
    pub fn paged(&self, owner: &str) -> Option<(i64, &Transition)> {
        let paged = self.transitions.iter().find(|it| {
            it.severity_peak == Severity::Page
                && it.finding.owner.to_string().ends_with(&format!(" {owner}"))
        });
        paged.map(|it| (it.as_of.0 - START, it))
    }
}
