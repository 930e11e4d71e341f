//! When users noticed: what happens to them once a resource has run out.

use std::collections::BTreeMap;

use plimsoll_model::lives::{EndCause, LifeEvent};
use plimsoll_model::sessions::{SessionEvent, refusal};
use plimsoll_model::{
    Detail, Dimension, Finding, Kind, OwnedHolder, Owner, Row, RowKind, Tick, Time,
};

/// Harms whose time is kept, per resource, and deaths; the first ones are kept.
pub const HARMS_KEPT_MAX: usize = 100_000;

/// Who waits this long for a unit has noticed, in microseconds.
pub const NOTICED_WAIT_US: i64 = 1_000_000;

/// What happened to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A unit was refused at the hard limit.
    Refused,
    /// A unit was waited for, for [`NOTICED_WAIT_US`] or longer.
    Waited,
    /// An instance ended because memory ran out, or crashed.
    Died,
}

impl Harm {
    /// The words before its time.
    pub const fn words(self) -> &'static str {
        match self {
            Harm::Refused => "the first refusal came at",
            Harm::Waited => "the first caller had waited a second at",
            Harm::Died => "the end came at",
        }
    }

    /// The words when it never happened after a finding of this kind.
    pub const fn none(kind: Kind) -> &'static str {
        match kind {
            Kind::GrowthToLimit | Kind::RefusalAtLimit => "no refusal followed",
            Kind::HeldOpen => "nobody was refused, and nobody waited a second",
            Kind::GrowthWithinLife | Kind::GrowthAcrossLives | Kind::NotBack => "nothing died",
        }
    }
}

/// What happened to users in a replay.
#[derive(Clone, Debug, Default)]
pub struct Harms {
    of_resources: BTreeMap<String, Vec<(Time, Harm)>>,
    deaths: Vec<(Time, OwnedHolder)>,
}

impl Harms {
    /// Takes in the rows of a tick.
    pub fn observe(&mut self, tick: &Tick) {
        for row in &tick.rows {
            match row.kind {
                RowKind::Session => self.session(tick, row),
                RowKind::Life => self.life(tick, row),
                RowKind::Sample => {}
            }
        }
    }

    fn session(&mut self, tick: &Tick, row: &Row) {
        let (sessions, index) = (&tick.batch(row).sessions, row.index as usize);
        let at_limit = matches!(sessions.reason(index), Some(refusal::LIMIT | refusal::RESERVED));
        let harm = if sessions.event(index) == SessionEvent::Refused && at_limit {
            Harm::Refused
        } else if sessions.waited_us(index).is_some_and(|waited| waited >= NOTICED_WAIT_US) {
            Harm::Waited
        } else {
            return;
        };
        let of_resource = self.of_resources.entry(sessions.resource(index).to_owned());
        let harms = of_resource.or_default();
        if harms.len() < HARMS_KEPT_MAX {
            harms.push((row.time, harm));
        }
    }

    fn life(&mut self, tick: &Tick, row: &Row) {
        let (lives, index) = (&tick.batch(row).lives, row.index as usize);
        let died = matches!(lives.cause(index), Some(EndCause::OutOfMemory | EndCause::Crash));
        if lives.event(index) == LifeEvent::End && died && self.deaths.len() < HARMS_KEPT_MAX {
            self.deaths.push((row.time, lives.holder(index).to_owned()));
        }
    }

    /// The first harm at or after `from` that is the consequence of `finding`.
    pub fn after(&self, finding: &Finding, from: Time) -> Option<(Time, Harm)> {
        if let Kind::GrowthWithinLife | Kind::GrowthAcrossLives | Kind::NotBack = finding.kind {
            let of_owner = self.deaths.iter().filter(|(_, holder)| is_of(finding, holder));
            let times = of_owner.map(|(time, _)| *time).filter(|&time| time >= from);
            return times.min().map(|time| (time, Harm::Died));
        }
        let harms = self.of_resources.get(&finding.resource)?;
        harms.iter().copied().filter(|&(time, _)| time >= from).min_by_key(|&(time, _)| time)
    }
}

/// Whether an instance is the one that a finding is about, or one of its program.
fn is_of(finding: &Finding, holder: &OwnedHolder) -> bool {
    let of_owner = match &finding.owner {
        Owner::Holder { dimension, value } => holder.get(*dimension) == Some(value),
        Owner::Nobody | Owner::Unknown => false,
    };
    match &finding.detail {
        Some(Detail::WithinLife(within)) => {
            holder.get(Dimension::ServiceInstanceId) == Some(within.instance.as_str()) || of_owner
        }
        _ => of_owner,
    }
}
