//! What ends with a session: the turns it has sent, its tools, and who answers its permission requests.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{mpsc, watch};

use crate::approvals::ApprovalRequest;
use crate::connection::Connection;
use crate::engine::{Token, Usage};
use crate::error::Error;
use crate::policy::{self, Audit, Policy};
use crate::session::Tally;
use crate::tasks::Tasks;

/// Shared by all handles of a session, and by its turns: what the turns need stays until they have ended.
#[derive(Debug, Default)]
pub(crate) struct Own {
    state: Mutex<State>,
    tally: Arc<Tally>,
    audit: Audit,
    /// Where permission requests go; `None` without a policy.
    asks: Option<mpsc::UnboundedSender<ApprovalRequest>>,
}

#[derive(Debug, Default)]
struct State {
    /// How often it was closed.
    closings: u64,
    /// Its tools are answered until this is dropped.
    serving: Option<watch::Sender<()>>,
    /// Its conversation is started again after a reconnect until this is dropped.
    hold: Option<Hold>,
}

/// A runtime that is held as long as this is there.
#[derive(Debug)]
pub(super) struct Hold {
    /// A detached turn has this to its end, and keeps no connection that its client has let go of.
    connection: Weak<Connection>,
    runtime: (String, String),
    /// The `request_id` of its start.
    opening: String,
}

impl Hold {
    pub(super) fn new(
        connection: &Arc<Connection>,
        runtime: (String, String),
        opening: String,
    ) -> Self {
        connection.hold_runtime(runtime.clone(), opening.clone(), true);
        Self { connection: Arc::downgrade(connection), runtime, opening }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.hold_runtime(self.runtime.clone(), std::mem::take(&mut self.opening), false);
        }
    }
}

impl Own {
    /// Starts to answer permission requests.
    pub(super) fn new(
        policy: Option<Policy>,
        serving: watch::Sender<()>,
        tasks: &Tasks,
        hold: Hold,
    ) -> Result<Self, Error> {
        let audit = Audit::default();
        let mut asks = None;
        if let Some(policy) = policy {
            let (ask, requests) = mpsc::unbounded_channel();
            asks = Some(ask);
            tasks.serve(policy::serve(policy, audit.clone(), requests, tasks.clone()))?;
        }
        let state = State { serving: Some(serving), hold: Some(hold), ..State::default() };
        Ok(Self { state: Mutex::new(state), tally: Arc::default(), audit, asks })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(super) fn asks(&self) -> Option<mpsc::UnboundedSender<ApprovalRequest>> {
        self.asks.clone()
    }

    pub(super) fn usage(&self) -> Usage {
        self.tally.usage()
    }

    /// How often the session was closed so far.
    pub(super) fn closings(&self) -> u64 {
        self.with(|state| state.closings)
    }

    /// What counts its turns. It holds nothing else of the session.
    pub(crate) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Ends the answering of tools, lets go of the conversation, and returns the turns that are open.
    pub(super) fn close(&self) -> Vec<Token> {
        self.with(|state| {
            state.serving = None;
            state.hold = None;
            state.closings += 1;
        });
        self.tally.open()
    }
}
