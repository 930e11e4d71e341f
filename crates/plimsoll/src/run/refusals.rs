//! What a sink has refused: kept, and sent again now and then with the same key and content, so
//! that a corrected key or address heals without hands.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_model::{Delivery, DeliveryState, Outcome};
use plimsoll_store::{Error, Store};

/// How long after a refusal the sink is asked again. Only one delivery is sent for that; the next
/// one follows when it was accepted.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(600);

/// The refused deliveries of one sink. `now` is the time since the program started.
#[derive(Debug)]
pub(super) struct Refusals {
    waiting: BTreeMap<u64, Waiting>,
    /// Those that a later delivery of their key has made pointless; not written yet.
    moot: Vec<u64>,
    turns: u64,
    retried: Option<u64>,
    due_at: Duration,
}

#[derive(Debug)]
struct Waiting {
    key: String,
    error: String,
    /// Who was refused longest ago is asked for first.
    turn: u64,
}

impl Refusals {
    /// What the store holds for `sink`. The first retry is due at once: the configuration may
    /// have changed since.
    pub(super) fn open(store: &Store, sink: &str) -> Result<Refusals, Error> {
        let (waiting, moot, retried) = (BTreeMap::new(), Vec::new(), None);
        let mut refusals = Refusals { waiting, moot, turns: 0, retried, due_at: Duration::ZERO };
        for ordered in store.snapshot()?.deliveries()? {
            let delivery = ordered.delivery;
            match ordered.state {
                _ if delivery.sink != sink => {}
                DeliveryState::Accepted { .. } => refusals.told(&delivery),
                DeliveryState::Refused { error, .. } => refusals.wait(&delivery, error),
                _ => {}
            }
        }
        Ok(refusals)
    }

    /// How many deliveries are refused now.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes note of an outcome that is durable.
    pub(super) fn note(&mut self, delivery: &Delivery, outcome: &Outcome, now: Duration) {
        let was_retried = self.retried == Some(delivery.sequence);
        match outcome {
            Outcome::Later { .. } => return,
            Outcome::Accepted { .. } => {
                self.told(delivery);
                if was_retried {
                    // What else was refused may be taken now, first of all the rest of this story.
                    let rest = self.waiting.values_mut().filter(|it| it.key == delivery.key);
                    rest.for_each(|waiting| waiting.turn = 0);
                    self.due_at = now;
                }
            }
            Outcome::Refused { error } => {
                if was_retried || self.waiting.is_empty() {
                    self.due_at = now + RETRY_EVERY;
                }
                self.wait(delivery, error.clone());
            }
        }
        if was_retried {
            self.retried = None;
        }
    }

    /// Orders the next retry if it is due: then it is what the outbox hands out first.
    pub(super) fn retry(&mut self, store: &mut Store, now: Duration) -> Result<(), Error> {
        while let Some(sequence) = self.moot.last() {
            store.record(*sequence, &DeliveryState::Superseded)?;
            self.moot.pop();
        }
        if now < self.due_at || self.retried.is_some() {
            return Ok(());
        }
        // A resolve must not overtake its trigger, so of each key only the first may go.
        let is_first = |sequence: u64, key: &str| {
            !self.waiting.range(..sequence).any(|(_, earlier)| earlier.key == key)
        };
        let firsts = self.waiting.iter().filter(|(sequence, it)| is_first(**sequence, &it.key));
        let Some((&sequence, next)) = firsts.min_by_key(|(sequence, it)| (it.turn, **sequence))
        else {
            return Ok(());
        };
        let last_error = Some(next.error.clone());
        store.record(sequence, &DeliveryState::Pending { attempts: 0, last_error })?;
        self.waiting.remove(&sequence);
        self.retried = Some(sequence);
        Ok(())
    }

    fn wait(&mut self, delivery: &Delivery, error: String) {
        self.turns += 1;
        let (key, turn) = (delivery.key.clone(), self.turns);
        self.waiting.insert(delivery.sequence, Waiting { key, error, turn });
    }

    /// The receiver knows more of `delivery`'s story than it was told before; what it refused of
    /// it earlier would now say something old, or open again what is over.
    fn told(&mut self, delivery: &Delivery) {
        let earlier = self.waiting.range(..delivery.sequence);
        let same = earlier.filter(|(_, waiting)| waiting.key == delivery.key);
        let moot: Vec<u64> = same.map(|(sequence, _)| *sequence).collect();
        for sequence in &moot {
            self.waiting.remove(sequence);
        }
        self.moot.extend(moot);
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{
        Change, Finding, IncidentId, Kind, Owner, PageAction, Payload, Reason, Second, Severity,
        Time, Transition,
    };
    use plimsoll_store::{Commit, NewDelivery, Options};

    use super::*;
    use crate::outbox;

    fn transition(tick: i64) -> Transition {
        let finding = Finding {
            kind: Kind::GrowthToLimit,
            resource: "r".to_owned(),
            unit: "connections".to_owned(),
            owner: Owner::Nobody,
            severity: Severity::Page,
            since: Second(0),
            level: 1,
            usable: None,
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: None,
            exhaustion: None,
            release: None,
            refused: 0,
            doubts: Vec::new(),
            detail: None,
        };
        Transition {
            incident: IncidentId(1),
            // Equal orders are one.
            sequence: u32::try_from(tick).unwrap() + 1,
            change: Change::Updated,
            reason: Reason::ForecastMoved,
            as_of: Second(tick),
            pipeline: "p".to_owned(),
            opened_at: Second(0),
            severity_peak: Severity::Page,
            finding,
            headline: String::new(),
            advice: String::new(),
            proof: String::new(),
        }
    }

    /// A store that owes one delivery to `pager` under each of these keys, and what was refused.
    fn owing(keys: &[&str]) -> (tempfile::TempDir, Store, Refusals) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), Options::new("p")).unwrap();
        for (tick, key) in (0..).zip(keys) {
            let transition = Box::new(transition(tick));
            let (action, decided_at) = (PageAction::Trigger, Time::default());
            let payload = Payload::Page { action, transition, decided_at };
            let (sink, key) = ("pager".to_owned(), (*key).to_owned());
            let order = NewDelivery { sink, key, payload, with_evidence: false, held: false };
            let commit =
                Commit { tick: Second(tick), deliveries: vec![order], ..Commit::default() };
            store.commit(&commit).unwrap();
        }
        let refusals = Refusals::open(&store, "pager").unwrap();
        (folder, store, refusals)
    }

    /// Sends at `now` whatever is due; the receiver takes those keys. Says what was sent.
    fn send(store: &mut Store, refusals: &mut Refusals, now_s: u64, takes: &[&str]) -> Vec<String> {
        let now = Duration::from_secs(now_s);
        let mut sent = Vec::new();
        loop {
            refusals.retry(store, now).unwrap();
            let Some((delivery, attempts)) = outbox::next(store, "pager").unwrap() else {
                return sent;
            };
            let outcome = match takes.contains(&delivery.key.as_str()) {
                true => Outcome::Accepted { answer: "ok".to_owned() },
                false => Outcome::Refused { error: "403".to_owned() },
            };
            let at = Time::default();
            outbox::record(store, &delivery, attempts, outcome.clone(), at, 0).unwrap();
            refusals.note(&delivery, &outcome, now);
            sent.push(format!("{}{}", delivery.key, delivery.sequence));
        }
    }

    fn states(store: &Store) -> Vec<&'static str> {
        let ordered = store.snapshot().unwrap().deliveries().unwrap();
        ordered.iter().map(|ordered| ordered.state.name()).collect()
    }

    #[test]
    fn one_is_tried_now_and_then_and_the_rest_follows_when_it_is_taken() {
        let (_folder, mut store, mut refusals) = owing(&["a", "b", "c"]);
        assert_eq!(send(&mut store, &mut refusals, 0, &[]), ["a0", "b1", "c2"]);
        assert_eq!(refusals.len(), 3);
        assert_eq!(send(&mut store, &mut refusals, 599, &[]), [""; 0]);
        assert_eq!(send(&mut store, &mut refusals, 600, &[]), ["a0"]);
        // The one that was refused longest ago comes first, so none stands in the others' way.
        assert_eq!(send(&mut store, &mut refusals, 1_200, &["b", "c"]), ["b1", "c2", "a0"]);
        assert_eq!(states(&store), ["refused", "accepted", "accepted"]);
        assert_eq!(refusals.len(), 1);
    }

    #[test]
    fn a_start_tries_at_once() {
        let (_folder, mut store, mut refusals) = owing(&["a", "b"]);
        send(&mut store, &mut refusals, 0, &[]);
        let mut refusals = Refusals::open(&store, "pager").unwrap();
        assert_eq!(send(&mut store, &mut refusals, 0, &["a", "b"]), ["a0", "b1"]);
        assert_eq!(states(&store), ["accepted", "accepted"]);
    }

    #[test]
    fn a_story_is_retried_in_its_order_and_together() {
        let (_folder, mut store, mut refusals) = owing(&["a", "b", "a"]);
        send(&mut store, &mut refusals, 0, &[]);
        assert_eq!(send(&mut store, &mut refusals, 600, &["a", "b"]), ["a0", "a2", "b1"]);
    }

    #[test]
    fn what_was_refused_does_not_open_again_what_is_over() {
        let (_folder, mut store, mut refusals) = owing(&["a", "a"]);
        refusals.retry(&mut store, Duration::ZERO).unwrap();
        let (trigger, _) = outbox::next(&mut store, "pager").unwrap().unwrap();
        let refused = Outcome::Refused { error: "403".to_owned() };
        outbox::record(&mut store, &trigger, 0, refused, Time::default(), 0).unwrap();
        let (resolve, _) = outbox::next(&mut store, "pager").unwrap().unwrap();
        let accepted = Outcome::Accepted { answer: "ok".to_owned() };
        outbox::record(&mut store, &resolve, 0, accepted, Time::default(), 0).unwrap();
        // Killed here, before anybody noted it.
        let mut refusals = Refusals::open(&store, "pager").unwrap();
        assert_eq!(send(&mut store, &mut refusals, 0, &["a"]), [""; 0]);
        assert_eq!(states(&store), ["superseded", "accepted"]);
    }
}
