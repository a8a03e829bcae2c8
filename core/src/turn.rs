//! A turn that is under way: followed, awaited, stopped or left alone.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::approvals::ApprovalRequest;
use crate::connection::Connection;
use crate::engine::{Delivery, Token, TurnEvent, TurnReport, TurnResult};
use crate::error::Error;
use crate::events::Inbox;
use crate::handle::TurnHandle;
use crate::router::{Router, Waiter, gone};
use crate::session::{Own, Prompt};
use crate::updates::TurnUpdates;

/// What a question is answered with while the turn's end alone is waited for.
const UNREAD: &str = "nobody reads the questions of this turn: the program only waits for its end";

/// One thing a follower of a turn sees.
#[derive(Debug)]
#[non_exhaustive]
pub enum TurnUpdate {
    /// Something happened.
    Event(TurnEvent),
    /// A permission is needed in a turn that was sent with [`crate::Approvals::Ask`]. The next one comes when
    /// this one is answered.
    Approval(ApprovalRequest),
    /// The follower did not keep up. Every event of the turn is either delivered, merged or dropped; the result
    /// still has everything that was said.
    Lagged {
        /// How many events before this point were dropped; 0 if merging was enough, and nothing is missing.
        dropped: u64,
        /// How many events were merged into their neighbours, as pieces of one text or of one call, among those
        /// that wait around this point.
        merged: u64,
    },
    /// The turn is over. This is the last update. A turn that fails with an error does not have it: [`Turn::result`]
    /// gives the error then, and [`Turn::updates`] ends with it.
    Finished(Box<TurnResult>),
}

/// A turn that was sent with [`crate::Session::send`] or [`crate::Client::send_turn`].
///
/// Follow it with [`Turn::next`], wait for its end with [`Turn::result`] or `.await`, in any order. Dropping
/// it before its end stops the turn on the server; [`Turn::detach`] lets it go on. A program that ends right after either
/// first waits for [`Client::close`](crate::Client::close): otherwise nothing of it is sent.
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
/// # use letta_app_client::{Client, ConnectOptions, SessionOptions};
/// use letta_app_client::{TurnEvent, TurnStatus, TurnUpdate};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let endless = ScriptedTurn { hang: true, ..ScriptedTurn::text(["on and on"]) };
/// # let turns = vec![ScriptedTurn::text(["All ", "pass."]), endless];
/// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// # let session = client.session(SessionOptions::agent("agent-123")).await?;
/// let mut turn = session.send("Do the tests pass?")?;
/// let mut said = String::new();
/// while let Some(update) = turn.next().await {
///     match update {
///         TurnUpdate::Event(TurnEvent::AssistantDelta { text, .. }) => said += &text,
///         TurnUpdate::Event(TurnEvent::ToolCallStart { name, .. }) => println!("-> {name}"),
///         TurnUpdate::Finished(result) => assert_eq!(result.text, said),
///         _ => {}
///     }
/// }
/// assert_eq!(said, "All pass.");
///
/// let mut turn = session.send("Tell me a story.")?;
/// assert_eq!(turn.next_text().await.as_deref(), Some("on and on"));
/// let result = turn.abort().await?;
/// assert_eq!(result.status, Some(TurnStatus::Aborted));
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a turn stops it on the server; await it, or detach() it"]
pub struct Turn {
    pub(crate) asked: Asked,
    pub(crate) connection: Arc<Connection>,
    pub(crate) router: Router,
    pub(crate) token: Token,
    pub(crate) inbox: Inbox,
    pub(crate) requests: mpsc::UnboundedReceiver<ApprovalRequest>,
    pub(crate) outcome: oneshot::Receiver<Result<TurnResult, Error>>,
    pub(crate) ended: Option<Result<TurnResult, Error>>,
    /// The last update was given.
    pub(crate) told: bool,
    /// The session it belongs to, until its end is seen.
    pub(crate) own: Option<Arc<Own>>,
}

/// What a turn remembers of its input.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) agent_id: String,
    pub(crate) prompt: Prompt,
}

impl Asked {
    /// Of the fields of an `input`; what is wrong with them is found elsewhere.
    pub(crate) fn of(fields: &Value) -> Self {
        let agent_id = fields["runtime"]["agent_id"].as_str().unwrap_or_default().to_owned();
        let last = fields["payload"]["messages"].as_array().and_then(|messages| messages.last());
        let prompt = last.map_or_else(|| "".into(), |message| Prompt(message["content"].clone()));
        Self { agent_id, prompt }
    }
}

impl Turn {
    /// What was said: the content of the input's last message.
    #[must_use]
    pub fn prompt(&self) -> &Prompt {
        &self.asked.prompt
    }

    /// The agent that was asked.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        &self.asked.agent_id
    }

    /// The next event; `None` once the turn is over and every event was delivered. [`Turn::result`] then says whether
    /// it ended with a result or with an error.
    ///
    /// Events are kept from the moment the turn was sent, however late this is first called: at most 65,536 of
    /// them or 64 MiB. Above that, neighbouring pieces of one text, or of one call's arguments or output, are
    /// merged into one event; if that is not enough, the oldest pieces, outputs, statuses and unknown events
    /// are dropped. [`TurnUpdate::Lagged`] counts both.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<TurnUpdate> {
        loop {
            match self.inbox.take() {
                Some(Delivery::TurnEvent { event, .. }) => return Some(TurnUpdate::Event(event)),
                Some(Delivery::Lagged { dropped, merged }) => {
                    return Some(TurnUpdate::Lagged { dropped, merged });
                }
                Some(_) => {}
                None if self.ended.is_some() => return self.finish(),
                None => {
                    // Events are left before the end, so none is missed when the end is seen first.
                    tokio::select! {
                        biased;
                        outcome = &mut self.outcome => self.end(outcome),
                        Some(request) = self.requests.recv() => {
                            return Some(TurnUpdate::Approval(request));
                        }
                        () = self.inbox.ready() => {}
                    }
                }
            }
        }
    }

    /// What the session brings stays until the turn has ended.
    pub(crate) fn owned_by(mut self, own: &Arc<Own>) -> Self {
        own.tally().sent(self.token);
        self.own = Some(Arc::clone(own));
        self
    }

    /// The outcome is known.
    fn end(&mut self, outcome: Result<Result<TurnResult, Error>, oneshot::error::RecvError>) {
        let outcome = outcome.unwrap_or_else(|_| Err(gone()));
        let result = outcome.as_ref().ok().or_else(|| outcome.as_ref().err()?.result());
        if let Some(own) = self.own.take() {
            own.tally().ended(self.token, result);
        }
        self.ended = Some(outcome);
    }

    /// Stops the turn. The session counts what it has used until its end, for which nobody waits.
    fn give_up(&mut self) {
        match self.own.as_ref().map(|own| own.tally()) {
            Some(tally) if self.router.leave(self.token, Waiter::Left(Arc::clone(tally))) => {
                self.own = None;
                self.connection.abort_turn(self.token);
            }
            None if self.router.forget(self.token) => self.connection.cancel(self.token),
            _ => {
                // Its end has come, and nobody has looked.
                if let Ok(outcome) = self.outcome.try_recv() {
                    self.end(Ok(outcome));
                }
            }
        }
    }

    /// The last update of a turn that has a result.
    fn finish(&mut self) -> Option<TurnUpdate> {
        let told = std::mem::replace(&mut self.told, true);
        let result = self.ended.as_ref()?.as_ref().ok().filter(|_| !told)?;
        Some(TurnUpdate::Finished(Box::new(result.clone())))
    }

    /// The error of a turn that has ended with one.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.ended.as_ref()?.as_ref().err().cloned()
    }

    /// The next piece of the agent's text; `None` once the turn is over. All other events are left out, and the
    /// text of a run that is withdrawn later is not taken back. If this follower is asked for a permission in
    /// the meantime, the permission is denied.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next_text(&mut self) -> Option<String> {
        loop {
            if let TurnUpdate::Event(TurnEvent::AssistantDelta { text, .. }) = self.next().await? {
                return Some(text);
            }
        }
    }

    /// The updates as a stream, for combinators and `select!`: what [`Turn::next`] gives, and behind it the error of a
    /// turn that ends with one. Dropping it before the end stops the turn on the server.
    pub fn updates(self) -> TurnUpdates {
        TurnUpdates::new(self)
    }

    /// Stops the turn and says how it stands, from anywhere else than where it is followed.
    #[must_use]
    pub fn handle(&self) -> TurnHandle {
        TurnHandle::new(&self.connection, self.token)
    }

    /// How the turn stands, for people who wonder why it has not ended; `None` when it has. Blocks for a few
    /// microseconds.
    #[must_use]
    pub fn report(&self) -> Option<TurnReport> {
        self.connection.turn_report(self.token)
    }

    /// Waits for the turn's end. A permission that is asked of this follower meanwhile
    /// ([`crate::Approvals::Ask`]) is denied, because nobody else could answer it: read the updates first.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Client::run_turn`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped; it can be called again.
    pub async fn result(&mut self) -> Result<TurnResult, Error> {
        while self.ended.is_none() {
            tokio::select! {
                biased;
                outcome = &mut self.outcome => self.end(outcome),
                Some(request) = self.requests.recv() => request.fail(UNREAD),
            }
        }
        self.ended.clone().unwrap_or_else(|| Err(gone()))
    }

    /// Stops the turn on the server, or takes its input out of the queue, and waits for the end, for
    /// `abort_grace` at most. The result's status is then [`crate::TurnStatus::Aborted`], or whatever the turn had come
    /// to by itself. Where the server has not said by then where the input is, it is
    /// [`crate::TurnStatus::Disconnected`]: nothing could be sent, and the turn is stopped as soon as something can. [`Turn::handle`] is a stop button for
    /// other tasks.
    ///
    /// If the server answers another turn of this client together with this one ([`TurnResult::merged_with`]), only
    /// this one ends, and nothing is sent: the last of them is the one that stops the server. What other clients, or
    /// [`Client::input`](crate::Client::input), have put into the same run is aborted with it.
    ///
    /// # Errors
    ///
    /// Those of [`Turn::result`].
    pub async fn abort(&mut self) -> Result<TurnResult, Error> {
        self.connection.abort_turn(self.token);
        self.result().await
    }

    /// Lets the turn go on without anybody watching, and without limits. Its input is sent even where it still waits,
    /// also on the next connection, or when the client is closed: the close waits for the settle pause, for a second
    /// at most. Before a program ends, [`Client::close`](crate::Client::close) is what sends it. What could not be sent is
    /// counted ([`Counters::unsent`](crate::Counters::unsent)).
    ///
    /// What the turn allows runs as before, and what it denies is denied; the tools of its session are answered to its end.
    /// A permission that its policy, or whoever followed it, has not decided on is asked of the client's handlers; without
    /// any, it waits until an input comes behind it, and is decided as that one's would be.
    pub fn detach(mut self) {
        let waited_for = match self.own.take() {
            Some(own) => {
                own.tally().ended(self.token, None);
                self.router.leave(self.token, Waiter::Detached(own))
            }
            None => self.router.forget(self.token),
        };
        if waited_for {
            self.connection.detach_turn(self.token);
        }
        self.ended = Some(Err(gone()));
    }
}

/// `turn.await` is [`Turn::result`], which denies permissions that are asked of the follower; dropping the future stops the turn on the server.
impl IntoFuture for Turn {
    type Output = Result<TurnResult, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move { self.result().await })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.give_up();
        }
        if let Some(own) = self.own.take() {
            own.tally().ended(self.token, None);
        }
    }
}
