//! The HTTP side of the server: who may upgrade, and the plain endpoints (protocol reference, sections 1.1, 3, 4).

use serde_json::{Value, json};

use super::options::Generation;
use super::trace::Channel;

/// What decides about a request.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) generation: Generation,
    pub(super) token: Option<String>,
}

/// The head of an HTTP request.
#[derive(Debug, Default)]
pub(super) struct Head {
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Switch to WebSocket.
    Upgrade {
        /// The key of the handshake.
        key: String,
        /// The role of the socket.
        channel: Channel,
        /// Whether the client named the channel. A client that did not expects everything on one socket.
        named: bool,
    },
    /// Answer and hang up.
    Answer(String),
}

impl Head {
    /// Reads a complete head; `None` when it is no valid HTTP request.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        if !request.parse(bytes).ok()?.is_complete() {
            return None;
        }
        let target = request.path?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = request
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value).trim().to_owned();
                (header.name.to_ascii_lowercase(), value)
            })
            .collect();
        Some(Self { path: path.to_owned(), query: query.to_owned(), headers })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn channel(&self) -> Option<&str> {
        self.query.split('&').find_map(|pair| match pair.split_once('=') {
            Some(("channel", value)) => Some(value),
            None if pair == "channel" => Some(""),
            _ => None,
        })
    }

    fn wants_upgrade(&self) -> bool {
        self.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }
}

impl Gate {
    /// Decides about a request. The checks come in the order of the real servers, which differs between them.
    pub(super) fn judge(&self, head: &Head) -> Verdict {
        if !head.wants_upgrade() {
            return Verdict::Answer(self.endpoint(head));
        }
        let verdict = match self.generation {
            Generation::Single => self.judge_single(head),
            Generation::Split => self.judge_split(head),
        };
        match (verdict, head.header("sec-websocket-key")) {
            (Ok(channel), Some(key)) => {
                let named = head.channel().is_some_and(|name| !name.is_empty());
                Verdict::Upgrade { key: key.to_owned(), channel, named }
            }
            (Ok(_), None) => Verdict::Answer(refusal(400, "Bad Request")),
            (Err(answer), _) => Verdict::Answer(answer),
        }
    }

    fn judge_single(&self, head: &Head) -> Result<Channel, String> {
        known_path(head)?;
        if head.channel().is_some() {
            return Err(refusal(426, "Upgrade Required"));
        }
        self.authenticate(head).map_err(|reason| refusal(401, reason))?;
        if head.header("origin").is_some() && self.token.is_none() {
            return Err(refusal(403, "Forbidden"));
        }
        Ok(Channel::Socket)
    }

    fn judge_split(&self, head: &Head) -> Result<Channel, String> {
        if head.header("origin").is_some() {
            return Err(refusal(403, "Forbidden"));
        }
        known_path(head)?;
        let channel = match head.channel().unwrap_or_default() {
            "" | "control" => Channel::Control,
            "stream" => Channel::Stream,
            _ => return Err(refusal(400, "Bad Request")),
        };
        self.authenticate(head).map_err(|reason| refusal(401, reason))?;
        Ok(channel)
    }

    fn authenticate(&self, head: &Head) -> Result<(), &'static str> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let Some(header) = head.header("authorization") else {
            return Err("missing websocket bearer token");
        };
        match header.split_once(' ') {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => {
                if given.trim() == token { Ok(()) } else { Err("invalid websocket bearer token") }
            }
            _ => Err("invalid authorization header"),
        }
    }

    fn endpoint(&self, head: &Head) -> String {
        if head.header("origin").is_some() {
            return refusal(403, "Forbidden");
        }
        match (head.path.as_str(), self.generation) {
            ("/readyz" | "/healthz", _) => answer(200, "OK", "text/plain", "ok\n"),
            ("/app-server-info", Generation::Single) => match self.authenticate(head) {
                Ok(()) => json_answer(200, "OK", &app_server_info("http-info")),
                Err(reason) => json_answer(401, "Unauthorized", &json!({ "error": reason })),
            },
            _ => refusal(404, "Not Found"),
        }
    }
}

/// The description of a single server of version 0.30.28.
pub(super) fn app_server_info(request_id: &str) -> Value {
    json!({
        "type": "app_server_info_response",
        "request_id": request_id,
        "success": true,
        "backend": "local",
        "letta_code_version": "0.30.28",
        "protocol_version": 1,
        "capabilities": {
            "agent_management": true,
            "conversation_management": true,
            "memory_management": true,
            "runtime_start": true,
            "runtime_workspace_sandbox": true,
            "runtime_external_tools_update": true,
            "split_channels": false,
        },
    })
}

fn known_path(head: &Head) -> Result<(), String> {
    if matches!(head.path.as_str(), "/" | "/ws") { Ok(()) } else { Err(refusal(404, "Not Found")) }
}

fn json_answer(status: u16, reason: &str, body: &Value) -> String {
    answer(status, reason, "application/json", &body.to_string())
}

fn answer(status: u16, reason: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn refusal(status: u16, reason: &str) -> String {
    format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}
