//! One TCP connection: the handshake, then the task that owns the WebSocket.

use std::io;
use std::sync::Arc;
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
use super::shared::Shared;
use super::trace::Channel;

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
    Frame { socket: u64, text: String },
    Closed { socket: u64 },
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
    // Any error ends the connection, which is all there is to know about it.
    let _ = converse(&context, id, socket, inbox).await;
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
) -> io::Result<Option<WebSocketStream<TcpStream>>> {
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
            let socket =
                WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config))
                    .await;
            Ok(Some(socket))
        }
    }
}

type Outcome<T> = Result<T, tokio_tungstenite::tungstenite::Error>;

async fn converse(
    context: &Context,
    id: u64,
    mut socket: WebSocketStream<TcpStream>,
    mut inbox: UnboundedReceiver<Command>,
) -> Outcome<()> {
    let mut next_ping = context.ping_interval.map(|interval| Instant::now() + interval);
    loop {
        // Without pings the timer is disabled, so its time does not matter.
        let ping_at = next_ping.unwrap_or_else(Instant::now);
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => receive(context, id, message?),
                None => return Ok(()),
            },
            command = inbox.recv() => {
                let Some(command) = command else { return Ok(()) };
                if !obey(&mut socket, command, &mut inbox).await? {
                    return Ok(());
                }
            }
            () = sleep_until(ping_at), if next_ping.is_some() => {
                socket.send(Message::Ping(Bytes::new())).await?;
                next_ping = context.ping_interval.map(|interval| Instant::now() + interval);
            }
        }
    }
}

fn receive(context: &Context, id: u64, message: Message) {
    let text = match message {
        Message::Text(text) => text.as_str().to_owned(),
        Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => return,
    };
    context.shared.update(|state| {
        state.received.push(text.clone());
        state.waiting += 1;
    });
    let _ = context.events.send(Event::Frame { socket: id, text });
}

/// Executes a command and all that wait behind it, then flushes. `false` when the connection is over.
async fn obey(
    socket: &mut WebSocketStream<TcpStream>,
    first: Command,
    inbox: &mut UnboundedReceiver<Command>,
) -> Outcome<bool> {
    let mut next = Some(first);
    while let Some(command) = next {
        match command {
            Command::Text(text) => socket.feed(Message::text(text)).await?,
            Command::Ping => socket.feed(Message::Ping(Bytes::new())).await?,
            Command::Close(frame) => {
                let frame = frame.map(|(code, reason)| CloseFrame {
                    code: CloseCode::from(code),
                    reason: Utf8Bytes::from(reason),
                });
                socket.close(frame).await?;
                let confirmed = async { while let Some(Ok(_)) = socket.next().await {} };
                let _ = timeout(CLOSE_LIMIT, confirmed).await;
                return Ok(false);
            }
            Command::Cut => {
                socket.flush().await?;
                socket.get_mut().shutdown().await?;
                return Ok(false);
            }
        }
        next = inbox.try_recv().ok();
    }
    socket.flush().await?;
    Ok(true)
}
