//! How long what is held has been held, where a line is written only when a call ends.
//!
//! Who holds what is not known then, but how old it is: of the calls that were held `d` seconds
//! ago those that have not ended since are older than `d` now. `docs/detectors.md`, "Held open".

use std::collections::VecDeque;

use plimsoll_model::Time;
use serde::{Deserialize, Serialize};

/// So many seconds are remembered; nothing is said of greater ages.
pub const SECONDS_MAX: usize = 2_048;

/// The time from the last count of one second to that of a later one. Where nothing was counted in
/// a second, it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Moment {
    /// Calls that ended in it.
    ended: u32,
    /// Calls that began in it and have ended by now.
    began_and_over: u32,
    /// Units held at its end, and the microsecond of its second that this was.
    counted: Option<(u32, u32)>,
}

/// The last seconds of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAges {
    /// The last of them is after the newest second.
    moments: VecDeque<Moment>,
    newest_s: i64,
}

/// A moment at which units were counted, and what is known of the calls from before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Older {
    /// How many seconds before the end of the newest second: the calls are at least as old.
    pub age_s: f64,
    /// Those that are open now.
    pub open: i64,
    /// Calls that began since, and until the newest count.
    pub began_since: i64,
}

impl OpenAges {
    /// Goes on to the second `now_s`.
    pub fn begin(&mut self, now_s: i64) {
        let passed = now_s.saturating_sub(self.newest_s).clamp(0, SECONDS_MAX as i64);
        self.newest_s = self.newest_s.max(now_s);
        for _ in 0..passed {
            self.moments.push_back(Moment::default());
        }
        while self.moments.len() < 2 {
            self.moments.push_back(Moment::default());
        }
        let beyond = self.moments.len().saturating_sub(SECONDS_MAX);
        self.moments.drain(..beyond);
    }

    /// A call ended that had begun at `began`.
    pub fn end(&mut self, began: Time, ended: Time) {
        if let Some(place) = self.place(ended) {
            self.moments[place].ended += 1;
            if let Some(place) = self.place(began) {
                self.moments[place].began_and_over += 1;
            }
        }
    }

    /// `held` units were counted. In the newest second the last count decides.
    pub fn count(&mut self, held: u64, time: Time) {
        let [.., newest, after] = self.moments.make_contiguous() else { return };
        if time.second().0 != self.newest_s
            || newest.counted.is_some_and(|(_, micros)| micros > micros_of(time))
        {
            return;
        }
        newest.counted = Some((u32::try_from(held).unwrap_or(u32::MAX), micros_of(time)));
        newest.ended += std::mem::take(&mut after.ended);
        newest.began_and_over += std::mem::take(&mut after.began_and_over);
    }

    /// What happened after the count of its second belongs to the next.
    fn place(&self, time: Time) -> Option<usize> {
        let back = usize::try_from(self.newest_s - time.second().0).ok()?;
        let place = self.moments.len().checked_sub(back + 2)?;
        let counted = self.moments.get(place)?.counted;
        let is_after = counted.is_some_and(|(_, micros)| micros < micros_of(time));
        Some(place + usize::from(is_after))
    }

    /// Every counted moment, the newest first.
    pub fn older(&self) -> impl Iterator<Item = Older> + '_ {
        let (mut ended, mut over, mut newest) = (0_i64, 0_i64, None);
        self.moments.iter().rev().zip(-1..).filter_map(move |(moment, back)| {
            let older = moment.counted.map(|(held, micros)| {
                let held = i64::from(held);
                // Until the newest count nothing is known of what began.
                let (newest_held, ended_since) = *newest.get_or_insert((held, ended));
                Older {
                    age_s: f64::from(back + 1) - f64::from(micros) / 1e6,
                    open: held - ended + over,
                    began_since: newest_held - held + ended - ended_since,
                }
            });
            ended += i64::from(moment.ended);
            over += i64::from(moment.began_and_over);
            older
        })
    }
}

fn micros_of(time: Time) -> u32 {
    time.micros_since(time.second().start()).clamp(0, 999_999) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts as (second, units) and ends as (second of the end, of the beginning), in their order.
    fn check(rows: &[(f64, &str, f64)], expected: &[(f64, i64, i64)]) {
        let time = |seconds: f64| Time::from_micros((seconds * 1e6) as i64);
        let mut ages = OpenAges::default();
        for (at, verb, value) in rows {
            ages.begin(*at as i64);
            match *verb {
                "held" => ages.count(*value as u64, time(*at)),
                _ => ages.end(time(*value), time(*at)),
            }
        }
        let found = ages.older().map(|older| (older.age_s, older.open, older.began_since));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_was_held_and_has_not_ended_is_older() {
        check(
            &[(1.0, "held", 3.0), (2.0, "held", 3.0), (3.0, "end", 0.5), (3.0, "held", 2.0)],
            &[(1.0, 2, 0), (2.0, 2, 0), (3.0, 2, 0)],
        );
    }

    // Two begin after the first count, one of which ends in the third second with one from before.
    #[test]
    fn what_began_since_is_not() {
        let ends = [(3.0, "end", 0.5), (3.0, "end", 1.5), (3.0, "held", 3.0)];
        let rows = [(1.0, "held", 3.0), (2.0, "held", 5.0), ends[0], ends[1], ends[2]];
        check(&rows, &[(1.0, 3, 0), (2.0, 3, 0), (3.0, 2, 2)]);
    }

    // 4 are held at 1.5; one of them ends after it in the same second, and one begins.
    #[test]
    fn what_follows_the_count_of_a_second_is_later() {
        let rows = [(1.25, "held", 9.0), (1.5, "held", 4.0), (1.75, "end", 0.5)];
        check(&rows, &[(0.5, 3, 0)]);
        check(&[rows[0], rows[1], rows[2], (2.5, "held", 4.0)], &[(0.5, 4, 0), (1.5, 3, 1)]);
    }
}
