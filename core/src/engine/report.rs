//! How a turn that is under way stands, for people who wonder why it does not end.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::delivery::Token;
use super::runtime::Runtime;
use super::turn::{Phase, Turn};
use crate::error::Error;
use crate::protocol::envelope::Envelope;
use crate::protocol::frames::{ControlRequestFrame, Delta};

/// The longest piece of a tool's arguments in a report, in characters.
const SHOWN: usize = 60;

/// How far a turn has come, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TurnPhase {
    /// Its input waits until the server has cleaned up after the turn before (section 18), or, where it says
    /// something of the tools of its turn, until it will be a turn of its own (section 10).
    Settling,
    /// Its input was sent; the server has not said what becomes of it.
    Sent,
    /// Its input waits in the server's queue.
    Queued,
    /// The agent works on it.
    Running,
    /// It was told to stop, and its end has not come yet.
    Stopping,
    /// Its connection was lost; it is found out what became of it.
    Recovering,
}

impl TurnPhase {
    /// The name of the phase in all three languages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settling => "settling",
            Self::Sent => "sent",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Recovering => "recovering",
        }
    }
}

/// How a turn stands. As text: `running 94 s; last event 41 s ago: Bash started, …; approval none;
/// queue 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnReport {
    /// How far it has come.
    pub phase: TurnPhase,
    /// The time since its input was sent, or, before that, since it was asked for.
    pub age: Duration,
    /// The time since anything was heard of its runtime; `None` when nothing was.
    pub silence: Option<Duration>,
    /// What the last telling event was, in words; empty when there was none.
    pub last_event: String,
    /// The tools that want a permission, in the order in which they will be asked about.
    pub approvals: Vec<String>,
    /// How many inputs wait in the conversation's queue.
    pub queued: usize,
    /// The runtime's state was lost under the turn (section 18).
    pub detached: bool,
}

impl fmt::Display for TurnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} s; ", self.phase.as_str(), self.age.as_secs())?;
        match self.silence {
            Some(silence) => write!(f, "last event {} s ago", silence.as_secs())?,
            None => f.write_str("no event yet")?,
        }
        if !self.last_event.is_empty() {
            write!(f, ": {}", self.last_event)?;
        }
        let approvals = match self.approvals.as_slice() {
            [] => "none".to_owned(),
            tools => tools.join(", "),
        };
        write!(f, "; approval {approvals}; queue {}", self.queued)?;
        if self.detached {
            f.write_str("; the server has lost the turn's state and cannot stop it")?;
        }
        Ok(())
    }
}

impl Runtime {
    /// How a turn stands.
    pub(crate) fn report(&self, now: Duration, token: Token) -> Option<TurnReport> {
        let turn = self.turns.get(self.turn_index(token)?).filter(|turn| turn.is_wanted())?;
        let open = self.approvals.iter().filter(|approval| approval.is_open());
        Some(TurnReport {
            phase: phase(turn),
            age: now.saturating_sub(turn.sent_at),
            silence: (self.heard > turn.sent_at).then(|| now.saturating_sub(self.heard)),
            last_event: self.sign.as_deref().map(|frame| self.words(frame)).unwrap_or_default(),
            approvals: open.map(|approval| approval.tool.clone()).collect(),
            queued: self.queued,
            detached: turn.detached,
        })
    }

    /// What a frame tells, in words.
    fn words(&self, frame: &str) -> String {
        let Ok(envelope) = Envelope::read(frame) else { return String::new() };
        if envelope.kind == "control_request" {
            let asked = serde_json::from_str::<ControlRequestFrame>(frame);
            let tool = asked.ok().and_then(|asked| asked.request.tool_name).unwrap_or_default();
            return format!("{tool} needs permission");
        }
        let delta =
            Envelope::read(frame).ok().and_then(|envelope| Delta::read(envelope.delta?).ok());
        let Some(delta) = delta else { return String::new() };
        match &*delta.message_type {
            "assistant_message" => "text".to_owned(),
            "reasoning_message" => "reasoning".to_owned(),
            "client_tool_start" => self.tool_words(&delta, "started"),
            "client_tool_end" => self.tool_words(&delta, "ended"),
            "tool_return_message" if delta.is_preview() => {
                self.tool_words(&delta, "printed output")
            }
            "tool_return_message" => self.tool_words(&delta, "returned"),
            "retry" => {
                format!("retry, {}", shortened(delta.message.as_deref().unwrap_or_default()))
            }
            other => other.replace('_', " "),
        }
    }

    fn tool_words(&self, delta: &Delta<'_>, happened: &str) -> String {
        let called = delta.outputs().next().map(|(id, ..)| id);
        let call_id = called.or(delta.tool_call_id.as_deref()).unwrap_or_default();
        let run = delta.run_id.as_deref().or_else(|| self.runs.caller_of(call_id));
        let calls = run.and_then(|run| self.runs.get(run)).map(|run| run.tool_calls.as_slice());
        let call = calls.unwrap_or_default().iter().find(|call| call.id == call_id);
        match call {
            Some(call) => format!("{} {happened}, `{}`", call.name, gist(&call.arguments)),
            None => format!("{} {happened}", delta.tool_name.as_deref().unwrap_or("a tool")),
        }
    }
}

fn phase(turn: &Turn) -> TurnPhase {
    match turn.phase {
        _ if turn.stop.is_some() => TurnPhase::Stopping,
        Phase::Held => TurnPhase::Settling,
        Phase::Sent => TurnPhase::Sent,
        Phase::Queued => TurnPhase::Queued,
        Phase::Ours => TurnPhase::Running,
    }
}

/// The error of a limit, with what a turn that had not begun was waiting for.
pub(crate) fn with_place(error: Error, turn: &Turn) -> Error {
    let (place, hint) = match turn.phase {
        Phase::Ours => return error,
        Phase::Held => (
            "its input had not been sent",
            "the time behind other turns counts: allow for it, or send the input when they have ended",
        ),
        Phase::Sent => (
            "the server had not said what becomes of its input",
            "it may still have arrived; where it begins after all, it is stopped",
        ),
        Phase::Queued => (
            "its input was still in the server's queue",
            "the time in the queue counts: allow for it, or abort what runs in the conversation",
        ),
    };
    Error::new(error.kind(), format!("{}: it had not begun, {place}", error.message()))
        .with_hint(hint)
}

/// What a tool call is about: its command, or its first text.
fn gist(arguments: &str) -> String {
    let fields: Map<String, Value> = serde_json::from_str(arguments).unwrap_or_default();
    let mut texts = fields.get("command").into_iter().chain(fields.values());
    shortened(texts.find_map(Value::as_str).unwrap_or(arguments))
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
