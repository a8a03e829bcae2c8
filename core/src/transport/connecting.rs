//! Who waits for a connection to open, and for how long.

use tokio::time::Instant;

use crate::engine::Token;
use crate::error::Error;

/// One who waits.
#[derive(Debug)]
struct Waiting {
    token: Token,
    /// Until then further attempts are waited for; `None` when the one that runs is the only one.
    until: Option<Instant>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Connecting {
    waiting: Vec<Waiting>,
    /// Of the last attempt since there was a connection.
    failure: Option<Error>,
}

impl Connecting {
    pub(super) fn add(&mut self, token: Token, until: Option<Instant>) {
        self.waiting.push(Waiting { token, until });
    }

    /// A connection is open, or none will be: everybody's wait is over.
    pub(super) fn take(&mut self) -> Vec<Token> {
        self.failure = None;
        std::mem::take(&mut self.waiting).into_iter().map(|one| one.token).collect()
    }

    /// An attempt has failed, and there will be another. Whose wait it was that is over.
    pub(super) fn failed(&mut self, error: &Error) -> Vec<Token> {
        self.failure = Some(error.clone());
        self.take_where(|until| until.is_none())
    }

    /// When the next wait is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|one| one.until).min()
    }

    /// Whose time is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Token> {
        self.take_where(|until| until.is_some_and(|until| until <= now))
    }

    /// Why the last attempt has failed, if one has ended.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    fn take_where(&mut self, over: impl Fn(Option<Instant>) -> bool) -> Vec<Token> {
        self.waiting.extract_if(.., |one| over(one.until)).map(|one| one.token).collect()
    }
}
