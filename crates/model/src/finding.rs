//! What one detector sees at a tick.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Detail, Dimension, Second, Time};

/// The kinds of incident. The list is closed and changes only with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The resource fills up and will reach its limit.
    GrowthToLimit,
    /// The resource refuses at its hard limit: users are hurt now.
    RefusalAtLimit,
    /// Sessions stay open longer than they did, and fill the resource.
    HeldOpen,
    /// An instance's memory grows and will reach its limit within this life.
    GrowthWithinLife,
    /// Every life of a program grows with its uptime; restarts hide it.
    GrowthAcrossLives,
    /// An instance ended and has not come back.
    NotBack,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::GrowthToLimit,
        Kind::RefusalAtLimit,
        Kind::HeldOpen,
        Kind::GrowthWithinLife,
        Kind::GrowthAcrossLives,
        Kind::NotBack,
    ];

    /// The name in JSON, tables and receivers.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::GrowthToLimit => "growth_to_limit",
            Kind::RefusalAtLimit => "refusal_at_limit",
            Kind::HeldOpen => "held_open",
            Kind::GrowthWithinLife => "growth_within_life",
            Kind::GrowthAcrossLives => "growth_across_lives",
            Kind::NotBack => "not_back",
        }
    }
}

/// How loudly to speak. Ordered: `Notify < Ticket < Page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a row; nobody is called.
    Notify,
    /// Worth work in daylight.
    Ticket,
    /// Somebody must act now.
    Page,
}

impl Severity {
    /// The name in JSON, tables and receivers.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Notify => "notify",
            Severity::Ticket => "ticket",
            Severity::Page => "page",
        }
    }
}

/// Who is to blame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The holders that share this value of this dimension.
    Holder {
        /// The dimension that tells the owner from the others.
        dimension: Dimension,
        /// Its value.
        value: String,
    },
    /// The cause is shared: everybody grew in proportion.
    Nobody,
    /// The rows do not say who.
    Unknown,
}

/// `service.name issuer`, `nobody`, `unknown`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Holder { dimension, value } => write!(f, "{dimension} {value}"),
            Owner::Nobody => f.write_str("nobody"),
            Owner::Unknown => f.write_str("unknown"),
        }
    }
}

/// When something will happen, as an 80 % interval: with a chance of 10 % earlier than `from`,
/// with a chance of 10 % later than `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// The 10 % quantile.
    pub from: Time,
    /// The 90 % quantile; `None` if it lies beyond what can be said.
    pub to: Option<Time>,
}

/// A release that preceded a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Release {
    /// The program.
    pub service: String,
    /// Its release, if the deploy event said it.
    pub version: Option<String>,
    /// When it was rolled out.
    pub deployed_at: Time,
}

/// What one detector sees at a tick about one owner and one resource. Facts, no words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What is happening.
    pub kind: Kind,
    /// The resource.
    pub resource: String,
    /// What its units are called: `connections`, `slots`, `threads`.
    pub unit: String,
    /// Who is to blame.
    pub owner: Owner,
    /// How loudly to speak.
    pub severity: Severity,
    /// The tick at which it began, as far as the rows tell.
    pub since: Second,
    /// Units held now, by everybody.
    pub level: u64,
    /// Units that can be held: the limit minus what is reserved; `None` while no limit is known.
    pub usable: Option<u64>,
    /// Units held now by the owner.
    pub owner_level: Option<u64>,
    /// Units that the owner held at `since`.
    pub owner_level_before: Option<u64>,
    /// Growth of the level, in units per minute.
    pub growth_per_minute: Option<f64>,
    /// When the usable units run out.
    pub exhaustion: Option<Interval>,
    /// The newest release of the owner that precedes `since`, if there is one.
    pub release: Option<Release>,
    /// Requests refused since `since`.
    pub refused: u64,
    /// Why the numbers may be off: what the ledger does not know, in words; empty if nothing.
    pub doubts: Vec<String>,
    /// What only findings of this kind say.
    pub detail: Option<Detail>,
}
