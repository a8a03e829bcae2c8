//! How to reach a server, checked before anything touches the network.

mod builder;
mod endpoint;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use endpoint::Endpoint;

use crate::authorities;
use crate::engine::{MAX_PENDING_REQUESTS, Reconnect, ToolLimits};
use crate::error::{Error, ErrorKind};
use crate::record::RecordOptions;
use crate::server::ServerWatch;

/// How the client lays its sockets (PROTOCOL.md sections 1.1 and 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Ask the server first (`GET /app-server-info`), and fall back on what it refuses.
    #[default]
    Auto,
    /// One socket for everything (servers from 0.29.7 on).
    Single,
    /// A control and a stream socket (servers up to 0.29.6).
    Split,
}

/// Which certificates to accept on `wss:` and `https:`.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// Certificates to trust instead of the system's: PEM text, or the path of a PEM file, which is read when the client
    /// is made.
    pub ca: Option<String>,
    /// Whether the server's certificate is checked. Turn this off only for experiments.
    pub verify: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { ca: None, verify: true }
    }
}

/// The largest message that a server takes.
pub(crate) const SERVERS_LIMIT: usize = 100 * 1024 * 1024;

/// What is no wait but the end of it: an infinite time of Python or Node is at least as long.
pub(crate) const ENDLESS: Duration = Duration::from_secs(365 * 86_400);

/// Everything that can be set before connecting, through methods or in its fields. Times are limits unless their text
/// says that they are waits. An unusable value is refused by [`crate::Client::new`].
///
/// ```
/// use std::time::Duration;
///
/// use letta_app_client::{ConnectOptions, Transport};
///
/// let options = ConnectOptions::new("ws://127.0.0.1:4500")
///     .token("secret")
///     .transport(Transport::Single)
///     .request_timeout(Duration::from_secs(5));
/// assert_eq!(options.connect_timeout, Duration::from_secs(10));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// `ws:`, `wss:`, `http:` or `https:`; an empty path means `/ws`.
    pub url: String,
    /// The capability token or signed bearer token, sent as `Authorization: Bearer …` (section 4). If it
    /// crosses a network unencrypted, [`crate::Event::InsecureToken`] says so.
    pub token: Option<String>,
    /// One socket or two.
    pub transport: Transport,
    /// Time from the first packet to the open WebSocket, handshakes included. 10 s by default.
    pub connect_timeout: Duration,
    /// The limit for a request that sets none of its own. 30 s by default.
    pub request_timeout: Duration,
    /// How long the socket may be silent before a ping is sent. 20 s by default.
    pub keepalive_interval: Duration,
    /// How long this ping may stay unanswered before the connection is considered lost. 20 s by default.
    ///
    /// After the machine has slept, the server is pinged at once and has 5 s to answer. Time asleep does not
    /// count towards any time limit: neither this one nor a request's or a turn's.
    pub keepalive_timeout: Duration,
    /// The largest message in either direction, in bytes. 100 MiB by default, the server's own limit.
    pub max_message_bytes: usize,
    /// How many requests and turns may wait at once; further ones fail with [`ErrorKind::TooManyRequests`]
    /// without sending anything. 10,000 by default: a server that answers one after the other would need longer
    /// for more than anybody waits.
    pub max_pending_requests: usize,
    /// Which certificates to accept.
    pub tls: TlsOptions,
    /// How long to wait before an input on a runtime whose turn has just ended, because the server is still
    /// cleaning up (section 18). 400 ms by default: measured clean-ups take 30 ms, and above 150 ms on a busy
    /// machine. The pause grows if it proves too short.
    pub settle_pause: Duration,
    /// How many external tools run at once, and for how long: 16, for 290 s, by default (section 14).
    pub external_tools: ToolLimits,
    /// How a lost connection is opened again, and what it carried is restored; `None` to not do so at all. By
    /// default attempts go on without end, after waits of up to 250 ms that grow to 15 s. They stop when the
    /// server refuses the credentials, or is none that this client can talk to.
    ///
    /// Runtimes that this client had started are started again, with their tools, mode and directory; those
    /// that it had only subscribed to are subscribed to again; watched files are watched again. Commands are
    /// never repeated: requests in flight fail. Turns are looked for, see
    /// [`crate::TurnOptions::recover_timeout`].
    pub reconnect: Option<Reconnect>,
    /// Keeps a second connection to the same server, which takes over when the first one is lost. A running
    /// turn then goes on, whereas the server cancels a turn that nobody watches any more (sections 7 and 16).
    /// Off by default.
    ///
    /// Once the first connection is open, the second is opened with the same token, and sends a `sync` for each
    /// runtime that the client uses. Every event of these runtimes then crosses the network twice; one copy is
    /// used, and neither a loss nor its repair leaves out or repeats any. When the first connection is lost,
    /// the second takes its place, and yet another is opened. A program sees a loss that is over at once
    /// ([`crate::Event::Disconnected`], then [`crate::State::Open`]): requests in flight fail, as their outcome
    /// is unknown; running terminals and external tools end; external tools are registered again (section 14),
    /// open permissions are asked for again (section 13), and inputs that the server had not begun are looked
    /// for as after a reconnect (section 10).
    ///
    /// [`crate::engine::Counters::standby`] tells whether the second connection is ready. If one is lost before
    /// that, or both are lost at once, it is the same as without a standby. There is no standby without
    /// `reconnect`, nor on a server with split channels, which accepts only one client.
    pub standby: bool,
    /// The server of your own that this is a client of, from [`crate::Server::watch`];
    /// [`crate::Server::connect_options`] has it. Once that server has ended, errors say so, and the client does not try
    /// to connect any more: a server that is started after it has another port and another token. Of a server that was
    /// joined nothing is told, and this changes nothing.
    pub server: Option<ServerWatch>,
    /// Writes everything that goes over the sockets into a file.
    pub record: Option<RecordOptions>,
    /// A recording in place of the server; the URL is not used then.
    #[cfg(feature = "testing")]
    pub replay: Option<crate::testing::Replay>,
    /// A network that a test simulates.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub simulated: Option<crate::testing::Simulated>,
}

impl ConnectOptions {
    /// The defaults for a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            transport: Transport::Auto,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(20),
            max_message_bytes: SERVERS_LIMIT,
            max_pending_requests: MAX_PENDING_REQUESTS,
            tls: TlsOptions::default(),
            settle_pause: Duration::from_millis(400),
            external_tools: ToolLimits::default(),
            reconnect: Some(Reconnect::default()),
            standby: false,
            server: None,
            record: None,
            #[cfg(feature = "testing")]
            replay: None,
            #[cfg(feature = "testing")]
            simulated: None,
        }
    }

    /// A client that plays with a recording instead of a server: see [`crate::testing::replay`].
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn replay(replay: crate::testing::Replay) -> Self {
        Self { replay: Some(replay), ..Self::new("ws://replay") }
    }

    /// Checks what can be checked without the network.
    pub(crate) fn check(&self) -> Result<Endpoint, Error> {
        self.check_values()?;
        let mut endpoint = Endpoint::parse(&self.url)?;
        endpoint.token = self.token.as_deref().map(|token| token.trim().to_owned());
        let authorities = self.tls.ca.as_deref().map(authorities::read).transpose()?;
        endpoint.authorities = authorities.map(Arc::new);
        Ok(endpoint)
    }

    /// Checks everything but the URL and the certificates in [`TlsOptions::ca`], for whoever keeps options that are
    /// used later, or elsewhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] names the one that is not usable.
    pub fn check_values(&self) -> Result<(), Error> {
        let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidOption, message));
        if self.max_message_bytes == 0 {
            return invalid("max_message_bytes: expected a positive number of bytes, got 0");
        }
        if self.max_pending_requests == 0 {
            return invalid("max_pending_requests: expected a number above zero, got 0");
        }
        for (name, value) in [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
            ("external_tools.timeout", self.external_tools.timeout),
        ] {
            if value.is_zero() {
                return invalid(&format!("{name}: expected a time above zero, got 0"));
            }
        }
        if let Some(Reconnect { max_attempts, base, cap }) = self.reconnect {
            if max_attempts == Some(0) {
                return invalid("reconnect.max_attempts: expected a number above zero, got 0");
            }
            if base.is_zero() {
                return invalid("reconnect.base: expected a time above zero, got 0");
            }
            ends("reconnect.base", base)?;
            if cap < base {
                return invalid(&format!(
                    "reconnect.cap: expected at least reconnect.base ({base:?}), got {cap:?}"
                ));
            }
        }
        ends("settle_pause", self.settle_pause)?;
        if self.external_tools.concurrency == 0 {
            return invalid("external_tools.concurrency: expected a number above zero, got 0");
        }
        match self.token.as_deref().map(str::trim) {
            Some("") => invalid("token: expected a token, got an empty string"),
            Some(token) if token.chars().any(|c| !(' '..='~').contains(&c)) => invalid(
                "token: expected printable ASCII characters, \
                 got one that is not allowed in a header",
            ),
            _ => Ok(()),
        }
    }
}

/// A wait has to end.
fn ends(name: &str, wait: Duration) -> Result<(), Error> {
    if wait < ENDLESS {
        return Ok(());
    }
    let seconds = wait.as_secs();
    let message =
        format!("{name}: expected a finite wait of less than a year, got {seconds} seconds");
    Err(Error::new(ErrorKind::InvalidOption, message))
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("url", &shown(&self.url))
            .field("token", &self.token.as_ref().map(|_| "[hidden]"))
            .field("transport", &self.transport)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("max_message_bytes", &self.max_message_bytes)
            .finish_non_exhaustive()
    }
}

/// A URL as it may stand in a message: without a name or password, and without the query and the fragment, in which
/// some write a token.
pub(crate) fn shown(url: &str) -> String {
    let (url, query) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], format!("{}[hidden]", &url[at..=at])),
        None => (url, String::new()),
    };
    format!("{}{query}", without_userinfo(url))
}

fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    match rest.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("[hidden]@{host}"),
        Some((_, host)) => format!("{scheme}://[hidden]@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        ConnectOptions::new(url).check().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn reconnecting(max_attempts: Option<u32>, base: u64, cap: u64) -> ConnectOptions {
        let (base, cap) = (Duration::from_secs(base), Duration::from_secs(cap));
        ConnectOptions::new("ws://h").reconnect(Some(Reconnect { max_attempts, base, cap }))
    }

    #[test]
    fn urls_are_read_like_the_reference_client_reads_them() {
        for (url, secure, authority, target) in [
            ("ws://127.0.0.1:4500", false, "127.0.0.1:4500", "/ws"),
            ("http://localhost:4500/", false, "localhost:4500", "/ws"),
            ("wss://example.org", true, "example.org:443", "/ws"),
            ("HTTPS://example.org:8443/custom", true, "example.org:8443", "/custom"),
            ("ws://[::1]:4500/x?a=1&channel=control&b=2#top", false, "[::1]:4500", "/x?a=1&b=2"),
        ] {
            let endpoint = endpoint(url);
            assert_eq!(endpoint.secure, secure, "{url}");
            assert_eq!(endpoint.authority(), authority, "{url}");
            assert_eq!(endpoint.target(None), target, "{url}");
        }
        assert_eq!(endpoint("ws://h:1/x?a=1").target(Some("stream")), "/x?a=1&channel=stream");
    }

    #[test]
    fn bad_options_are_refused_by_name() {
        for (options, field) in [
            (ConnectOptions::new("ftp://h"), "url"),
            (ConnectOptions::new("127.0.0.1:4500"), "url"),
            (ConnectOptions::new("ws://"), "url"),
            (ConnectOptions::new("ws://h:0"), "url"),
            (ConnectOptions::new("ws://h:99999"), "url"),
            (ConnectOptions::new("ws://user:secret@h"), "url"),
            (ConnectOptions::new("ws://user:secret@ho st"), "url"),
            (ConnectOptions::new("user:secret@h"), "url"),
            (ConnectOptions::new("ws://h").token("  "), "token"),
            (ConnectOptions::new("ws://h").token("a\nb"), "token"),
            (
                ConnectOptions { max_message_bytes: 0, ..ConnectOptions::new("ws://h") },
                "max_message",
            ),
            (
                ConnectOptions { max_pending_requests: 0, ..ConnectOptions::new("ws://h") },
                "max_pending_requests",
            ),
            (
                ConnectOptions { connect_timeout: Duration::ZERO, ..ConnectOptions::new("ws://h") },
                "connect_timeout",
            ),
            (reconnecting(Some(0), 1, 1), "reconnect.max_attempts"),
            (reconnecting(None, 0, 1), "reconnect.base"),
            (
                reconnecting(None, 2, 1),
                "reconnect.cap: expected at least reconnect.base (2s), got 1s",
            ),
        ] {
            let error = options.check().err().expect("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.message().starts_with(field), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_wait_has_to_end() {
        let endless = |options: ConnectOptions| {
            options.check().err().expect("nothing would ever be sent").to_string()
        };
        let pause = ConnectOptions { settle_pause: ENDLESS, ..ConnectOptions::new("ws://h") };
        let expected = "expected a finite wait of less than a year, got";
        assert_eq!(endless(pause), format!("settle_pause: {expected} 31536000 seconds"));
        for cap in [Duration::MAX, Duration::from_secs(15)] {
            let rules = Reconnect { base: Duration::MAX, cap, max_attempts: None };
            let waiting =
                ConnectOptions { reconnect: Some(rules), ..ConnectOptions::new("ws://h") };
            let seconds = Duration::MAX.as_secs();
            assert_eq!(endless(waiting), format!("reconnect.base: {expected} {seconds} seconds"));
        }
        let rules = Reconnect { cap: Duration::MAX, ..Reconnect::default() };
        let doubling = ConnectOptions { reconnect: Some(rules), ..ConnectOptions::new("ws://h") };
        assert!(doubling.check().is_ok(), "each of its waits ends");
    }

    #[test]
    fn what_is_wrong_is_named_as_it_is_written() {
        let mut options = ConnectOptions::new("ws://h");
        options.external_tools.timeout = Duration::ZERO;
        let error = options.check().err().expect("no time");
        assert_eq!(error.message(), "external_tools.timeout: expected a time above zero, got 0");
        let mut options = ConnectOptions::new("ws://h");
        options.external_tools.concurrency = 0;
        let error = options.check().err().expect("no calls");
        assert_eq!(
            error.message(),
            "external_tools.concurrency: expected a number above zero, got 0"
        );
    }

    #[test]
    fn the_token_is_not_shown() {
        let options = ConnectOptions::new("ws://h").token("s3cret");
        assert!(!format!("{options:?}").contains("s3cret"));
        for url in [
            "ws://user:s3cret@h",
            "ws://h/ws?token=s3cret",
            "ws://h?a=1@b&token=s3cret",
            "ws://h/ws#token=s3cret",
            "ws://h/#a?token=s3cret",
        ] {
            let options = ConnectOptions::new(url);
            assert!(!format!("{options:?}").contains("s3cret"), "{url}");
        }
    }

    #[test]
    fn a_token_is_at_risk_on_a_network_without_tls() {
        for (url, at_risk) in [
            ("ws://127.0.0.1:4500", false),
            ("http://127.8.9.1", false),
            ("ws://[::1]:4500", false),
            ("ws://[::ffff:127.0.0.1]", false),
            ("ws://localhost", false),
            ("ws://LOCALHOST.:4500", false),
            ("ws://app.localhost", false),
            ("wss://example.org", false),
            ("https://10.0.0.1", false),
            ("ws://example.org", true),
            ("http://10.0.0.1:4500", true),
            ("ws://0.0.0.0:4500", true),
            ("ws://[fe80::1]", true),
            ("ws://[::ffff:10.0.0.1]", true),
            ("ws://localhost.example.org", true),
            ("ws://notlocalhost", true),
            ("ws://127.0.0.1.example.org", true),
        ] {
            let with_token = ConnectOptions::new(url).token("s3cret").check().expect(url);
            let told = with_token.token_at_risk();
            assert_eq!(told.is_some(), at_risk, "{url}");
            assert!(!told.unwrap_or_default().contains("s3cret"));
            assert_eq!(endpoint(url).token_at_risk(), None, "no token, no risk");
        }
    }

    #[test]
    fn what_a_server_repeats_is_hidden() {
        let options = ConnectOptions::new("ws://h?token=qu3ry&a=1").token("s3cret");
        let endpoint = options.check().expect("usable");
        let text = "no s3cret, and no qu3ry; 1 a";
        assert_eq!(endpoint.without_secrets(text), "no [hidden], and no [hidden]; 1 a");
    }

    #[test]
    fn what_a_server_repeats_in_another_spelling_is_hidden_and_ordinary_words_are_not() {
        let endpoint =
            endpoint("ws://h?token=s3cret%2Bpw%2F%3Dx&debug=true&tenant=12345&client=agent");
        let text = "not s3cret+pw/=x nor s3cret%2Bpw%2F%3Dx, agent 12345: true";
        assert_eq!(endpoint.without_secrets(text), "not [hidden] nor [hidden], agent 12345: true");
    }
}
