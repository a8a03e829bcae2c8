//! One WebSocket: an outbox that never blocks reading, bursts of frames, and keep-alive.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};

use super::ahead::Ahead;
use super::http::{Counted, Io, Moved};
use super::keepalive::{KeepAlive, Step};
use crate::engine::Channel;
use crate::options::ConnectOptions;
use crate::protocol::Text;
use crate::record::Tap;
use crate::shared::{OUTBOX_BYTES, OUTBOX_MESSAGES};

/// tungstenite's default of 128 KiB is paid per connection; 2 KiB cost no measurable time, as what the system has is
/// read ahead (docs/performance.md).
const READ_BUFFER: usize = 2 * 1024;

/// How many frames are taken from the socket before the engine and the user's side get their turn, and of how
/// many bytes: what is read into the processor's cache is looked at there, and the memory of a large frame is
/// there again for the next.
pub(super) const BURST: usize = 128;
const BURST_BYTES: usize = 128 * 1024;

/// Frames that are handled together.
#[derive(Default)]
pub(super) struct Burst {
    pub(super) frames: Vec<Text>,
    bytes: usize,
}

impl Burst {
    fn push(&mut self, frame: Text) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    /// Whether more frames are likely to have come already.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= BURST || self.bytes >= BURST_BYTES
    }
}

/// How a socket ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) code: u16,
    pub(super) reason: String,
}

/// See the module's text.
pub(super) struct Socket {
    ws: WebSocketStream<Box<dyn Io>>,
    pub(super) channel: Channel,
    outbox: VecDeque<Message>,
    /// Of the messages in it.
    outbox_bytes: usize,
    /// What the close frame said, once it came.
    closed: Option<Ended>,
    /// Why nothing can be written any more.
    broken: Option<Ended>,
    /// Bytes read and written so far, and how many of them were looked at.
    moved: Arc<Moved>,
    moved_before: (u64, u64),
    /// Whether the last write had to wait for the server to read.
    blocked: bool,
    alive: KeepAlive,
    /// The machine has slept. What came before that and was not read yet is no sign of the server, so the
    /// ping waits until all of it is read.
    resumed: bool,
    /// The ear of a recording.
    pub(super) tap: Option<Tap>,
}

impl Socket {
    pub(super) async fn new(
        io: Box<dyn Io>,
        rest: Vec<u8>,
        channel: Channel,
        options: &ConnectOptions,
    ) -> Self {
        let moved = Arc::new(Moved::default());
        let io: Box<dyn Io> =
            Box::new(Counted { io, ahead: Ahead::new(rest), moved: Arc::clone(&moved) });
        let limit = Some(options.max_message_bytes);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(limit)
            .max_frame_size(limit);
        // Given the first bytes, it would make a buffer of their size and read frame by frame from then on.
        let ws = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
        Self {
            ws,
            channel,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            closed: None,
            broken: None,
            moved,
            moved_before: (0, 0),
            blocked: false,
            alive: KeepAlive::new(Instant::now(), options),
            resumed: false,
            tap: None,
        }
    }

    /// Sends a message, as soon as the server takes it. When too much waits for a server that does not read,
    /// the socket has ended: to keep more would only put off the loss, and to leave out one message would
    /// make the next ones wrong.
    pub(super) fn send(&mut self, text: Text) {
        if self.broken.is_some() {
            return;
        }
        self.outbox_bytes += text.len();
        self.outbox.push_back(Message::Text(text));
        let (count, bytes) = (self.outbox.len(), self.outbox_bytes);
        if count > OUTBOX_MESSAGES || (bytes > OUTBOX_BYTES && count > 1) {
            let reason =
                format!("the server does not read: {count} messages of {bytes} bytes wait for it");
            self.give_up(Ended { code: 1006, reason });
        }
    }

    /// Nothing is written any more. What the system still has of it must not reach the server later: an input is
    /// sent again when the server is found not to have it.
    fn give_up(&mut self, ended: Ended) {
        self.ws.get_ref().reset();
        self.outbox.clear();
        self.outbox_bytes = 0;
        self.broken = Some(ended);
    }

    /// Starts the closing handshake; [`Socket::poll_burst`] then reports the end.
    pub(super) fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.outbox.push_back(Message::Close(Some(frame)));
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
        let read = self.moved.read.load(Ordering::Relaxed);
        let written = self.moved.written.load(Ordering::Relaxed);
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
        self.outbox.push_back(Message::Ping(Bytes::new()));
    }

    /// All that had come is read.
    fn drained(&mut self) {
        if std::mem::take(&mut self.resumed) {
            self.has_moved();
            self.ping();
        }
    }

    /// Writes what waits and reads what is there: a burst of frames, or how the socket ended.
    ///
    /// Nothing is lost when the caller stops polling; a write that would block never keeps the
    /// reading back.
    pub(super) fn poll_burst(
        &mut self,
        cx: &mut Context<'_>,
        burst: &mut Burst,
    ) -> Poll<Result<(), Ended>> {
        let polled = self.poll_messages(cx, burst);
        if let (Some(tap), Poll::Ready(Err(ended))) = (&mut self.tap, &polled) {
            tap.ended(ended.code, &ended.reason);
        }
        polled
    }

    fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        burst: &mut Burst,
    ) -> Poll<Result<(), Ended>> {
        self.write(cx);
        while !burst.is_full() {
            match Pin::new(&mut self.ws).poll_next(cx) {
                Poll::Pending => {
                    self.drained();
                    break;
                }
                Poll::Ready(Some(Ok(message))) => self.take(message, burst),
                Poll::Ready(Some(Err(error))) => {
                    // Remembered, because frames of this burst go first.
                    let ended = self.ended(&error);
                    if self.closed.is_none() {
                        self.give_up(ended.clone());
                    }
                    return Poll::Ready(Err(self.closed.insert(ended).clone()));
                }
                Poll::Ready(None) => {
                    let ended = self.closed.clone();
                    if ended.is_none() {
                        self.ws.get_ref().reset();
                    }
                    return Poll::Ready(Err(ended.unwrap_or_else(|| Ended {
                        code: 1006,
                        reason: "the server cut the connection".to_owned(),
                    })));
                }
            }
        }
        // Pongs and close replies that the reading produced must not wait for the next command.
        self.write(cx);
        // A server that has closed has nothing more to say, also when it leaves the TCP connection open.
        match self.closed.as_ref().or(self.broken.as_ref()) {
            _ if !burst.frames.is_empty() => Poll::Ready(Ok(())),
            Some(ended) => Poll::Ready(Err(ended.clone())),
            None => Poll::Pending,
        }
    }

    /// Writes what waits. When that fails, reading goes on: what the server had to say before it went
    /// may still be there, and its close code says more than a broken pipe.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        if self.broken.is_none()
            && let Err(ended) = self.poll_write(cx)
        {
            self.give_up(ended);
        }
    }

    fn take(&mut self, message: Message, burst: &mut Burst) {
        match message {
            Message::Text(text) => self.received(text, burst),
            // The protocol is text; a binary message with the same JSON is read as such.
            Message::Binary(bytes) => {
                if let Ok(text) = Text::try_from(bytes) {
                    self.received(text, burst);
                }
            }
            Message::Close(frame) => {
                self.closed = Some(frame.map_or(
                    Ended { code: 1005, reason: "the server closed the connection".to_owned() },
                    |frame| Ended {
                        code: frame.code.into(),
                        reason: if frame.reason.is_empty() {
                            "the server closed the connection".to_owned()
                        } else {
                            frame.reason.to_string()
                        },
                    },
                ));
            }
            Message::Ping(_) => {
                if let Some(tap) = &self.tap {
                    tap.pinged();
                }
            }
            Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    fn received(&self, text: Text, burst: &mut Burst) {
        if let Some(tap) = &self.tap {
            tap.received(&text);
        }
        burst.push(text);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            let step = self.poll_write_one(cx);
            match step {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => {
                    self.blocked = false;
                    return Ok(());
                }
                Poll::Pending => {
                    self.blocked = true;
                    return Ok(());
                }
                // While closing, the reading side reports the end with its code.
                Poll::Ready(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => {
                    self.outbox.clear();
                    self.outbox_bytes = 0;
                    return Ok(());
                }
                Poll::Ready(Err(error)) => return Err(self.ended(&error)),
            }
        }
    }

    /// Writes one message, or flushes when none waits. Says whether there may be more to do.
    fn poll_write_one(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, WsError>> {
        let mut ws = Pin::new(&mut self.ws);
        if self.outbox.is_empty() {
            return ws.poll_flush(cx).map_ok(|()| false);
        }
        ready!(ws.as_mut().poll_ready(cx))?;
        if let Some(message) = self.outbox.pop_front() {
            self.outbox_bytes -= message.len();
            if let (Some(tap), Message::Text(text)) = (&self.tap, &message) {
                tap.sent(text);
            }
            ws.start_send(message)?;
        }
        Poll::Ready(Ok(true))
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
                Ended { code: 1006, reason: "the connection is closed".to_owned() }
            }
            other => Ended { code: 1006, reason: other.to_string() },
        }
    }
}
