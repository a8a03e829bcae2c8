//! One error type with a kind; the bindings turn each kind into a class of their language.

use std::fmt;
use std::sync::Arc;

use crate::engine::{InputDelivery, TurnResult};

/// What went wrong: one flat list, shared by Rust, Python and Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option has an unusable value (URL, token, limits). Nothing was sent.
    InvalidOption,
    /// The connection could not be opened, or what answers is no App Server.
    ConnectionFailed,
    /// The server refused the credentials (HTTP 401 or 403, PROTOCOL.md section 4).
    Auth,
    /// The server has one socket for everything and refuses split channels (HTTP 426), or a frame does not fit the
    /// type that was asked for.
    ProtocolMismatch,
    /// There is no connection, or it ended; the outcome of what was in flight is unknown.
    Disconnected,
    /// The client was closed by its owner.
    Closed,
    /// The server answered a request with a refusal, or its answer lacks what was asked for.
    Request,
    /// No answer came within the request's time limit.
    RequestTimeout,
    /// A message is larger than the configured limit; it was not sent.
    MessageTooLarge,
    /// A command is malformed; it was not sent, because the server would not answer it (section 5.1).
    InvalidCommand,
    /// The server is too old for a command; it was not sent, because the server would not answer it (sections 1
    /// and 5).
    UnsupportedByServer,
    /// More requests and turns are waiting than the client's limit allows
    /// ([`crate::ConnectOptions::max_pending_requests`]), or more frames than may wait to be sent; this one was
    /// not sent.
    TooManyRequests,
    /// The turn ended with an error.
    TurnFailed,
    /// The turn was stopped, or its input was removed from the queue before it started.
    TurnAborted,
    /// The turn's total time limit passed.
    TurnTimeout,
    /// Nothing was heard of the turn for as long as its idle limit.
    TurnIdleTimeout,
    /// The connection was lost during the turn, or the server has shown no sign of its input
    /// ([`crate::TurnOptions::accept_timeout`]); the turn's outcome is unknown (section 16).
    TurnInterrupted,
    /// The turn needs a permission, and its caller asked for an error in that case (section 13).
    ApprovalRequired,
    /// The agent submitted no result that fits the schema asked for.
    StructuredOutput,
    /// A subscription ended because its reader did not keep up, as [`crate::Overflow::Raise`] asks.
    Lagged,
    /// A server of your own did not start; the message ends with what it printed last.
    ServerStart,
    /// The client belongs to a parent process.
    ForkedProcess,
    /// A defect of this library.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::InvalidOption,
        Self::ConnectionFailed,
        Self::Auth,
        Self::ProtocolMismatch,
        Self::Disconnected,
        Self::Closed,
        Self::Request,
        Self::RequestTimeout,
        Self::MessageTooLarge,
        Self::InvalidCommand,
        Self::UnsupportedByServer,
        Self::TooManyRequests,
        Self::TurnFailed,
        Self::TurnAborted,
        Self::TurnTimeout,
        Self::TurnIdleTimeout,
        Self::TurnInterrupted,
        Self::ApprovalRequired,
        Self::StructuredOutput,
        Self::Lagged,
        Self::ServerStart,
        Self::ForkedProcess,
        Self::Internal,
    ];

    /// The stable name of the kind, the same in all three languages.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidOption => "invalid_option",
            Self::ConnectionFailed => "connection_failed",
            Self::Auth => "auth",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::Disconnected => "disconnected",
            Self::Closed => "closed",
            Self::Request => "request",
            Self::RequestTimeout => "request_timeout",
            Self::MessageTooLarge => "message_too_large",
            Self::InvalidCommand => "invalid_command",
            Self::UnsupportedByServer => "unsupported_by_server",
            Self::TooManyRequests => "too_many_requests",
            Self::TurnFailed => "turn_failed",
            Self::TurnAborted => "turn_aborted",
            Self::TurnTimeout => "turn_timeout",
            Self::TurnIdleTimeout => "turn_idle_timeout",
            Self::TurnInterrupted => "turn_interrupted",
            Self::ApprovalRequired => "approval_required",
            Self::StructuredOutput => "structured_output",
            Self::Lagged => "lagged",
            Self::ServerStart => "server_start",
            Self::ForkedProcess => "forked_process",
            Self::Internal => "internal",
        }
    }

    /// Whether the error is about a turn, and carries what is known of it.
    #[must_use]
    pub const fn ends_turn(self) -> bool {
        matches!(
            self,
            Self::TurnFailed
                | Self::TurnAborted
                | Self::TurnTimeout
                | Self::TurnIdleTimeout
                | Self::TurnInterrupted
                | Self::ApprovalRequired
                | Self::StructuredOutput
        )
    }

    /// Whether, as a rule, the same call may succeed when it is made again unchanged; see [`Error::retryable`].
    ///
    /// It is `false` where the outcome of a turn is uncertain, because an input that is repeated may run twice.
    /// A request that got no answer ([`ErrorKind::RequestTimeout`]) may still have been carried out: repeat it
    /// if it reads or sets something; if it creates something, that may then exist twice.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::ConnectionFailed | Self::RequestTimeout | Self::TooManyRequests)
    }

    /// Whether a server that has refused a connection so will refuse the next one as well.
    pub(crate) const fn is_for_good(self) -> bool {
        matches!(self, Self::Auth | Self::ProtocolMismatch | Self::InvalidOption)
    }
}

/// An error of this library.
///
/// Match on [`Error::kind`]; the message is for people and may change.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    response: Option<String>,
    close_code: Option<u16>,
    will_reconnect: bool,
    unsent: bool,
    for_good: bool,
    result: Option<Box<TurnResult>>,
    problems: Vec<String>,
    dropped_count: Option<u64>,
    command: Vec<String>,
    exit_code: Option<i32>,
    output_tail: Vec<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind with a message for people.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            response: None,
            close_code: None,
            will_reconnect: false,
            unsent: false,
            for_good: false,
            result: None,
            problems: Vec::new(),
            dropped_count: None,
            command: Vec::new(),
            exit_code: None,
            output_tail: Vec::new(),
            source: None,
        }))
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the error of the system, or of a library, that it comes from; the message has its words already.
    pub(crate) fn with_source(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same with other words.
    pub(crate) fn reworded(mut self, reword: impl Fn(&str) -> String) -> Self {
        self.0.message = reword(&self.0.message);
        self.0.hint = self.0.hint.as_deref().map(reword);
        self
    }

    /// Adds the server's answer, as it came over the wire.
    #[must_use]
    pub fn with_response(mut self, response: impl Into<String>) -> Self {
        self.0.response = Some(response.into());
        self
    }

    /// Adds the WebSocket close code.
    #[must_use]
    pub fn with_close_code(mut self, code: Option<u16>) -> Self {
        self.0.close_code = code;
        self
    }

    /// Adds whether the client connects again by itself.
    #[must_use]
    pub fn with_will_reconnect(mut self, will_reconnect: bool) -> Self {
        self.0.will_reconnect = will_reconnect;
        self
    }

    /// Adds that nothing was sent.
    pub(crate) fn with_unsent(mut self) -> Self {
        self.0.unsent = true;
        self
    }

    /// Adds that trying again will not help, whatever the kind.
    pub(crate) fn for_good(mut self) -> Self {
        self.0.for_good = true;
        self
    }

    /// Adds what is known of the turn.
    #[must_use]
    pub fn with_result(mut self, result: TurnResult) -> Self {
        self.0.result = Some(Box::new(result));
        self
    }

    /// Adds what is wrong with a result, one field after the other.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<String>) -> Self {
        self.0.problems = problems;
        self
    }

    /// Adds how many items a subscriber misses.
    #[must_use]
    pub fn with_dropped_count(mut self, count: Option<u64>) -> Self {
        self.0.dropped_count = count;
        self
    }

    /// Adds what was to be started.
    #[must_use]
    pub fn with_command(mut self, command: &[String]) -> Self {
        self.0.command = command.to_vec();
        self
    }

    /// Adds how a program ended, and what it printed last.
    #[must_use]
    pub fn with_end(mut self, exit_code: Option<i32>, output_tail: Vec<String>) -> Self {
        self.0.exit_code = exit_code;
        self.0.output_tail = output_tail;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message for people, without the hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What you can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The server's answer, for [`ErrorKind::Request`].
    #[must_use]
    pub fn response(&self) -> Option<&str> {
        self.0.response.as_deref()
    }

    /// The WebSocket close code, for [`ErrorKind::Disconnected`] and [`ErrorKind::TurnInterrupted`].
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        self.0.close_code
    }

    /// Whether the client reconnects by itself, for [`ErrorKind::Disconnected`] and
    /// [`ErrorKind::TurnInterrupted`]. What failed is not repeated.
    #[must_use]
    pub fn will_reconnect(&self) -> bool {
        self.0.will_reconnect
    }

    /// Whether the same call may succeed when it is made again unchanged: if its kind says so
    /// ([`ErrorKind::retryable`]), or if nothing was sent or the input has not arrived
    /// ([`crate::InputDelivery::Undelivered`]), and the client reconnects by itself.
    #[must_use]
    pub fn retryable(&self) -> bool {
        let lost = matches!(self.kind(), ErrorKind::Disconnected | ErrorKind::TurnInterrupted);
        let result = self.result();
        let undelivered = result.is_some_and(|r| r.delivery == InputDelivery::Undelivered);
        let by_kind = self.kind().retryable() && !self.0.for_good;
        by_kind || (lost && self.0.will_reconnect && (self.0.unsent || undelivered))
    }

    /// Whether whoever has failed to connect so will fail again.
    pub(crate) fn is_for_good(&self) -> bool {
        self.0.for_good || self.kind().is_for_good()
    }

    /// What is known of the turn, for the kinds that begin with `Turn`, [`ErrorKind::ApprovalRequired`] and
    /// [`ErrorKind::StructuredOutput`].
    #[must_use]
    pub fn result(&self) -> Option<&TurnResult> {
        self.0.result.as_deref()
    }

    /// What is wrong with the result, for [`ErrorKind::StructuredOutput`]; each names its field.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.0.problems
    }

    /// How many items the subscriber has missed, for [`ErrorKind::Lagged`].
    #[must_use]
    pub fn dropped_count(&self) -> Option<u64> {
        self.0.dropped_count
    }

    /// The program that was to be started and its arguments as you gave them, for [`ErrorKind::ServerStart`].
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.0.command
    }

    /// The code that the program ended with, for [`ErrorKind::ServerStart`]. On Unix it is 127 if there is no such
    /// program, and 128 more than the number of the signal if one ended it, as 137 if it was killed. `None` if it ran
    /// until it was ended from here.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// The last lines that the program printed, the oldest first, for [`ErrorKind::ServerStart`].
    #[must_use]
    pub fn output_tail(&self) -> &[String] {
        &self.0.output_tail
    }

    /// The error as one JSON object, the form in which it crosses into another language.
    #[must_use]
    pub fn to_json(&self) -> String {
        let inner = &self.0;
        serde_json::json!({
            "code": inner.kind.code(),
            "message": inner.message,
            "hint": inner.hint,
            "retryable": self.retryable(),
            "close_code": inner.close_code,
            "will_reconnect": inner.will_reconnect,
            "response": inner.response,
            "result": inner.result.as_deref().map(TurnResult::to_value),
            "problems": inner.problems,
            "dropped_count": inner.dropped_count,
            "command": inner.command,
            "exit_code": inner.exit_code,
            "output_tail": inner.output_tail,
        })
        .to_string()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {self})", self.0.kind.code())
    }
}

/// The source is the error of the system where there was one, such as the [`std::io::Error`] of a connection that could not
/// be opened. The message has its words already.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn json_carries_the_code_and_the_hint() {
        let error = Error::new(ErrorKind::Auth, "refused").with_hint("check the token");
        let value: serde_json::Value = serde_json::from_str(&error.to_json()).expect("JSON");
        assert_eq!(value["code"], "auth");
        assert_eq!(value["hint"], "check the token");
        assert_eq!(error.to_string(), "refused (check the token)");
    }
}
