//! Requests that wait for their response: matched by id and expected type, each with a time limit
//! (PROTOCOL.md section 5).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::value::RawValue;

use super::context::{Context, Timer};
use super::delivery::{Delivery, Token};
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::frames::{InputAcceptedFrame, ResponseHead};
use crate::protocol::raw::RawObject;
use crate::protocol::validate::{known_message, spec};
use crate::room::Room;

/// Frames with a `request_id` of the server's own choice: never an answer to a request.
const SERVER_REQUESTS: [&str; 2] = ["control_request", "external_tool_call_request"];

/// The one response that comes in several frames (section 5).
const CHUNKED: &str = "list_memory_response";

/// What may have become of a command that is not answered.
const SILENT: &str = "a server that does not know a command, or one of its fields, stays silent";

/// What became of a command that did not leave in time.
const UNSENT: &str = "it was waiting behind an input: for the server to answer the one before it, \
                      or for the runtime to become idle";

/// How to recognise the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Correlation {
    /// By `request_id`.
    RequestId(String),
    /// By `terminal_id`: `terminal_spawn` is answered by `terminal_spawned` or `terminal_exited`.
    Terminal(String),
    /// By `teleport_id`.
    Teleport(String),
}

impl Correlation {
    fn id(&self) -> &str {
        match self {
            Self::RequestId(id) | Self::Terminal(id) | Self::Teleport(id) => id,
        }
    }
}

/// What a request expects.
#[derive(Debug, Clone)]
pub struct Expect {
    /// How the answer is recognised.
    pub correlation: Correlation,
    /// The type of the answer; `None` for a command this version does not know.
    pub response_type: Option<String>,
    /// The time limit; `None` for answers that come only after a whole turn.
    pub timeout: Option<Duration>,
    /// The caller judges each frame with the id itself.
    pub manual: bool,
}

#[derive(Debug)]
struct Pending {
    token: Token,
    command: String,
    expect: Expect,
    deadline: Option<Duration>,
    chunks: Vec<Box<RawValue>>,
}

/// The requests that are waiting.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    // A table keeps room for several, and most clients wait for nothing.
    by_key: HashMap<Correlation, Box<Pending>>,
    by_token: HashMap<Token, Correlation>,
}

impl Requests {
    /// Notes a request. A second one with the same id would make the answers ambiguous.
    pub(crate) fn add(&mut self, token: Token, command: &str, expect: Expect, ctx: &mut Context) {
        let key = expect.correlation.clone();
        if self.by_key.contains_key(&key) {
            let message = format!("a request with the same id is already waiting: {}", key.id());
            ctx.fail(token, Error::new(ErrorKind::InvalidCommand, message));
            return;
        }
        let deadline = expect.timeout.map(|limit| ctx.now.saturating_add(limit));
        if let Some(at) = deadline {
            ctx.timers.set(at, Timer::Request(token));
        }
        let pending =
            Pending { token, command: command.to_owned(), expect, deadline, chunks: Vec::new() };
        self.by_key.insert(key.clone(), Box::new(pending));
        self.by_token.insert(token, key);
    }

    /// How many are waiting.
    pub(crate) fn len(&self) -> usize {
        self.by_token.len()
    }

    /// Whether a token's request is waiting.
    pub(crate) fn contains(&self, token: Token) -> bool {
        self.by_token.contains_key(&token)
    }

    /// Looks whether a frame answers a request.
    pub(crate) fn answer(&mut self, key: &Correlation, kind: &str, text: &Text, ctx: &mut Context) {
        if SERVER_REQUESTS.contains(&kind) {
            return;
        }
        let Some(pending) = self.by_key.get_mut(key) else {
            return;
        };
        let token = pending.token;
        if pending.expect.manual {
            ctx.deliveries.push_back(Delivery::Candidate { token, text: text.clone() });
            return;
        }
        let spawn_failed = matches!(key, Correlation::Terminal(_))
            && kind == "terminal_exited"
            && says_error(text);
        let expected = pending.expect.response_type.as_deref();
        if !spawn_failed && expected.is_some_and(|expected| expected != kind) {
            return;
        }
        let text = if kind == CHUNKED {
            match pending.join_chunk(text) {
                Some(whole) => whole,
                None => return,
            }
        } else {
            text.clone()
        };
        let refused = spawn_failed || is_refusal(kind, &text);
        let kind = known_message(kind);
        self.remove(token);
        ctx.deliveries.push_back(Delivery::Response { token, kind, text, refused });
    }

    /// Forgets a request; a late answer is then nobody's.
    pub(crate) fn remove(&mut self, token: Token) -> bool {
        let removed =
            self.by_token.remove(&token).is_some_and(|key| self.by_key.remove(&key).is_some());
        self.give_back();
        removed
    }

    /// Whether a request's time limit has passed.
    pub(crate) fn is_due(&self, token: Token, now: Duration) -> bool {
        let pending = self.by_token.get(&token).and_then(|key| self.by_key.get(key));
        pending.and_then(|pending| pending.deadline).is_some_and(|at| at <= now)
    }

    /// Fails a request whose time limit has passed. `unsent`: it had not left.
    pub(crate) fn expire(&mut self, token: Token, unsent: bool, ctx: &mut Context) {
        let Some(pending) = self.by_token.get(&token).and_then(|key| self.by_key.get(key)) else {
            return;
        };
        let seconds = pending.expect.timeout.unwrap_or_default().as_secs_f64();
        let command = &pending.command;
        let (message, hint) = if unsent {
            (format!("`{command}` was not sent within {seconds} s"), UNSENT)
        } else {
            let hint = spec(command).and_then(|spec| spec.timeout_hint);
            (format!("no answer to `{command}` within {seconds} s"), hint.unwrap_or(SILENT))
        };
        ctx.fail(token, Error::new(ErrorKind::RequestTimeout, message).with_hint(hint));
        self.remove(token);
    }

    /// Fails every waiting request. `unsent` are calls that had not left.
    pub(crate) fn fail_all(&mut self, error: &Error, unsent: &HashSet<Token>, ctx: &mut Context) {
        self.by_key.clear();
        let mut tokens: Vec<_> = self.by_token.drain().map(|(token, _)| token).collect();
        tokens.sort_unstable();
        for token in tokens {
            let is_unsent = unsent.contains(&token);
            ctx.fail(token, if is_unsent { not_sent(error) } else { error.clone() });
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        self.by_key.give_back();
        self.by_token.give_back();
    }
}

impl Pending {
    /// Collects `entries` over the frames of one answer; the last frame carries all of them.
    fn join_chunk(&mut self, text: &Text) -> Option<Text> {
        let Ok(mut frame) = RawObject::parse(text) else {
            return Some(text.clone());
        };
        let entries = frame.get("entries").map(serde_json::from_str::<Vec<Box<RawValue>>>);
        if let Some(Ok(entries)) = entries {
            self.chunks.extend(entries);
        }
        if frame.get("done") == Some("false") {
            return None;
        }
        let joined: Vec<&str> = self.chunks.iter().map(|entry| entry.get()).collect();
        frame.set("entries", format!("[{}]", joined.join(","))).ok()?;
        Some(Text::from(frame.to_text()))
    }
}

/// The error of a request that had not left when the connection was lost.
fn not_sent(lost: &Error) -> Error {
    Error::new(lost.kind(), format!("the command was not sent: {}", lost.message()))
        .with_close_code(lost.close_code())
        .with_will_reconnect(lost.will_reconnect())
        .with_unsent()
}

/// Whether an answer says `success: false`, or `accepted: false`.
pub(crate) fn is_refusal(kind: &str, text: &str) -> bool {
    if kind == "input_accepted" {
        return serde_json::from_str::<InputAcceptedFrame>(text).is_ok_and(|frame| !frame.accepted);
    }
    serde_json::from_str::<ResponseHead>(text).is_ok_and(|head| head.success == Some(false))
}

/// Whether the end of a terminal is that of one that could not be started. Another of the same name may end while
/// one is.
fn says_error(exited: &str) -> bool {
    RawObject::parse(exited)
        .is_ok_and(|frame| frame.get("error").is_some_and(|error| error != "null"))
}
