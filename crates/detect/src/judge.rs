//! The judge of one pipeline: `step(state, tick) → (state, transitions)`.

use std::collections::BTreeMap;

use plimsoll_model::evidence::Evidence;
use plimsoll_model::lives::{LifeEvent, LifeRows};
use plimsoll_model::{Change, IncidentId, OwnedHolder, RowKind, Second, Tick, Transition};
use serde::{Deserialize, Serialize};

use crate::book::{Book, Rules};
use crate::ledger::{Ledger, forget_lives, remember_life};
use crate::lives::{self, Lives};
use crate::panes::Proof;
use crate::settings::{ResourceConfig, Settings, Unit};
use crate::suite::Suite;
use crate::view::LifeMark;
use crate::{Error, proof, saved};

/// The most resources that a pipeline may have. Rows of others are counted, not judged.
pub const RESOURCES_MAX: usize = 256;

/// What one tick led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Changes of incidents, in order.
    pub transitions: Vec<Transition>,
    /// The proof of the transitions: rows that their incidents have not had yet.
    pub evidence: Evidence,
}

/// When lives are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// At the end of a tick.
    Tick,
    /// When somebody asks after the last one.
    End,
}

/// What is judged of one resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub ledger: Ledger,
    suite: Suite,
    /// Its instances, if its units are bytes of memory.
    lives: Lives,
}

/// What a judge knows besides its settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// In the order in which they appeared.
    pub resources: Vec<Resource>,
    /// Marks that concern programs, for resources that appear later.
    lives: Vec<LifeMark>,
    pub book: Book,
    /// Which evidence each open incident has had.
    proofs: BTreeMap<IncidentId, Proof>,
    /// Rows of resources beyond [`RESOURCES_MAX`].
    beyond: u64,
}

/// The judge of one pipeline: single-threaded and deterministic.
///
/// The same settings and the same ticks give the same transitions, and at every tick the same
/// saved bytes.
#[derive(Clone, Debug)]
pub struct Judge {
    settings: Settings,
    state: State,
    /// The place of each resource, by name.
    places: BTreeMap<String, usize>,
    /// The settings of each resource, by place.
    configs: Vec<ResourceConfig>,
}

impl Judge {
    /// A judge who knows nothing yet.
    pub fn new(settings: Settings) -> Judge {
        Judge::with(settings, State::default())
    }

    /// The judge that [`Judge::save`] wrote down. The settings may have changed since.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Judge, Error> {
        Ok(Judge::with(settings, saved::read(bytes)?))
    }

    fn with(settings: Settings, state: State) -> Judge {
        let mut judge = Judge { settings, state, places: BTreeMap::new(), configs: Vec::new() };
        for place in 0..judge.state.resources.len() {
            let name = judge.state.resources[place].ledger.name().to_owned();
            judge.configs.push(judge.config(&name));
            judge.places.insert(name, place);
            judge.state.resources[place].suite.configure(&judge.settings);
        }
        let names: Vec<String> = judge.settings.resources.keys().cloned().collect();
        for name in names {
            judge.place(&name);
        }
        judge
    }

    fn config(&self, name: &str) -> ResourceConfig {
        self.settings.resources.get(name).copied().unwrap_or_default()
    }

    /// Everything the judge knows, with a version. Equal knowledge gives equal bytes.
    pub fn save(&self) -> Vec<u8> {
        saved::write(&self.state)
    }

    /// Observes the rows of a tick, then decides.
    pub fn step(&mut self, tick: &Tick) -> Step {
        let second = tick.second;
        for resource in &mut self.state.resources {
            resource.ledger.begin_tick(second, self.settings.correct_within);
        }
        forget_lives(&mut self.state.lives, second);
        self.observe(tick);
        let mut step = Step::default();
        for place in self.places.values().copied().collect::<Vec<_>>() {
            self.decide(place, second, &mut step);
        }
        step
    }

    /// What there is to say after the last tick, `second`, to somebody who asks and for whom no
    /// more rows will come: growth in a life whose history is too short for a pipeline to speak.
    pub fn conclude(&mut self, second: Second) -> Step {
        let mut step = Step::default();
        for place in self.places.values().copied().collect::<Vec<_>>() {
            if self.state.resources[place].lives.is_seen() {
                self.decide_lives(place, second, Moment::End, &mut step);
            }
        }
        step
    }

    fn observe(&mut self, tick: &Tick) {
        // Rows of one resource come in runs: its place is looked up once per run.
        let mut place = None;
        for row in &tick.rows {
            let batch = tick.batch(row);
            let index = row.index as usize;
            match row.kind {
                RowKind::Session => {
                    place = self.place_near(place, batch.sessions.resource(index));
                    let Some(place) = place else { continue };
                    let ledger = &mut self.state.resources[place].ledger;
                    ledger.session(&batch.sessions, index, tick.second);
                }
                RowKind::Sample => {
                    place = self.place_near(place, batch.samples.resource(index));
                    let Some(place) = place else { continue };
                    let is_memory = self.configs[place].unit == Unit::Bytes;
                    if is_memory || lives::is_of_lives(batch.samples.metric(index)) {
                        self.state.resources[place].lives.sample(&batch.samples, index);
                        continue;
                    }
                    let ledger = &mut self.state.resources[place].ledger;
                    ledger.sample(&batch.samples, index, tick.second);
                }
                RowKind::Life => {
                    let lives = &batch.lives;
                    self.observe_instance(lives, index);
                    if matches!(lives.event(index), LifeEvent::Start | LifeEvent::End) {
                        continue;
                    }
                    let mark = LifeMark {
                        time: lives.time(index),
                        event: lives.event(index),
                        holder: lives.holder(index).to_owned(),
                        value: lives.value(index),
                    };
                    self.observe_life(lives.resource(index), &mark);
                }
            }
        }
    }

    /// Tells the resources that are memory what happened to an instance or a program.
    fn observe_instance(&mut self, lives: &LifeRows, index: usize) {
        let named = lives.resource(index);
        for (resource, config) in self.state.resources.iter_mut().zip(&self.configs) {
            let is_memory = config.unit == Unit::Bytes || resource.lives.is_seen();
            if is_memory && named.is_none_or(|name| resource.ledger.name() == name) {
                resource.lives.life(lives, index);
            }
        }
    }

    fn observe_life(&mut self, resource: Option<&str>, mark: &LifeMark) {
        let Some(name) = resource else {
            remember_life(&mut self.state.lives, mark);
            for resource in &mut self.state.resources {
                resource.ledger.life(mark);
            }
            return;
        };
        let Some(place) = self.place(name) else { return };
        let ledger = &mut self.state.resources[place].ledger;
        ledger.life(mark);
        if mark.event == LifeEvent::LimitChange {
            ledger.tell_limit(mark);
        }
    }

    /// The place of `name`, which is probably that of the row before.
    fn place_near(&mut self, near: Option<usize>, name: &str) -> Option<usize> {
        match near {
            Some(place) if self.state.resources[place].ledger.name() == name => Some(place),
            _ => self.place(name),
        }
    }

    /// The place of `name`, which is made if there is room.
    fn place(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let place = self.state.resources.len();
        if place >= RESOURCES_MAX {
            self.state.beyond += 1;
            return None;
        }
        let ledger = Ledger::new(name, &self.state.lives);
        self.state.resources.push(Resource { ledger, ..Resource::default() });
        self.configs.push(self.config(name));
        self.places.insert(name.to_owned(), place);
        Some(place)
    }

    /// Decides about a resource whose instances are watched.
    fn decide_lives(&mut self, place: usize, second: Second, moment: Moment, step: &mut Step) {
        let Resource { ledger, lives, .. } = &mut self.state.resources[place];
        let memory = lives::Place {
            resource: ledger.name(),
            limit: self.configs[place].limit,
            response_time: self.settings.response_time,
        };
        let detectors = &self.settings.detectors;
        let verdicts = match moment {
            Moment::Tick => lives.step(detectors, &memory, second),
            Moment::End => Some(lives.conclude(detectors, &memory, second)),
        };
        let Some(verdicts) = verdicts else { return };
        let rules = rules(&self.settings);
        for transition in self.state.book.step(&rules, second, memory.resource, verdicts) {
            step.evidence.extend(lives.evidence(&transition));
            step.transitions.push(transition);
        }
    }

    fn decide(&mut self, place: usize, second: Second, step: &mut Step) {
        if self.state.resources[place].lives.is_seen() {
            return self.decide_lives(place, second, Moment::Tick, step);
        }
        let Resource { ledger, suite, .. } = &mut self.state.resources[place];
        ledger.end_tick(second);
        if !ledger.is_seen() {
            return;
        }
        let view = ledger.view(&self.configs[place], second);
        let verdicts = suite.step(&self.settings, second, &view, ledger.refused());
        let rules = rules(&self.settings);
        for mut transition in self.state.book.step(&rules, second, view.name, verdicts) {
            let proof = self.state.proofs.entry(transition.incident).or_default();
            let paid = suite.paid(&transition);
            if !paid.is_empty() {
                let said_at = proof.told_at();
                let finding = &transition.finding;
                transition.proof =
                    proof::proof(transition.incident, finding, said_at, Some(second));
                step.evidence.samples.extend(paid);
            }
            step.evidence.panes.extend(ledger.evidence(proof, &transition));
            step.evidence.sessions.extend(ledger.open_sessions(proof, &transition));
            step.evidence.samples.extend(suite.evidence(&transition));
            if transition.change == Change::Resolved {
                self.state.proofs.remove(&transition.incident);
            }
            step.transitions.push(transition);
        }
    }

    /// The last transition of every open incident, in the order in which they opened.
    pub fn open_incidents(&self) -> impl Iterator<Item = &Transition> {
        self.state.book.open()
    }

    /// What every resource holds now, by name: units held by everybody, and units that can be
    /// held, if a limit is known; of memory, the fullest instance. Cheap enough for every tick.
    pub fn totals(&self) -> impl Iterator<Item = (&str, u64, Option<u64>)> {
        self.places.iter().map(|(name, place)| {
            let Resource { ledger, lives, .. } = &self.state.resources[*place];
            if lives.is_seen() {
                return (name.as_str(), lives.fullest(), lives.limit(self.configs[*place].limit));
            }
            let usable = ledger.view(&self.configs[*place], Second::default()).usable;
            (name.as_str(), ledger.held(), usable)
        })
    }

    /// What every resource holds now, by name: the whole, and each holder that holds something,
    /// the largest first.
    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.places.values().map(|place| {
            let Resource { ledger, lives, .. } = &self.state.resources[*place];
            if lives.is_seen() {
                let (holders, held) = (lives.held(), lives.fullest());
                let usable = lives.limit(self.configs[*place].limit);
                return Held { resource: ledger.name(), held, usable, holders, doubts: 0 };
            }
            let view = ledger.view(&self.configs[*place], Second::default());
            let mut holders: Vec<(&OwnedHolder, u64)> = (ledger.levels().iter())
                .filter(|level| level.held > 0)
                .map(|level| (&level.holder, level.held))
                .collect();
            holders.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            let doubts = view.doubts.len();
            Held { resource: view.name, held: view.held, usable: view.usable, holders, doubts }
        })
    }

    /// How many rows, holders, sessions and findings went beyond a limit, by the limit's name.
    pub fn beyond(&self) -> [(&'static str, u64); 5] {
        let ledgers = || self.state.resources.iter().map(|resource| &resource.ledger);
        [
            ("resources", self.state.beyond),
            ("holders", ledgers().map(Ledger::holders_beyond).sum()),
            ("sessions", ledgers().map(Ledger::sessions_beyond).sum()),
            ("incidents", self.state.book.beyond),
            ("instances", self.state.resources.iter().map(|it| it.lives.ledger.beyond).sum()),
        ]
    }
}

/// What the book goes by.
fn rules(settings: &Settings) -> Rules<'_> {
    let grace_s = i64::try_from(settings.response_time.as_secs()).unwrap_or(i64::MAX);
    let pause_s = settings.pause_seconds();
    let held_open = settings.detectors.held_open.on();
    let cost_pause_s = held_open.map_or(pause_s, |held_open| held_open.cost_pause_s.into());
    Rules { pipeline: &settings.pipeline, pause_s, cost_pause_s, grace_s }
}

/// What one resource holds now.
#[derive(Clone, Debug, PartialEq)]
pub struct Held<'a> {
    /// Its name.
    pub resource: &'a str,
    /// Units held by everybody; of memory, by the instance that holds most, since each has a limit
    /// of its own.
    pub held: u64,
    /// Units that can be held, if a limit is known.
    pub usable: Option<u64>,
    /// Who holds how many, the largest first; nobody who holds none.
    pub holders: Vec<(&'a OwnedHolder, u64)>,
    /// How many reasons there are why the count may be off.
    pub doubts: usize,
}
