//! What a subscriber of a client sees: frames, commands, and the end of the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::engine::{Channel, Delivery};
use crate::mailbox::{Mailbox, Sink};
use crate::message::Message;
use crate::protocol::Text;

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
pub struct Events(Inbox);

/// Deliveries that were left for one reader.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: VecDeque<Delivery>,
    subscriber: Subscriber,
}

/// The reader's end of a subscription.
#[derive(Clone)]
pub(crate) struct Subscriber {
    mailbox: Arc<Mailbox>,
    bell: Arc<Notify>,
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscriber")
    }
}

impl Subscriber {
    pub(crate) fn new() -> Self {
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let mailbox = Mailbox::new(move || ring.notify_one());
        mailbox.want_messages(true);
        Self { mailbox, bell }
    }

    pub(crate) fn inbox(self) -> Inbox {
        Inbox { queue: VecDeque::new(), subscriber: self }
    }

    pub(crate) fn events(self) -> Events {
        Events(self.inbox())
    }

    /// Leaves a delivery. `false` when the subscription was dropped.
    pub(crate) fn deliver(&mut self, delivery: Delivery) -> bool {
        // Ours and the subscription's; one of them gone means nobody reads.
        let alive = Arc::strong_count(&self.mailbox) > 1;
        if alive {
            self.mailbox.deliver(delivery);
        }
        alive
    }

    pub(crate) fn flush(&mut self) {
        self.mailbox.flush();
    }
}

impl Inbox {
    /// The next delivery that is there.
    pub(crate) fn take(&mut self) -> Option<Delivery> {
        if self.queue.is_empty() {
            self.queue = self.subscriber.mailbox.drain();
        }
        self.queue.pop_front()
    }

    /// Waits until something may be there.
    pub(crate) async fn ready(&self) {
        self.subscriber.bell.notified().await;
    }
}

impl Events {
    /// The next event.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Event {
        loop {
            match self.0.take() {
                Some(delivery) => {
                    if let Some(event) = event(delivery) {
                        return event;
                    }
                }
                None => self.0.ready().await,
            }
        }
    }
}

fn event(delivery: Delivery) -> Option<Event> {
    Some(match delivery {
        Delivery::Message { channel, text } => Event::Message(Message::new(channel, text)),
        Delivery::Sent { text } => Event::Sent(text),
        Delivery::Disconnected { channel, code, reason } => {
            Event::Disconnected { channel, code, reason }
        }
        Delivery::Lagged { dropped } => Event::Lagged { dropped },
        _ => return None,
    })
}
