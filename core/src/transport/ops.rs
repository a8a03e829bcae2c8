//! What goes from the handle of a connection to its driver: one by one, each of which wakes the driver, or held
//! until a flush, which wakes it once for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::driver::Op;

/// What is held; nothing any more once the driver takes nothing.
type Held = Arc<Mutex<Option<Vec<Op>>>>;

/// What goes through the channel at once. What was held goes as one: the driver, which is on another processor, would
/// sleep again between two, and would have to be woken for each.
#[derive(Debug)]
enum Sent {
    One(Op),
    Held(Vec<Op>),
}

/// The handle's end.
#[derive(Debug)]
pub(crate) struct OpSender {
    ops: UnboundedSender<Sent>,
    held: Held,
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct OpReceiver {
    ops: UnboundedReceiver<Sent>,
    held: Held,
    /// What came together and was not taken, and what was held at the end.
    left: VecDeque<Op>,
}

pub(crate) fn channel() -> (OpSender, OpReceiver) {
    let (sender, receiver) = unbounded_channel();
    let held = Held::new(Mutex::new(Some(Vec::new())));
    (
        OpSender { ops: sender, held: Arc::clone(&held) },
        OpReceiver { ops: receiver, held, left: VecDeque::new() },
    )
}

fn lock(held: &Held) -> MutexGuard<'_, Option<Vec<Op>>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpSender {
    /// Sends an operation, behind what is held. `false` when the driver has ended.
    pub(crate) fn send(&self, op: Op) -> bool {
        self.flush();
        self.ops.send(Sent::One(op)).is_ok()
    }

    /// Holds one until the next flush. `false` when the driver has ended.
    pub(crate) fn hold(&self, op: Op) -> bool {
        lock(&self.held).as_mut().map(|held| held.push(op)).is_some()
    }

    /// Sends what is held.
    pub(crate) fn flush(&self) {
        // Under the lock, so that the driver gets what was held either here or from the channel.
        let mut held = lock(&self.held);
        if let Some(held) = held.as_mut().filter(|held| !held.is_empty()) {
            self.ops.send(Sent::Held(std::mem::take(held))).unwrap_or_default();
        }
    }
}

impl OpReceiver {
    pub(crate) async fn recv(&mut self) -> Option<Op> {
        loop {
            if let Some(op) = self.left.pop_front() {
                return Some(op);
            }
            match self.ops.recv().await? {
                Sent::One(op) => return Some(op),
                Sent::Held(ops) => self.left = ops.into(),
            }
        }
    }

    pub(crate) fn try_recv(&mut self) -> Result<Op, TryRecvError> {
        loop {
            if let Some(op) = self.left.pop_front() {
                return Ok(op);
            }
            match self.ops.try_recv()? {
                Sent::One(op) => return Ok(op),
                Sent::Held(ops) => self.left = ops.into(),
            }
        }
    }

    /// Nothing is taken any more. What was given before still comes, and what was held.
    pub(crate) fn close(&mut self) {
        self.left.extend(lock(&self.held).take().into_iter().flatten());
        self.ops.close();
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn what_is_held_goes_out_before_what_is_sent_later() {
        let (sender, mut receiver) = channel();
        assert!(sender.hold(op(1)) && sender.hold(op(2)));
        assert!(receiver.try_recv().is_err(), "nobody has flushed");
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
        left.sort_unstable();
        assert_eq!(left, [1, 2]);
    }
}
