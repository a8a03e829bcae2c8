//! Whether there is a connection, and when the next attempt to open a lost one is due.

use std::time::Duration;

use super::backoff::{Backoff, Reconnect};
use crate::error::{Error, ErrorKind};

/// While somebody waits for a connection, attempts to open it begin so long after each other, or earlier where the
/// rules say so.
pub(crate) const WHILE_AWAITED: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// No connection, and nothing is done about it.
    #[default]
    Down,
    Open,
    /// It was lost; the next attempt begins then.
    Waiting(Duration),
    /// It was lost, and the next attempt is to begin now.
    Due,
    /// It was lost, and an attempt runs.
    Attempting,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: State,
    /// There where lost connections are opened again.
    backoff: Option<Backoff>,
    /// When the last attempt began.
    began: Option<Duration>,
    /// The next attempt, or the one that runs, is an extra one: the user has asked for it. By the rules it is due then.
    regular: Option<Duration>,
    /// Connections so far.
    opened: u64,
}

impl Link {
    /// Lost connections are opened again from now on.
    pub(crate) fn reconnect(&mut self, rules: Reconnect, seed: u64) {
        self.backoff = Some(Backoff::new(rules, seed));
    }

    /// A connection is open. Whether it is not the first.
    pub(crate) fn opened(&mut self, now: Duration) -> bool {
        self.state = State::Open;
        self.regular = None;
        if let Some(backoff) = &mut self.backoff {
            backoff.opened(now);
        }
        self.opened += 1;
        self.opened > 1
    }

    /// Another connection takes the place of the one that was lost, at once.
    pub(crate) fn switched(&mut self, now: Duration) {
        self.opened(now);
    }

    /// A first attempt is to begin.
    pub(crate) fn want(&mut self) {
        if self.state == State::Down {
            self.state = State::Due;
        }
    }

    /// Nothing is to be done any more.
    pub(crate) fn end(&mut self) {
        self.state = State::Down;
        self.regular = None;
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The connection was of use.
    pub(crate) fn worked(&mut self) {
        if let Some(backoff) = &mut self.backoff {
            backoff.worked();
        }
    }

    /// The connection was lost, or closed by the user. Whether anything had come on it.
    pub(crate) fn lost(&mut self, now: Duration, error: &Error, heard: bool) {
        let wanted = self.state == State::Open && error.kind() != ErrorKind::Closed;
        let backoff = self.backoff.as_mut().filter(|_| wanted);
        let wait = backoff.and_then(|backoff| backoff.lost(now, heard));
        self.state = wait.map_or(State::Down, |wait| State::Waiting(now.saturating_add(wait)));
    }

    /// Somebody waits for a connection: an extra attempt begins at once, or a while after the last one. It counts for
    /// nothing, so that the waits do not grow with the number of those who wait.
    pub(crate) fn hurry(&mut self, now: Duration) {
        let State::Waiting(at) = self.state else { return };
        let soon = self.began.map_or(now, |began| now.max(began.saturating_add(WHILE_AWAITED)));
        if soon < at {
            self.regular.get_or_insert(at);
            self.state = State::Waiting(soon);
        }
        self.due(now);
    }

    /// An attempt has failed. One that the server refused for good is not repeated.
    pub(crate) fn failed(&mut self, now: Duration, error: &Error) {
        let again = self.will_reconnect() && !error.is_for_good();
        let regular = self.regular.take();
        let next = self.backoff.as_mut().filter(|_| again).and_then(|backoff| {
            regular.or_else(|| backoff.failed().map(|wait| now.saturating_add(wait)))
        });
        self.state = next.map_or(State::Down, State::Waiting);
    }

    /// How often a connection was opened again.
    pub(crate) fn reconnects(&self) -> u64 {
        self.opened.saturating_sub(1)
    }

    /// Whether there is no connection, but will be one again.
    pub(crate) fn will_reconnect(&self) -> bool {
        matches!(self.state, State::Waiting(_) | State::Due | State::Attempting)
    }

    /// When the next attempt is due.
    pub(crate) fn at(&self) -> Option<Duration> {
        match self.state {
            State::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// The time of the next attempt may have come.
    pub(crate) fn due(&mut self, now: Duration) {
        if self.at().is_some_and(|at| at <= now) {
            self.state = State::Due;
        }
    }

    /// Whether an attempt is to begin; said once.
    pub(crate) fn begin(&mut self, now: Duration) -> bool {
        let due = self.state == State::Due;
        if due {
            self.state = State::Attempting;
            self.began = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Reconnect = Reconnect {
        max_attempts: Some(2),
        base: Duration::from_secs(60),
        cap: Duration::from_secs(60),
    };

    /// A link that was lost at the beginning.
    fn lost() -> Link {
        let mut link = Link::default();
        link.reconnect(RULES, 7);
        link.opened(Duration::ZERO);
        link.lost(Duration::ZERO, &failure(), true);
        link
    }

    fn failure() -> Error {
        Error::new(ErrorKind::ConnectionFailed, "nobody listens")
    }

    /// How many attempts begin within so many tenths of a second, in each of which as many ask for one.
    fn attempts(link: &mut Link, tenths: u64, asking: usize) -> usize {
        let begun = (0..tenths).filter(|tenth| {
            let now = Duration::from_millis(100 * tenth);
            (0..asking).for_each(|_| link.hurry(now));
            link.due(now);
            let begun = link.begin(now);
            if begun {
                link.failed(now, &failure());
            }
            begun
        });
        begun.count()
    }

    #[test]
    fn however_many_wait_there_is_an_attempt_in_a_second() {
        assert_eq!(attempts(&mut lost(), 50, 0), 0);
        assert_eq!(attempts(&mut lost(), 50, 1), 5);
        assert_eq!(attempts(&mut lost(), 50, 40), 5);
    }

    #[test]
    fn attempts_that_were_asked_for_change_nothing_about_the_others() {
        let (mut asked, mut left) = (lost(), lost());
        let first = left.at().unwrap();
        assert!(first > Duration::from_secs(5), "the seed has them wait that long: {first:?}");
        attempts(&mut asked, 50, 3);
        // The last one that was asked for.
        attempts(&mut asked, 51, 0);
        assert_eq!(asked.at(), Some(first));
        for link in [&mut asked, &mut left] {
            link.due(first);
            assert!(link.begin(first));
            link.failed(first, &failure());
        }
        assert!(left.at().unwrap() > first);
        assert_eq!(asked.at(), left.at(), "one of two has failed");
    }
}
