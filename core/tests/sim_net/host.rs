//! The model of the server behind sockets: HTTP, WebSockets, heartbeats (PROTOCOL.md section 2).

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use letta_app_client::engine::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use turmoil::net::{TcpListener, TcpStream};

use crate::sim::server::{ConnId, Server};

pub const PORT: u16 = 4500;

/// How often a socket is pinged, and after which silence it is given up.
const HEARTBEAT: Duration = Duration::from_secs(30);
const REAP: Duration = Duration::from_secs(90);

/// What is sent to each socket; a connection's second one is its stream socket.
type Sockets = HashMap<(ConnId, bool), UnboundedSender<Message>>;

/// The server and the sockets of its connections. The server outlives the host, as a disk would.
#[derive(Clone)]
pub struct Hub {
    pub server: Arc<Mutex<Server>>,
    sockets: Arc<Mutex<Sockets>>,
    /// The connections that have had a stream socket, once for each.
    streams: Arc<Mutex<Vec<ConnId>>>,
    changed: Arc<Notify>,
}

/// The simulation's clock.
fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

impl Hub {
    pub fn new(server: Server) -> Self {
        Self {
            server: Arc::new(Mutex::new(server)),
            sockets: Arc::default(),
            streams: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// The host's program.
    pub async fn serve(self) -> Result<(), Box<dyn std::error::Error>> {
        self.server.lock().unwrap().restart(now());
        self.sockets.lock().unwrap().clear();
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        tokio::spawn(self.clone().pump());
        let mut conn = ConnId::try_from(now().as_millis())? + 1;
        loop {
            let (stream, _) = listener.accept().await?;
            conn += 1;
            tokio::spawn(self.clone().connection(conn, stream));
        }
    }

    /// Wakes the server in time, and sends what it has to say.
    async fn pump(self) {
        loop {
            let at = {
                let mut server = self.server.lock().unwrap();
                server.handle_timeout(now());
                let sockets = self.sockets.lock().unwrap();
                while let Some(output) = server.poll() {
                    let stream = (output.conn, output.channel == Channel::Stream);
                    let socket =
                        sockets.get(&stream).or_else(|| sockets.get(&(output.conn, false)));
                    // One that is gone loses what is sent, as a network would.
                    let _ = socket.map(|socket| socket.send(Message::text(output.text)));
                }
                server.next_timeout()
            };
            let wait = at.map(|at| Instant::now() + at.saturating_sub(now()));
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => {}
            }
        }
    }

    async fn connection(self, conn: ConnId, mut stream: TcpStream) {
        // An error ends the connection, which is all there is to know about it.
        let head = timeout(Duration::from_secs(30), head(&mut stream)).await;
        let Ok(Ok(head)) = head else { return };
        let split = self.server.lock().unwrap().generation.split;
        let Some(key) = header(&head, "sec-websocket-key") else {
            let body = format!(
                r#"{{"letta_code_version":"{}","capabilities":{{"split_channels":{split}}}}}"#,
                if split { "0.29.6" } else { "0.30.28" },
            );
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes()),
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let (sender, inbox) = unbounded_channel();
        if head.contains("channel=stream") {
            self.stream_socket(socket, sender, inbox).await;
            return;
        }
        if !self.server.lock().unwrap().takes_clients() {
            let reason = "control channel already connected".into();
            let frame = CloseFrame { code: CloseCode::Policy, reason };
            let _ = socket.close(Some(frame)).await;
            return;
        }
        self.sockets.lock().unwrap().insert((conn, false), sender);
        self.server.lock().unwrap().connect(now(), conn);
        self.changed.notify_one();
        self.converse(conn, socket, inbox, false).await;
        self.sockets.lock().unwrap().remove(&(conn, false));
        self.server.lock().unwrap().lost(now(), conn);
        self.changed.notify_one();
    }

    /// The second socket of a split server: it belongs to the session there is, or will be in a moment.
    async fn stream_socket(
        self,
        socket: WebSocketStream<TcpStream>,
        sender: UnboundedSender<Message>,
        inbox: UnboundedReceiver<Message>,
    ) {
        let mut session = None;
        for _ in 0..500 {
            session = self.sockets.lock().unwrap().keys().map(|(conn, _)| *conn).max();
            if session.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let Some(conn) = session else { return };
        self.streams.lock().unwrap().push(conn);
        self.sockets.lock().unwrap().insert((conn, true), sender);
        self.converse(conn, socket, inbox, true).await;
        self.sockets.lock().unwrap().remove(&(conn, true));
    }

    async fn converse(
        &self,
        conn: ConnId,
        socket: WebSocketStream<TcpStream>,
        mut inbox: UnboundedReceiver<Message>,
        stream: bool,
    ) {
        let (mut sink, mut source) = socket.split();
        let mut heard = Instant::now();
        let mut ping = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                message = source.next() => match message {
                    Some(Ok(message)) => {
                        heard = Instant::now();
                        if let Message::Text(text) = message && !stream {
                            self.server.lock().unwrap().receive(now(), conn, &text);
                            self.changed.notify_one();
                        }
                    }
                    _ => return,
                },
                message = inbox.recv() => {
                    let Some(message) = message else { return };
                    if sink.send(message).await.is_err() {
                        return;
                    }
                }
                () = sleep_until(ping) => {
                    if heard.elapsed() > REAP || sink.send(Message::Ping(Bytes::new())).await.is_err() {
                        return;
                    }
                    ping = Instant::now() + HEARTBEAT;
                }
            }
        }
    }

    /// Ends the oldest of the connections, or the newest.
    pub fn cut_one(&self, oldest: bool) {
        let mut sockets = self.sockets.lock().unwrap();
        let conns = sockets.keys().copied();
        let cut = if oldest { conns.min() } else { conns.max() };
        if let Some(cut) = cut {
            sockets.remove(&cut);
        }
    }

    /// Whether a connection was given another stream socket: that is no loss of the connection, but of what came on
    /// the one before.
    pub fn lost_streams(&self) -> bool {
        let streams = self.streams.lock().unwrap();
        streams.iter().enumerate().any(|(index, conn)| streams[..index].contains(conn))
    }

    /// Ends the TCP connections of all clients, or their stream sockets alone.
    pub fn cut(&self, stream: bool) {
        self.sockets.lock().unwrap().retain(|(_, is_stream), _| *is_stream != stream);
    }
}

async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
