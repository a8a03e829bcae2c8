//! What a subscriber of a client sees: frames, commands, and the end of the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::engine::{Channel, Delivery};
use crate::mailbox::{Mailbox, Sink};
use crate::message::Message;
use crate::protocol::Text;
use crate::protocol::envelope::Envelope;

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
    },
    /// The subscriber did not keep up, and this many events before here were dropped.
    Lagged {
        /// How many.
        dropped: u64,
    },
}

/// A subscription to a client's events, from the moment it was made. Dropping it ends it.
///
/// It holds at most 65,536 events or 64 MiB; then the oldest go, and [`Event::Lagged`] counts them.
#[derive(Debug)]
pub struct Events(pub(crate) Inbox);

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

/// Where one reader's deliveries are left. Dropping it tells the reader that there will be no more.
pub(crate) struct Outlet {
    /// There until the drop.
    mailbox: Option<Arc<Mailbox>>,
    bell: Arc<Notify>,
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // Before the bell: the reader tells the end by being the mailbox's only owner.
        drop(self.mailbox.take());
        self.bell.notify_one();
    }
}

/// The two ends of a subscription.
pub(crate) fn subscription() -> (Outlet, Inbox) {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let mailbox = Mailbox::new(move || ring.notify_one());
    mailbox.want_messages(true);
    let outlet = Outlet { mailbox: Some(Arc::clone(&mailbox)), bell: Arc::clone(&bell) };
    (outlet, Inbox { queue: VecDeque::new(), mailbox, bell })
}

impl Outlet {
    /// Leaves a delivery. `false` when the reader is gone.
    pub(crate) fn deliver(&mut self, delivery: Delivery) -> bool {
        let read = self.mailbox.as_mut().filter(|mailbox| Arc::strong_count(mailbox) > 1);
        read.map(|mailbox| mailbox.deliver(delivery)).is_some()
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
            self.queue = self.mailbox.drain();
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
    /// The next event; `None` once the client is closed and every event was seen.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            // Looked at before the inbox: what was left before the end is still delivered.
            let over = self.0.over();
            match self.0.take() {
                Some(delivery) => {
                    if let Some(event) = event(delivery) {
                        return Some(event);
                    }
                }
                None if over => return None,
                None => self.0.ready().await,
            }
        }
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

    fn lets_through(&self, text: &str) -> bool {
        if self.types.is_none() && self.runtime.is_none() {
            return true;
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
/// It holds as much as [`Events`] do; [`Messages::dropped`] counts what had to go.
#[derive(Debug)]
pub struct Messages {
    pub(crate) events: Events,
    pub(crate) filter: MessageFilter,
    pub(crate) dropped: u64,
    /// The connection it was made for is gone.
    pub(crate) lost: bool,
}

impl Messages {
    /// The next message that passes the filter; `None` once the connection was lost or the client is
    /// closed. A new subscription follows the next connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        while !self.lost {
            match self.events.next().await? {
                Event::Message(message) if self.filter.lets_through(message.text()) => {
                    return Some(message);
                }
                Event::Lagged { dropped } => self.dropped += dropped,
                Event::Disconnected { .. } => self.lost = true,
                _ => {}
            }
        }
        None
    }

    /// The next message that is there already.
    pub(crate) fn next_waiting(&mut self) -> Option<Message> {
        loop {
            match event(self.events.0.take()?) {
                Some(Event::Message(message)) if self.filter.lets_through(message.text()) => {
                    return Some(message);
                }
                Some(Event::Lagged { dropped }) => self.dropped += dropped,
                _ => {}
            }
        }
    }

    /// How many events, of all kinds, were dropped because this subscription did not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn event(delivery: Delivery) -> Option<Event> {
    Some(match delivery {
        Delivery::Message { channel, text, .. } => Event::Message(Message::new(channel, text)),
        Delivery::Sent { text } => Event::Sent(text),
        Delivery::Disconnected { channel, code, reason } => {
            Event::Disconnected { channel, code, reason }
        }
        Delivery::Lagged { dropped } => Event::Lagged { dropped },
        _ => return None,
    })
}
