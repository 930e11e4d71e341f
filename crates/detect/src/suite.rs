//! The detectors of one resource whose units are held: connections, slots, calls.
//!
//! A new one is a file of its own, a field here and a block in [`Suite::step`].

use plimsoll_model::evidence::Sample;
use plimsoll_model::{Change, Detail, Owner, Second, Transition};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::book::Witness;
use crate::calls::Calls;
use crate::detector::Verdict;
use crate::excess::Excess;
use crate::growth::Growth;
use crate::held_open::load;
use crate::hold_time_shift::HoldTimeShift;
use crate::missing_completions::MissingCompletions;
use crate::refusal::{Refusal, Refused};
use crate::settings::Settings;
use crate::view::{ResourceView, Told};

/// What the detectors of one resource remember.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Suite {
    growth: Option<Growth>,
    refusal: Refusal,
    calls: Calls,
    excess: Excess,
    missing_completions: MissingCompletions,
    hold_time_shift: HoldTimeShift,
    /// What load comes to in this tick, if growth is due to it.
    #[serde(skip)]
    load: Option<Account>,
}

impl Suite {
    /// The settings may have changed since it was saved.
    pub fn configure(&mut self, settings: &Settings) {
        match settings.growth() {
            Some(settings) => {
                self.growth.iter_mut().for_each(|known| known.configure(settings.clone()))
            }
            None => self.growth = None,
        }
    }

    /// What every detector says at the end of a tick, in the order in which the book hears them.
    pub fn step(
        &mut self,
        settings: &Settings,
        second: Second,
        view: &ResourceView<'_>,
        refused: &Refused,
    ) -> Vec<(Witness, Verdict)> {
        let detectors = &settings.detectors;
        let pause_s = settings.pause_seconds();
        let mut verdicts: Vec<(Witness, Verdict)> = Vec::new();
        let mut culprit = None;
        if let Some(held_open) = detectors.held_open.on()
            && view.told != Told::Sessions
        {
            let calls = &mut self.calls;
            calls.observe(second, view);
            let excess = &mut self.excess;
            excess.step(second, view, calls);
            let missing = self.missing_completions.step(held_open, second, view, calls, excess);
            let mut missing = missing;
            let shifted = self.hold_time_shift.step(held_open, second, view, calls, excess);
            let spells = [self.missing_completions.spell(), self.hold_time_shift.spell()];
            if !spells.iter().any(|spell| spell.is_new(second)) {
                excess.learn(calls);
            }
            let is_calm = !spells.iter().any(|spell| spell.is_on());
            calls.learn(second, view, is_calm, |level| {
                spells.iter().any(|spell| spell.is_unusual(second, level))
            });
            if let (Verdict::Found(unknown), Verdict::Found(_)) = (&missing, &shifted)
                && view.told == Told::EndedCalls
                && unknown.owner == Owner::Unknown
            {
                // The calls that have ended say whose it is.
                missing = Verdict::Quiet;
            }
            for verdict in [&missing, &shifted] {
                if let Verdict::Found(finding) = verdict {
                    culprit.get_or_insert(finding.owner.clone());
                }
            }
            verdicts.push((Witness::MissingCompletions, missing));
            verdicts.push((Witness::HoldTimeShift, shifted));
        }
        if let Some(growth_settings) = settings.growth() {
            let growth = self.growth.get_or_insert_with(|| Growth::new(growth_settings));
            let mut verdict = growth.step(second, view);
            self.load = None;
            if let Verdict::Found(finding) = &mut verdict {
                // Where only ended calls are logged nobody is seen to hold anything.
                if view.told == Told::EndedCalls && finding.owner == Owner::Nobody {
                    finding.owner = Owner::Unknown;
                }
                culprit.get_or_insert(finding.owner.clone());
                if let Some(settings) = detectors.held_open.on() {
                    self.load = load(settings, second, view, &self.calls, &finding.owner);
                }
                let load = self.load.as_ref().map(|load| Detail::HeldOpen(load.detail.clone()));
                finding.detail = load.or_else(|| finding.detail.take());
            }
            verdicts.push((Witness::Growth, verdict));
        }
        if let Some(refusal) = detectors.refusal_at_limit.on() {
            let culprit = culprit.as_ref();
            let verdict = self.refusal.step(refusal, pause_s, second, view, refused, culprit);
            verdicts.push((Witness::Refusal, verdict));
            for ((dimension, value), verdict) in
                self.refusal.step_narrow(refusal, pause_s, second, view, refused)
            {
                verdicts.push((Witness::NarrowRefusal(dimension, value), verdict));
            }
        }
        verdicts
    }

    /// The rows that prove what it cost others in all, which the end of an incident says; empty if
    /// they are not known.
    pub fn paid(&self, transition: &Transition) -> Vec<Sample> {
        let Some(Detail::HeldOpen(detail)) = &transition.finding.detail else { return Vec::new() };
        if transition.change != Change::Resolved {
            return Vec::new();
        }
        let spells = [self.missing_completions.spell(), self.hold_time_shift.spell()];
        let mut accounts = spells.into_iter().flat_map(|spell| spell.dearest());
        let cost = (detail.victims, detail.victims_waited_s);
        let is_it =
            |account: &&Account| (account.detail.victims, account.detail.victims_waited_s) == cost;
        accounts.find(is_it).map_or_else(Vec::new, |account| account.costs(transition))
    }

    /// The rows that prove what `transition`, of the tick of the last step, says beyond who holds
    /// what.
    pub fn evidence(&self, transition: &Transition) -> Vec<Sample> {
        let Some(Detail::HeldOpen(detail)) = &transition.finding.detail else { return Vec::new() };
        if transition.change == Change::Resolved {
            return Vec::new();
        }
        let spells = [self.missing_completions.spell(), self.hold_time_shift.spell()];
        let accounts = spells.into_iter().filter_map(|spell| spell.account());
        let mut accounts = accounts.chain(&self.load);
        let account = accounts.find(|account| account.detail == *detail);
        account.map_or_else(Vec::new, |account| account.samples(transition))
    }
}
