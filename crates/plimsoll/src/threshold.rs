//! What a plain alarm on the level would have said: the comparison that every demo owes.

use std::collections::BTreeMap;

use plimsoll_model::Second;

/// The part of the limit at which such alarms are usually set.
pub const THRESHOLD: f64 = 0.9;

/// An alarm that was raised counts as the same one until the level was below for this long.
const REARM_S: i64 = 600;

/// The most alarms of one resource whose time is kept. Later ones are not counted.
pub const ALARMS_MAX: usize = 10_000;

/// When the level of each resource reached [`THRESHOLD`] of its limit.
#[derive(Clone, Debug, Default)]
pub struct Threshold {
    resources: BTreeMap<String, Alarms>,
}

#[derive(Clone, Debug, Default)]
struct Alarms {
    raised: Vec<Second>,
    above_at: Option<Second>,
}

impl Threshold {
    /// Takes in the levels at the end of a tick.
    pub fn observe<'a>(
        &mut self,
        second: Second,
        totals: impl Iterator<Item = (&'a str, u64, Option<u64>)>,
    ) {
        for (resource, held, usable) in totals {
            if usable.is_none_or(|usable| (held as f64) < THRESHOLD * usable as f64) {
                continue;
            }
            if !self.resources.contains_key(resource) {
                self.resources.insert(resource.to_owned(), Alarms::default());
            }
            let Some(alarms) = self.resources.get_mut(resource) else { continue };
            let is_new = alarms.above_at.is_none_or(|last| second.since(last) > REARM_S);
            alarms.above_at = Some(second);
            if is_new && alarms.raised.len() < ALARMS_MAX {
                alarms.raised.push(second);
            }
        }
    }

    /// The first alarm of `resource` at or after `from`.
    pub fn after(&self, resource: &str, from: Second) -> Option<Second> {
        self.resources.get(resource)?.raised.iter().copied().find(|&raised| raised >= from)
    }

    /// How many alarms of `resource` came before `from`.
    pub fn before(&self, resource: &str, from: Second) -> usize {
        let alarms = self.resources.get(resource);
        alarms.map_or(0, |alarms| alarms.raised.iter().filter(|&&raised| raised < from).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of a resource with 100 usable units at the given seconds.
    fn threshold(levels: &[(i64, u64)]) -> Threshold {
        let mut threshold = Threshold::default();
        for &(second, held) in levels {
            threshold.observe(Second(second), [("db", held, Some(100))].into_iter());
        }
        threshold
    }

    #[test]
    fn an_alarm_is_raised_at_ninety_percent_and_not_again_while_it_stays() {
        let threshold = threshold(&[(1, 89), (2, 90), (3, 80), (4, 95), (700, 91)]);
        assert_eq!(threshold.after("db", Second(0)), Some(Second(2)));
        assert_eq!(threshold.after("db", Second(3)), Some(Second(700)));
        assert_eq!((threshold.before("db", Second(700)), threshold.before("x", Second(1))), (1, 0));
    }

    #[test]
    fn without_a_limit_nothing_is_said() {
        let mut threshold = Threshold::default();
        threshold.observe(Second(1), [("db", 500, None)].into_iter());
        assert_eq!(threshold.after("db", Second(0)), None);
    }
}
