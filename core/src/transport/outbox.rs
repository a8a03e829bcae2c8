//! Messages that wait for the server to read. Large ones are written in fragments: the WebSocket copies what it writes
//! into memory that it keeps, and an answer to a ping goes out between two of them.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::engine::Outgoing;
use crate::room::{FIRST, Room};
use crate::shared::{OUTBOX_BYTES, OUTBOX_MESSAGES};

/// Of so many bytes.
pub(super) const FRAGMENT: usize = 128 * 1024;

/// A mask and the shortest head: what a message takes on the wire beside its text, at least.
const OVERHEAD: u64 = 6;

/// See the module's text.
pub(super) struct Outbox {
    messages: VecDeque<Waiting>,
    /// Of them.
    bytes: usize,
    /// How many bytes the system has taken at least once all that was popped is written.
    popped: u64,
    /// What nobody waits for of that, until it is written, each with how many bytes the system has taken then.
    leaving: VecDeque<(u64, Outgoing)>,
    /// What nobody waits for and is not written any more.
    unwritten: Vec<Outgoing>,
}

/// A message, and what it is where nobody waits for what becomes of it.
struct Waiting {
    message: Message,
    unawaited: Option<Outgoing>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            messages: VecDeque::with_capacity(FIRST),
            bytes: 0,
            popped: 0,
            leaving: VecDeque::new(),
            unwritten: Vec::new(),
        }
    }
}

impl Outbox {
    /// Says what is wrong when too much waits for a server that does not read: to keep more would only put off the
    /// loss, and to leave out one message would make the next ones wrong.
    pub(super) fn push(&mut self, message: Message) -> Result<(), String> {
        self.append(message, None)
    }

    /// The same for a frame.
    pub(super) fn push_frame(&mut self, frame: Outgoing) -> Result<(), String> {
        let text = frame.text.clone();
        self.append(Message::Text(text.into_wire()), frame.is_unawaited().then_some(frame))
    }

    fn append(&mut self, message: Message, unawaited: Option<Outgoing>) -> Result<(), String> {
        self.bytes += length(&message);
        self.messages.push_back(Waiting { message, unawaited });
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
        self.messages.front().map(|waiting| &waiting.message)
    }

    /// Takes it, or its first fragment.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let Waiting { message, unawaited } = self.messages.pop_front()?;
        let (message, unawaited) = match message {
            Message::Text(text) if text.len() > FRAGMENT => {
                (self.split(text.into(), Data::Text, unawaited), None)
            }
            Message::Frame(rest) if rest.payload().len() > FRAGMENT => {
                (self.split(rest.into_payload(), Data::Continue, unawaited), None)
            }
            whole => (whole, unawaited),
        };
        self.bytes -= length(&message);
        self.popped += length(&message) as u64 + OVERHEAD;
        self.leaving.extend(unawaited.map(|frame| (self.popped, frame)));
        self.messages.give_back();
        Some(message)
    }

    /// Puts all but the first fragment back.
    fn split(&mut self, mut rest: Bytes, kind: Data, unawaited: Option<Outgoing>) -> Message {
        let first = rest.split_to(FRAGMENT);
        let rest = Frame::message(rest, OpCode::Data(Data::Continue), true);
        self.messages.push_front(Waiting { message: Message::Frame(rest), unawaited });
        Message::Frame(Frame::message(first, OpCode::Data(kind), false))
    }

    /// All that was popped is written: the system has taken so many bytes in all.
    pub(super) fn written(&mut self, bytes: u64) {
        self.popped = bytes;
        self.leaving.clear();
        self.leaving.give_back();
    }

    /// Nothing is written any more: the system has taken so many bytes in all. What it has not taken the whole of
    /// cannot have arrived.
    pub(super) fn stop(&mut self, bytes: u64) {
        let leaving = self.leaving.drain(..).filter(|(end, _)| *end > bytes);
        self.unwritten.extend(leaving.map(|(_, frame)| frame));
        let waiting = self.messages.drain(..).filter_map(|waiting| waiting.unawaited);
        self.unwritten.extend(waiting);
        self.bytes = 0;
    }

    /// How many messages the system has not taken, as far as is known.
    pub(super) fn len(&self) -> usize {
        self.messages.len() + self.leaving.len()
    }

    /// What nobody waits for and has not left, once it is stopped.
    pub(super) fn take_unwritten(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.unwritten)
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
    use crate::engine::Unawaited;

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
            outbox.stop(0);
            assert_eq!(outbox.push(message), Ok(()));
        }
    }
    /// The numbers of the frames that nobody waits for and that have not left.
    fn unwritten(outbox: &mut Outbox, taken: u64) -> Vec<usize> {
        outbox.stop(taken);
        outbox.take_unwritten().into_iter().map(|frame| frame.into_text().len()).collect()
    }

    fn frame(length: usize, call: Option<u64>) -> Outgoing {
        let known = || Unawaited { place: None, settles: false };
        Outgoing::new("x".repeat(length).into(), call, known)
    }

    #[test]
    fn what_has_not_left_is_given_back_unless_somebody_waits_for_it() {
        let mut outbox = Outbox::default();
        for (length, call) in [(10, None), (11, Some(1)), (12, None), (2 * FRAGMENT, None)] {
            outbox.push_frame(frame(length, call)).unwrap();
        }
        outbox.push(Message::Ping(Bytes::new())).unwrap();
        assert_eq!(written(&mut outbox).len(), 6);
        // The system has taken the first and the half of the third.
        assert_eq!(unwritten(&mut outbox, 16 + 17 + 9), [12, 2 * FRAGMENT]);
        assert_eq!(unwritten(&mut outbox, 16 + 17 + 9), [0; 0], "once");
    }

    #[test]
    fn what_is_written_may_have_arrived_and_is_not_given_back() {
        let mut outbox = Outbox::default();
        outbox.push_frame(frame(10, None)).unwrap();
        outbox.pop();
        outbox.written(16);
        outbox.push_frame(frame(11, None)).unwrap();
        outbox.push_frame(frame(2 * FRAGMENT, None)).unwrap();
        outbox.pop();
        outbox.pop();
        // Of the large one a fragment has left, which is no message.
        assert_eq!(unwritten(&mut outbox, 1_000_000), [2 * FRAGMENT]);
    }
}
