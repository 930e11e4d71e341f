//! Deliveries: what a sink is ordered to say, and what became of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Time, Transition};

/// What a receiver of pages is told about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageAction {
    /// Open the alert.
    Trigger,
    /// Say more under the same key.
    Update,
    /// Close the alert.
    Resolve,
}

/// What is delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// One call to a receiver of pages.
    Page {
        /// What to do.
        action: PageAction,
        /// What happened.
        transition: Box<Transition>,
        /// When it was decided.
        decided_at: Time,
    },
    /// Rows for a table sink. They are one block: a repetition sends the same rows again.
    Rows {
        /// The transitions, each with the moment of its decision.
        transitions: Vec<(Transition, Time)>,
        /// The evidence segments that belong to them, by their registered names, at most one a
        /// table.
        segments: Vec<String>,
    },
}

/// One order to one sink. It is durable before it is sent, and repeated with the same key and
/// content until its acceptance is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its place in the outbox; a sink's deliveries of one `key` go out in this order.
    pub sequence: u64,
    /// The sink's name in the configuration.
    pub sink: String,
    /// The name of the order at the receiver: the incident id for pages, a name of the block for
    /// rows. Stable over repetitions and restarts.
    pub key: String,
    /// What to say.
    pub payload: Payload,
}

/// What a sink says of one attempt. The sink does not retry: its caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken it over.
    Accepted {
        /// Its answer, shortened, for a person.
        answer: String,
    },
    /// A repetition can help, not before `after` if the receiver said so. Also when it is
    /// unknown whether the receiver took it: the key makes a repetition harmless.
    Later {
        /// What the receiver asked for (`Retry-After`).
        after: Option<Duration>,
        /// What went wrong, with the address but without secrets.
        error: String,
    },
    /// A repetition cannot help until somebody changes something. It stays visible, and is never
    /// called delivered.
    Refused {
        /// What the receiver said.
        error: String,
    },
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not accepted yet.
    Pending {
        /// Attempts so far, as far as they were recorded.
        attempts: u32,
        /// The error of the last one.
        last_error: Option<String>,
    },
    /// Ordered during a backlog: it goes out when the backlog is judged, if it is still true.
    Held,
    /// The receiver has it.
    Accepted {
        /// When its answer was recorded.
        at: Time,
        /// Its answer.
        answer: String,
    },
    /// The receiver refuses it.
    Refused {
        /// When its answer was recorded.
        at: Time,
        /// What it said.
        error: String,
    },
    /// Never sent: the incident opened and ended inside a backlog.
    Superseded,
}

impl DeliveryState {
    /// The name in metrics and tables.
    pub const fn name(&self) -> &'static str {
        match self {
            DeliveryState::Pending { .. } => "pending",
            DeliveryState::Held => "held",
            DeliveryState::Accepted { .. } => "accepted",
            DeliveryState::Refused { .. } => "refused",
            DeliveryState::Superseded => "superseded",
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
