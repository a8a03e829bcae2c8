//! From options to open WebSockets: the probe, the choice of the transport, the upgrade, and in
//! words what failed (PROTOCOL.md sections 1.1, 2, 3 and 4).

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::certificate;
use super::http::{Answer, HttpError, Io, body, exchange};
use super::socket::Socket;
use super::tls;
use crate::engine::Channel;
use crate::error::{Error, ErrorKind};
use crate::options::{ConnectOptions, Endpoint, Transport, shown};
use crate::protocol::version::{LAST_SILENT, LAST_SPLIT, Version};
use crate::record::{Place, Recorder};

/// An open connection: one socket, or the pair of a split server.
pub(super) struct Connected {
    pub(super) control: Socket,
    pub(super) stream: Option<Box<Socket>>,
    /// The server's answer to `GET /app-server-info`, where it gave one.
    pub(super) info: Option<String>,
    pub(super) split: bool,
    /// The server is of no later version; `None` when that is not known.
    pub(super) newest: Option<Version>,
}

/// What the probe told.
enum Probe {
    Single(String),
    Split(Option<String>),
    /// No word on the matter; `?channel=control` will tell. Whether the server knows no such page.
    Unknown {
        page_missing: bool,
    },
}

/// Connects within the time limit.
pub(super) async fn connect(
    endpoint: &Endpoint,
    options: &ConnectOptions,
) -> Result<Connected, Error> {
    let limit = options.connect_timeout;
    // Both sockets of a pair, and what is tried until one of them opens, have one number.
    let number = endpoint.recorder.as_ref().map_or(0, Recorder::connection);
    let outcome = tokio::time::timeout(limit, choose(endpoint, options)).await;
    let outcome = outcome.map(|connected| connected.map(|it| it.recorded(endpoint, number)));
    let outcome = outcome.unwrap_or_else(|_| Err(too_late(endpoint, options)));
    outcome.map_err(|error| error.reworded(|text| endpoint.without_secrets(text)))
}

/// The time limit is over, and nothing else is known.
pub(super) fn too_late(endpoint: &Endpoint, options: &ConnectOptions) -> Error {
    let (place, limit) = (endpoint.authority(), options.connect_timeout.as_secs_f64());
    Error::new(ErrorKind::ConnectionFailed, format!("no connection to {place} within {limit} s"))
}

/// Opens one more socket to a server that is known: a split server's stream socket once more, or a second
/// one to a one-socket server.
pub(super) async fn open_another(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    channel: Option<Channel>,
) -> Result<Socket, Error> {
    let open = upgrade(endpoint, options, channel);
    let opened = tokio::time::timeout(options.connect_timeout, open).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::ConnectionFailed, "the socket did not open in time"))
    });
    opened.map(|mut socket| {
        let standby = channel.is_none();
        let number = |it: &Recorder| if standby { it.connection() } else { it.latest() };
        record(
            &mut socket,
            endpoint,
            endpoint.recorder.as_ref().map_or(0, number),
            channel,
            standby,
        );
        socket
    })
}

impl Connected {
    /// With all that goes over its sockets written down, where that is wanted.
    fn recorded(mut self, endpoint: &Endpoint, number: u64) -> Self {
        let control = self.split.then_some(Channel::Control);
        record(&mut self.control, endpoint, number, control, false);
        if let Some(stream) = &mut self.stream {
            record(stream, endpoint, number, Some(Channel::Stream), false);
        }
        self
    }
}

/// Writes down what goes over a socket that has just opened.
fn record(
    socket: &mut Socket,
    endpoint: &Endpoint,
    connection: u64,
    channel: Option<Channel>,
    standby: bool,
) {
    let url = endpoint.socket_url(channel.map(Channel::as_str));
    let channel = channel.map_or("socket", Channel::as_str);
    let place = Place { connection, channel, standby };
    socket.tap = endpoint.recorder.as_ref().map(|recorder| recorder.tap(place, url));
}

async fn choose(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Connected, Error> {
    match options.transport {
        Transport::Single => single(endpoint, options, None).await,
        Transport::Split => split(endpoint, options, None).await,
        Transport::Auto => match probe(endpoint, options).await? {
            Probe::Single(info) => single(endpoint, options, Some(info)).await,
            Probe::Split(info) => split(endpoint, options, info).await,
            Probe::Unknown { page_missing } => match split(endpoint, options, None).await {
                Err(error) if error.kind() == ErrorKind::ProtocolMismatch => {
                    single(endpoint, options, None).await
                }
                Ok(connected) if page_missing => {
                    Ok(Connected { newest: Some(LAST_SILENT), ..connected })
                }
                other => other,
            },
        },
    }
}

async fn single(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    info: Option<String>,
) -> Result<Connected, Error> {
    let control = upgrade(endpoint, options, None).await?;
    let newest = version_of(info.as_deref());
    Ok(Connected { control, stream: None, info, split: false, newest })
}

async fn split(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    info: Option<String>,
) -> Result<Connected, Error> {
    let (control, stream) = tokio::try_join!(
        upgrade(endpoint, options, Some(Channel::Control)),
        upgrade(endpoint, options, Some(Channel::Stream)),
    )?;
    let newest = version_of(info.as_deref()).or(Some(LAST_SPLIT));
    Ok(Connected { control, stream: Some(Box::new(stream)), info, split: true, newest })
}

/// The version a server says it has.
fn version_of(info: Option<&str>) -> Option<Version> {
    let info: serde_json::Value = serde_json::from_str(info?).ok()?;
    Version::parse(info["letta_code_version"].as_str()?)
}

/// One HTTP answer of the server, to a path of its own.
#[cfg(feature = "cli")]
pub(crate) async fn fetch(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    path: &str,
) -> Result<Answer, Error> {
    let ask = async {
        let mut io = open(endpoint, options).await?;
        let request = head(endpoint, &format!("GET {path} HTTP/1.0"), "Connection: close\r\n");
        exchange(&mut *io, &request).await.map_err(|error| http_failed(endpoint, error))
    };
    tokio::time::timeout(options.connect_timeout, ask).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::ConnectionFailed, format!("no answer from {path} in time")))
    })
}

/// `GET /app-server-info`: 200 tells the generation, 404 means a server that does not have it yet,
/// 401 that the credentials are wrong.
async fn probe(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Probe, Error> {
    let mut io = open(endpoint, options).await?;
    // HTTP/1.0 keeps the answer free of chunks.
    let request = head(endpoint, "GET /app-server-info HTTP/1.0", "Connection: close\r\n");
    let mut answer =
        exchange(&mut *io, &request).await.map_err(|error| http_failed(endpoint, error))?;
    match answer.status {
        200 => {
            let body = body(&mut *io, &mut answer).await.unwrap_or_default();
            let split = serde_json::from_slice::<serde_json::Value>(&body)
                .ok()
                .and_then(|info| info["capabilities"]["split_channels"].as_bool());
            let info = String::from_utf8(body).unwrap_or_default();
            Ok(match split {
                Some(false) => Probe::Single(info),
                Some(true) => Probe::Split(Some(info)),
                None => Probe::Unknown { page_missing: false },
            })
        }
        401 => {
            let body = body(&mut *io, &mut answer).await.unwrap_or_default();
            let reason = serde_json::from_slice::<serde_json::Value>(&body)
                .ok()
                .and_then(|body| body["error"].as_str().map(str::to_owned))
                .unwrap_or(answer.reason);
            Err(refused_credentials(&reason))
        }
        // 404 above all: a server that does not have it yet, or a proxy that does not pass it on.
        status => Ok(Probe::Unknown { page_missing: status == 404 }),
    }
}

/// The WebSocket upgrade, by hand: the reason of a refusal stands in the status line, which
/// WebSocket libraries throw away. A redirect is never followed, so the token stays where it
/// belongs.
async fn upgrade(
    endpoint: &Endpoint,
    options: &ConnectOptions,
    channel: Option<Channel>,
) -> Result<Socket, Error> {
    let mut io = open(endpoint, options).await?;
    let key = generate_key();
    let target = endpoint.target(channel.map(Channel::as_str));
    let request = head(
        endpoint,
        &format!("GET {target} HTTP/1.1"),
        &format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\n"
        ),
    );
    let answer =
        exchange(&mut *io, &request).await.map_err(|error| http_failed(endpoint, error))?;
    if answer.status != 101 {
        return Err(refused(&answer, &endpoint.path));
    }
    let upgraded = answer.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    let accept = answer.header("sec-websocket-accept").map(str::trim);
    if !upgraded || accept != Some(derive_accept_key(key.as_bytes()).as_str()) {
        let message = "the server answered the upgrade, but not as a WebSocket";
        return Err(Error::new(ErrorKind::ConnectionFailed, message));
    }
    let channel = channel.unwrap_or(Channel::Control);
    Ok(Socket::new(io, answer.rest, channel, options))
}

fn head(endpoint: &Endpoint, line: &str, headers: &str) -> String {
    let token = endpoint.token.as_ref();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("{line}\r\nHost: {}\r\n{headers}{token}\r\n", endpoint.authority())
}

/// TCP, and TLS over it where the URL says so.
async fn open(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Box<dyn Io>, Error> {
    let place = endpoint.authority();
    #[cfg(feature = "testing")]
    if let Some(simulated) = &options.simulated {
        let io = (simulated.open)(&place).await.map_err(|error| tcp_failed(endpoint, error))?;
        return Ok(Box::new(io));
    }
    let tcp = TcpStream::connect(&place).await.map_err(|error| tcp_failed(endpoint, error))?;
    // Small frames must not wait for one another; without it they still arrive.
    tcp.set_nodelay(true).unwrap_or_default();
    if !endpoint.secure {
        return Ok(Box::new(tcp));
    }
    let name = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|error| {
        let message = format!("url: the host is not a valid name for TLS ({error})");
        Error::new(ErrorKind::InvalidOption, message)
    })?;
    let connector = TlsConnector::from(tls_config(endpoint, options).await?);
    let stream = connector.connect(name, tcp).await.map_err(|error| tls_failed(&place, error))?;
    Ok(Box::new(stream))
}

/// The TLS configuration, made once and off this thread, on which all connections of the process live.
async fn tls_config(
    endpoint: &Endpoint,
    options: &ConnectOptions,
) -> Result<Arc<ClientConfig>, Error> {
    let make = || async {
        let (options, authorities) = (options.tls.clone(), endpoint.authorities.clone());
        let made = tokio::task::spawn_blocking(move || tls::config(&options, authorities)).await;
        made.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?.map(Arc::new)
    };
    endpoint.tls.get_or_try_init(make).await.cloned()
}

fn tcp_failed(endpoint: &Endpoint, error: io::Error) -> Error {
    let place = &endpoint.authority();
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by {place}"),
        io::ErrorKind::TimedOut => format!("no answer from {place}"),
        _ => format!("cannot connect to {place}: {error}"),
    };
    let hint = if endpoint.secure || !is_here(place) {
        "is the server running there?".to_owned()
    } else {
        format!("is the server running? letta server --listen ws://{place}")
    };
    Error::new(ErrorKind::ConnectionFailed, what).with_hint(hint).with_source(error)
}

/// Whether it is an address of this machine alone, where a server may be started.
fn is_here(place: &str) -> bool {
    ["127.", "localhost:", "[::1]:"].iter().any(|start| place.starts_with(start))
}

fn tls_failed(place: &str, error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(reason)) = inner {
        return certificate::refused(place, reason).with_source(error);
    }
    Error::new(ErrorKind::ConnectionFailed, format!("TLS with {place} failed: {error}"))
        .with_hint("App Servers speak plain ws://; wss:// needs a proxy in front of them")
        .with_source(error)
}

fn http_failed(endpoint: &Endpoint, error: HttpError) -> Error {
    let message = format!("{}: not an App Server: {error}", endpoint.authority());
    let failed = Error::new(ErrorKind::ConnectionFailed, message);
    match error {
        HttpError::Io(error) => failed.with_source(error),
        _ => failed,
    }
}

fn refused_credentials(reason: &str) -> Error {
    Error::new(ErrorKind::Auth, format!("the server refused the credentials: {reason}"))
        .with_hint("pass the server's capability token or a signed bearer token")
}

fn refused(answer: &Answer, path: &str) -> Error {
    let line = answer.status_line();
    match answer.status {
        401 => refused_credentials(&answer.reason),
        403 => Error::new(ErrorKind::Auth, format!("the server refused the upgrade: {line}")),
        404 => Error::new(ErrorKind::ConnectionFailed, format!("{line}: no WebSocket at {path}"))
            .with_hint("an App Server listens on /ws, or on the path it was started with"),
        426 => Error::new(
            ErrorKind::ProtocolMismatch,
            "the server has one socket for everything and refuses split channels",
        )
        .with_hint("use transport \"auto\" or \"single\""),
        300..=399 => {
            let to = answer.header("location").map_or("nowhere".to_owned(), shown);
            let message = format!("{line}: the redirect to {to} is not followed");
            Error::new(ErrorKind::ConnectionFailed, message)
        }
        _ => Error::new(ErrorKind::ConnectionFailed, format!("{line}: not a WebSocket")),
    }
}
