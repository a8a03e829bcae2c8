//! One TCP connection: the handshake, then the task that owns the WebSocket.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::http::{Gate, Head, Verdict};
use super::outbox::{Outbox, SlowReaderLimits, Terminated};
use super::shared::Shared;
use super::trace::Channel;
use super::wire::Wire;

/// Real servers accept frames of up to 100 MiB.
const MAX_MESSAGE_BYTES: usize = 100 * 1024 * 1024;
const MAX_HEAD_BYTES: usize = 64 * 1024;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long the peer may take to confirm a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What a connection is told to do, in order.
#[derive(Debug)]
pub(super) enum Command {
    Text(String),
    Ping,
    /// Close with a code and a reason, or with an empty close frame.
    Close(Option<(u16, String)>),
    /// Drop the TCP connection without a close frame.
    Cut,
}

/// What a connection tells.
#[derive(Debug)]
pub(super) enum Event {
    Opened(Link),
    Frame {
        socket: u64,
        text: String,
    },
    Closed {
        socket: u64,
    },
    /// The server listens no more, and all connections are gone.
    Stopped,
}

/// A handle on an open connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) channel: Channel,
    /// Whether the client named the channel in the URL.
    pub(super) named: bool,
    commands: UnboundedSender<Command>,
}

impl Link {
    /// Queues a command. A connection that is gone ignores it, as the network would.
    pub(super) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// What every connection of a server needs to know.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) gate: Arc<Gate>,
    pub(super) ping_interval: Option<Duration>,
    pub(super) limits: Option<SlowReaderLimits>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) shared: Arc<Shared>,
}

/// Serves one connection until it is over.
pub(super) async fn serve(context: Context, id: u64, stream: TcpStream) {
    let _registered = Registered { context: &context, id };
    let (commands, inbox) = unbounded_channel();
    // Entered in the books before the client knows that it is connected, so that whatever it does
    // next finds the connection there.
    let register = |channel, named| {
        context.shared.update(|state| {
            state.opened += 1;
            if let Some(socket) = state.sockets.get_mut(&id) {
                socket.link = Some((channel, commands.clone()));
            }
        });
        let commands = commands.clone();
        let _ = context.events.send(Event::Opened(Link { id, channel, named, commands }));
    };
    // Nothing is left to tell anyone when the handshake breaks off: the client sees it.
    let shaken = timeout(HANDSHAKE_LIMIT, handshake(&context.gate, stream, register)).await;
    let Ok(Ok(Some(socket))) = shaken else { return };
    let (opened, outbox) = (Instant::now(), Outbox::new(context.limits));
    let mut conversation =
        Conversation { context: &context, id, socket, outbox, last_pong: opened };
    if let Err(Ended::Terminated(reason)) = conversation.run(inbox).await {
        let after = opened.elapsed();
        context.shared.update(|state| state.terminated.push(Terminated { after, reason }));
    }
}

/// Takes the connection out of the books when its task ends, also when it is aborted.
struct Registered<'a> {
    context: &'a Context,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.context.shared.update(|state| state.sockets.remove(&self.id));
        let _ = self.context.events.send(Event::Closed { socket: self.id });
    }
}

async fn handshake(
    gate: &Gate,
    mut stream: TcpStream,
    register: impl FnOnce(Channel, bool),
) -> io::Result<Option<WebSocketStream<Wire>>> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > MAX_HEAD_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let Some(head) = Head::parse(&bytes[..end]) else {
        return Ok(None);
    };
    match gate.judge(&head) {
        Verdict::Answer(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            Ok(None)
        }
        Verdict::Upgrade { key, channel, named } => {
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            register(channel, named);
            stream.write_all(answer.as_bytes()).await?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_MESSAGE_BYTES))
                .max_frame_size(Some(MAX_MESSAGE_BYTES));
            let early = bytes.split_off(end);
            let socket = WebSocketStream::from_partially_read(
                Wire::new(stream),
                early,
                Role::Server,
                Some(config),
            )
            .await;
            Ok(Some(socket))
        }
    }
}

/// How a conversation ends that nobody closed.
enum Ended {
    /// The connection is lost, which is all there is to know about it.
    Lost,
    /// The client read too slowly: why it was dropped.
    Terminated(String),
}

impl From<tokio_tungstenite::tungstenite::Error> for Ended {
    fn from(_: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::Lost
    }
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

type Outcome<T> = Result<T, Ended>;

/// What a socket has to say.
enum Seen {
    Message(Message),
    Room,
    End,
}

/// An open WebSocket and what waits to be written to it.
struct Conversation<'a> {
    context: &'a Context,
    id: u64,
    socket: WebSocketStream<Wire>,
    outbox: Outbox,
    last_pong: Instant,
}

impl Conversation<'_> {
    async fn run(&mut self, mut inbox: UnboundedReceiver<Command>) -> Outcome<()> {
        let ping_interval = self.context.ping_interval;
        let mut next_ping = ping_interval.map(|interval| Instant::now() + interval);
        let pong_timeout = self.outbox.pong_timeout();
        loop {
            // Timers that are not wanted are disabled, so their time does not matter.
            let ping_at = next_ping.unwrap_or(self.last_pong);
            let reap_at = self.last_pong + pong_timeout.unwrap_or_default();
            tokio::select! {
                seen = self.next() => match seen? {
                    Seen::Message(message) => self.receive(message),
                    Seen::Room => {
                        while let Some(text) = self.outbox.next(self.unsent()) {
                            self.write(text).await?;
                        }
                    }
                    Seen::End => return Ok(()),
                },
                command = inbox.recv() => {
                    let Some(command) = command else { return Ok(()) };
                    if !self.obey(command, &mut inbox).await? {
                        return Ok(());
                    }
                }
                () = sleep_until(ping_at), if next_ping.is_some() => {
                    self.socket.send(Message::Ping(Bytes::new())).await?;
                    next_ping = ping_interval.map(|interval| Instant::now() + interval);
                }
                () = sleep_until(reap_at), if pong_timeout.is_some() => {
                    let silence = self.last_pong.elapsed().as_secs();
                    return Err(Ended::Terminated(format!("no pong for {silence} s")));
                }
            }
        }
    }

    fn unsent(&self) -> usize {
        self.socket.get_ref().unsent()
    }

    /// Waits for the client, and meanwhile writes what waits.
    async fn next(&mut self) -> Outcome<Seen> {
        poll_fn(|context| {
            if let Poll::Ready(Err(error)) = self.socket.get_mut().poll_drain(context) {
                return Poll::Ready(Err(error.into()));
            }
            if let Poll::Ready(message) = self.socket.poll_next_unpin(context) {
                return Poll::Ready(match message.transpose() {
                    Ok(message) => Ok(message.map_or(Seen::End, Seen::Message)),
                    Err(error) => Err(error.into()),
                });
            }
            if self.outbox.has_room(self.unsent()) {
                Poll::Ready(Ok(Seen::Room))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    fn receive(&mut self, message: Message) {
        let text = match message {
            Message::Text(text) => text.as_str().to_owned(),
            Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Message::Pong(_) => {
                self.last_pong = Instant::now();
                return;
            }
            _ => return,
        };
        self.context.shared.update(|state| {
            state.received.push(text.clone());
            state.waiting += 1;
        });
        let _ = self.context.events.send(Event::Frame { socket: self.id, text });
    }

    async fn write(&mut self, text: String) -> Outcome<()> {
        self.socket.feed(Message::text(text)).await?;
        if self.outbox.is_limited() {
            // What counts is what the kernel does not take.
            self.socket.flush().await?;
        }
        self.outbox.check(self.unsent()).map_err(Ended::Terminated)
    }

    /// Executes a command and all that wait behind it. `false` when the connection is over.
    async fn obey(
        &mut self,
        first: Command,
        inbox: &mut UnboundedReceiver<Command>,
    ) -> Outcome<bool> {
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Text(text) => {
                    let ready = self.outbox.offer(text, self.unsent());
                    if let Some(text) = ready.map_err(Ended::Terminated)? {
                        self.write(text).await?;
                    }
                }
                Command::Ping => self.socket.feed(Message::Ping(Bytes::new())).await?,
                Command::Close(frame) => {
                    self.write_rest().await?;
                    let frame = frame.map(|(code, reason)| CloseFrame {
                        code: CloseCode::from(code),
                        reason: Utf8Bytes::from(reason),
                    });
                    self.socket.close(frame).await?;
                    let confirmed = async { while let Ok(Seen::Message(_)) = self.next().await {} };
                    let _ = timeout(CLOSE_LIMIT, confirmed).await;
                    return Ok(false);
                }
                Command::Cut => {
                    self.write_rest().await?;
                    self.socket.get_mut().shutdown().await?;
                    return Ok(false);
                }
            }
            next = inbox.try_recv().ok();
        }
        self.socket.flush().await?;
        Ok(true)
    }

    async fn write_rest(&mut self) -> Outcome<()> {
        for text in self.outbox.rest() {
            self.socket.feed(Message::text(text)).await?;
        }
        Ok(self.socket.flush().await?)
    }
}
