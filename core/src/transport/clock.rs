//! The engine's time, and whether the machine has slept in between.
//!
//! On Linux and macOS the clock of timers stands still while a machine sleeps, on Windows it goes on; the
//! wall clock shows a sleep everywhere. The engine's time does not count a sleep anywhere, so that no limit
//! passes because of one.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How often somebody has to look, so that a sleep shows soon after its end.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A time between two looks above this is a sleep (or the process was stopped); nothing else takes so long.
pub(crate) const SLEPT: Duration = Duration::from_secs(15);

/// Reads the wall clock.
pub(super) type Wall = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// See the module's text.
pub(super) struct Clock {
    epoch: Instant,
    wall: Wall,
    seen: (Instant, SystemTime),
    /// Slept away by the clock of timers.
    skipped: Duration,
}

impl Clock {
    pub(super) fn new(wall: Wall) -> Self {
        let (epoch, today) = (Instant::now(), wall());
        Self { epoch, wall, seen: (epoch, today), skipped: Duration::ZERO }
    }

    /// The engine's time.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed().saturating_sub(self.skipped)
    }

    /// The instant of a time of the engine.
    pub(super) fn instant(&self, at: Duration) -> Option<Instant> {
        self.epoch.checked_add(at)?.checked_add(self.skipped)
    }

    /// Begins to look, after a time without looks.
    pub(super) fn start(&mut self) {
        self.seen = (Instant::now(), (self.wall)());
    }

    /// When to look again.
    pub(super) fn look_at(&self) -> Instant {
        self.seen.0 + LOOK_EVERY
    }

    /// Whether the machine has slept since the last look. A wall clock that is set back shows nothing; one
    /// that is set forward looks like a sleep, and costs a ping.
    pub(super) fn slept(&mut self) -> bool {
        let (instant, today) = self.seen;
        self.start();
        let ticked = self.seen.0 - instant;
        let passed = self.seen.1.duration_since(today).unwrap_or_default();
        if ticked > SLEPT {
            self.skipped += ticked;
        }
        ticked.max(passed) > SLEPT
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::advance;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A clock, and what the wall shows beside the time that passes.
    fn clock() -> (Clock, Arc<Mutex<SystemTime>>) {
        let start = Instant::now();
        let set = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + 20_000 * DAY));
        let wall = Arc::clone(&set);
        (Clock::new(Box::new(move || *wall.lock().unwrap() + start.elapsed())), set)
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_shows_on_the_wall_and_takes_no_time() {
        let (mut clock, wall) = clock();
        advance(LOOK_EVERY).await;
        assert!(!clock.slept());
        *wall.lock().unwrap() += DAY;
        assert!(clock.slept());
        assert!(!clock.slept());
        assert_eq!(clock.now(), LOOK_EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_clock_of_timers_goes_on_a_sleep_takes_no_time_either() {
        let (mut clock, _) = clock();
        advance(LOOK_EVERY).await;
        assert!(!clock.slept());
        advance(DAY).await;
        assert!(clock.slept());
        assert_eq!(clock.now(), LOOK_EVERY);
        assert_eq!(clock.instant(2 * LOOK_EVERY), Some(Instant::now() + LOOK_EVERY));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_or_a_little_forward_is_no_sleep() {
        let (mut clock, wall) = clock();
        *wall.lock().unwrap() -= DAY;
        assert!(!clock.slept());
        *wall.lock().unwrap() += SLEPT;
        assert!(!clock.slept());
        advance(SLEPT).await;
        assert!(!clock.slept());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_looked_at_is_no_sleep() {
        let (mut clock, wall) = clock();
        advance(DAY).await;
        *wall.lock().unwrap() += DAY;
        clock.start();
        assert!(!clock.slept());
        assert_eq!(clock.now(), DAY);
    }
}
