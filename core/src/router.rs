//! Brings deliveries to the futures and subscriptions of the Rust client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::engine::{Channel, Delivery, Token, TurnResult};
use crate::error::{Error, ErrorKind};
use crate::events::Outlet;
use crate::mailbox::Sink;
use crate::message::Message;
use crate::protocol::Text;

/// Who waits for a token.
pub(crate) enum Waiter {
    Done(oneshot::Sender<Result<(), Error>>),
    Response(oneshot::Sender<Result<Message, Error>>),
    Turn(oneshot::Sender<Result<TurnResult, Error>>, Option<Outlet>),
    Manual(mpsc::UnboundedSender<Result<Message, Error>>),
}

#[derive(Default)]
struct State {
    waiting: HashMap<Token, Waiter>,
    subscribers: Vec<Outlet>,
    tools: Option<mpsc::UnboundedSender<Text>>,
    /// The driver has ended.
    over: bool,
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

    pub(crate) fn subscribe(&self, subscriber: Outlet) {
        self.with(|state| {
            if !state.over {
                state.subscribers.push(subscriber);
            }
        });
    }

    pub(crate) fn set_tools(&self, tools: mpsc::UnboundedSender<Text>) {
        self.with(|state| state.tools = Some(tools).filter(|_| !state.over));
    }

    /// Whether nobody takes tool calls any more.
    pub(crate) fn tools_gone(&self) -> bool {
        self.with(|state| state.tools.as_ref().is_none_or(mpsc::UnboundedSender::is_closed))
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
    fn publish(&mut self, delivery: &Delivery) {
        self.subscribers.retain_mut(|subscriber| subscriber.deliver(delivery.clone()));
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
            // A completion of another kind than the call's would be a defect; the call then ends as
            // interrupted, because its sender is dropped.
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
    fn deliver(&mut self, delivery: Delivery) {
        self.0.with(|state| match delivery {
            Delivery::Done { token } => state.complete(token, Outcome::Done),
            Delivery::Response { token, text, refused } => {
                let message = Message::new(Channel::Control, text);
                let outcome = if refused {
                    Outcome::Failed(refusal(&message))
                } else {
                    Outcome::Response(message)
                };
                state.complete(token, outcome);
            }
            Delivery::Candidate { token, text } => {
                if let Some(Waiter::Manual(to)) = state.waiting.get(&token) {
                    // Nobody listens any more: the guard of the call is about to say so.
                    to.send(Ok(Message::new(Channel::Control, text))).unwrap_or_default();
                }
            }
            Delivery::TurnEvent { token, .. } => {
                if let Some(Waiter::Turn(_, Some(follower))) = state.waiting.get_mut(&token) {
                    follower.deliver(delivery);
                    // Turns are few and their bells cheap: no list of those to ring.
                    follower.flush();
                }
            }
            Delivery::Turn { token, result } => state.complete(token, Outcome::Turn(result)),
            Delivery::Failed { token, error } => state.complete(token, Outcome::Failed(error)),
            Delivery::ToolCall { text } => {
                if let Some(tools) = &state.tools {
                    tools.send(text).unwrap_or_default();
                }
            }
            event => state.publish(&event),
        });
    }

    fn flush(&mut self) {
        self.0.with(|state| state.subscribers.iter_mut().for_each(Outlet::flush));
    }
}

/// The error of a response that says `success: false` or `accepted: false`.
fn refusal(message: &Message) -> Error {
    let json = message.json();
    let reason = match &json["error"] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "no reason given".to_owned(),
        other => other.to_string(),
    };
    Error::new(ErrorKind::Request, format!("`{}`: {reason}", message.kind()))
        .with_response(message.text())
}

/// The error of a call whose client is gone.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the client is closed")
}
