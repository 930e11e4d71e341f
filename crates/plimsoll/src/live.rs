//! When the wall clock may move event time: idleness, partitions that are stuck, silence.
//!
//! Pure: `now` is the time since the process started, from a clock that never goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_model::{PartitionId, Second};

/// A partition with unread records that has made no progress for this long is set aside.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);

/// What should happen to event time now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The partition is silent at its end.
    Idle(PartitionId),
    /// The partition is stuck.
    SetAside(PartitionId),
}

/// How a partition stands to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Ticks wait for it.
    Alive,
    /// It is silent at its end, and ticks do not wait for it.
    Idle,
    /// It has unread records and makes no progress; ticks do not wait for it.
    SetAside,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Standing; 3] = [Standing::Alive, Standing::Idle, Standing::SetAside];

    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Alive => "alive",
            Standing::Idle => "idle",
            Standing::SetAside => "set_aside",
        }
    }
}

/// Watches the partitions of a running pipeline.
#[derive(Debug, Default)]
pub struct Liveness {
    partitions: BTreeMap<PartitionId, Watch>,
    all_silent_since: Option<(Duration, Second)>,
}

#[derive(Debug)]
struct Watch {
    idle_after: Duration,
    heard_at: Duration,
    at_end: bool,
    holds_clock: bool,
    answered: bool,
}

impl Liveness {
    /// Watches `partition` from `now` on. Until its end was seen once it holds the clock.
    pub fn add(&mut self, partition: PartitionId, idle_after: Duration, now: Duration) {
        let heard_at = now;
        let watch =
            Watch { idle_after, heard_at, at_end: false, holds_clock: true, answered: false };
        self.partitions.insert(partition, watch);
    }

    /// Watches a partition that came into being while the program runs: it stands like an idle
    /// one until its first record.
    pub fn join(&mut self, partition: PartitionId, idle_after: Duration, now: Duration) {
        let (at_end, holds_clock, answered) = (true, false, true);
        let watch = Watch { idle_after, heard_at: now, at_end, holds_clock, answered };
        self.partitions.insert(partition, watch);
    }

    /// Records arrived.
    pub fn heard(&mut self, partition: PartitionId, now: Duration) {
        if let Some(watch) = self.partitions.get_mut(&partition) {
            let answered = true;
            *watch = Watch { heard_at: now, at_end: false, holds_clock: true, answered, ..*watch };
            self.all_silent_since = None;
        }
    }

    /// Everything there is was read.
    pub fn at_end(&mut self, partition: PartitionId) {
        if let Some(watch) = self.partitions.get_mut(&partition) {
            watch.at_end = true;
            watch.answered = true;
        }
    }

    /// Whether every partition has delivered something or shown its end since the start, or was
    /// given up.
    ///
    /// Nothing may be judged before: a partition that was silent before a restart does not hold
    /// the clock, so what came into it since would be applied later than by an undisturbed run.
    pub fn all_answered(&self) -> bool {
        self.partitions.values().all(|watch| watch.answered || !watch.holds_clock)
    }

    /// Nothing could be read since the last call, because what was read before waits for the disk:
    /// that is nobody's silence.
    pub fn hold(&mut self, now: Duration) {
        for watch in self.partitions.values_mut() {
            watch.heard_at = now;
        }
        self.all_silent_since = None;
    }

    /// How each partition stands.
    pub fn standings(&self) -> impl Iterator<Item = (PartitionId, Standing)> {
        self.partitions.iter().map(|(id, watch)| match watch {
            Watch { holds_clock: true, .. } => (*id, Standing::Alive),
            Watch { at_end: true, .. } => (*id, Standing::Idle),
            Watch { .. } => (*id, Standing::SetAside),
        })
    }

    /// Whether every partition stands at its end.
    pub fn caught_up(&self) -> bool {
        self.partitions.values().all(|watch| watch.at_end)
    }

    /// What to do at `now`. Each decision is returned once.
    pub fn decide(&mut self, now: Duration) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for (&partition, watch) in &mut self.partitions {
            let silent_for = now.saturating_sub(watch.heard_at);
            if !watch.holds_clock {
                continue;
            }
            if watch.at_end && silent_for >= watch.idle_after {
                decisions.push(Decision::Idle(partition));
            } else if !watch.at_end && silent_for >= STUCK_AFTER {
                decisions.push(Decision::SetAside(partition));
            } else {
                continue;
            }
            watch.holds_clock = false;
        }
        decisions
    }

    /// The tick through which the clock may advance by itself: while every partition is silent,
    /// event time goes on from `last` at the speed of the wall clock.
    pub fn advance(&mut self, now: Duration, last: Option<Second>) -> Option<Second> {
        let last = last?;
        if self.partitions.values().any(|watch| watch.holds_clock) {
            self.all_silent_since = None;
            return None;
        }
        let (since, from) = *self.all_silent_since.get_or_insert((now, last));
        let until = Second(from.0 + now.saturating_sub(since).as_secs() as i64);
        (until > last).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionId = PartitionId::new(0, 0);
    const Q: PartitionId = PartitionId::new(1, 0);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn two_partitions() -> Liveness {
        let mut liveness = Liveness::default();
        liveness.add(P, seconds(10), seconds(0));
        liveness.add(Q, seconds(0), seconds(0));
        liveness
    }

    #[test]
    fn a_context_partition_is_idle_as_soon_as_its_end_is_seen() {
        let mut liveness = two_partitions();
        assert_eq!(liveness.decide(seconds(0)), []);
        liveness.at_end(Q);
        assert_eq!(liveness.decide(seconds(0)), [Decision::Idle(Q)]);
        assert_eq!(liveness.decide(seconds(0)), []);
    }

    #[test]
    fn nothing_is_judged_before_every_partition_has_answered() {
        let mut liveness = two_partitions();
        liveness.heard(P, seconds(1));
        assert!(!liveness.all_answered());
        liveness.at_end(Q);
        assert!(liveness.all_answered());
    }

    #[test]
    fn a_partition_that_never_answers_is_not_waited_for_forever() {
        let mut liveness = two_partitions();
        liveness.at_end(P);
        assert!(!liveness.all_answered());
        liveness.decide(seconds(60));
        assert!(liveness.all_answered());
    }

    #[test]
    fn a_partition_is_idle_after_its_own_time_and_not_before() {
        let mut liveness = two_partitions();
        liveness.heard(P, seconds(5));
        liveness.at_end(P);
        liveness.heard(Q, seconds(15));
        assert_eq!(liveness.decide(seconds(14)), []);
        assert_eq!(liveness.decide(seconds(15)), [Decision::Idle(P)]);
    }

    #[test]
    fn unread_records_without_progress_are_set_aside() {
        let mut liveness = two_partitions();
        liveness.at_end(Q);
        assert_eq!(liveness.decide(seconds(60)), [Decision::SetAside(P), Decision::Idle(Q)]);
    }

    #[test]
    fn a_partition_that_joins_holds_the_clock_from_its_first_record_on() {
        let mut liveness = Liveness::default();
        liveness.add(P, seconds(10), seconds(0));
        liveness.heard(P, seconds(0));
        liveness.join(Q, seconds(10), seconds(1));
        assert!(liveness.all_answered());
        let standings = |liveness: &Liveness| liveness.standings().collect::<Vec<_>>();
        assert_eq!(standings(&liveness), [(P, Standing::Alive), (Q, Standing::Idle)]);
        liveness.heard(Q, seconds(5));
        assert_eq!(standings(&liveness), [(P, Standing::Alive), (Q, Standing::Alive)]);
    }

    #[test]
    fn a_full_disk_is_nobodys_silence() {
        let mut liveness = two_partitions();
        liveness.at_end(Q);
        liveness.hold(seconds(60));
        assert_eq!(liveness.decide(seconds(119)), [Decision::Idle(Q)]);
        assert_eq!(liveness.decide(seconds(120)), [Decision::SetAside(P)]);
        let standings: Vec<_> = liveness.standings().collect();
        assert_eq!(standings, [(P, Standing::SetAside), (Q, Standing::Idle)]);
    }

    #[test]
    fn silence_everywhere_moves_the_clock_at_the_speed_of_time() {
        let mut liveness = two_partitions();
        assert_eq!(liveness.advance(seconds(20), Some(Second(100))), None);
        liveness.at_end(P);
        liveness.at_end(Q);
        liveness.decide(seconds(20));
        assert_eq!(liveness.advance(seconds(20), Some(Second(100))), None);
        assert_eq!(liveness.advance(seconds(23), Some(Second(100))), Some(Second(103)));
        liveness.heard(P, seconds(24));
        assert_eq!(liveness.advance(seconds(25), Some(Second(103))), None);
    }
}
