//! How long the memory of a message is used for those behind it.
//!
//! The WebSocket reads on into the memory of the last message as soon as nobody has a part of that any more, so one of
//! 60 MiB would be kept for as long as the connection.

use tokio_tungstenite::tungstenite::{Bytes, Message};

/// Up to this size it is used again: outputs of a mebibyte follow each other.
pub(super) const REUSED_BYTES: usize = 2 * 1024 * 1024;

/// See the module's text.
#[derive(Default)]
pub(super) struct Reuse {
    /// A part of a large message, with which the WebSocket has to make new memory for what does not fit behind it.
    large: Option<Bytes>,
    /// So many bytes have come since.
    behind: usize,
}

impl Reuse {
    /// A message has been read. `room` is what there may be behind one.
    pub(super) fn read(&mut self, message: &Message, room: usize) {
        if let Message::Text(text) = message
            && text.len() > REUSED_BYTES
        {
            *self = Self { large: Some(text.clone().into()), behind: 0 };
        } else if self.large.is_some() {
            self.behind += message.len();
            if self.behind > room {
                self.large = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use futures_util::SinkExt;

    use super::*;
    use crate::transport::socket::tests::pair;

    /// How many bytes are kept for reading messages of these lengths.
    async fn kept(lengths: &[usize]) -> usize {
        let (mut socket, mut server) = pair(16 << 20).await;
        for &length in lengths {
            server.send(Message::text("x".repeat(length))).await.unwrap();
        }
        let read_all = || {
            let cx = &mut Context::from_waker(Waker::noop());
            while socket.poll_frame(cx).is_ready() {}
        };
        allocation_counter::measure(read_all).bytes_current.try_into().unwrap()
    }

    #[tokio::test]
    async fn the_memory_of_large_messages_is_let_go_and_that_of_others_used_again() {
        // What sockets of a thread share is made with the first.
        kept(&[1]).await;
        let (large, medium) = (2 * REUSED_BYTES, REUSED_BYTES - 1000);
        let few = kept(&[large, 700, 700, 700, 700]).await;
        assert!(few < 10_000, "{few}");
        let one = kept(&[medium, medium, medium, 700, 700]).await;
        assert!((medium..medium + 10_000).contains(&one), "{one}");
    }
}
