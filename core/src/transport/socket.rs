//! One WebSocket: an outbox that never blocks reading, bursts of frames, and keep-alive.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message, WebSocket};

use super::http::Io;
use super::keepalive::{KeepAlive, Step};
use super::outbox::Outbox;
use super::reuse::Reuse;
use super::wire::Wire;
use crate::engine::{Channel, Outgoing};
use crate::options::ConnectOptions;
use crate::protocol::Text;
use crate::record::Tap;

/// tungstenite's default of 128 KiB is paid per connection; 1 KiB costs no measurable time, as what the system has is
/// read ahead (docs/performance.md).
const READ_BUFFER: usize = 1024;

/// How many frames are handled before the user's side and other sockets get their turn, and of how many bytes.
pub(super) const BURST: usize = 128;
const BURST_BYTES: usize = 128 * 1024;

/// How a socket ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) code: u16,
    pub(super) reason: String,
}

/// See the module's text.
pub(super) struct Socket {
    ws: WebSocket<Wire>,
    reuse: Reuse,
    pub(super) channel: Channel,
    outbox: Outbox,
    /// What the close frame said, once it came, or how the socket ended without one.
    closed: Option<Ended>,
    /// Nothing can be read any more.
    over: bool,
    /// Why nothing can be written any more.
    broken: Option<Ended>,
    /// How many of the bytes read and written were looked at.
    moved_before: (u64, u64),
    /// Whether the last write has to wait for the server to read.
    blocked: bool,
    alive: KeepAlive,
    /// The machine has slept. What came before that and was not read yet is no sign of the server, so the
    /// ping waits until all of it is read.
    resumed: bool,
    /// The ear of a recording.
    pub(super) tap: Option<Tap>,
}

impl Socket {
    /// Of a stream from which some bytes behind the answer's head have been read already.
    pub(super) fn new(
        io: Box<dyn Io>,
        rest: Vec<u8>,
        channel: Channel,
        options: &ConnectOptions,
    ) -> Self {
        let limit = Some(options.max_message_bytes);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(limit)
            .max_frame_size(limit);
        // Given the first bytes, it would make a buffer of their size and read frame by frame from then on.
        let ws = WebSocket::from_raw_socket(Wire::new(io, rest), Role::Client, Some(config));
        Self {
            ws,
            reuse: Reuse::default(),
            channel,
            outbox: Outbox::default(),
            closed: None,
            over: false,
            broken: None,
            moved_before: (0, 0),
            blocked: false,
            alive: KeepAlive::new(Instant::now(), options),
            resumed: false,
            tap: None,
        }
    }

    /// Sends a message, as soon as the server takes it. The socket has ended when too much waits.
    pub(super) fn send(&mut self, frame: impl Into<Outgoing>) {
        let pushed = self.outbox.push_frame(frame.into());
        self.take_in(pushed);
    }

    fn enqueue(&mut self, message: Message) {
        let pushed = self.outbox.push(message);
        self.take_in(pushed);
    }

    /// One that has broken takes nothing more.
    fn take_in(&mut self, pushed: Result<(), String>) {
        if self.broken.is_some() {
            self.stop();
        } else if let Err(reason) = pushed {
            self.give_up(Ended { code: 1006, reason });
        }
    }

    /// Nothing of what waits is written.
    fn stop(&mut self) {
        self.outbox.stop(self.ws.get_ref().written);
    }

    /// What nobody waits for of what has not left; to be called at the end.
    pub(super) fn take_unwritten(&mut self) -> Vec<Outgoing> {
        self.stop();
        self.outbox.take_unwritten()
    }

    /// How many messages wait to be written; one at least while one is written in part.
    pub(super) fn waiting(&self) -> usize {
        let blocked = usize::from(self.blocked && self.broken.is_none());
        self.outbox.len().max(blocked)
    }

    /// Nothing is written any more. What the system still has of it must not reach the server later: an input is
    /// sent again when the server is found not to have it.
    fn give_up(&mut self, ended: Ended) {
        self.ws.get_ref().reset();
        self.stop();
        self.broken = Some(ended);
    }

    /// Starts the closing handshake; [`Socket::poll_frame`] then reports the end.
    pub(super) fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.enqueue(Message::Close(Some(frame)));
    }

    /// When [`Socket::keep_alive`] wants to be called.
    pub(super) fn keep_alive_at(&self) -> Instant {
        self.alive.at()
    }

    /// The machine has slept: the server is pinged, and has a short time to answer.
    pub(super) fn resume(&mut self, now: Instant) {
        self.alive.resumed(now);
        self.resumed = true;
    }

    /// Whether the server has sent anything since the last look, or has taken something that waited:
    /// what the system merely buffers is no sign of it.
    fn has_moved(&mut self) -> bool {
        let &Wire { read, written, .. } = self.ws.get_ref();
        let before = std::mem::replace(&mut self.moved_before, (read, written));
        read != before.0 || (self.blocked && written != before.1)
    }

    /// Pings a silent server; says how the socket ended when the ping stayed unanswered.
    pub(super) fn keep_alive(&mut self, now: Instant) -> Option<Ended> {
        if now < self.alive.at() {
            return None;
        }
        let moved = self.has_moved();
        match self.alive.step(now, moved) {
            Step::Wait => None,
            Step::Ping => {
                self.ping();
                None
            }
            Step::Lost(silence) => {
                let silent = silence.as_secs_f64();
                let reason =
                    format!("nothing was heard for {silent:.0} s and a ping got no answer");
                let ended = Ended { code: 1006, reason };
                self.give_up(ended.clone());
                Some(ended)
            }
        }
    }

    fn ping(&mut self) {
        self.enqueue(Message::Ping(Bytes::new()));
    }

    /// All that had come is read.
    fn drained(&mut self) {
        if std::mem::take(&mut self.resumed) {
            self.has_moved();
            self.ping();
        }
    }

    /// Reads the next frame, or how the socket ended.
    ///
    /// Nothing is lost when the caller stops polling; a write that would block never keeps the
    /// reading back.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Text, Ended>> {
        let polled = self.poll_text(cx);
        if let (Some(tap), Poll::Ready(Err(ended))) = (&mut self.tap, &polled) {
            tap.ended(ended.code, &ended.reason);
        }
        polled
    }

    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<Result<Text, Ended>> {
        self.ws.get_mut().wake(cx.waker());
        while !self.over {
            match self.ws.read() {
                Ok(message) => {
                    self.reuse.read(&message, 2 * READ_BUFFER);
                    if let Some(text) = self.take(message) {
                        return Poll::Ready(Ok(text));
                    }
                }
                Err(error) if is_blocked(&error) => {
                    self.drained();
                    break;
                }
                Err(error) => {
                    let ended = self.ended(&error);
                    if self.closed.is_none() {
                        self.give_up(ended.clone());
                    }
                    self.closed = Some(ended);
                    self.over = true;
                }
            }
        }
        // Pongs and close replies that the reading produced must not wait for the next command.
        self.write(cx);
        // A server that has closed has nothing more to say, also when it leaves the TCP connection open.
        match self.closed.as_ref().or(self.broken.as_ref()) {
            Some(ended) => Poll::Ready(Err(ended.clone())),
            None => Poll::Pending,
        }
    }

    /// Handles a frame that was read and those that have come behind it, up to a burst. Says whether more are
    /// likely to be there.
    pub(super) async fn handle_all(&mut self, first: &Text, mut handle: impl FnMut(&Text)) -> bool {
        handle(first);
        let (mut frames, mut bytes) = (1, first.len());
        poll_fn(|cx| {
            while frames < BURST && bytes < BURST_BYTES {
                // An end comes once more with the next poll.
                let Poll::Ready(Ok(frame)) = self.poll_frame(cx) else { return Poll::Ready(false) };
                handle(&frame);
                frames += 1;
                bytes += frame.len();
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Writes what waits. When that fails, reading goes on: what the server had to say before it went
    /// may still be there, and its close code says more than a broken pipe.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        self.ws.get_mut().wake(cx.waker());
        if self.broken.is_none()
            && let Err(ended) = self.write_all()
        {
            self.give_up(ended);
        }
    }

    /// The text of a message, if it is a frame of the server's.
    fn take(&mut self, message: Message) -> Option<Text> {
        let text = match message {
            Message::Text(text) => Some(Text::from_wire(text)),
            // The protocol is text; a binary message with the same JSON is read as such.
            Message::Binary(bytes) => Text::from_bytes(bytes),
            Message::Close(frame) => {
                let reason = frame.as_ref().map(|frame| frame.reason.to_string());
                let reason = reason.filter(|reason| !reason.is_empty());
                self.closed = Some(Ended {
                    code: frame.map_or(1005, |frame| frame.code.into()),
                    reason: reason.unwrap_or_else(|| "the server closed the connection".to_owned()),
                });
                None
            }
            Message::Ping(_) => {
                if let Some(tap) = &self.tap {
                    tap.pinged();
                }
                None
            }
            Message::Pong(_) | Message::Frame(_) => None,
        };
        if let (Some(tap), Some(text)) = (&self.tap, &text) {
            tap.received(text);
        }
        text
    }

    /// Writes what waits, as far as the server takes it.
    fn write_all(&mut self) -> Result<(), Ended> {
        let written = self.write_while_taken();
        self.blocked = matches!(&written, Err(error) if is_blocked(error));
        match written {
            // While closing, the reading side reports the end with its code.
            Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => {
                self.stop();
                Ok(())
            }
            Err(error) if !self.blocked => Err(self.ended(&error)),
            _ => Ok(()),
        }
    }

    fn write_while_taken(&mut self) -> Result<(), WsError> {
        // What was taken over and not written keeps what comes behind it back.
        if self.blocked {
            self.ws.flush()?;
            self.outbox.written(self.ws.get_ref().written);
        }
        while let Some(message) = self.outbox.next() {
            if let (Some(tap), Message::Text(text)) = (&self.tap, message) {
                tap.sent(&Text::from_wire(text.clone()));
            }
            if let Some(message) = self.outbox.pop() {
                // One that would block is taken over all the same.
                self.ws.write(message)?;
            }
        }
        self.ws.flush()?;
        self.outbox.written(self.ws.get_ref().written);
        Ok(())
    }

    fn ended(&self, error: &WsError) -> Ended {
        if let Some(ended) = &self.closed {
            return ended.clone();
        }
        match error {
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => Ended {
                code: 1009,
                reason: format!("a message of {size} bytes is above the limit of {max_size}"),
            },
            WsError::ConnectionClosed | WsError::AlreadyClosed => {
                Ended { code: 1006, reason: "the server cut the connection".to_owned() }
            }
            other => Ended { code: 1006, reason: other.to_string() },
        }
    }
}

/// Whether it only says that something has to wait.
fn is_blocked(error: &WsError) -> bool {
    matches!(error, WsError::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
pub(super) mod tests;
