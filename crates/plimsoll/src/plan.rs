//! From transitions to orders: which sink is told what.

use std::collections::BTreeMap;

use plimsoll_model::{Change, IncidentId, PageAction, Payload, Reason, Severity, Time, Transition};
use plimsoll_store::NewDelivery;

/// The name of the ClickHouse sink in the outbox.
pub const CLICKHOUSE: &str = "clickhouse";

/// One route: incidents of at least `severity` are told to `receiver`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The least severity that the receiver hears of.
    pub severity: Severity,
    /// The receiver's name in the configuration.
    pub receiver: String,
}

/// Decides which deliveries a tick's transitions order.
///
/// While a backlog is judged, pages are withheld: only what is still open at its end is told.
/// The withheld set needs no storage of its own: it is every open incident that a receiver should
/// know and for which the outbox has no order (see [`Planner::withhold`]).
#[derive(Debug, Default)]
pub struct Planner {
    routes: Vec<Route>,
    rows: bool,
    withheld: BTreeMap<IncidentId, (Transition, Time)>,
    silent: Silent,
}

/// What a backlog opened and ended without telling anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silent {
    /// Incidents that opened and ended inside the backlog.
    pub incidents: u64,
}

impl Planner {
    /// A planner for these routes; `rows` orders rows for ClickHouse too.
    pub fn new(routes: Vec<Route>, rows: bool) -> Planner {
        Planner { routes, rows, ..Planner::default() }
    }

    /// The orders for the transitions of one tick.
    ///
    /// `backlog` says that the tick lies far in the past and unread records follow it. `segment`
    /// tells whether the commit carries evidence.
    pub fn plan(
        &mut self,
        transitions: &[(Transition, Time)],
        backlog: bool,
        evidence: bool,
    ) -> Vec<NewDelivery> {
        let mut orders = Vec::new();
        for (transition, decided_at) in transitions {
            self.plan_pages(transition, *decided_at, backlog, &mut orders);
        }
        if let (true, Some((first, _))) = (self.rows, transitions.first()) {
            orders.push(NewDelivery {
                sink: CLICKHOUSE.to_owned(),
                key: rows_key(first),
                payload: Payload::Rows { transitions: transitions.to_vec(), segments: Vec::new() },
                with_evidence: evidence,
                held: false,
            });
        }
        orders
    }

    fn plan_pages(
        &mut self,
        transition: &Transition,
        decided_at: Time,
        backlog: bool,
        orders: &mut Vec<NewDelivery>,
    ) {
        let withheld = self.withheld.contains_key(&transition.incident);
        if backlog && (withheld || transition.change == Change::Opened) {
            if transition.change == Change::Resolved {
                self.withheld.remove(&transition.incident);
                self.silent.incidents += 1;
            } else {
                self.withheld.insert(transition.incident, (transition.clone(), decided_at));
            }
            return;
        }
        if withheld {
            self.withheld.remove(&transition.incident);
            if transition.change == Change::Resolved {
                self.silent.incidents += 1;
                return;
            }
        }
        self.order_pages(transition, decided_at, withheld, orders);
    }

    fn order_pages(
        &self,
        transition: &Transition,
        decided_at: Time,
        first: bool,
        orders: &mut Vec<NewDelivery>,
    ) {
        for route in &self.routes {
            if transition.severity_peak < route.severity {
                continue;
            }
            orders.push(NewDelivery {
                sink: route.receiver.clone(),
                key: transition.incident.to_string(),
                payload: Payload::Page {
                    action: if first { PageAction::Trigger } else { action(transition) },
                    transition: Box::new(transition.clone()),
                    decided_at,
                },
                with_evidence: false,
                held: false,
            });
        }
    }

    /// Marks an incident as withheld: after a restart, for each open incident of which the outbox
    /// has no order although a route wants it.
    pub fn withhold(&mut self, transition: Transition, decided_at: Time) {
        self.withheld.insert(transition.incident, (transition, decided_at));
    }

    /// Whether a route wants to hear of `transition`.
    pub fn is_routed(&self, transition: &Transition) -> bool {
        self.routes.iter().any(|route| transition.severity_peak >= route.severity)
    }

    /// The backlog is judged: orders for every incident that is still open, and what was never
    /// told. Afterwards nothing is withheld.
    pub fn release(&mut self) -> (Vec<NewDelivery>, Silent) {
        let mut orders = Vec::new();
        for (transition, decided_at) in std::mem::take(&mut self.withheld).into_values() {
            self.order_pages(&transition, decided_at, true, &mut orders);
        }
        (orders, std::mem::take(&mut self.silent))
    }

    /// Whether [`Planner::release`] would do anything.
    pub fn has_withheld(&self) -> bool {
        !self.withheld.is_empty() || self.silent.incidents > 0
    }
}

/// The name of a block of rows: it starts with its first transition, which is in no other block.
fn rows_key(first: &Transition) -> String {
    format!("rows/{}/{}/{}", first.pipeline, first.incident, first.sequence)
}

fn action(transition: &Transition) -> PageAction {
    match (transition.change, transition.reason) {
        (Change::Opened, _) | (_, Reason::SeverityRaised) => PageAction::Trigger,
        (Change::Updated, _) => PageAction::Update,
        (Change::Resolved, _) => PageAction::Resolve,
    }
}
