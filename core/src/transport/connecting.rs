//! Attempts to open a connection: who waits for it, and for how long.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use super::connect::{Connected, connect, too_late};
use super::driver::{Driver, Target};
use super::sockets::Sockets;
use crate::engine::{Delivery, Token};
use crate::error::{Error, ErrorKind};
use crate::mailbox::Sink;
use crate::options::ENDLESS;
use crate::server::ServerWatch;
use crate::state::State;

/// An attempt to connect that runs.
pub(super) type Attempt = Pin<Box<dyn Future<Output = Result<Connected, Error>> + Send>>;

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

    /// Whether somebody waits for what comes of further attempts.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.iter().any(|one| one.until.is_some())
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

/// Waits for the attempt that runs; for ever when there is none.
pub(super) async fn outcome(attempt: &mut Option<Attempt>) -> Result<Connected, Error> {
    match attempt {
        Some(attempt) => attempt.await,
        None => pending().await,
    }
}

impl<S: Sink> Driver<S> {
    /// Connects, or waits for the attempt that runs. While the client reconnects, those that follow are waited for
    /// as well.
    pub(super) fn connect(&mut self, token: Token) {
        if self.sockets.is_some() {
            self.done(token);
            return;
        }
        let again = self.engine.will_reconnect();
        let wait = self.target.options.connect_timeout.min(ENDLESS);
        self.connecting.add(token, again.then(|| Instant::now() + wait));
        if self.attempt.is_some() {
            return;
        }
        if again {
            self.engine.handle_connecting(self.now());
            self.attempt_if_due();
            return;
        }
        if let Some(reason) = self.warning.take() {
            self.sink.deliver(Delivery::InsecureToken { reason });
        }
        self.set_state(State::Connecting, None);
        self.start_attempt();
    }

    pub(super) fn attempt_if_due(&mut self) {
        if self.engine.poll_connect() {
            self.start_attempt();
        }
    }

    fn start_attempt(&mut self) {
        let target = Arc::clone(&self.target);
        let attempt = async move { connect(&target.endpoint, &target.options).await };
        self.attempt = Some(Box::pin(attempt));
    }

    /// An attempt to connect has ended.
    pub(super) fn attempted(&mut self, outcome: Result<Connected, Error>) {
        self.attempt = None;
        match outcome {
            Ok(Connected { control, stream, info, split, newest }) => {
                self.clock.start();
                self.sockets = Some(Sockets::new(control, stream));
                self.shared.connected(info, split, newest);
                self.shared.give_up(None);
                self.engine.know_version(newest);
                self.engine.handle_connected(self.now(), split);
                self.set_state(State::Open, None);
                for token in self.connecting.take() {
                    self.done(token);
                }
            }
            Err(error) => {
                let lost = self.engine.will_reconnect();
                self.engine.handle_connect_failed(self.now(), &error);
                let again = self.engine.will_reconnect();
                let error = error.with_will_reconnect(again);
                if !again {
                    let why = lost.then(|| error.clone());
                    self.shared.give_up(why.clone());
                    self.set_state(State::Disconnected, why);
                }
                let over =
                    if again { self.connecting.failed(&error) } else { self.connecting.take() };
                self.fail_all(over, &error);
                if self.connecting.is_awaited() {
                    self.engine.handle_connecting(self.now());
                }
            }
        }
    }

    /// Ends the waits for a connection whose time is over, with the reason for which the last attempt has failed.
    pub(super) fn give_up_waiting(&mut self) {
        let overdue = self.connecting.overdue(Instant::now());
        if overdue.is_empty() {
            return;
        }
        let Target { endpoint, options } = &*self.target;
        let error = self.connecting.failure().unwrap_or_else(|| too_late(endpoint, options));
        let error = error.with_will_reconnect(self.engine.will_reconnect());
        self.fail_all(overdue, &error);
    }

    /// Has the attempts to connect to a server of one's own that has ended fail: nothing would come of them, and whoever
    /// has got the port since must not see the token.
    pub(super) fn give_up_server(&mut self) {
        let connects = self.attempt.is_some() || self.engine.will_reconnect();
        let server = self.target.options.server.as_ref().filter(|_| connects);
        if let Some(exit) = server.and_then(ServerWatch::try_exited) {
            let error =
                Error::new(ErrorKind::ConnectionFailed, format!("the server has ended: {exit}"));
            let error = error.with_hint("start another server, and make a client of that one");
            let attempt = std::future::ready(Err(error.for_good()));
            self.attempt = Some(Box::pin(attempt));
        }
    }

    pub(super) fn fail_all(&mut self, tokens: Vec<Token>, error: &Error) {
        for token in tokens {
            self.sink.deliver(Delivery::Failed { token, error: error.clone() });
        }
    }
}
