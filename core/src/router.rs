//! Brings deliveries to the futures and subscriptions of the Rust client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{mpsc, oneshot};

use crate::approvals::ApprovalRequest;
use crate::connection::Connection;
use crate::engine::{Channel, Delivery, Token, TurnResult, refusal};
use crate::error::{Error, ErrorKind};
use crate::events::Outlet;
use crate::mailbox::Sink;
use crate::message::Message;
use crate::protocol::Text;
use crate::protocol::frames::ToolCallFrame;
use crate::session::{Own, Tally};
use crate::state::State as Connected;
use crate::tool::{Called, NOBODY, Scope, ToolRoutes};

/// With fewer subscribers nobody looks for readers that are gone.
const SWEEP_FROM: usize = 16;

/// Who waits for a token.
pub(crate) enum Waiter {
    Done(oneshot::Sender<Result<(), Error>>),
    Response(oneshot::Sender<Result<Message, Error>>),
    Turn(oneshot::Sender<Result<TurnResult, Error>>, Option<Follower>),
    Manual(mpsc::UnboundedSender<Result<Message, Error>>),
    /// Nobody waits for the turn any more, but what it used counts.
    Left(Arc<Tally>),
    /// Nobody waits for the turn any more, but until its end it needs what its session brings.
    Detached(Arc<Own>),
}

/// Where a turn's follower takes what happens.
pub(crate) struct Follower {
    pub(crate) events: Outlet,
    pub(crate) requests: mpsc::UnboundedSender<ApprovalRequest>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Token, Waiter>,
    subscribers: Vec<Outlet>,
    /// With so many subscribers, those whose readers are gone are looked for before there are more.
    sweep_at: usize,
    tools: ToolRoutes,
    /// Tool calls that run, by `request_id`. The value is dropped, or told why, when they need not.
    running: HashMap<String, oneshot::Sender<String>>,
    approvers: HashMap<Token, mpsc::UnboundedSender<ApprovalRequest>>,
    /// Permission questions that are open. The value is dropped when no answer is wanted any more.
    asked: HashMap<u64, oneshot::Sender<()>>,
    connection: Weak<Connection>,
    /// The turn whose follower has been told of something, and waits for its bell.
    told: Option<Token>,
    /// The driver has ended.
    over: bool,
    standing: Standing,
}

/// Whether anything will come for those who read.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// There is no connection: it was lost and is not opened again by itself, or no attempt has succeeded.
    gone: bool,
    /// The user connects, and what comes of it is not known yet.
    attempting: bool,
}

/// What the driver holds.
pub(crate) struct RouterSink(Router);

impl Drop for RouterSink {
    fn drop(&mut self) {
        // Taken out first: dropping them wakes their readers, who may look in here at once.
        let ended =
            self.0.with(|state| std::mem::replace(state, State { over: true, ..State::default() }));
        drop(ended);
    }
}

/// See the module's text.
#[derive(Clone, Default)]
pub(crate) struct Router(Arc<Mutex<State>>);

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Router")
    }
}

impl Router {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The driver's end. Once it is dropped nothing waits any more.
    pub(crate) fn sink(&self) -> RouterSink {
        RouterSink(self.clone())
    }

    /// Waits for a token. After the driver's end the waiter is dropped, which its call sees.
    pub(crate) fn wait(&self, token: Token, waiter: Waiter) {
        self.with(|state| {
            if !state.over {
                state.waiting.insert(token, waiter);
            }
        });
    }

    pub(crate) fn forget(&self, token: Token) -> bool {
        self.with(|state| state.waiting.remove(&token).is_some())
    }

    /// Nobody waits for a turn's result any more; what is put in that place stays to the turn's end. `false` when the
    /// turn was not waited for.
    pub(crate) fn leave(&self, token: Token, instead: Waiter) -> bool {
        let left = self.with(|state| {
            let waiter = state.waiting.get_mut(&token)?;
            Some(std::mem::replace(waiter, instead))
        });
        // What it held is dropped outside the lock.
        left.is_some()
    }

    pub(crate) fn subscribe(&self, subscriber: Outlet) {
        self.with(|state| {
            if !state.over {
                state.sweep();
                state.subscribers.push(subscriber);
            }
        });
    }

    /// The user connects: whoever reads waits for what comes of it.
    pub(crate) fn attempt(&self) {
        self.with(|state| state.standing.attempting = true);
    }

    /// Whether nothing comes any more, unless somebody connects again. What came before is there for its readers.
    pub(crate) fn gone(&self) -> bool {
        self.with(|state| {
            let gone = state.standing.gone && !state.standing.attempting;
            if gone {
                state.subscribers.iter_mut().for_each(Outlet::flush);
            }
            gone
        })
    }

    /// Takes permission questions for a handler.
    pub(crate) fn add_approver(
        &self,
        token: Token,
        requests: mpsc::UnboundedSender<ApprovalRequest>,
    ) {
        self.with(|state| {
            if !state.over {
                state.approvers.insert(token, requests);
            }
        });
    }

    pub(crate) fn forget_approver(&self, token: Token) {
        let gone = self.with(|state| state.approvers.remove(&token));
        // Outside the lock.
        drop(gone);
    }

    /// The connection that answers are sent on.
    pub(crate) fn set_connection(&self, connection: &Arc<Connection>) {
        self.with(|state| state.connection = Arc::downgrade(connection));
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        self.with(|state| state.connection.upgrade())
    }

    /// Sends a tool's answer.
    pub(crate) fn answer_tool(&self, request_id: &str, answer: Result<String, String>) {
        self.with(|state| state.running.remove(request_id));
        if let Some(connection) = self.connection() {
            connection.answer_tool(request_id.to_owned(), answer);
        }
    }

    /// Sends the answer to a permission question.
    pub(crate) fn answer_approval(&self, ask: u64, answer: Result<String, String>) {
        self.with(|state| state.asked.remove(&ask));
        if let Some(connection) = self.connection() {
            connection.answer_approval(ask, answer);
        }
    }

    /// A permission question has found its reader gone.
    pub(crate) fn return_approval(&self, ask: u64) {
        self.with(|state| state.asked.remove(&ask));
        if let Some(connection) = self.connection() {
            connection.return_approval(ask);
        }
    }

    /// What keeps a decision from being the answer to a permission question.
    pub(crate) fn check_decision(&self, question: &str, decision: &str) -> Result<(), String> {
        self.connection().map_or(Ok(()), |connection| connection.check_decision(question, decision))
    }

    /// Hands a permission question to its handler, the follower of a turn or one of the client.
    fn ask(&self, token: Token, ask: u64, text: Text) {
        let (over, told) = oneshot::channel();
        let request = ApprovalRequest::new(text, ask, told, self.clone());
        let left = self.with(|state| {
            state.asked.insert(ask, over);
            let to = match state.waiting.get(&token) {
                Some(Waiter::Turn(_, Some(follower))) => Some(&follower.requests),
                _ => state.approvers.get(&token),
            };
            match to {
                Some(to) => to.send(request).err().map(|unsent| unsent.0),
                None => Some(request),
            }
        });
        // Outside the lock.
        if let Some(request) = left {
            request.give_back();
        }
    }

    /// Changes who answers tool calls, and tells the engine whether anybody does.
    pub(crate) fn route_tools<T>(&self, change: impl FnOnce(&mut ToolRoutes) -> T) {
        let gone = self.with(|state| {
            if state.over {
                return None;
            }
            let before = state.tools.handled();
            let gone = change(&mut state.tools);
            let handled = state.tools.handled();
            // Within the lock: the engine has to hear of two changes in their order.
            if handled != before
                && let Some(connection) = state.connection.upgrade()
            {
                connection.handle_tools(handled);
            }
            Some(gone)
        });
        // Outside the lock: calls that were not taken answer themselves.
        drop(gone);
    }

    pub(crate) fn settle_tools(&self, token: Token, scope: &Scope) {
        self.route_tools(|tools| tools.settle(token, scope));
    }

    pub(crate) fn remove_tools(&self, token: Token) {
        self.route_tools(|tools| tools.remove(token));
    }

    /// Hands a tool call to whoever it is for.
    fn call_tool(&self, text: Text) {
        let Ok(frame) = serde_json::from_str::<ToolCallFrame>(&text) else { return };
        let ToolCallFrame { request_id, runtime, tool_name: name, .. } = frame;
        let (agent, conversation) =
            runtime.map(|scope| (scope.agent_id, scope.conversation_id)).unzip();
        let (over, told) = oneshot::channel();
        let (id, router, answered) = (request_id.clone(), self.clone(), false);
        let call = Called { text, request_id, over: told, router, answered };
        // What nobody takes is answered outside the lock.
        let left = self.with(|state| {
            state.running.insert(id, over);
            match state.tools.find(&Scope { agent, conversation }, &name) {
                Some(to) => to.send(call).err().map(|unsent| unsent.0),
                None => Some(call),
            }
        });
        if let Some(mut call) = left {
            call.answer(Err(NOBODY.to_owned()));
        }
    }

    /// Tells the subscribers of a request the user made, unless the engine does.
    pub(crate) fn asked(&self, text: Option<&Text>) {
        if let Some(text) = text {
            self.sent(text);
        }
    }

    /// Tells the subscribers of a command the user sent.
    pub(crate) fn sent(&self, text: &Text) {
        self.with(|state| {
            state.publish(&Delivery::Sent { text: text.clone() });
            state.subscribers.iter_mut().for_each(Outlet::flush);
        });
    }
}

impl State {
    /// Lets go of subscribers whose readers are gone, when there are twice as many as there were readers the last
    /// time. A delivery notices them as well, but a quiet connection has none.
    fn sweep(&mut self) {
        if self.subscribers.len() >= self.sweep_at {
            self.subscribers.retain(Outlet::is_read);
            self.sweep_at = (2 * self.subscribers.len()).max(SWEEP_FROM);
        }
    }

    fn publish(&mut self, delivery: &Delivery) {
        self.subscribers.retain_mut(|subscriber| subscriber.offer(delivery));
    }

    /// Completes a call. Whoever gave up waiting gets nothing, and nobody else does.
    fn complete(&mut self, token: Token, outcome: Outcome) {
        let Some(waiter) = self.waiting.remove(&token) else {
            return;
        };
        match (waiter, outcome) {
            (Waiter::Done(to), Outcome::Failed(error)) => drop(to.send(Err(error))),
            (Waiter::Response(to), Outcome::Failed(error)) => drop(to.send(Err(error))),
            (Waiter::Turn(to, _), Outcome::Failed(error)) => drop(to.send(Err(error))),
            (Waiter::Manual(to), Outcome::Failed(error)) => drop(to.send(Err(error))),
            (Waiter::Done(to), Outcome::Done) => drop(to.send(Ok(()))),
            (Waiter::Response(to), Outcome::Response(message)) => drop(to.send(Ok(message))),
            (Waiter::Turn(to, _), Outcome::Turn(result)) => drop(to.send(Ok(*result))),
            (Waiter::Left(tally), Outcome::Turn(result)) => tally.ended(token, Some(&result)),
            (Waiter::Left(tally), Outcome::Failed(error)) => tally.ended(token, error.result()),
            (Waiter::Detached(own), _) => drop(own),
            // A completion of another kind than the call's would be a defect; the call then ends as
            // interrupted, because its sender is dropped.
            _ => {}
        }
    }

    /// Hands a delivery to whom it is for; gives it back where that asks somebody.
    fn take(&mut self, delivery: Delivery) -> Option<Delivery> {
        match delivery {
            Delivery::Approval { .. } | Delivery::ToolCall { .. } => return Some(delivery),
            Delivery::Done { token } => self.complete(token, Outcome::Done),
            Delivery::Response { token, text, refused, .. } => {
                let message = Message::new(Channel::Control, text);
                let outcome = if refused {
                    Outcome::Failed(refusal(message.text()))
                } else {
                    Outcome::Response(message)
                };
                self.complete(token, outcome);
            }
            Delivery::Candidate { token, text } => {
                if let Some(Waiter::Manual(to)) = self.waiting.get(&token) {
                    // Nobody listens any more: the guard of the call is about to say so.
                    to.send(Ok(Message::new(Channel::Control, text))).unwrap_or_default();
                }
            }
            Delivery::TurnEvent { token, .. } => {
                if self.told != Some(token) {
                    self.ring();
                    self.told = Some(token);
                }
                if let Some(Waiter::Turn(_, Some(follower))) = self.waiting.get_mut(&token) {
                    follower.events.deliver(delivery);
                }
            }
            // These ring for a follower by dropping where it is told.
            Delivery::Turn { token, result } => self.complete(token, Outcome::Turn(result)),
            Delivery::Failed { token, error } => self.complete(token, Outcome::Failed(error)),
            Delivery::ToolOver { request_id, reason } => {
                if let Some(call) = self.running.remove(&request_id) {
                    // Whoever ran it may have gone.
                    call.send(reason).unwrap_or_default();
                }
            }
            Delivery::ApprovalOver { ask, .. } => drop(self.asked.remove(&ask)),
            event => {
                if let Delivery::State { state, .. } = &event {
                    self.standing.changed(*state);
                }
                self.publish(&event);
            }
        }
        None
    }

    /// Rings for the follower that was told of something last.
    fn ring(&mut self) {
        let told = self.told.take().and_then(|token| self.waiting.get_mut(&token));
        if let Some(Waiter::Turn(_, Some(follower))) = told {
            follower.events.flush();
        }
    }
}

impl Standing {
    fn changed(&mut self, state: Connected) {
        self.attempting = state == Connected::Connecting;
        match state {
            Connected::Open => self.gone = false,
            Connected::Disconnected => self.gone = true,
            _ => {}
        }
    }
}

enum Outcome {
    Done,
    Response(Message),
    Turn(Box<TurnResult>),
    Failed(Error),
}

impl Sink for RouterSink {
    fn hears(&self) -> bool {
        self.0.with(|state| !state.subscribers.is_empty())
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.deliver_all(std::iter::once(delivery));
    }

    fn deliver_all(&mut self, mut deliveries: impl Iterator<Item = Delivery>) {
        loop {
            // What asks somebody looks in here by itself.
            let asks = self.0.with(|state| {
                let asks = deliveries.find_map(|delivery| state.take(delivery));
                state.ring();
                asks
            });
            match asks {
                Some(Delivery::Approval { token, ask, text }) => self.0.ask(token, ask, text),
                Some(Delivery::ToolCall { text }) => self.0.call_tool(text),
                _ => return,
            }
        }
    }

    fn flush(&mut self) {
        self.0.with(|state| state.subscribers.iter_mut().for_each(Outlet::flush));
    }
}

/// The error of a call whose client is gone.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the client is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backpressure::Backpressure;
    use crate::events::subscription;

    #[test]
    fn subscriptions_that_were_dropped_do_not_pile_up_where_nothing_comes() {
        let router = Router::default();
        let subscribe = || {
            let (outlet, inbox) = subscription(Backpressure::default(), None);
            router.subscribe(outlet);
            inbox
        };
        let kept: Vec<_> = (0..100).map(|_| subscribe()).collect();
        for _ in 0..10_000 {
            drop(subscribe());
        }
        let (all, read) = router.with(|state| {
            let read = state.subscribers.iter().filter(|subscriber| subscriber.is_read());
            (state.subscribers.len(), read.count())
        });
        assert_eq!(read, kept.len());
        assert!(all <= 2 * kept.len(), "{all}");
    }
}
