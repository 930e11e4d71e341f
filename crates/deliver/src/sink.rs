//! Any sink, for the loop that owns it.

use arrow::array::RecordBatch;
use plimsoll_model::evidence::Table;
use plimsoll_model::{Delivery, Outcome};

use crate::{ClickHouse, Error, PagerDuty};

/// A sink of any kind.
#[derive(Debug)]
pub enum Sink {
    /// Calls people.
    PagerDuty(PagerDuty),
    /// Keeps rows.
    ClickHouse(Box<ClickHouse>),
}

impl Sink {
    /// The sink's name in the configuration: [`Delivery::sink`] of what belongs to it.
    pub fn name(&self) -> &str {
        match self {
            Sink::PagerDuty(sink) => sink.name(),
            Sink::ClickHouse(sink) => sink.name(),
        }
    }

    /// Whether [`Sink::probe`] can ask.
    pub fn is_probed(&self) -> bool {
        matches!(self, Sink::ClickHouse(_))
    }

    /// Asks the receiver whether it would take a delivery now. A receiver of pages cannot be asked
    /// without the risk of a page: its answer is always `Ok`.
    pub async fn probe(&self) -> Result<(), Error> {
        match self {
            Sink::PagerDuty(_) => Ok(()),
            Sink::ClickHouse(sink) => sink.probe().await,
        }
    }

    /// Makes one attempt. It ends soon after the sink's `timeout` at the latest (twice that, if a
    /// pager wants the event in its smallest form), whatever the receiver does.
    ///
    /// `evidence` are the segments that the delivery names, as far as they are still there, each
    /// with the rows of its table's schema. Sinks of pages have no use for them.
    pub async fn deliver(&self, delivery: &Delivery, evidence: &[(Table, RecordBatch)]) -> Outcome {
        match self {
            Sink::PagerDuty(sink) => sink.deliver(delivery).await,
            Sink::ClickHouse(sink) => sink.deliver(delivery, evidence).await,
        }
    }
}

impl From<PagerDuty> for Sink {
    fn from(sink: PagerDuty) -> Sink {
        Sink::PagerDuty(sink)
    }
}

impl From<ClickHouse> for Sink {
    fn from(sink: ClickHouse) -> Sink {
        Sink::ClickHouse(Box::new(sink))
    }
}
