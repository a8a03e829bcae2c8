//! Messages that wait for the server to read. Large ones are written in fragments: the WebSocket copies what it writes
//! into memory that it keeps, and an answer to a ping goes out between two of them.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::room::{FIRST, Room};
use crate::shared::{OUTBOX_BYTES, OUTBOX_MESSAGES};

/// Of so many bytes.
pub(super) const FRAGMENT: usize = 128 * 1024;

/// See the module's text.
pub(super) struct Outbox {
    messages: VecDeque<Message>,
    /// Of them.
    bytes: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { messages: VecDeque::with_capacity(FIRST), bytes: 0 }
    }
}

impl Outbox {
    /// Says what is wrong when too much waits for a server that does not read: to keep more would only put off the
    /// loss, and to leave out one message would make the next ones wrong.
    pub(super) fn push(&mut self, message: Message) -> Result<(), String> {
        self.bytes += length(&message);
        self.messages.push_back(message);
        let (count, bytes) = (self.messages.len(), self.bytes);
        if count > OUTBOX_MESSAGES || (bytes > OUTBOX_BYTES && count > 1) {
            return Err(format!(
                "the server is not reading: {count} messages ({bytes} bytes) are waiting for it"
            ));
        }
        Ok(())
    }

    /// What is written next, if nothing of it was yet.
    pub(super) fn next(&self) -> Option<&Message> {
        self.messages.front()
    }

    /// Takes it, or its first fragment.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        let message = match message {
            Message::Text(text) if text.len() > FRAGMENT => self.split(text.into(), Data::Text),
            Message::Frame(rest) if rest.payload().len() > FRAGMENT => {
                self.split(rest.into_payload(), Data::Continue)
            }
            whole => whole,
        };
        self.bytes -= length(&message);
        self.messages.give_back();
        Some(message)
    }

    /// Puts all but the first fragment back.
    fn split(&mut self, mut rest: Bytes, kind: Data) -> Message {
        let first = rest.split_to(FRAGMENT);
        let rest = Frame::message(rest, OpCode::Data(Data::Continue), true);
        self.messages.push_front(Message::Frame(rest));
        Message::Frame(Frame::message(first, OpCode::Data(kind), false))
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }
}

/// Without a frame's head.
fn length(message: &Message) -> usize {
    match message {
        Message::Frame(frame) => frame.payload().len(),
        message => message.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Message {
        Message::text("x".repeat(length))
    }

    /// The lengths of what is written, and whether each is the last of its message.
    fn written(outbox: &mut Outbox) -> Vec<(usize, bool)> {
        let is_last = |message: &Message| match message {
            Message::Frame(frame) => frame.header().is_final,
            _ => true,
        };
        std::iter::from_fn(|| outbox.pop()).map(|it| (length(&it), is_last(&it))).collect()
    }

    #[test]
    fn large_messages_go_out_in_fragments_and_in_order() {
        let mut outbox = Outbox::default();
        for length in [1, FRAGMENT, 2 * FRAGMENT + 5, 2] {
            outbox.push(text(length)).unwrap();
        }
        let fragments = [(FRAGMENT, false), (FRAGMENT, false), (5, true)];
        let expected = [&[(1, true), (FRAGMENT, true)], &fragments[..], &[(2, true)]].concat();
        assert_eq!(written(&mut outbox), expected);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn too_many_and_too_large_ones_are_refused() {
        let mebibyte = text(1 << 20);
        for (message, fit) in [(text(0), OUTBOX_MESSAGES), (mebibyte, OUTBOX_BYTES >> 20)] {
            let mut outbox = Outbox::default();
            assert!((0..fit).all(|_| outbox.push(message.clone()).is_ok()));
            let error = outbox.push(message.clone()).unwrap_err();
            let (count, bytes) = (fit + 1, (fit + 1) * message.len());
            let ending = format!("{count} messages ({bytes} bytes) are waiting for it");
            assert!(error.ends_with(&ending));
            outbox.clear();
            assert_eq!(outbox.push(message), Ok(()));
        }
    }
}
