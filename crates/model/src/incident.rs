//! Incidents: one owner, one resource, one page in and one page out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::{Finding, Owner, Second, Severity};

/// The id of an incident: 128 bits, written as 32 hexadecimal digits.
///
/// It is a hash of pipeline, resource, owner at opening and opening tick, made once and stored;
/// whatever is learned later, it stays. It is the deduplication key at receivers and the key in
/// every table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub u128);

impl IncidentId {
    /// The id of an incident that opens now.
    pub fn new(pipeline: &str, resource: &str, owner: &Owner, opened_at: Second) -> IncidentId {
        let mut hasher = Sha256::new();
        for part in ["plimsoll incident 1", pipeline, resource, &owner.to_string()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(opened_at.0.to_be_bytes());
        let digest = hasher.finalize();
        let mut head = [0; 16];
        head.copy_from_slice(&digest[..16]);
        IncidentId(u128::from_be_bytes(head))
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IncidentId {
    type Err = String;

    fn from_str(text: &str) -> Result<IncidentId, String> {
        match (text.len(), u128::from_str_radix(text, 16)) {
            (32, Ok(id)) => Ok(IncidentId(id)),
            _ => Err(format!("incident id `{text}` must be 32 hexadecimal digits")),
        }
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IncidentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IncidentId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It began.
    Opened,
    /// Something that matters to the reader changed.
    Updated,
    /// It is over.
    Resolved,
}

impl Change {
    /// The name in JSON, tables and receivers.
    pub const fn name(self) -> &'static str {
        match self {
            Change::Opened => "opened",
            Change::Updated => "updated",
            Change::Resolved => "resolved",
        }
    }
}

/// Why an incident changed. The list is closed and changes only with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Opened: the resource will run out within the time people need.
    ExhaustionForecast,
    /// Opened: the resource grows without a known limit.
    GrowthWithoutLimit,
    /// Opened: the resource refuses.
    LimitRefused,
    /// Opened: sessions begin and do not end.
    CompletionsMissing,
    /// Opened: sessions last longer than they did.
    HoldTimeShifted,
    /// Opened: lives grow with their uptime, and only restarts keep them below the limit.
    UptimeDebt,
    /// Opened: an instance has been gone for longer than its returns take.
    Absent,
    /// Updated: the forecast incident has reached refusals.
    RefusalsBegan,
    /// Updated: it must be spoken of more loudly.
    SeverityRaised,
    /// Updated: the owner is known now, or a larger one was found.
    OwnerNamed,
    /// Updated: the release that precedes it is known now.
    ReleaseNamed,
    /// Updated: the limit is known now, or was changed.
    LimitLearned,
    /// Updated: others wait for units now.
    OthersWait,
    /// Updated: calls that are held open explain the growth.
    CauseFound,
    /// Updated: the owner holds, or others pay, much more than was said.
    CostGrown,
    /// Updated: the new interval does not overlap the one last said.
    ForecastMoved,
    /// Resolved: growth has ended and the level has room again.
    GrowthEnded,
    /// Resolved: the level fell back.
    LevelReceded,
    /// Resolved: nothing was refused for long enough and there are free units.
    RefusalsEnded,
    /// Resolved: the resource restarted and every session ended.
    ResourceRestarted,
    /// Resolved: sessions last as long as they usually do.
    HoldTimesUsual,
    /// Resolved: the life that grew has ended.
    LifeEnded,
    /// Resolved: newer lives do not grow.
    LivesSteady,
    /// Resolved: the instance is back, or another has taken its place.
    CameBack,
}

impl Reason {
    /// The name in JSON, tables and receivers.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::ExhaustionForecast => "exhaustion_forecast",
            Reason::GrowthWithoutLimit => "growth_without_limit",
            Reason::LimitRefused => "limit_refused",
            Reason::CompletionsMissing => "completions_missing",
            Reason::HoldTimeShifted => "hold_time_shifted",
            Reason::UptimeDebt => "uptime_debt",
            Reason::Absent => "absent",
            Reason::RefusalsBegan => "refusals_began",
            Reason::SeverityRaised => "severity_raised",
            Reason::OwnerNamed => "owner_named",
            Reason::ReleaseNamed => "release_named",
            Reason::LimitLearned => "limit_learned",
            Reason::OthersWait => "others_wait",
            Reason::CauseFound => "cause_found",
            Reason::CostGrown => "cost_grown",
            Reason::ForecastMoved => "forecast_moved",
            Reason::GrowthEnded => "growth_ended",
            Reason::LevelReceded => "level_receded",
            Reason::RefusalsEnded => "refusals_ended",
            Reason::ResourceRestarted => "resource_restarted",
            Reason::HoldTimesUsual => "hold_times_usual",
            Reason::LifeEnded => "life_ended",
            Reason::LivesSteady => "lives_steady",
            Reason::CameBack => "came_back",
        }
    }
}

/// One change of one incident, complete enough to be told and stored by itself.
///
/// `(incident, sequence)` names it: sequences of an incident count 1, 2, 3 … without gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// The incident.
    pub incident: IncidentId,
    /// Which of the incident's transitions this is; the first is 1.
    pub sequence: u32,
    /// What happened.
    pub change: Change,
    /// Why.
    pub reason: Reason,
    /// The tick at which it was decided, in event time. Never backdated.
    pub as_of: Second,
    /// The pipeline.
    pub pipeline: String,
    /// The tick of the first transition.
    pub opened_at: Second,
    /// The loudest severity so far. A receiver of pages hears of an incident once this is a page.
    pub severity_peak: Severity,
    /// The facts: of the strongest finding at `as_of`, or the last one seen if it is resolved.
    pub finding: Finding,
    /// What, how far, since when, until when, who: one or two sentences.
    pub headline: String,
    /// What to do next.
    pub advice: String,
    /// SQL over the tables of evidence that reproduces the numbers of `finding`; empty while
    /// there is no evidence.
    pub proof: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_every_part_and_comes_back_from_text() {
        let id = |pipeline, resource, owner, second| {
            IncidentId::new(pipeline, resource, &owner, Second(second))
        };
        let first = id("p", "db", Owner::Unknown, 1);
        assert_eq!(first, id("p", "db", Owner::Unknown, 1));
        for other in [
            id("q", "db", Owner::Unknown, 1),
            id("p", "d", Owner::Unknown, 1),
            id("p", "db", Owner::Nobody, 1),
            id("p", "db", Owner::Unknown, 2),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(first.to_string().parse(), Ok(first));
        assert!("12".parse::<IncidentId>().is_err());
    }

    #[test]
    fn the_id_of_version_1_never_changes() {
        // sha256 of the length-prefixed parts, computed with Python's hashlib:
        // b''.join(len(p).to_bytes(8,'big')+p for p in parts) + (1700000000).to_bytes(8,'big')
        let id = IncidentId::new("payments", "orders-db", &Owner::Unknown, Second(1_700_000_000));
        assert_eq!(id.to_string(), "fe1769e3b2e8344d9cd114694066f52d");
    }
}
