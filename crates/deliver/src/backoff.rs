//! How long to wait between attempts.

use std::time::Duration;

/// Pauses between the attempts of one delivery: exponential, with full jitter, and never shorter
/// than the receiver asked for.
///
/// It is pure: the caller supplies the random number. There is no limit on attempts, because a
/// page is not given up while its incident is open.
///
/// Full jitter (a uniform draw below the exponential ceiling) needs the fewest calls of the
/// schemes compared in M. Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest pause, and the unit of the exponential ceiling.
    pub shortest: Duration,
    /// The ceiling's limit.
    pub longest: Duration,
    /// What a receiver may ask for at most; a longer wish is held here.
    pub asked_max: Duration,
}

/// 1 s to 5 min, and up to 15 min if the receiver asks for it.
impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            shortest: Duration::from_secs(1),
            longest: Duration::from_secs(5 * 60),
            asked_max: Duration::from_secs(15 * 60),
        }
    }
}

impl Backoff {
    /// The pause after failed attempt number `attempts` (the first is 1).
    ///
    /// It is uniform between `shortest` and `shortest · 2^attempts`, held at `longest`; `random`
    /// is a uniform 64-bit number. If the receiver `asked` for a pause, it is at least that.
    pub fn delay(&self, attempts: u32, random: u64, asked: Option<Duration>) -> Duration {
        let factor = 2u32.saturating_pow(attempts.max(1));
        let ceiling = self.shortest.saturating_mul(factor).min(self.longest).max(self.shortest);
        let share = random as f64 / u64::MAX as f64;
        let drawn = self.shortest + (ceiling - self.shortest).mul_f64(share);
        drawn.max(asked.unwrap_or_default().min(self.asked_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In milliseconds, with the default limits. Expected values by hand: shortest 1 s,
    /// ceiling 2^attempts s up to 300 s, `random` in 2^64ths of the span between them.
    #[track_caller]
    fn check(attempts: u32, random: u64, asked_s: Option<u64>, expected_ms: u128) {
        let asked = asked_s.map(Duration::from_secs);
        let delay = Backoff::default().delay(attempts, random, asked);
        assert_eq!(delay.as_millis(), expected_ms);
    }

    #[test]
    fn the_smallest_draw_waits_a_second() {
        check(1, 0, None, 1_000);
        check(30, 0, None, 1_000);
    }

    #[test]
    fn the_largest_draw_doubles_until_five_minutes() {
        check(1, u64::MAX, None, 2_000);
        check(2, u64::MAX, None, 4_000);
        check(8, u64::MAX, None, 256_000);
        check(9, u64::MAX, None, 300_000);
        check(u32::MAX, u64::MAX, None, 300_000);
    }

    #[test]
    fn a_middle_draw_lies_in_the_middle() {
        check(2, u64::MAX / 2, None, 2_500);
    }

    #[test]
    fn before_any_attempt_counts_as_the_first() {
        check(0, u64::MAX, None, 2_000);
    }

    #[test]
    fn what_the_receiver_asks_for_is_kept_up_to_fifteen_minutes() {
        check(1, u64::MAX, Some(60), 60_000);
        check(9, u64::MAX, Some(60), 300_000);
        check(1, 0, Some(86_400), 900_000);
    }
}
