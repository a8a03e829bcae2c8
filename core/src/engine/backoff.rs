//! How long to wait before a lost connection is tried again: waits that grow, and that differ from
//! client to client so that a server that comes back is not met by all of them at once.

use std::time::Duration;

/// How a lost connection is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// After so many failures in a row it is given up; `None` for never.
    pub max_attempts: Option<u32>,
    /// The longest wait before the first attempt. It doubles with every further one.
    pub base: Duration,
    /// The longest wait before any attempt.
    pub cap: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { max_attempts: None, base: Duration::from_millis(250), cap: Duration::from_secs(15) }
    }
}

/// The part of a wait that is not left to chance: one in so many. Without it luck could make a storm.
const SURE: u32 = 10;

/// The state behind the waits of one client.
///
/// The waits grow with every attempt until a connection was of use, or has stayed open for as long as the cap: one
/// that opens and is cut at once, again and again, is not tried in a tight loop.
#[derive(Debug)]
pub(crate) struct Backoff {
    rules: Reconnect,
    random: u64,
    /// Attempts since the last good connection.
    tried: u32,
    /// Failures in a row.
    failed: u32,
    opened: Duration,
}

impl Backoff {
    /// `seed` is what makes clients differ.
    pub(crate) fn new(rules: Reconnect, seed: u64) -> Self {
        Self { rules, random: seed, tried: 0, failed: 0, opened: Duration::ZERO }
    }

    /// A connection is open.
    pub(crate) fn opened(&mut self, now: Duration) {
        self.opened = now;
    }

    /// The connection was of use: somebody's turn has ended on it, or a request was answered.
    pub(crate) fn worked(&mut self) {
        self.tried = 0;
    }

    /// It was lost. How long to wait before the next attempt. One that an attempt had opened and that was lost soon,
    /// before anything came on it, is a failed attempt: a server may open a connection only to refuse it (PROTOCOL.md
    /// section 2.1). `None` when it was the last.
    pub(crate) fn lost(&mut self, now: Duration, heard: bool) -> Option<Duration> {
        let good = now.saturating_sub(self.opened) >= self.rules.cap;
        if good {
            self.tried = 0;
        }
        if good || heard || self.tried == 0 {
            self.failed = 0;
            return Some(self.wait());
        }
        self.failed()
    }

    /// An attempt has failed. How long to wait before the next; `None` when it was the last.
    pub(crate) fn failed(&mut self) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        let over = self.rules.max_attempts.is_some_and(|most| self.failed >= most);
        (!over).then(|| self.wait())
    }

    fn wait(&mut self) -> Duration {
        let doubled = 2_u32.checked_pow(self.tried).and_then(|n| self.rules.base.checked_mul(n));
        let longest = doubled.unwrap_or(self.rules.cap).min(self.rules.cap);
        self.tried = self.tried.saturating_add(1);
        let sure = longest / SURE;
        sure + longest.saturating_sub(sure).mul_f64(self.chance())
    }

    /// A number from zero to one (`SplitMix64`).
    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The upper half is as good as all of it.
        f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> impl Strategy<Value = Reconnect> {
        (1_u64..2_000, 0_u64..30_000).prop_map(|(base, more)| Reconnect {
            max_attempts: None,
            base: Duration::from_millis(base),
            cap: Duration::from_millis(base + more),
        })
    }

    /// What becomes of an attempt: it fails, or opens a connection that lives for so many milliseconds.
    fn fates() -> impl Strategy<Value = Vec<Option<u64>>> {
        proptest::collection::vec(proptest::option::of(0_u64..40_000), 1..80)
    }

    proptest! {
        #[test]
        fn waits_stay_below_the_cap_and_attempts_never_come_in_storms(
            rules in rules(), seed: u64, fates in fates(),
        ) {
            let mut backoff = Backoff::new(rules, seed);
            backoff.opened(Duration::ZERO);
            let mut now = Duration::ZERO;
            let mut attempts = Vec::new();
            let mut wait = backoff.lost(now, true).expect("there is no limit");
            for fate in fates {
                prop_assert!(wait <= rules.cap);
                prop_assert!(wait >= rules.base.min(rules.cap) / SURE);
                now += wait;
                attempts.push(now);
                wait = match fate {
                    None => backoff.failed().expect("there is no limit"),
                    Some(life) => {
                        backoff.opened(now);
                        now += Duration::from_millis(life);
                        backoff.lost(now, true).expect("there is no limit")
                    }
                };
            }
            // Doubling reaches the cap after a few attempts; from then on they are a tenth of it apart.
            let doublings = (rules.cap.as_secs_f64() / rules.base.as_secs_f64()).log2().ceil();
            for start in &attempts {
                let within = |at: &&Duration| **at >= *start && **at < *start + rules.cap;
                let count = u32::try_from(attempts.iter().filter(within).count()).expect("few");
                prop_assert!(f64::from(count) <= doublings + 12.0, "{count} in one cap");
            }
        }

        #[test]
        fn a_server_that_is_away_is_asked_ever_more_rarely(seed: u64) {
            let rules = Reconnect::default();
            let mut backoff = Backoff::new(rules, seed);
            let mut longest = rules.base;
            let wait = backoff.lost(Duration::from_secs(60), true);
            prop_assert!(wait.expect("there is no limit") <= longest);
            for _ in 0..40 {
                longest = (longest * 2).min(rules.cap);
                let wait = backoff.failed().expect("there is no limit");
                prop_assert!(wait <= longest && wait >= longest / SURE);
            }
        }
    }

    #[test]
    fn only_a_good_connection_starts_again_from_the_base() {
        let rules = Reconnect { max_attempts: None, ..Reconnect::default() };
        let mut backoff = Backoff::new(rules, 7);
        let mut now = Duration::ZERO;
        for _ in 0..20 {
            // It opens and is cut within a second, every time.
            backoff.opened(now);
            now += Duration::from_secs(1);
            now += backoff.lost(now, true).unwrap();
        }
        assert!(backoff.lost(now, true).unwrap() >= rules.cap / SURE, "the waits have grown");
        backoff.opened(now);
        let wait = backoff.lost(now + rules.cap, true).unwrap();
        assert!(wait <= rules.base, "it was good for a while");
        assert!(backoff.failed().is_some());
        backoff.opened(now);
        backoff.worked();
        assert!(backoff.lost(now, true).unwrap() <= rules.base, "it was of use");
    }

    #[test]
    fn the_limit_counts_failures_in_a_row() {
        let rules = Reconnect { max_attempts: Some(3), ..Reconnect::default() };
        let mut backoff = Backoff::new(rules, 7);
        backoff.lost(Duration::ZERO, true);
        assert!(backoff.failed().is_some() && backoff.failed().is_some());
        backoff.opened(Duration::ZERO);
        backoff.lost(Duration::ZERO, true);
        assert!(backoff.failed().is_some() && backoff.failed().is_some());
        assert_eq!(backoff.failed(), None);
    }

    #[test]
    fn a_connection_that_is_only_opened_to_be_closed_is_a_failure() {
        let rules = Reconnect { max_attempts: Some(3), ..Reconnect::default() };
        let mut backoff = Backoff::new(rules, 7);
        let mut open_for = |time| {
            backoff.opened(Duration::ZERO);
            backoff.lost(time, false)
        };
        assert!(open_for(Duration::ZERO).is_some(), "no attempt was made yet");
        assert!(open_for(Duration::ZERO).is_some() && open_for(Duration::ZERO).is_some());
        // A server that is not asked has nothing to say.
        assert!(open_for(rules.cap).is_some());
        assert!(open_for(Duration::ZERO).is_some() && open_for(Duration::ZERO).is_some());
        assert_eq!(open_for(Duration::ZERO), None);
    }

    #[test]
    fn clients_that_lose_the_same_server_do_not_come_back_together() {
        let first = |seed| Backoff::new(Reconnect::default(), seed).lost(Duration::ZERO, true);
        let mut waits: Vec<_> = (0..1000).filter_map(first).collect();
        waits.sort_unstable();
        let crowd =
            waits.windows(50).map(|some| some[49].saturating_sub(some[0])).min().expect("many");
        assert!(crowd > Duration::from_millis(4), "a twentieth of them within {crowd:?}");
    }
}
