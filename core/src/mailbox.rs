//! Where the driver leaves deliveries for a thread of another language, with a bell that rings
//! once per burst.
//!
//! The queue is bounded: when it is full, the oldest frames that only message handlers want are
//! dropped and counted, never a completion or a tool call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Delivery;

/// The most items a mailbox holds by default.
pub const DEFAULT_MAX_ITEMS: usize = 65_536;

/// The most bytes of frames a mailbox holds by default: 64 MiB.
pub const DEFAULT_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What the driver writes deliveries to.
pub trait Sink: Send + 'static {
    /// Takes one delivery.
    fn deliver(&mut self, delivery: Delivery);
    /// The burst is over.
    fn flush(&mut self);
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    bytes: usize,
    dropped: u64,
    wants_messages: bool,
    rung: bool,
}

/// See the module's text.
pub struct Mailbox {
    state: Mutex<State>,
    max_items: usize,
    max_bytes: usize,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl Mailbox {
    /// A mailbox whose bell is rung when deliveries wait and the last ring was answered.
    #[must_use]
    pub fn new(bell: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Self::with_limits(DEFAULT_MAX_ITEMS, DEFAULT_MAX_BYTES, bell)
    }

    /// The same with limits of its own.
    #[must_use]
    pub fn with_limits(
        max_items: usize,
        max_bytes: usize,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = Mutex::new(State::default());
        Arc::new(Self { state, max_items, max_bytes, bell: Box::new(bell) })
    }

    /// Says whether frames are wanted that no call waits for. Without, they are not even queued.
    pub fn want_messages(&self, wanted: bool) {
        self.lock().wants_messages = wanted;
    }

    /// Takes everything that waits. A [`Delivery::Lagged`] stands where frames were dropped.
    #[must_use]
    pub fn drain(&self) -> VecDeque<Delivery> {
        let mut state = self.lock();
        // Before the queue is taken, so that what comes next rings again.
        state.rung = false;
        state.bytes = 0;
        let mut queue = std::mem::take(&mut state.queue);
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            queue.push_front(Delivery::Lagged { dropped });
        }
        queue
    }

    fn push(&self, delivery: Delivery) {
        let mut state = self.lock();
        if !state.wants_messages && delivery.droppable() {
            return;
        }
        state.bytes += delivery.weight();
        state.queue.push_back(delivery);
        while state.queue.len() > self.max_items || state.bytes > self.max_bytes {
            let Some(oldest) = state.queue.iter().position(Delivery::droppable) else {
                break;
            };
            if let Some(dropped) = state.queue.remove(oldest) {
                state.bytes -= dropped.weight();
                state.dropped += 1;
            }
        }
    }

    fn ring(&self) {
        let mut state = self.lock();
        if !state.queue.is_empty() && !std::mem::replace(&mut state.rung, true) {
            drop(state);
            (self.bell)();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Arc<Mailbox> {
    fn deliver(&mut self, delivery: Delivery) {
        self.push(delivery);
    }

    fn flush(&mut self) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::engine::Channel;

    fn message(text: &str) -> Delivery {
        Delivery::Message { channel: Channel::Control, text: text.into() }
    }

    #[test]
    fn the_bell_rings_once_per_burst() {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        let mut mailbox = Mailbox::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        mailbox.want_messages(true);
        for _ in 0..2 {
            mailbox.deliver(message("a"));
            mailbox.flush();
        }
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert_eq!(mailbox.drain().len(), 2);
        mailbox.flush();
        assert_eq!(rings.load(Ordering::SeqCst), 1, "nothing waits");
        mailbox.deliver(Delivery::Done { token: 1 });
        mailbox.flush();
        assert_eq!(rings.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn frames_nobody_wants_are_not_queued() {
        let mut mailbox = Mailbox::new(|| {});
        mailbox.deliver(message("a"));
        mailbox.deliver(Delivery::Done { token: 1 });
        assert!(matches!(mailbox.drain().pop_front(), Some(Delivery::Done { token: 1 })));
    }

    #[test]
    fn the_oldest_frames_go_and_are_counted_but_completions_stay() {
        let mut mailbox = Mailbox::with_limits(3, 1000, || {});
        mailbox.want_messages(true);
        mailbox.deliver(Delivery::Done { token: 1 });
        for text in ["a", "b", "c", "d"] {
            mailbox.deliver(message(text));
        }
        let left: Vec<_> = mailbox.drain().into_iter().collect();
        assert!(matches!(left[0], Delivery::Lagged { dropped: 2 }), "{left:?}");
        assert!(matches!(left[1], Delivery::Done { token: 1 }));
        assert!(matches!(&left[2], Delivery::Message { text, .. } if text.as_str() == "c"));
        assert_eq!(left.len(), 4);
    }
}
