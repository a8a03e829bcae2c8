//! What goes from the handle of a connection to its driver: one by one, each of which wakes the driver, or held
//! until a flush, which wakes it once for all of them.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

use super::driver::Op;
use super::leaving::Leaving;
use crate::room::Room;

/// See the module's text. A channel would have room for 32 operations from the start, for each connection.
#[derive(Default)]
struct Queue {
    ops: VecDeque<Op>,
    /// How many of them the driver may take; the others are held.
    ready: usize,
    /// The handle is gone, or the driver takes nothing any more.
    closed: bool,
    /// Of the driver, which waits.
    waker: Option<Waker>,
    /// How much of what the driver took has not left, as far as it was asked for.
    unsent: u64,
    /// All that ever leaves has left.
    left: bool,
    /// The driver has ended, and whoever closed it knows how much has not left.
    over: bool,
}

/// How much there is, and not what: commands have secrets and prompts in them, of whoever shares the connection.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("ops", &self.ops.len())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// All that is there may be taken. Says whom to wake: what comes together is taken together, for the driver, which is
    /// on another processor, would sleep again between two.
    fn release(&mut self) -> Option<Waker> {
        self.ready = self.ops.len();
        self.waker.take()
    }

    fn take(&mut self) -> Option<Op> {
        self.ready = self.ready.checked_sub(1)?;
        let op = self.ops.pop_front();
        self.ops.give_back();
        op
    }

    /// Answers those who wait for what leaves.
    fn leave(&mut self) {
        self.left = true;
        self.ops.retain(|op| !matches!(op, Op::Leave(_)));
        self.ready = self.ready.min(self.ops.len());
    }

    /// What has not left: of what the driver took, and what it has not taken.
    fn rest(&self) -> u64 {
        let commands = self.ops.iter().filter(|op| matches!(op, Op::Command(_)));
        if self.over { 0 } else { self.unsent + commands.count() as u64 }
    }
}

/// One that neither end keeps: for who comes when the process ends.
#[derive(Debug, Clone)]
pub(super) struct OpTap(Weak<Mutex<Queue>>);

impl OpTap {
    /// Whether the handle or the driver is there.
    pub(super) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Asks the driver to see to what has not left, behind all that it was given, and all that is held. Also when the
    /// handle is gone; not when there is nothing to wait for.
    pub(super) fn leave(&self, leaving: Leaving) {
        let Some(queue) = self.0.upgrade() else { return };
        let mut queue = lock(&queue);
        if queue.left || queue.over {
            return;
        }
        queue.ops.push_back(Op::Leave(leaving));
        let waker = queue.release();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    /// How much has not left.
    pub(super) fn rest(&self) -> u64 {
        self.0.upgrade().map_or(0, |queue| lock(&queue).rest())
    }
}

/// The handle's end.
#[derive(Debug)]
pub(crate) struct OpSender(Arc<Mutex<Queue>>);

/// For whoever has something to tell the driver without keeping it running.
#[derive(Debug)]
pub(crate) struct OpTeller(Arc<Mutex<Queue>>);

/// The driver's end.
#[derive(Debug)]
pub(crate) struct OpReceiver(Arc<Mutex<Queue>>);

pub(crate) fn channel() -> (OpSender, OpReceiver) {
    let queue = Arc::<Mutex<Queue>>::default();
    (OpSender(Arc::clone(&queue)), OpReceiver(queue))
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpSender {
    pub(super) fn tap(&self) -> OpTap {
        OpTap(Arc::downgrade(&self.0))
    }

    /// Sends an operation, behind what is held. `false` when the driver has ended.
    pub(crate) fn send(&self, op: Op) -> bool {
        self.hold(op) && {
            self.flush();
            true
        }
    }

    /// Holds one until the next flush. `false` when the driver has ended.
    pub(crate) fn hold(&self, op: Op) -> bool {
        let mut queue = lock(&self.0);
        if !queue.closed {
            queue.ops.push_back(op);
        }
        !queue.closed
    }

    /// Sends what is held.
    pub(crate) fn flush(&self) {
        let waker = lock(&self.0).release();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Drop for OpSender {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.closed = true;
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl OpTeller {
    /// Sends an operation, if the driver takes any.
    pub(crate) fn tell(&self, op: Op) {
        let mut queue = lock(&self.0);
        if queue.closed {
            return;
        }
        queue.ops.push_back(op);
        let waker = queue.release();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl OpReceiver {
    pub(crate) fn teller(&self) -> OpTeller {
        OpTeller(Arc::clone(&self.0))
    }

    /// The next operation; `None` when the handle is gone.
    pub(crate) async fn recv(&mut self) -> Option<Op> {
        poll_fn(|cx| {
            let mut queue = lock(&self.0);
            match queue.take() {
                None if !queue.closed => {
                    queue.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                op => Poll::Ready(op),
            }
        })
        .await
    }

    /// The next one, if there is one.
    pub(crate) fn try_recv(&mut self) -> Option<Op> {
        lock(&self.0).take()
    }

    /// Nothing is taken any more. What was given before still comes, and what was held.
    pub(crate) fn close(&mut self) {
        let mut queue = lock(&self.0);
        queue.closed = true;
        queue.ready = queue.ops.len();
    }

    /// How much of what was taken has not left.
    pub(crate) fn tell_unsent(&mut self, unsent: u64) {
        lock(&self.0).unsent = unsent;
    }

    /// All that ever leaves has left: whoever waits for that is answered.
    pub(crate) fn left(&mut self) {
        lock(&self.0).leave();
    }
}

impl Drop for OpReceiver {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.over = true;
        queue.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    fn op(token: u64) -> Op {
        Op::Connect { token }
    }

    fn token(op: Option<Op>) -> Option<u64> {
        match op? {
            Op::Connect { token } => Some(token),
            _ => None,
        }
    }

    #[test]
    fn what_waits_is_counted_and_not_shown() {
        let (sender, receiver) = channel();
        assert!(sender.hold(op(4711)));
        for told in [format!("{sender:?}"), format!("{receiver:?}")] {
            assert!(told.contains("ops: 1") && !told.contains("4711"), "{told}");
        }
    }

    #[tokio::test]
    async fn what_is_held_goes_out_before_what_is_sent_later() {
        let (sender, mut receiver) = channel();
        assert!(sender.hold(op(1)) && sender.hold(op(2)));
        assert!(receiver.try_recv().is_none(), "nobody has flushed");
        assert!(sender.send(op(3)));
        assert!(sender.hold(op(4)));
        sender.flush();
        for expected in 1..=4 {
            assert_eq!(token(receiver.recv().await), Some(expected));
        }
    }

    #[tokio::test]
    async fn what_is_held_at_the_end_comes_too_and_nothing_after_it() {
        let (sender, mut receiver) = channel();
        assert!(sender.send(op(1)) && sender.hold(op(2)));
        receiver.close();
        assert!(!sender.hold(op(3)) && !sender.send(op(4)));
        sender.flush();
        let mut left = Vec::new();
        while let Some(op) = receiver.recv().await {
            left.extend(token(Some(op)));
        }
        assert_eq!(left, [1, 2]);
    }

    #[tokio::test]
    async fn who_waits_is_woken_once_for_what_was_held_and_at_the_end() {
        struct Woken(AtomicUsize);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let times = || woken.0.load(Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let (sender, mut receiver) = channel();
        assert!(pin!(receiver.recv()).poll(&mut cx).is_pending());
        assert!(sender.hold(op(1)) && sender.hold(op(2)));
        assert_eq!(times(), 0);
        sender.flush();
        assert_eq!(times(), 1);
        assert_eq!(token(receiver.recv().await), Some(1));
        assert_eq!(token(receiver.try_recv()), Some(2));
        assert!(pin!(receiver.recv()).poll(&mut cx).is_pending());
        drop(sender);
        assert_eq!(times(), 2);
        assert!(receiver.recv().await.is_none());
    }
}
