//! The life ledger of one resource: which instance lives since when with what memory.
//!
//! `docs/detectors.md`, "Lives", has the rules and their reasons.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use plimsoll_model::lives::{EndCause, LifeEvent, LifeRows};
use plimsoll_model::samples::{SampleRows, metric};
use plimsoll_model::{Dimension, Holder, Interval, OwnedHolder, Time};
use serde::{Deserialize, Serialize};

use super::fit;
use super::floors::{Curve, Floors, Point};

/// The most instances of a resource that are told apart; rows of others are counted.
pub const INSTANCES_MAX: usize = 4_096;

/// The most ended lives that are remembered per program, 0.7 KB each.
pub const PAST_MAX: usize = 96;

/// The most deploys, scalings, newcomers and returns that are remembered per program.
const MARKS_MAX: usize = 32;

/// How long a deploy may take: it explains an end this long before and after.
pub const DEPLOY_S: i64 = 900;

/// Two tellings of one start differ by less, in seconds: uptimes are rounded.
const START_TOLERANCE_S: i64 = 5;

/// A life is over without a word after so long a silence, in bounds of [`Service::bound_s`].
const FORGET_BOUNDS: i64 = 20;

/// From so many of the newest gaps the usual time between samples is known.
const GAPS_KEPT: usize = 5;

/// How long an instance may be silent while that is not known, in seconds.
const NOT_KNOWN_S: i64 = 900;

/// How many sizes of falls are told apart.
const FALLS: usize = 20;

/// A fall of so much of what was gained is one.
const FALL: f64 = 0.25;

/// One instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub holder: OwnedHolder,
    pub service: u32,
    pub first_seen: Time,
    pub life: Option<Life>,
    /// How the life before ended.
    pub end: Option<End>,
    /// The limit that samples tell, and that of its collected heap.
    limits: [Option<f64>; 2],
    /// Whether its rows say when it began, so that nothing is inferred from the level.
    tells_start: bool,
}

/// One life that goes on: 3.8 KB at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    pub started: Time,
    pub start_known: bool,
    /// Its newest sample.
    pub last: Time,
    /// Bytes in use then.
    pub level: f64,
    /// Which metric is judged: the larger, the better.
    kind: u8,
    pub floors: Floors,
    pub curve: Curve,
    /// The least in use.
    pub base: f64,
    /// The most in use since the last fall.
    pub high: f64,
    /// The highest level that it came down from by and by.
    pub safe: f64,
    /// When it last fell at once by at least 2^(20 + place) bytes: seconds since 1970.
    falls: [u32; FALLS],
    /// When memory would run out, as last forecast.
    pub forecast: Option<Interval>,
}

/// How a life ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub at: Time,
    /// Whether a row said so; else it is the last sign of life.
    pub told: bool,
    pub cause: EndCause,
    pub level: f64,
    pub started: Time,
    pub start_known: bool,
    pub forecast: Option<Interval>,
    /// Another instance has taken its place.
    pub replaced: bool,
}

/// A life that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub holder: OwnedHolder,
    pub started: Time,
    pub start_known: bool,
    pub ended: Time,
    pub cause: EndCause,
    /// Its floors: seconds since 1970 and bytes.
    pub floors: Vec<(f64, f32)>,
    /// How far the peaks stand above them, on average.
    pub spread: f32,
}

impl Past {
    pub fn uptime_s(&self) -> f64 {
        self.ended.micros_since(self.started) as f64 / 1e6
    }

    pub fn points(&self) -> Vec<Point> {
        let point = |(at_s, low): &(f64, f32)| Point {
            at_s: *at_s,
            low: f64::from(*low),
            high: f64::from(*low),
        };
        self.floors.iter().map(point).collect()
    }

    pub fn release(&self) -> Option<&str> {
        self.holder.get(Dimension::ServiceVersion)
    }
}

/// One program: the instances that share a service name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub name: Option<String>,
    pub first_seen: Time,
    /// Ended lives that were long enough to tell, in the order of their ends.
    pub past: VecDeque<Past>,
    /// How many were forgotten.
    pub past_before: u64,
    /// Deploys: when, and of which release.
    pub deploys: VecDeque<(Time, Option<String>)>,
    /// Scalings: when, and to how many.
    pub scales: VecDeque<(Time, Option<f64>)>,
    /// How long instances took to come back, in seconds.
    returns: VecDeque<f64>,
    /// Instances that appeared and took nobody's place yet.
    newcomers: VecDeque<(Time, u32)>,
    /// Names that went silently and for good while others came: names are not kept over lives.
    pub vanished: u32,
    /// Whether any name came back.
    pub keeps_names: bool,
    /// The highest level that a life came down from, or stayed at.
    pub safe: f64,
    /// The longest time between two falls at once of one life, by their size as in its life;
    /// slowly forgotten.
    cycles_s: [f32; FALLS],
    /// The last gaps between samples, in seconds.
    gaps: VecDeque<f64>,
    samples: u64,
    missed: u64,
}

impl Service {
    /// The usual time between two samples of one instance, in seconds.
    pub fn interval_s(&self) -> f64 {
        median(self.gaps.iter().copied())
    }

    /// How long an instance takes to come back, in seconds, if one ever did.
    pub fn usual_return_s(&self) -> Option<f64> {
        (!self.returns.is_empty()).then(|| median(self.returns.iter().copied()))
    }

    /// How long an instance that was said to have ended may be gone, in seconds: a minute, or
    /// three times the usual return.
    pub fn return_s(&self) -> i64 {
        (3.0 * self.usual_return_s().unwrap_or(0.0)).max(60.0).ceil() as i64
    }

    /// How long an instance may be silent, in seconds: [`Service::return_s`], and until three
    /// samples are missed, or so many that as many are missed in a row once in ten million times.
    /// A sample may come a tenth of its interval late.
    pub fn bound_s(&self) -> i64 {
        if self.gaps.len() < GAPS_KEPT {
            return NOT_KNOWN_S.max(self.return_s());
        }
        let share = (self.missed as f64 + 0.5) / ((self.samples + self.missed) as f64 + 20.0);
        let in_a_row = (1e-7_f64.ln() / share.ln()).ceil().clamp(3.0, 100.0);
        let silence = (in_a_row + 0.1) * self.interval_s() + 1.0;
        (silence.ceil() as i64).max(self.return_s())
    }

    fn take_gap(&mut self, gap_s: f64) {
        let usual = self.interval_s();
        self.samples += 1;
        if usual > 0.0 && gap_s > 1.6 * usual {
            self.missed += ((gap_s / usual).round() as u64).saturating_sub(1).min(10);
        }
        push(&mut self.gaps, gap_s, GAPS_KEPT);
    }

    /// The longest time between two falls of at least about `bytes`, in seconds; 0 if none is known.
    pub fn cycle_s(&self, bytes: f64) -> f64 {
        size_of(bytes).map_or(0.0, |size| f64::from(self.cycles_s[size]))
    }

    /// Whether a deploy may still be, or have been, the reason of an end at `end`.
    pub fn is_deploying(&self, end: Time, now: Time) -> bool {
        self.deploys.iter().any(|(at, _)| {
            at.micros_since(end).abs() <= DEPLOY_S * 1_000_000
                && now.micros_since(*at) <= DEPLOY_S * 1_000_000
        })
    }
}

/// What a row says of an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Started(Time),
    Limit(usize, f64),
    Memory(u8, f64),
}

/// The ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    pub instances: Vec<Instance>,
    pub services: Vec<Service>,
    /// Instance by the key of a row's holder: a cache that is bounded and may be emptied.
    known: BTreeMap<u64, u32>,
    /// Rows of instances beyond [`INSTANCES_MAX`].
    pub beyond: u64,
    /// The limit of every instance, told by a sample without a holder or a context event.
    pub limit: Option<f64>,
    /// The newest sample of all.
    newest: Time,
    /// When samples came again after nobody had any: who is not back yet may be on the way.
    pub resumed: Time,
    /// What this tick's rows say, in their order.
    #[serde(skip)]
    words: Vec<(Time, u32, Word)>,
    /// What changed in this tick.
    #[serde(skip)]
    pub news: News,
}

/// What changed in a tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// Instances with a new sample, and the scales that have a new complete stretch.
    pub sampled: Vec<(u32, u8)>,
    /// Instances whose life began or ended.
    pub turned: Vec<u32>,
    /// Programs with a new ended life.
    pub ended: Vec<u32>,
    /// A deploy or a scaling was told.
    pub marked: bool,
}

impl News {
    pub fn is_empty(&self) -> bool {
        self.sampled.is_empty() && self.turned.is_empty() && !self.marked
    }
}

impl Ledger {
    /// Applies sample row `row` at the end of the tick.
    pub fn sample(&mut self, rows: &SampleRows, row: usize) {
        let (time, value) = (rows.time(row), rows.value(row));
        let word = match rows.metric(row) {
            metric::MEMORY => Word::Memory(0, value),
            metric::MEMORY_ANONYMOUS => Word::Memory(1, value),
            metric::MEMORY_AFTER_COLLECTION => Word::Memory(2, value),
            metric::LIMIT if rows.holder(row).is_empty() => {
                self.limit = Some(value);
                return;
            }
            metric::LIMIT => Word::Limit(0, value),
            metric::LIMIT_AFTER_COLLECTION => Word::Limit(1, value),
            metric::UPTIME => {
                let uptime = Duration::try_from_secs_f64(value.max(0.0)).unwrap_or_default();
                Word::Started(time.minus(uptime))
            }
            metric::STARTED => Word::Started(Time::from_micros((value * 1e6) as i64)),
            _ => return,
        };
        let key = rows.holder_key(row);
        let instance = match self.known.get(&key) {
            Some(instance) => Some(*instance),
            None => self.instance(&rows.holder(row), time),
        };
        let Some(instance) = instance else { return };
        if self.known.len() >= 4 * INSTANCES_MAX {
            self.known.clear();
        }
        self.known.insert(key, instance);
        let version = rows.holder(row).get(Dimension::ServiceVersion);
        if version.is_some()
            && version != self.instances[instance as usize].holder.get(Dimension::ServiceVersion)
        {
            self.change_release(instance, rows.holder(row).to_owned(), time);
        }
        self.words.push((time, instance, word));
    }

    /// Another release under the same name is another life.
    fn change_release(&mut self, instance: u32, holder: OwnedHolder, time: Time) {
        let place = instance as usize;
        let had_one = self.instances[place].holder.get(Dimension::ServiceVersion).is_some();
        if let Some(life) = &self.instances[place].life
            && had_one
        {
            if time < life.last {
                return;
            }
            let last = life.last;
            self.end(instance, last, EndCause::Unknown, false);
        }
        self.instances[place].holder = holder;
    }

    /// Applies life row `row`.
    pub fn life(&mut self, rows: &LifeRows, row: usize) {
        let (time, holder) = (rows.time(row), rows.holder(row));
        match rows.event(row) {
            LifeEvent::LimitChange => self.limit = rows.value(row).or(self.limit),
            event @ (LifeEvent::Deploy | LifeEvent::Scale) => {
                self.news.marked = true;
                let name = holder.get(Dimension::ServiceName);
                for service in &mut self.services {
                    if name.is_some() && service.name.is_some() && service.name.as_deref() != name {
                        continue;
                    }
                    if event == LifeEvent::Deploy {
                        let version = holder.get(Dimension::ServiceVersion).map(str::to_owned);
                        push(&mut service.deploys, (time, version), MARKS_MAX);
                    } else {
                        push(&mut service.scales, (time, rows.value(row)), MARKS_MAX);
                    }
                }
            }
            LifeEvent::Start | LifeEvent::Restart => {
                let Some(instance) = self.named(&holder, time) else { return };
                self.flush();
                let version = holder.get(Dimension::ServiceVersion);
                self.start(instance, time, true);
                if version.is_some() {
                    self.instances[instance as usize].holder = holder.to_owned();
                }
                if let Some(predecessor) = rows.predecessor(row) {
                    self.replace(instance, predecessor);
                }
            }
            LifeEvent::End => {
                let Some(instance) = self.named(&holder, time) else { return };
                self.flush();
                self.end(instance, time, rows.cause(row).unwrap_or_default(), true);
            }
        }
    }

    /// The instance that a life row names; rows that name none concern nobody here.
    fn named(&mut self, holder: &Holder<'_>, time: Time) -> Option<u32> {
        let is_named = holder.get(Dimension::ServiceInstanceId).is_some()
            || holder.get(Dimension::HostName).is_some();
        if is_named { self.instance(holder, time) } else { None }
    }

    /// The instance of a holder, which is made if there is room: known by its program and its id,
    /// or its host if it has none. A holder without a program is the only one with that id.
    fn instance(&mut self, holder: &Holder<'_>, time: Time) -> Option<u32> {
        let id = |holder: &Holder<'_>| {
            let own = holder.get(Dimension::ServiceInstanceId);
            own.or(holder.get(Dimension::HostName)).map(str::to_owned)
        };
        let service = holder.get(Dimension::ServiceName);
        let own = id(holder);
        let known = self.instances.iter().position(|known| {
            let name = known.holder.get(Dimension::ServiceName);
            id(&known.holder.borrow()) == own
                && (name == service || (own.is_some() && (name.is_none() || service.is_none())))
        });
        if let Some(place) = known {
            return u32::try_from(place).ok();
        }
        if self.instances.len() >= INSTANCES_MAX {
            self.beyond += 1;
            return None;
        }
        let instance = u32::try_from(self.instances.len()).ok()?;
        let place = self.service(service, time);
        push(&mut self.services[place as usize].newcomers, (time, instance), MARKS_MAX);
        self.instances.push(Instance {
            holder: holder.to_owned(),
            service: place,
            first_seen: time,
            life: None,
            end: None,
            limits: [None; 2],
            tells_start: false,
        });
        Some(instance)
    }

    fn service(&mut self, name: Option<&str>, time: Time) -> u32 {
        let known = self.services.iter().position(|service| service.name.as_deref() == name);
        let place = known.unwrap_or_else(|| {
            self.services.push(Service {
                name: name.map(str::to_owned),
                first_seen: time,
                past: VecDeque::new(),
                past_before: 0,
                deploys: VecDeque::new(),
                scales: VecDeque::new(),
                returns: VecDeque::new(),
                newcomers: VecDeque::new(),
                vanished: 0,
                keeps_names: false,
                safe: 0.0,
                cycles_s: [0.0; FALLS],
                gaps: VecDeque::new(),
                samples: 0,
                missed: 0,
            });
            self.services.len() - 1
        });
        u32::try_from(place).expect("there are no more programs than instances")
    }

    /// Applies what the samples of this tick say: what tells of a beginning goes before what was
    /// in use at the same moment.
    pub fn flush(&mut self) {
        let mut words = std::mem::take(&mut self.words);
        let rank = |word: &Word| u8::from(matches!(word, Word::Memory(..)));
        words.sort_by_key(|(time, _, word)| (*time, rank(word)));
        for (time, instance, word) in words.drain(..) {
            match word {
                Word::Limit(which, value) => {
                    self.instances[instance as usize].limits[which] = Some(value);
                }
                Word::Started(started) => self.tell_start(instance, started, time),
                Word::Memory(kind, value) => self.memory(instance, time, kind, value),
            }
        }
        self.words = words;
    }

    fn tell_start(&mut self, instance: u32, started: Time, now: Time) {
        let place = instance as usize;
        self.instances[place].tells_start = true;
        let tolerance = Duration::from_secs(START_TOLERANCE_S.unsigned_abs());
        match &mut self.instances[place].life {
            None => {
                let ended = self.instances[place].end.as_ref().map(|end| end.at);
                if ended.is_none_or(|ended| started.plus(tolerance) >= ended) {
                    self.begin(instance, started, true, now);
                }
            }
            Some(life) if started > life.started.plus(tolerance) => {
                let last = life.last;
                if life.start_known || started > last {
                    if started.plus(tolerance) >= last {
                        self.end(instance, last.min(started), EndCause::Unknown, false);
                        self.begin(instance, started, true, now);
                    }
                } else {
                    (life.started, life.start_known) = (started, true);
                }
            }
            Some(life) if !life.start_known => {
                (life.started, life.start_known) = (started, true);
            }
            Some(_) => {}
        }
    }

    /// A row says that the instance started.
    fn start(&mut self, instance: u32, time: Time, known: bool) {
        let tolerance = Duration::from_secs(START_TOLERANCE_S.unsigned_abs());
        if let Some(life) = &self.instances[instance as usize].life {
            if time <= life.started.plus(tolerance) {
                return;
            }
            let last = life.last;
            self.end(instance, last.min(time), EndCause::Unknown, false);
        }
        self.begin(instance, time, known, time);
    }

    fn begin(&mut self, instance: u32, started: Time, start_known: bool, now: Time) {
        let place = instance as usize;
        let service = &mut self.services[self.instances[place].service as usize];
        if let Some(end) = &mut self.instances[place].end
            && !end.replaced
        {
            let gone_s = started.micros_since(end.at) as f64 / 1e6;
            if (0.0..86_400.0).contains(&gone_s) {
                push(&mut service.returns, gone_s, MARKS_MAX);
            }
            end.replaced = true;
            service.keeps_names = true;
        }
        self.news.turned.push(instance);
        self.instances[place].life = Some(Life {
            started,
            start_known,
            last: now,
            level: 0.0,
            kind: 0,
            floors: Floors::default(),
            curve: Curve::default(),
            base: f64::INFINITY,
            high: 0.0,
            safe: 0.0,
            falls: [0; FALLS],
            forecast: None,
        });
    }

    /// The life of `instance` ended. What a row tells later of an end that was inferred counts.
    pub fn end(&mut self, instance: u32, at: Time, cause: EndCause, told: bool) {
        let place = instance as usize;
        let service_place = self.instances[place].service;
        let Some(life) = &self.instances[place].life else {
            if let Some(end) = &mut self.instances[place].end
                && told
                && !end.told
                && at >= end.at
            {
                (end.at, end.cause, end.told) = (at, cause, true);
                self.news.turned.push(instance);
            }
            return;
        };
        if at < life.started {
            return;
        }
        let life = self.instances[place].life.take().expect("it was looked at");
        let service = &mut self.services[service_place as usize];
        let points = life.curve.points(super::across::WARM_UP);
        let stays = fit::second_half(&life.curve.points(0.0)).is_some_and(|ratio| ratio < 0.3);
        service.safe = service.safe.max(life.safe);
        if stays && cause != EndCause::OutOfMemory {
            service.safe = service.safe.max(life.high);
        }
        if points.len() >= fit::POINTS_MIN {
            if service.past.len() >= PAST_MAX {
                service.past.pop_front();
                service.past_before += 1;
            }
            service.past.push_back(Past {
                holder: self.instances[place].holder.clone(),
                started: life.started,
                start_known: life.start_known,
                ended: at,
                cause,
                floors: points.iter().map(|point| (point.at_s, point.low as f32)).collect(),
                spread: (points.iter().map(|point| point.high - point.low).sum::<f64>()
                    / points.len() as f64) as f32,
            });
            self.news.ended.push(service_place);
        }
        self.news.turned.push(instance);
        self.instances[place].end = Some(End {
            at,
            told,
            cause,
            level: life.level,
            started: life.started,
            start_known: life.start_known,
            forecast: life.forecast,
            replaced: false,
        });
    }

    /// `instance` started in the place of the one that is called `predecessor`.
    fn replace(&mut self, instance: u32, predecessor: &str) {
        let service = self.instances[instance as usize].service;
        let newcomers = &mut self.services[service as usize].newcomers;
        newcomers.retain(|(_, newcomer)| *newcomer != instance);
        let before = self.instances.iter_mut().find(|other| {
            other.service == service
                && other.holder.get(Dimension::ServiceInstanceId) == Some(predecessor)
        });
        if let Some(end) = before.and_then(|other| other.end.as_mut()) {
            end.replaced = true;
        }
    }

    fn memory(&mut self, instance: u32, time: Time, kind: u8, value: f64) {
        let place = instance as usize;
        if let Some(end) = &self.instances[place].end
            && self.instances[place].life.is_none()
            && time <= end.at
        {
            return;
        }
        let service = &mut self.services[self.instances[place].service as usize];
        let usual_s = service.interval_s();
        if let Some(life) = &self.instances[place].life {
            let gap_s = time.micros_since(life.last) as f64 / 1e6;
            let is_cut = !self.instances[place].tells_start
                && kind == life.kind
                && life.level > 0.0
                && is_restart(service, life, time, value, gap_s > 2.5 * usual_s.max(1.0));
            if gap_s > 0.0 && kind >= life.kind {
                service.take_gap(gap_s);
            }
            if is_cut {
                let last = life.last;
                self.end(instance, last, EndCause::Unknown, false);
            }
        }
        if self.instances[place].life.is_none() {
            self.begin(instance, time, false, time);
        }
        let service_place = self.instances[place].service as usize;
        let Some(life) = &mut self.instances[place].life else { return };
        if kind < life.kind {
            life.last = life.last.max(time);
            return;
        }
        if kind > life.kind {
            let (floors, curve) = (Floors::default(), Curve::default());
            *life = Life { kind, floors, curve, base: f64::INFINITY, high: 0.0, ..life.clone() };
        }
        let service = &mut self.services[service_place];
        life.note_fall(service, time, value);
        let complete = life.take(time, value);
        if time.micros_since(self.newest) > 1_000_000 * service.bound_s() / 2 {
            self.resumed = time;
        }
        self.newest = self.newest.max(time);
        self.news.sampled.push((instance, complete));
    }

    /// The limit of an instance, in bytes.
    pub fn limit_of(&self, instance: u32, configured: Option<u64>) -> Option<f64> {
        let own = &self.instances[instance as usize];
        let heap = own.limits[1].filter(|_| own.life.as_ref().is_some_and(|life| life.kind == 2));
        heap.or(own.limits[0]).or(self.limit).or(configured.map(|limit| limit as f64))
    }

    /// Whether `instance` has been heard of within its bound.
    pub fn is_alive(&self, instance: u32, now: Time) -> bool {
        let own = &self.instances[instance as usize];
        let bound_us = self.services[own.service as usize].bound_s() * 1_000_000;
        own.life.as_ref().is_some_and(|life| now.micros_since(life.last) < bound_us)
    }

    /// Whether another instance has taken the place of `instance`, which was last seen at `last`.
    /// One newcomer takes one place.
    pub fn has_successor(&mut self, instance: u32, last: Time) -> bool {
        let own = &self.instances[instance as usize];
        let (place, first_seen) = (own.service as usize, own.first_seen);
        let from = last.minus(Duration::from_secs(DEPLOY_S.unsigned_abs()));
        let later_s = (2.0 * self.services[place].interval_s()).max(60.0) as u64;
        let apart = first_seen.plus(Duration::from_secs(later_s));
        let newcomers = &mut self.services[place].newcomers;
        let found = newcomers
            .iter()
            .position(|(at, newcomer)| *newcomer != instance && *at >= from && *at > apart);
        let Some(found) = found else { return false };
        newcomers.remove(found);
        if !self.services[place].keeps_names {
            self.services[place].vanished += 1;
        }
        true
    }

    /// Ends lives that have been silent for so long that they are over.
    pub fn forget_silent(&mut self, now: Time) {
        for instance in 0..self.instances.len() as u32 {
            let own = &self.instances[instance as usize];
            let Some(life) = &own.life else { continue };
            let bound_s = self.services[own.service as usize].bound_s();
            let silent_s = now.micros_since(life.last) / 1_000_000;
            if silent_s > (FORGET_BOUNDS * bound_s).max(3_600) {
                let last = life.last;
                self.end(instance, last, EndCause::Unknown, false);
            }
        }
    }
}

impl Life {
    /// What fell at once was collected: such falls, and the time between them, are known by size.
    fn note_fall(&mut self, service: &mut Service, time: Time, value: f64) {
        let Some(largest) = size_of(self.level - value) else { return };
        let now = u32::try_from(time.second().0).unwrap_or(u32::MAX);
        let started = u32::try_from(self.started.second().0).unwrap_or(0);
        for size in 0..=largest {
            let since = self.falls[size].max(started);
            let cycle_s = now.saturating_sub(since) as f32;
            service.cycles_s[size] = (0.95 * service.cycles_s[size]).max(cycle_s);
            self.falls[size] = now;
        }
    }

    /// Takes a value; tells which scales have a new complete stretch.
    fn take(&mut self, time: Time, value: f64) -> u8 {
        let before = self.level;
        if time >= self.last {
            self.last = time;
            self.level = value;
        }
        self.base = self.base.min(value);
        self.high = self.high.max(value);
        let gained = self.high - self.base;
        if self.high - value >= FALL * gained && gained > 0.02 * self.high {
            // What falls at once was collected; it says nothing of how high is safe.
            if before - value < FALL * gained {
                self.safe = self.safe.max(self.high);
            }
            self.high = value;
        }
        self.curve.take(time, value);
        self.floors.take(time, value)
    }
}

/// The class of a fall: 0 from 1 MiB on, each class twice as much as the one before.
fn size_of(bytes: f64) -> Option<usize> {
    let class = (bytes / 1_048_576.0).log2();
    (class >= 0.0).then(|| (class as usize).min(FALLS - 1))
}

/// Whether the level tells of a restart that no row tells of: it fell after a silence, or after a
/// deploy of the program.
fn is_restart(service: &Service, life: &Life, time: Time, value: f64, was_silent: bool) -> bool {
    let is_deployed = service.deploys.iter().any(|(at, _)| {
        *at > life.started && (0..=DEPLOY_S * 1_000_000).contains(&time.micros_since(*at))
    });
    (was_silent && value < 0.7 * life.level) || (is_deployed && value < 0.85 * life.level)
}

/// Keeps the newest `most` of a list.
fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(item);
}

/// The middle one, the lower of two; 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    if values.is_empty() { 0.0 } else { values[(values.len() - 1) / 2] }
}
