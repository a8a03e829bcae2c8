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
        io: Pin<&mut (impl AsyncRead + ?Sized)>,
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

    /// Moves as much as fits, and says how much that was.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let length = into.len().min(self.left.len());
        let end = self.left.start + length;
        into[..length].copy_from_slice(&self.bytes[self.left.start..end]);
        self.left.start = end;
        if self.left.is_empty() {
            let Self { bytes, .. } = std::mem::take(self);
            if bytes.len() == SIZE {
                SPARE.set(bytes);
            }
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Reads so many bytes at most, by way of what is ahead.
    async fn read(ahead: &mut Ahead, io: &mut (impl AsyncRead + Unpin), most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        if ahead.is_empty() {
            std::future::poll_fn(|cx| ahead.poll_fill(Pin::new(io), cx)).await.unwrap();
        }
        let length = ahead.take(&mut bytes);
        bytes.truncate(length);
        bytes
    }

    #[tokio::test]
    async fn two_sockets_of_a_thread_keep_what_they_have_apart() {
        let (mut one, mut one_end) = duplex(2 * SIZE);
        let (mut other, mut other_end) = duplex(2 * SIZE);
        let (mut first, mut second) = (Ahead::default(), Ahead::default());
        one_end.write_all(&vec![1; SIZE + 3]).await.unwrap();
        other_end.write_all(&[2; 5]).await.unwrap();
        assert_eq!(read(&mut first, &mut one, 2).await, [1; 2]);
        assert_eq!(read(&mut second, &mut other, 4).await, [2; 4]);
        assert_eq!(read(&mut second, &mut other, 4).await, [2]);
        assert_eq!(read(&mut first, &mut one, 2 * SIZE).await, vec![1; SIZE - 2]);
        assert_eq!(read(&mut first, &mut one, 2 * SIZE).await, [1; 3]);
    }

    #[tokio::test]
    async fn what_came_before_is_first_and_the_end_is_the_end() {
        let (mut io, mut end) = duplex(64);
        let mut ahead = Ahead::new(b"head".to_vec());
        end.write_all(b"tail").await.unwrap();
        drop(end);
        assert_eq!(read(&mut ahead, &mut io, 3).await, b"hea");
        assert_eq!(read(&mut ahead, &mut io, 3).await, b"d");
        assert_eq!(read(&mut ahead, &mut io, 3).await, b"tai");
        assert_eq!(read(&mut ahead, &mut io, 3).await, b"l");
        assert_eq!(read(&mut ahead, &mut io, 3).await, b"");
        assert_eq!(read(&mut ahead, &mut io, 3).await, b"");
        let mut rest = Vec::new();
        assert_eq!(io.read_to_end(&mut rest).await.unwrap(), 0);
    }
}
