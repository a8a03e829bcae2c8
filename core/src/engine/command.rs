//! What callers ask of the engine.

use super::delivery::Token;
use super::requests::Expect;
use super::turn::TurnOptions;
use crate::protocol::Text;

/// What a caller asks the engine to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Send a frame and expect nothing.
    Send {
        /// The frame.
        text: Text,
        /// Its runtime (agent, conversation), if it has one.
        runtime: Option<(String, String)>,
        /// Whether it is a new input, which waits for the settle pause.
        settles: bool,
    },
    /// Send a frame and wait for its answer.
    Request {
        /// The call.
        token: Token,
        /// The command's type, for messages.
        command: String,
        /// The frame.
        text: Text,
        /// Its runtime, if it has one.
        runtime: Option<(String, String)>,
        /// Whether it is a new input.
        settles: bool,
        /// The answer.
        expect: Expect,
    },
    /// Send a frame that registers external tools for a runtime, and wait for its answer. The tools that sessions have
    /// there stay (PROTOCOL.md section 14).
    Register {
        /// The call.
        token: Token,
        /// The command's type, for messages.
        command: String,
        /// The frame. What is added to it is told by [`super::Delivery::Sent`].
        text: Text,
        /// The answer.
        expect: Expect,
        /// Whether it opens a session: without a mode it gets that of the runtime, its tools last until
        /// [`Command::HoldRuntime`] says otherwise, and where it is given up nothing of it stays.
        opening: bool,
    },
    /// Send an input and follow its turn to the end.
    RunTurn {
        /// The call.
        token: Token,
        /// The `input` frame; every message in it has a `client_message_id`.
        text: Text,
        /// Its `request_id`.
        request_id: String,
        /// Its runtime (agent, conversation).
        runtime: (String, String),
        /// The `client_message_id`s in it.
        client_ids: Vec<String>,
        /// Limits.
        options: TurnOptions,
    },
    /// The caller of a request or turn has gone. A turn is stopped on the server.
    Cancel {
        /// The call.
        token: Token,
    },
    /// Stop a turn on the server; its caller waits for the outcome.
    Abort {
        /// The call.
        token: Token,
    },
    /// The caller of a turn does not want to know any more what it comes to, only that it is over; the turn goes on.
    Detach {
        /// The call.
        token: Token,
    },
    /// The caller of a manual request took its answer.
    Resolve {
        /// The call.
        token: Token,
    },
    /// A handler of permission questions comes or goes: of one runtime, or of all that this client has
    /// to do with. The latest one of the runtime is asked, else the latest one of all; questions that
    /// are open already too. One that goes is asked nothing more; what it was asked is for it to answer, or to return.
    HandleApprovals {
        /// The handler, named in its deliveries.
        token: Token,
        /// Its runtime (agent, conversation); `None` for all.
        runtime: Option<(String, String)>,
        /// Whether it comes.
        handled: bool,
    },
    /// The answer to a permission question. One that is not open any more is left alone.
    AnswerApproval {
        /// The question, as [`super::Delivery::Approval`] numbered it.
        ask: u64,
        /// The decision as JSON text (`ApprovalResponseDecision`), or the text of an error, which
        /// denies.
        answer: Result<String, String>,
    },
    /// A permission question has reached a handler that had gone: it is asked of others, and nothing more of that
    /// handler. One that is not open any more is left alone.
    ReturnApproval {
        /// The question, as [`super::Delivery::Approval`] numbered it.
        ask: u64,
    },
    /// Somebody holds a runtime, or lets go of it. One that was held and is not any more is not started again
    /// after a reconnect, until a command names it.
    HoldRuntime {
        /// Agent and conversation.
        runtime: (String, String),
        /// The `request_id` of the session's start: its tools go with it, and those of the other holders are registered
        /// again.
        opening: String,
        /// Whether it is held from now on, by one more.
        held: bool,
    },
    /// Somebody watches a file: tells the server, unless it was told of the same a moment ago.
    WatchFile {
        /// The file.
        path: String,
        /// The frame.
        text: Text,
    },
    /// Somebody watches a file no more: tells the server, or without a connection sees to it that the file is not
    /// watched on the next one.
    UnwatchFile {
        /// The file.
        path: String,
    },
    /// External tools of a runtime come for a while beside those of its sessions, once a [`Command::Register`] is sent,
    /// or go, which is sent at once.
    OfferTools {
        /// Agent and conversation.
        runtime: (String, String),
        /// Who offers them.
        owner: String,
        /// The groups as JSON text; `None` when they go.
        groups: Option<String>,
    },
    /// Whether external tool calls are delivered as calls.
    HandleTools {
        /// Whether anybody here runs tools.
        handled: bool,
    },
    /// A tool's answer.
    AnswerTool {
        /// The id of the call.
        request_id: String,
        /// The result as JSON text, or the text of an error.
        answer: Result<String, String>,
    },
}

impl Command {
    /// The call that waits for this command, if one does.
    pub(crate) fn token(&self) -> Option<Token> {
        match self {
            Self::Request { token, .. }
            | Self::Register { token, .. }
            | Self::RunTurn { token, .. } => Some(*token),
            _ => None,
        }
    }

    /// The frame that a caller wants to be sent, if there is one.
    pub(crate) fn frame(&self) -> Option<&Text> {
        match self {
            Self::Send { text, .. }
            | Self::Request { text, .. }
            | Self::Register { text, .. }
            | Self::RunTurn { text, .. } => Some(text),
            _ => None,
        }
    }
}
