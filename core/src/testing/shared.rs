//! What the thread of the server and its owner both look at.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::connection::Command;
use super::outbox::Terminated;
use super::trace::Channel;

/// The common state, with a bell that rings at every change.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) received: Vec<String>,
    pub(super) unexpected: Vec<String>,
    /// How many received frames the script or the player has not looked at.
    pub(super) waiting: usize,
    pub(super) failure: Option<String>,
    /// The recording has been played to its end, or given up.
    pub(super) done: bool,
    /// New connections are taken.
    pub(super) listening: bool,
    /// The thread is about to end.
    pub(super) ended: bool,
    pub(super) sockets: BTreeMap<u64, Socket>,
    /// How many WebSocket connections were ever opened.
    pub(super) opened: usize,
    /// Connections of clients that read too slowly.
    pub(super) terminated: Vec<Terminated>,
}

/// A TCP connection that is being served.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) task: AbortHandle,
    /// Once it is a WebSocket: its role and its way in.
    pub(super) link: Option<(Channel, UnboundedSender<Command>)>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everyone who waits for something.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    pub(super) fn unexpected(&self, text: String) {
        self.update(|state| state.unexpected.push(text));
    }

    /// Blocks until the condition holds; `false` when the time is up first.
    pub(super) fn wait(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if condition(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
