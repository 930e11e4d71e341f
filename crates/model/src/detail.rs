//! What findings of one kind say beyond what all say.

use serde::{Deserialize, Serialize};

use crate::{Interval, Second, Time};

/// What only findings of one kind say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Of [`crate::Kind::HeldOpen`].
    HeldOpen(HeldOpen),
    /// Of [`crate::Kind::GrowthAcrossLives`].
    AcrossLives(AcrossLives),
    /// Of [`crate::Kind::GrowthWithinLife`].
    WithinLife(WithinLife),
    /// Of [`crate::Kind::NotBack`].
    NotBack(NotBack),
}

/// Whose sessions stay open, and what that costs others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOpen {
    /// Sessions that the owner began per second, now.
    pub arrivals_per_s: f64,
    /// The same as it usually is.
    pub arrivals_per_s_before: f64,
    /// The mean time that the owner's sessions hold their unit, in seconds, now; a session that
    /// has not ended counts with its age.
    pub hold_s: f64,
    /// The same as it usually is.
    pub hold_s_before: f64,
    /// The owner's sessions that are older than nearly all of its sessions usually become.
    pub unfinished: u64,
    /// Others who wait or were refused.
    pub victims: u64,
    /// How long they have waited, in seconds, added up.
    pub victims_waited_s: f64,
    /// Further culprits of the owner's dimension, the largest first; empty if there is one or none.
    /// The owner's level is its own; rates, times and `unfinished` are those of all culprits.
    #[serde(default)]
    pub further: Vec<Culprit>,
    /// Whether the levels of culprits are estimates: the records tell only of what has ended.
    #[serde(default)]
    pub estimated: bool,
}

/// Somebody else whose sessions stay open as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Its name in the owner's dimension.
    pub value: String,
    /// Units that it holds.
    pub held: u64,
    /// Units that it usually holds.
    pub held_before: u64,
}

/// Whose memory grows, and what is known of its program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WithinLife {
    /// The instance whose memory runs out first.
    pub instance: String,
    /// Since when it is seen to grow: the first floor of the line.
    pub since: Second,
    /// The metric of the floors in the evidence through which the line goes.
    pub floors: String,
    /// What the lives before have in common, if they grew as well.
    pub across: Option<AcrossLives>,
}

/// What many lives of a program have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcrossLives {
    /// Growth per hour of uptime, pooled over lives, in the resource's unit.
    pub growth_per_hour: f64,
    /// Its 80 % interval: the 10 % and the 90 % quantile.
    pub growth_per_hour_interval: (f64, f64),
    /// Lives that grew.
    pub lives_growing: u32,
    /// Lives that were long enough to tell.
    pub lives: u32,
    /// The release that began it, if the lives before it did not grow.
    pub since_release: Option<String>,
    /// The longest uptime that is safe, in seconds: the 10 % and the 90 % quantile; `None` while
    /// no limit is known.
    pub safe_uptime_s: Option<(f64, f64)>,
    /// The usual time between restarts, in seconds.
    pub restart_every_s: Option<f64>,
}

fn one() -> u32 {
    1
}

/// An instance that ended and has not come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotBack {
    /// When it was last alive.
    pub last_seen: Time,
    /// Why it ended, as far as known.
    pub cause: String,
    /// How long it usually takes to come back, in seconds, if it ever did.
    pub usual_return_s: Option<f64>,
    /// When it began to live.
    pub started_at: Option<Second>,
    /// When memory would have run out, as last forecast before its end.
    pub forecast: Option<Interval>,
    /// How many instances died, if it is a whole program of which none is left; else 1.
    #[serde(default = "one")]
    pub instances: u32,
}
