//! Memory and lives: the ledger of instances, and the detectors that read it.
//!
//! A `Lives` stands beside the connection ledger of a resource and judges what is measured in
//! bytes: [`within`] one life, [`across`] lives, and [`not_back`] after one. A further detector is
//! a file here, a line in `Lives::step` and one in `Lives::verdicts`.

pub mod across;
pub mod fit;
pub mod floors;
pub mod not_back;
pub mod within;

pub(crate) mod evidence;
pub(crate) mod known;
pub(crate) mod ledger;
pub(crate) mod rise;
pub(crate) mod sentence;
pub(crate) mod urgency;

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_model::evidence::Evidence;
use plimsoll_model::lives::LifeRows;
use plimsoll_model::samples::{SampleRows, metric};
use plimsoll_model::{
    Change, Detail, Dimension, Finding, IncidentId, Kind, OwnedHolder, Owner, Second, Transition,
};
use serde::{Deserialize, Serialize};

use crate::book::Witness;
use crate::detector::Verdict;
use crate::settings::Detectors;
use evidence::Told;
use ledger::Ledger;

/// How often what is found is said again while nothing changes, in seconds.
const AGAIN_S: i64 = 10;

/// Whether samples of `name` tell of memory and lives.
pub fn is_of_lives(name: &str) -> bool {
    matches!(
        name,
        metric::MEMORY
            | metric::MEMORY_ANONYMOUS
            | metric::MEMORY_AFTER_COLLECTION
            | metric::LIMIT_AFTER_COLLECTION
            | metric::UPTIME
            | metric::STARTED
    )
}

/// What is judged.
pub(crate) struct Place<'a> {
    pub resource: &'a str,
    /// The limit of each instance, if the configuration has one.
    pub limit: Option<u64>,
    pub response_time: Duration,
}

/// The instances of one resource and what the detectors know of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lives {
    pub ledger: Ledger,
    within: within::Within,
    not_back: not_back::NotBack,
    /// What the ended lives of each program say together.
    across: BTreeMap<u32, Finding>,
    /// Which evidence each open incident has had.
    told: BTreeMap<IncidentId, Told>,
    /// Whether something was found when it was last asked.
    is_found: bool,
}

impl Lives {
    /// Whether any row was about an instance.
    pub fn is_seen(&self) -> bool {
        !self.ledger.instances.is_empty()
    }

    /// Applies sample row `row`.
    pub fn sample(&mut self, rows: &SampleRows, row: usize) {
        self.ledger.sample(rows, row);
    }

    /// Applies life row `row`.
    pub fn life(&mut self, rows: &LifeRows, row: usize) {
        self.ledger.life(rows, row);
    }

    /// Ends the tick. `None` if nothing can have changed since the last verdicts; then nobody
    /// needs to be told.
    pub fn step(
        &mut self,
        detectors: &Detectors,
        place: &Place<'_>,
        second: Second,
    ) -> Option<Vec<(Witness, Verdict)>> {
        self.ledger.flush();
        let news = std::mem::take(&mut self.ledger.news);
        self.forget(&news.turned);
        if let Some(settings) = detectors.growth_within_life.on() {
            for (instance, complete) in &news.sampled {
                self.within.look(settings, place, &mut self.ledger, *instance, *complete);
            }
        }
        // Somebody may be missed although no row says anything.
        let mut is_missed = false;
        if detectors.not_back.on().is_some() {
            let turned = !news.turned.is_empty() || news.marked;
            let sampled = !news.sampled.is_empty();
            is_missed = self.not_back.look(&mut self.ledger, second.end(), turned, sampled);
        }
        // Lives that were silent for too long have ended just now.
        let late = std::mem::take(&mut self.ledger.news);
        self.forget(&late.turned);
        if let Some(settings) = detectors.growth_across_lives.on() {
            for service in news.ended.iter().chain(&late.ended) {
                match across::look(settings, place, &self.ledger, *service, second) {
                    Some(finding) => self.across.insert(*service, finding),
                    None => self.across.remove(service),
                };
            }
        }
        let is_due = second.0 % AGAIN_S == 0 && self.is_found;
        if news.is_empty() && !is_due && !is_missed {
            return None;
        }
        self.within.settle(place, &self.ledger, second.end());
        let verdicts = self.verdicts(detectors, place);
        let said = !verdicts.is_empty();
        let is_worth = said || self.is_found || !self.told.is_empty();
        self.is_found = said || !self.told.is_empty();
        is_worth.then_some(verdicts)
    }

    fn forget(&mut self, turned: &[u32]) {
        for instance in turned {
            let own = &self.ledger.instances[*instance as usize];
            let ended = own.end.as_ref().map(|end| end.at).unwrap_or_default();
            self.within.forget(*instance, own.service, ended);
        }
    }

    /// What is to be said at the end of the rows, when somebody asks and nobody can wait for more:
    /// also growth whose history is short.
    pub fn conclude(
        &mut self,
        detectors: &Detectors,
        place: &Place<'_>,
        second: Second,
    ) -> Vec<(Witness, Verdict)> {
        if let Some(settings) = detectors.growth_within_life.on() {
            self.within.conclude(settings, place, &self.ledger, second.end());
        }
        self.verdicts(detectors, place)
    }

    fn verdicts(&mut self, detectors: &Detectors, place: &Place<'_>) -> Vec<(Witness, Verdict)> {
        let ended = self.within.take_ended();
        let mut verdicts: Vec<_> = ended
            .into_iter()
            .map(|(of, why)| (Witness::Life(Kind::GrowthWithinLife, of), Verdict::Ended(why)))
            .collect();
        let mut say = |kind: Kind, whose: u32, finding: Finding| {
            verdicts.push((Witness::Life(kind, whose), Verdict::Found(finding)));
        };
        if detectors.growth_across_lives.on().is_some() {
            for (service, finding) in &self.across {
                say(Kind::GrowthAcrossLives, *service, finding.clone());
            }
        }
        if let Some(settings) = detectors.growth_within_life.on() {
            for (service, mut finding) in self.within.findings(settings, place, &self.ledger) {
                let across = self.across.get(&service);
                if let Some(release) = across.and_then(|across| across.release.clone()) {
                    finding.release = Some(release);
                }
                if let Some(Detail::WithinLife(within)) = &mut finding.detail
                    && let Some(Detail::AcrossLives(lives)) =
                        across.and_then(|across| across.detail.clone())
                {
                    within.across = Some(lives);
                }
                say(Kind::GrowthWithinLife, service, finding);
            }
        }
        if let Some(settings) = detectors.not_back.on() {
            for (instance, finding) in self.not_back.findings(settings, place, &self.ledger) {
                say(Kind::NotBack, instance, finding);
            }
        }
        verdicts
    }

    /// The rows that prove `transition` and that its incident has not had yet.
    pub fn evidence(&mut self, transition: &Transition) -> Evidence {
        let told = self.told.entry(transition.incident).or_default();
        let rows = told.rows(&self.ledger, &self.within, transition);
        if transition.change == Change::Resolved {
            self.told.remove(&transition.incident);
        }
        rows
    }

    /// What every living instance holds now, with whose it is.
    fn levels(&self) -> impl Iterator<Item = (&OwnedHolder, u64)> {
        let instances = self.ledger.instances.iter();
        instances.filter_map(|own| own.life.as_ref().map(|life| (&own.holder, life.level as u64)))
    }

    /// What every living instance holds now, the largest first.
    pub fn held(&self) -> Vec<(&OwnedHolder, u64)> {
        let mut held: Vec<(&OwnedHolder, u64)> = self.levels().collect();
        held.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        held
    }

    /// What the instance holds that holds most; nothing if none lives.
    pub fn fullest(&self) -> u64 {
        self.levels().map(|(_, level)| level).max().unwrap_or(0)
    }

    /// The lowest limit of an instance; `configured` is that of those which have none of their own.
    pub fn limit(&self, configured: Option<u64>) -> Option<u64> {
        let limits = (0..self.ledger.instances.len() as u32)
            .filter_map(|instance| self.ledger.limit_of(instance, configured));
        limits.min_by(f64::total_cmp).map(|limit| limit as u64)
    }
}

/// The instance's name: its id, its host, or that of its program.
fn name_of(holder: &OwnedHolder) -> &str {
    let names = [Dimension::ServiceInstanceId, Dimension::HostName, Dimension::ServiceName];
    names.into_iter().find_map(|dimension| holder.get(dimension)).unwrap_or("an instance")
}

/// The program, if it has a name; else the instance, which may be all there is.
fn owner_of(service: Option<&str>, holder: &OwnedHolder) -> Owner {
    let named = |dimension, value: &str| Owner::Holder { dimension, value: value.to_owned() };
    let own = |dimension| holder.get(dimension).map(|value| named(dimension, value));
    service
        .map(|name| named(Dimension::ServiceName, name))
        .or_else(|| own(Dimension::ServiceInstanceId))
        .or_else(|| own(Dimension::HostName))
        .unwrap_or(Owner::Unknown)
}
