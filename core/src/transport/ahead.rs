//! What was read from a socket and not taken yet.
//!
//! A read of the system costs more than the bytes that it brings: it tells the server that there is room
//! again, and wakes it. So as much as there is comes with each, into a buffer that the sockets of a thread
//! share; a socket holds it only while it has something in it.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Of the buffer: what fits into the processor's cache.
const SIZE: usize = 64 * 1024;

thread_local! {
    /// The buffer, while no socket has it.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    left: Range<usize>,
}

impl Ahead {
    /// Bytes that came with something else.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let left = 0..bytes.len();
        Self { bytes, left }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Reads what there is, and says how much that was: nothing at the end.
    pub(super) fn poll_fill(
        &mut self,
        io: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = SPARE.take();
        bytes.resize(SIZE, 0);
        let mut buffer = ReadBuf::new(&mut bytes);
        let polled = io.poll_read(cx, &mut buffer);
        let read = buffer.filled().len();
        if read == 0 {
            SPARE.set(bytes);
        } else {
            *self = Self { bytes, left: 0..read };
        }
        polled.map_ok(|()| read)
    }

    /// Moves as much as fits.
    pub(super) fn take(&mut self, into: &mut ReadBuf<'_>) {
        let end = self.left.end.min(self.left.start + into.remaining());
        into.put_slice(&self.bytes[self.left.start..end]);
        self.left.start = end;
        if self.left.is_empty() {
            let Self { bytes, .. } = std::mem::take(self);
            if bytes.len() == SIZE {
                SPARE.set(bytes);
            }
        }
    }
}
