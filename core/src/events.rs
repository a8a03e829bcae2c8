//! What a subscriber of a client sees: frames, commands, and the end of the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::backpressure::Backpressure;
use crate::engine::{Channel, Delivery};
use crate::error::Error;
use crate::mailbox::{Mailbox, Sink};
use crate::message::Message;
use crate::protocol::Text;
use crate::protocol::envelope::Envelope;
use crate::router::Router;
use crate::state::State;

/// One thing a subscriber sees.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A frame from the server.
    Message(Message),
    /// A command that was handed over for sending, or one the engine sends by itself.
    Sent(Text),
    /// The connection ended without the user closing it.
    Disconnected {
        /// The socket that ended.
        channel: Channel,
        /// The close code; 1006 where there was no close frame.
        code: u16,
        /// What happened, in words.
        reason: String,
        /// Whether the client opens it again by itself.
        will_reconnect: bool,
    },
    /// The state of the client's connection has changed, see [`Delivery::State`].
    State {
        /// The state now.
        state: State,
        /// Why there is no connection, where one was lost.
        error: Option<Error>,
    },
    /// A runtime of a lost connection could not be restored on the next one.
    RestoreFailed {
        /// Its agent.
        agent_id: String,
        /// Its conversation.
        conversation_id: String,
        /// Why.
        error: Error,
    },
    /// What a tool answered could not be sent: it was no result, or too large. The server was told of an error of the
    /// tool instead.
    ToolRefused {
        /// The `request_id` of the call.
        request_id: String,
        /// The tool.
        tool_name: String,
        /// What was wrong with it; it is what the model was told.
        reason: String,
    },
    /// The token is sent over a network without encryption, to a host that is not this machine. Reported once,
    /// before the first attempt to connect.
    InsecureToken {
        /// Where to, and what to do about it.
        reason: String,
    },
    /// The recording ([`crate::RecordOptions`]) lacks lines: they could not be written, came faster than they could be,
    /// or were no JSON. Reported once for each of these reasons;
    /// [`Counters::unrecorded`](crate::engine::Counters::unrecorded) counts the lines.
    Unrecorded {
        /// Which recording, and why.
        reason: String,
    },
    /// The subscriber did not keep up, and this many events before here were dropped.
    Lagged {
        /// How many.
        dropped: u64,
    },
    /// The subscription has ended: its reader did not keep up, and its policy is
    /// [`crate::Overflow::Raise`]. It is the last event.
    Failed(Error),
}

/// A subscription to a client's events, from the moment it was made. Dropping it ends it.
///
/// It holds at most 65,536 events or 64 MiB, or what [`crate::Client::events_with`] was given; then the oldest
/// are dropped, and [`Event::Lagged`] counts them. Frames that end a turn or a terminal, ask for a permission or
/// call a tool are never dropped; only they may exceed the limit. With
/// [`crate::Overflow::Raise`] the subscription ends instead.
#[derive(Debug)]
#[must_use = "dropping a subscription ends it"]
pub struct Events {
    /// Not there any more once the last event was given: what would come takes no room.
    inbox: Option<Inbox>,
}

/// Deliveries that were left for one reader.
pub(crate) struct Inbox {
    queue: VecDeque<Delivery>,
    mailbox: Arc<Mailbox>,
    bell: Arc<Notify>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // The outlet stays until somebody looks at it, which on a quiet connection may be late; what waits goes now.
        drop(self.mailbox.drain_some(usize::MAX));
    }
}

/// How many deliveries a reader takes at once.
const BATCH: usize = 256;

/// Where one reader's deliveries are left. Dropping it tells the reader that there will be no more.
pub(crate) struct Outlet {
    /// There until the drop.
    mailbox: Option<Arc<Mailbox>>,
    bell: Arc<Notify>,
    /// Which deliveries it is for; all without one.
    filter: Option<MessageFilter>,
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // Before the bell: the reader tells the end by being the mailbox's only owner.
        drop(self.mailbox.take());
        self.bell.notify_one();
    }
}

/// The two ends of a subscription to everything, or to the messages that pass a filter.
pub(crate) fn subscription(limits: Backpressure, filter: Option<MessageFilter>) -> (Outlet, Inbox) {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let mailbox = Mailbox::bounded(limits, move || ring.notify_one());
    mailbox.want_messages(true);
    let outlet = Outlet { mailbox: Some(Arc::clone(&mailbox)), bell: Arc::clone(&bell), filter };
    (outlet, Inbox { queue: VecDeque::new(), mailbox, bell })
}

impl Outlet {
    /// Leaves a delivery. `false` when the reader is gone.
    pub(crate) fn deliver(&mut self, delivery: Delivery) -> bool {
        let read = self.mailbox.as_mut().filter(|mailbox| Arc::strong_count(mailbox) > 1);
        read.map(|mailbox| mailbox.deliver(delivery)).is_some()
    }

    /// The same for a delivery that others get, too: it is left if it passes the filter.
    pub(crate) fn offer(&mut self, delivery: &Delivery) -> bool {
        if self.filter.as_ref().is_none_or(|filter| filter.wants(delivery)) {
            return self.deliver(delivery.clone());
        }
        self.is_read()
    }

    /// Whether the reader is still there.
    pub(crate) fn is_read(&self) -> bool {
        self.mailbox.as_ref().is_some_and(|mailbox| Arc::strong_count(mailbox) > 1)
    }

    pub(crate) fn flush(&mut self) {
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.flush();
        }
    }
}

impl Inbox {
    /// The next delivery that is there.
    pub(crate) fn take(&mut self) -> Option<Delivery> {
        if self.queue.is_empty() {
            self.queue = self.mailbox.drain_some(BATCH);
        }
        self.queue.pop_front()
    }

    /// Waits until something may be there, or there will be no more.
    pub(crate) async fn ready(&self) {
        if !self.over() {
            self.bell.notified().await;
        }
    }

    /// Whether nothing more will be left.
    pub(crate) fn over(&self) -> bool {
        Arc::strong_count(&self.mailbox) == 1
    }
}

impl Events {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self { inbox: Some(inbox) }
    }

    /// The next event; `None` once the client is closed and every event was seen, and behind [`Event::Failed`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let inbox = self.inbox.as_mut()?;
            // Looked at before the inbox: what was left before the end is still delivered.
            let over = inbox.over();
            match inbox.take() {
                Some(delivery) => {
                    if let Some(event) = self.given(delivery) {
                        return Some(event);
                    }
                }
                None if over => return None,
                None => inbox.ready().await,
            }
        }
    }

    /// The next event that is there already.
    fn waiting(&mut self) -> Option<Event> {
        loop {
            let delivery = self.inbox.as_mut()?.take()?;
            if let Some(event) = self.given(delivery) {
                return Some(event);
            }
        }
    }

    /// What a delivery is for the reader.
    fn given(&mut self, delivery: Delivery) -> Option<Event> {
        let event = event(delivery);
        if let Some(Event::Failed(_)) = event {
            self.end();
        }
        event
    }

    /// Nothing more is wanted.
    fn end(&mut self) {
        self.inbox = None;
    }
}

/// Which messages a subscription is for; everything by default.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    types: Option<Vec<String>>,
    runtime: Option<(String, String)>,
}

impl MessageFilter {
    /// Every message.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only messages of these types.
    #[must_use]
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// Only messages of this runtime.
    #[must_use]
    pub fn runtime(mut self, agent: impl Into<String>, conversation: impl Into<String>) -> Self {
        self.runtime = Some((agent.into(), conversation.into()));
        self
    }

    /// Whether a delivery is for a subscription to messages: the end of a connection always is.
    fn wants(&self, delivery: &Delivery) -> bool {
        match delivery {
            Delivery::Message { kind, text, .. } => self.lets_through(*kind, text),
            Delivery::Sent { .. } => false,
            _ => true,
        }
    }

    /// Judges a frame by its type, where the catalog knows that, without looking into it.
    fn lets_through(&self, kind: Option<&str>, text: &str) -> bool {
        let judged = match (&self.types, kind) {
            (None, _) => Some(true),
            (Some(types), Some(kind)) => Some(types.iter().any(|wanted| wanted == kind)),
            (Some(_), None) => None,
        };
        match judged {
            Some(true) if self.runtime.is_none() => return true,
            Some(false) => return false,
            _ => {}
        }
        let Ok(envelope) = Envelope::read(text) else { return false };
        let of_type = |types: &Vec<String>| types.iter().any(|wanted| *wanted == envelope.kind);
        let of_runtime = |(agent, conversation): &(String, String)| {
            let scope = envelope.runtime.as_ref();
            scope.is_some_and(|scope| {
                scope.agent_id == *agent && scope.conversation_id == *conversation
            })
        };
        self.types.as_ref().is_none_or(of_type) && self.runtime.as_ref().is_none_or(of_runtime)
    }
}

/// A subscription to messages of the server, from the moment it was made. Dropping it ends it.
///
/// It holds as much as [`Events`] do, or what [`crate::Client::messages_with`] was given; only messages that pass
/// its filter count. [`Messages::dropped`] counts what was dropped.
#[derive(Debug)]
#[must_use = "dropping a subscription ends it"]
pub struct Messages {
    events: Events,
    dropped: u64,
    /// It ends with the connection, because what it is for does.
    pub(crate) of_connection: bool,
    /// The connection is gone, and so is the subscription.
    lost: bool,
    /// Which knows whether there will be another connection.
    router: Router,
    error: Option<Error>,
}

impl Messages {
    pub(crate) fn new(inbox: Inbox, router: Router) -> Self {
        Self {
            events: Events::new(inbox),
            dropped: 0,
            of_connection: false,
            lost: false,
            router,
            error: None,
        }
    }

    /// The next message that passes the filter; `None` once the client is closed, the connection was lost
    /// and is not opened again by itself, or the subscription has ended because it lagged
    /// ([`Messages::error`]). A new subscription follows the next connection; where it would wait while nobody
    /// connects ([`Client::connect`](crate::Client::connect)), it ends as well. So does one that waits when the first
    /// attempt fails. Before that it waits for the first connection, however long the program takes to connect.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        while !self.lost {
            let event = match self.events.waiting() {
                Some(event) => event,
                // Once more: what came before the end is read first.
                None if self.router.gone() => match self.events.waiting() {
                    Some(event) => event,
                    None => break,
                },
                None => self.events.next().await?,
            };
            match event {
                Event::Message(message) => return Some(message),
                Event::Lagged { dropped } => self.dropped += dropped,
                Event::Disconnected { will_reconnect, .. } => {
                    self.lost = self.of_connection || !will_reconnect;
                }
                // A lost connection will not come back, or an attempt has failed; another may run by now.
                Event::State { state: State::Disconnected, error } => {
                    self.lost = error.is_some() || self.router.gone();
                }
                Event::Failed(error) => self.fail(error),
                _ => {}
            }
        }
        self.events.end();
        None
    }

    /// The next message that is there already.
    pub(crate) fn next_waiting(&mut self) -> Option<Message> {
        loop {
            match self.events.waiting()? {
                Event::Message(message) => return Some(message),
                Event::Lagged { dropped } => self.dropped += dropped,
                Event::Failed(error) => self.fail(error),
                _ => {}
            }
        }
    }

    /// Its reader did not keep up, and wanted to be told.
    fn fail(&mut self, error: Error) {
        self.dropped += error.dropped_count().unwrap_or_default();
        self.lost = true;
        self.error = Some(error);
    }

    /// How many messages that pass the filter were dropped because this subscription did not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Why it ended, where that was for lagging: [`crate::ErrorKind::Lagged`], with
    /// [`crate::Overflow::Raise`] only.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

fn event(delivery: Delivery) -> Option<Event> {
    Some(match delivery {
        Delivery::Message { channel, text, .. } => Event::Message(Message::new(channel, text)),
        Delivery::Sent { text } => Event::Sent(text),
        Delivery::Disconnected { channel, code, reason, will_reconnect } => {
            Event::Disconnected { channel, code, reason, will_reconnect }
        }
        Delivery::State { state, error } => Event::State { state, error },
        Delivery::InsecureToken { reason } => Event::InsecureToken { reason },
        Delivery::Unrecorded { reason } => Event::Unrecorded { reason },
        Delivery::RestoreFailed { agent_id, conversation_id, error } => {
            Event::RestoreFailed { agent_id, conversation_id, error }
        }
        Delivery::ToolRefused { request_id, tool_name, reason } => {
            Event::ToolRefused { request_id, tool_name, reason }
        }
        Delivery::Lagged { dropped, .. } => Event::Lagged { dropped },
        Delivery::Failed { error, .. } => Event::Failed(error),
        _ => return None,
    })
}
