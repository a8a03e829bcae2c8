//! What the WebSocket is given to read and write: a stream that says it would block where it has to wait, and
//! wakes the task that polled last when it need not any more.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::ahead::Ahead;
use super::http::Io;

/// See the module's text.
pub(super) struct Wire {
    io: Box<dyn Io>,
    /// What came with the answer's head and is not read yet, and what was read ahead.
    ahead: Ahead,
    waker: Waker,
    /// How many bytes the server has sent so far.
    pub(super) read: u64,
    /// And how many the system has taken.
    pub(super) written: u64,
}

impl Wire {
    /// Of a stream from which some bytes have been read already.
    pub(super) fn new(io: Box<dyn Io>, rest: Vec<u8>) -> Self {
        let (ahead, waker) = (Ahead::new(rest), Waker::noop().clone());
        Self { io, ahead, waker, read: 0, written: 0 }
    }

    /// Whom to wake from now on.
    pub(super) fn wake(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// See [`Io::reset`].
    pub(super) fn reset(&self) {
        self.io.reset();
    }
}

fn ready_or_blocked<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            let cx = &mut Context::from_waker(&self.waker);
            let polled = self.ahead.poll_fill(Pin::new(&mut *self.io), cx);
            self.read += ready_or_blocked(polled)? as u64;
        }
        Ok(self.ahead.take(into))
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let cx = &mut Context::from_waker(&self.waker);
        let written = ready_or_blocked(Pin::new(&mut *self.io).poll_write(cx, bytes))?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let cx = &mut Context::from_waker(&self.waker);
        ready_or_blocked(Pin::new(&mut *self.io).poll_flush(cx))
    }
}
