//! How long a start may wait.

use std::time::{Duration, Instant};

use super::stop::StopStart;
use crate::options::ENDLESS;

/// How often a wait looks whether anybody wants its end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Until its time is over, or somebody stops it.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    deadline: Instant,
    stop: StopStart,
}

impl Patience {
    pub(super) fn new(time: Duration, stop: &StopStart) -> Self {
        Self { deadline: Instant::now() + time.min(ENDLESS), stop: stop.clone() }
    }

    /// The same, and not longer than this from now on.
    pub(super) fn at_most(&self, time: Duration) -> Self {
        let deadline = self.deadline.min(Instant::now() + time);
        Self { deadline, stop: self.stop.clone() }
    }

    /// The time that is left; `None` when it is over.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.deadline.checked_duration_since(Instant::now())?;
        (!left.is_zero() && !self.stop.is_stopped()).then_some(left)
    }

    /// How long to wait until the next look at this; `None` when it is over.
    pub(super) fn look(&self) -> Option<Duration> {
        Some(self.left()?.min(LOOK_EVERY))
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}
