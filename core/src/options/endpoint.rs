//! Where the server is (PROTOCOL.md section 2).

use std::net::IpAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use tokio::sync::OnceCell;
use tokio_tungstenite::tungstenite::http::Uri;

use super::shown;
use crate::error::{Error, ErrorKind};
use crate::record::Recorder;
use crate::spelling::{SHORTEST_SECRET, may_be_secret, spellings};

/// See the module's text.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) secure: bool,
    /// As it stands in the URL, with brackets around an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The WebSocket's path.
    pub(crate) path: String,
    /// The user's query without `channel`.
    pub(crate) query: String,
    pub(crate) token: Option<String>,
    /// The certificates that are trusted instead of the system's.
    pub(crate) authorities: Option<Arc<RootCertStore>>,
    /// The TLS configuration, made on first use: reading the system's certificates takes a while.
    pub(crate) tls: Arc<OnceCell<Arc<rustls::ClientConfig>>>,
    /// Where all that goes over the sockets is written.
    pub(crate) recorder: Option<Recorder>,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let invalid = |what: String| {
            Error::new(ErrorKind::InvalidOption, format!("url: {what}"))
                .with_hint("for example ws://127.0.0.1:4500")
        };
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| {
            invalid(format!("expected ws://, wss://, http:// or https://, got {:?}", shown(url)))
        })?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            other => {
                return Err(invalid(format!(
                    "expected ws, wss, http or https, got scheme {other:?}"
                )));
            }
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let uri: Uri = format!("http://{rest}").parse().map_err(|error| {
            invalid(format!("expected a host and port, got {:?} ({error})", shown(rest)))
        })?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        if authority.contains('@') {
            return Err(invalid(
                "a user name or password in the URL is not used; pass a token".to_owned(),
            ));
        }
        let host = uri.host().unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err(invalid(format!("expected a host, got {:?}", shown(url))));
        }
        let port = match authority.strip_prefix(host.as_str()).unwrap_or_default() {
            "" | ":" => {
                if secure {
                    443
                } else {
                    80
                }
            }
            port => {
                port.trim_start_matches(':').parse().ok().filter(|port| *port > 0).ok_or_else(
                    || invalid(format!("expected a port from 1 to 65535, got {port:?}")),
                )?
            }
        };
        let path = match uri.path() {
            "" | "/" => "/ws".to_owned(),
            path => path.to_owned(),
        };
        let query = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("channel"))
            .collect::<Vec<_>>()
            .join("&");
        Ok(Self {
            secure,
            host,
            port,
            path,
            query,
            token: None,
            authorities: None,
            tls: Arc::default(),
            recorder: None,
        })
    }

    /// Why the token is not safe on its way: it goes in clear over a network. `None` for TLS, and for what
    /// does not leave this machine.
    pub(crate) fn token_at_risk(&self) -> Option<String> {
        let exposed = self.token.is_some() && !self.secure && !self.is_loopback();
        exposed.then(|| {
            format!(
                "the token is sent to {} unencrypted, and anyone who reads it on the way can use it; \
                 use wss:// through a proxy, or a tunnel that ends on this machine",
                self.authority()
            )
        })
    }

    /// 127.0.0.0/8, `::1`, `localhost` and the names below it, which never leave the machine (RFC 6761).
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if let Ok(address) = host.parse::<IpAddr>() {
            return address.to_canonical().is_loopback();
        }
        let name = host.strip_suffix('.').unwrap_or(&host);
        name == "localhost" || name.ends_with(".localhost")
    }

    /// A text of the server's as it may stand in a message: a server may repeat what it was sent.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        let secrets = self.secrets();
        let mut spelled: Vec<_> = secrets.iter().flat_map(|secret| spellings(secret)).collect();
        // One may be part of another.
        spelled.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let hide = |text: String, secret: &String| text.replace(secret, "[hidden]");
        spelled.iter().fold(text.to_owned(), hide)
    }

    /// The token, and what may be one.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)));
        let values =
            pairs.filter(|(name, value)| may_be_secret(name, value)).map(|(_, value)| value);
        // Less is no secret, and would make holes everywhere.
        let token = self.token.as_deref().filter(|token| token.len() >= SHORTEST_SECRET);
        token.into_iter().chain(values).map(str::to_owned).collect()
    }

    /// The address of a socket without what may be secret, with the channel of a split server.
    pub(crate) fn socket_url(&self, channel: Option<&str>) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        let channel = channel.map(|name| format!("?channel={name}")).unwrap_or_default();
        format!("{scheme}://{}{}{channel}", self.authority(), self.path)
    }

    /// Host and port, as an address to connect to and as the `Host` header.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The request target of a socket, with the channel of a split server.
    pub(crate) fn target(&self, channel: Option<&str>) -> String {
        let channel = channel.map(|name| format!("channel={name}")).unwrap_or_default();
        let parts: Vec<&str> =
            [self.query.as_str(), channel.as_str()].into_iter().filter(|p| !p.is_empty()).collect();
        if parts.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, parts.join("&"))
        }
    }
}
