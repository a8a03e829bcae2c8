//! Whether there is a connection, and when the next attempt to open a lost one is due.

use std::time::Duration;

use super::backoff::{Backoff, Reconnect};
use crate::error::{Error, ErrorKind};

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

    /// An attempt begins before its time, because the user asked for it.
    pub(crate) fn hurry(&mut self) {
        if matches!(self.state, State::Waiting(_) | State::Due) {
            self.state = State::Attempting;
        }
    }

    /// An attempt has failed. One that the server refused for good is not repeated.
    pub(crate) fn failed(&mut self, now: Duration, error: &Error) {
        let again = self.will_reconnect() && !error.kind().is_for_good();
        let wait = self.backoff.as_mut().filter(|_| again).and_then(Backoff::failed);
        self.state = wait.map_or(State::Down, |wait| State::Waiting(now.saturating_add(wait)));
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
    pub(crate) fn begin(&mut self) -> bool {
        let due = self.state == State::Due;
        if due {
            self.state = State::Attempting;
        }
        due
    }
}
