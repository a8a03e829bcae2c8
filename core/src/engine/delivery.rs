//! What the engine and the driver hand to the user's side: plain data.

use super::event::TurnEvent;
use super::result::TurnResult;
use crate::error::Error;
use crate::protocol::Text;
use crate::state::State;

/// Names a call of the user (a request, a turn, a connect) until its one completion is delivered.
pub type Token = u64;

/// Which socket a frame came on: the control socket, or the stream socket of a split server.
///
/// A one-socket server has only [`Channel::Control`] (PROTOCOL.md section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Commands and responses; everything on a one-socket server.
    Control,
    /// Runtime events of a split server.
    Stream,
}

impl Channel {
    /// `control` or `stream`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Stream => "stream",
        }
    }
}

/// One item for the user's side.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Delivery {
    /// A frame from the server, for the message handlers.
    Message {
        /// The socket it came on.
        channel: Channel,
        /// Its type, where that is one the catalog knows.
        kind: Option<&'static str>,
        /// The frame, byte for byte.
        text: Text,
    },
    /// A frame the engine sends of its own accord (an abort at a limit, a tool's answer).
    Sent {
        /// The frame.
        text: Text,
    },
    /// A connect or a close is done, or a turn is over that was let go of ([`super::Command::Detach`]).
    Done {
        /// The call.
        token: Token,
    },
    /// A request was answered.
    Response {
        /// The call.
        token: Token,
        /// Its type, where that is one the catalog knows.
        kind: Option<&'static str>,
        /// The response, byte for byte (for `list_memory`, its chunks joined).
        text: Text,
        /// The server refused: `success: false`, or `accepted: false`.
        refused: bool,
    },
    /// A frame carries the id of a request whose caller judges answers itself.
    Candidate {
        /// The call.
        token: Token,
        /// The frame.
        text: Text,
    },
    /// Something happened in a turn that is followed.
    TurnEvent {
        /// The call.
        token: Token,
        /// What.
        event: TurnEvent,
        /// How many events of the turn it stands for: above 1 where pieces were merged.
        pieces: u64,
    },
    /// Events of a turn that somebody follows wait to be taken.
    TurnReady {
        /// The call.
        token: Token,
    },
    /// A turn is over.
    Turn {
        /// The call.
        token: Token,
        /// What it came to.
        result: Box<TurnResult>,
    },
    /// A call failed.
    Failed {
        /// The call.
        token: Token,
        /// Why.
        error: Error,
    },
    /// The server wants an external tool of this connection to run.
    ToolCall {
        /// The `external_tool_call_request` (PROTOCOL.md section 14).
        text: Text,
    },
    /// A tool that was called need not run on: the turn was aborted, its time is over, or the
    /// connection has ended. What it answers reaches nobody.
    ToolOver {
        /// The `request_id` of the call.
        request_id: String,
        /// Why, in words.
        reason: String,
    },
    /// What a tool answered cannot be sent: it is no result, or too large. The server was told of an error of the
    /// tool instead, so that the turn goes on.
    ToolRefused {
        /// The `request_id` of the call.
        request_id: String,
        /// The tool.
        tool_name: String,
        /// What is wrong, with the name of the field; it is what the model is told.
        reason: String,
    },
    /// A permission is to be decided on, with [`super::Command::AnswerApproval`]; the next one of the
    /// same runtime comes when this one is answered.
    Approval {
        /// Whose handler: a turn's, or one of [`super::Command::HandleApprovals`].
        token: Token,
        /// The question's number.
        ask: u64,
        /// The `control_request` (PROTOCOL.md section 13).
        text: Text,
    },
    /// A permission need not be decided on any more, or the decision did not count.
    ApprovalOver {
        /// Whose handler was asked.
        token: Token,
        /// The question's number.
        ask: u64,
        /// Why the answer did not count; `None` when there is none yet.
        refused: Option<String>,
    },
    /// The connection ended without the user closing it.
    Disconnected {
        /// The socket that ended first.
        channel: Channel,
        /// The close code, 1006 where there was no close frame.
        code: u16,
        /// What happened, in words.
        reason: String,
        /// Whether it is opened again without being asked for.
        will_reconnect: bool,
    },
    /// The client stands differently to its server. Each change comes once, in order with the frames.
    State {
        /// How it stands now.
        state: State,
        /// Why there is no connection, where one was lost: with [`State::Reconnecting`] the loss, with
        /// [`State::Disconnected`] what ended it for good.
        error: Option<Error>,
    },
    /// The token goes over a network without encryption; told once, before the first attempt to connect.
    InsecureToken {
        /// Where to, and what to do about it.
        reason: String,
    },
    /// The recording lacks lines, told once for each reason.
    Unrecorded {
        /// Which recording, and why.
        reason: String,
    },
    /// Something that a lost connection had could not be had again on the next.
    RestoreFailed {
        /// The runtime's agent.
        agent_id: String,
        /// The runtime's conversation.
        conversation_id: String,
        /// Why.
        error: Error,
    },
    /// Something was dropped or merged because it was not fetched in time.
    Lagged {
        /// How many were dropped since the last such marker; all of them came before it.
        dropped: u64,
        /// How many went into others, among those that are taken together with this marker.
        merged: u64,
    },
}

/// The types of the frames that a subscriber gets however far it lags: what ends a turn or a terminal, a
/// permission that is wanted, and a tool call (section 20.13). The bindings ask for them, for the queues
/// that they keep themselves.
pub const KEPT_FRAMES: [&str; 4] =
    ["control_request", "external_tool_call_request", "terminal_exited", "turn_finished"];

impl Delivery {
    /// What happened in a turn.
    pub(crate) fn turn_event(token: Token, event: TurnEvent) -> Self {
        Self::TurnEvent { token, event, pieces: 1 }
    }

    /// Whether it may end somebody's wait.
    pub(crate) fn completes(&self) -> bool {
        matches!(
            self,
            Self::Done { .. }
                | Self::Response { .. }
                | Self::Candidate { .. }
                | Self::Turn { .. }
                | Self::Failed { .. }
        )
    }

    /// Whether whoever it completes may listen to what comes right behind it: what follows the answer to a
    /// command is often about it, what follows the end of a turn is not.
    pub(crate) fn opens(&self) -> bool {
        self.completes() && !matches!(self, Self::Turn { .. })
    }

    /// Whether it is a frame that somebody's wait ends with, told for those who listen to all of them.
    pub(crate) fn is_told_by(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Message { text, .. }, Self::Response { text: answer, .. }) => {
                std::ptr::eq(text.as_ptr(), answer.as_ptr())
            }
            _ => false,
        }
    }

    /// How many items it stands for.
    pub(crate) fn pieces(&self) -> u64 {
        match self {
            Self::TurnEvent { pieces, .. } => *pieces,
            _ => 1,
        }
    }

    /// Takes in what comes right behind it, where both are of one text or of one tool call; gives it
    /// back otherwise.
    pub(crate) fn absorb(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (
                Self::TurnEvent { token, event, pieces },
                Self::TurnEvent { token: same, event: more, pieces: count },
            ) if *token == same => {
                let rest = event.absorb(more);
                *pieces += if rest.is_none() { count } else { 0 };
                rest.map(|event| Self::TurnEvent { token: same, event, pieces: count })
            }
            (_, next) => Some(next),
        }
    }

    /// Whether it may be dropped for a user who does not keep up.
    pub(crate) fn droppable(&self) -> bool {
        match self {
            Self::Message { kind, .. } => kind.is_none_or(|kind| !KEPT_FRAMES.contains(&kind)),
            Self::Sent { .. } => true,
            Self::TurnEvent { event, .. } => event.droppable(),
            _ => false,
        }
    }

    /// A rough size in bytes, for the mailbox's limit.
    pub(crate) fn weight(&self) -> usize {
        let text = match self {
            Self::Message { text, .. }
            | Self::Sent { text }
            | Self::Response { text, .. }
            | Self::Candidate { text, .. }
            | Self::ToolCall { text }
            | Self::Approval { text, .. } => text.len(),
            Self::TurnEvent { event, .. } => event.weight(),
            _ => 0,
        };
        size_of::<Self>() + text
    }
}
