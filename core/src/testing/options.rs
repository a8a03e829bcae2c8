//! Options of a [`MockServer`](super::MockServer).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::outbox::SlowReaderLimits;
use super::scripted::answers;
use crate::error::Error;

/// The wire behaviour of a server (protocol reference, section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// One socket for everything, several clients; 0.29.7 and later.
    #[default]
    Single,
    /// A control and a stream socket, one client; up to 0.29.6.
    Split,
}

/// How a recording is played.
#[derive(Clone, Debug)]
pub struct PlayOptions {
    /// How long the player waits for each connection and for each frame of the client before it gives up.
    pub step_timeout: Duration,
    /// Answer an `input`, `sync` or `abort_message` that carries a `request_id` although the recorded one had none.
    ///
    /// The recording cannot contain that answer, but a real server would have sent it, and a client that always
    /// gives an id waits for it.
    pub answer_unrecorded: bool,
    /// How fast the server's frames come: 1.0 as they were recorded, 2.0 in half the time, 0.0 (the default) at
    /// once.
    pub speed: f64,
    /// Whether the player waits where the recorded client sent something. If not, the recording goes on
    /// no matter what the connected client sends, for one that only watches.
    pub wait_for_commands: bool,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            step_timeout: Duration::from_secs(30),
            answer_unrecorded: true,
            speed: 0.0,
            wait_for_commands: true,
        }
    }
}

/// How a scripted server behaves.
///
/// It can also be read from JSON, which is how other languages pass it.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptOptions {
    /// Which protocol generation the server speaks.
    pub generation: Generation,
    /// The bearer token that clients must present; none means that every client may connect.
    pub token: Option<String>,
    /// What the turns do, in the order in which they start. The last one is repeated; none at all means
    /// [`ScriptedTurn::default`] for every turn.
    pub turns: Vec<ScriptedTurn>,
    /// Milliseconds between two WebSocket pings on every connection; none means no pings.
    pub ping_interval_ms: Option<u64>,
    /// Drop clients that read too slowly or answer no pings, as a real server does; by default they are tolerated.
    /// With it the server pings every 30 s unless [`ping_interval_ms`](Self::ping_interval_ms) says otherwise. In
    /// JSON `true` stands for the limits of a real server.
    #[serde(deserialize_with = "limits")]
    pub slow_reader_limits: Option<SlowReaderLimits>,
    /// Send `input_accepted` and `turn_finished`, as single servers from 0.30.3 on do. If not, the double
    /// also leaves out what came later: the correlation, and how inputs leave the queue.
    pub turn_events: bool,
    /// Send `client_message_ids_by_run_id`, as single servers from 0.30.28 on do.
    pub correlation: bool,
    /// The directories there are, besides `/home/user/project`: a conversation keeps its own when it is sent
    /// elsewhere. By default those of this machine with [`files`](Self::files), and every directory without.
    pub directories: Option<Vec<String>>,
    /// The models that `list_models` returns, by handle; without them, [`answers`](Self::answers) decides.
    pub models: Option<Vec<String>>,
    /// Whether there are files: in a temporary folder, [`MockServer::folder`](super::MockServer::folder), which is removed with the server.
    pub files: bool,
    /// Fields of the successful response to commands, by command type; `null` leaves the answer to the test. They come
    /// before what is built in, which does nothing then: of an `input`, which is accepted unless the fields say
    /// otherwise, there is no turn. `terminal_spawn` is answered by `terminal_spawned`, or with an `error` by
    /// `terminal_exited`. Commands that are neither built in nor named here get silence, as from a server that does
    /// not know them.
    pub answers: BTreeMap<String, Value>,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        Self {
            generation: Generation::Single,
            token: None,
            turns: Vec::new(),
            ping_interval_ms: None,
            slow_reader_limits: None,
            turn_events: true,
            correlation: true,
            directories: None,
            models: None,
            files: false,
            answers: BTreeMap::new(),
        }
    }
}

/// Without the token, as for [`ConnectOptions`](crate::ConnectOptions): what is printed of a test may be in a log.
impl fmt::Debug for ScriptOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptOptions")
            .field("generation", &self.generation)
            .field("token", &self.token.as_ref().map(|_| "[hidden]"))
            .field("turns", &self.turns)
            .field("ping_interval_ms", &self.ping_interval_ms)
            .field("slow_reader_limits", &self.slow_reader_limits)
            .field("turn_events", &self.turn_events)
            .field("correlation", &self.correlation)
            .field("directories", &self.directories)
            .field("models", &self.models)
            .field("files", &self.files)
            .field("answers", &self.answers)
            .finish()
    }
}

impl ScriptOptions {
    /// Whether they can be used: every one of the [`answers`](Self::answers) has to be an object or `null`, and that
    /// of a command that has an answer. A command that the protocol does not define may be one of a later server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`](crate::ErrorKind::InvalidOption), which names the option.
    pub fn check(&self) -> Result<(), Error> {
        answers::check(&self.answers)
    }
}

fn limits<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SlowReaderLimits>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Flag(bool),
        Exact(SlowReaderLimits),
    }
    Ok(match Option::<Written>::deserialize(from)? {
        None | Some(Written::Flag(false)) => None,
        Some(Written::Flag(true)) => Some(SlowReaderLimits::default()),
        Some(Written::Exact(limits)) => Some(limits),
    })
}

/// What one turn of a scripted server does.
///
/// Tool calls come first, in a run of their own; reasoning and text follow in the last run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedTurn {
    /// The answer, one delta for each piece.
    pub text: Vec<String>,
    /// The reasoning before the answer, one delta for each piece.
    pub reasoning: Vec<String>,
    /// Milliseconds before each delta of reasoning and text. A turn that is stopped before the first one ends when that
    /// would have come, as on a real server.
    pub delay_ms: u64,
    /// Spread the deltas of reasoning and text evenly over this many milliseconds instead.
    pub spread_ms: Option<u64>,
    /// The tools the model calls, all in one run.
    pub tool_calls: Vec<ScriptedCall>,
    /// Prompt and completion tokens of every run.
    pub usage: (u64, u64),
    /// The stop reason of the last run; by default `end_turn`, or `error` when there is an error.
    pub stop_reason: Option<String>,
    /// The turn ends with this error, after its text.
    pub error: Option<String>,
    /// How many times the model fails and is tried again before it answers, in the same run.
    pub retries: u32,
    /// After how many pieces of text the model's stream breaks off, one number for each time. That run does not
    /// count then, and the answer comes again in another one.
    pub cuts: Vec<usize>,
    /// The turn never ends by itself: after its text nothing more comes until it is aborted. Without any text or
    /// reasoning it is as with a real server whose model does not answer: the abort is confirmed, but `turn_finished`
    /// never comes, and later inputs of the conversation stay in its queue.
    pub hang: bool,
    /// Cut the connection that started the turn after this many deltas of text.
    pub disconnect_after: Option<usize>,
    /// The input is lost with its connection, as if the network had swallowed it: the server never sees it,
    /// and cuts the connection. The next input starts the next turn of the script.
    pub lose_input: bool,
}

impl Default for ScriptedTurn {
    fn default() -> Self {
        Self {
            text: vec!["Hello ".to_owned(), "world".to_owned()],
            reasoning: Vec::new(),
            delay_ms: 0,
            spread_ms: None,
            tool_calls: Vec::new(),
            usage: (10, 2),
            stop_reason: None,
            error: None,
            retries: 0,
            cuts: Vec::new(),
            hang: false,
            disconnect_after: None,
            lose_input: false,
        }
    }
}

impl ScriptedTurn {
    /// A turn that answers with these pieces of text.
    #[must_use]
    pub fn text<I, S>(pieces: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self { text: pieces.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Adds a tool call.
    #[must_use]
    pub fn call(mut self, call: ScriptedCall) -> Self {
        self.tool_calls.push(call);
        self
    }
}

/// One tool call of a [`ScriptedTurn`].
///
/// A call whose name a client registered as an external tool is sent to that client; for any other call, the server
/// pretends to run it and returns [`result`](Self::result).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The name of the tool.
    pub name: String,
    /// The arguments; an empty object when they are left out.
    #[serde(default = "no_arguments")]
    pub input: Value,
    /// Ask with a `control_request` first, as a real server does for a tool that writes or runs commands. The
    /// permission mode of the runtime matters too: `strict` asks for every call, `unrestricted` (which a runtime
    /// has unless a mode was set) for none, `acceptEdits` for none that edits files; `AskUserQuestion` is always asked,
    /// and a tool of a client in every mode but `unrestricted`.
    #[serde(default)]
    pub needs_approval: bool,
    /// What a tool on the server returns.
    #[serde(default = "default_result")]
    pub result: String,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

fn default_result() -> String {
    "ok".to_owned()
}

impl ScriptedCall {
    /// A call that runs without asking, where the mode allows that.
    #[must_use]
    pub fn new(name: impl Into<String>, input: Value) -> Self {
        Self { name: name.into(), input, needs_approval: false, result: default_result() }
    }

    /// A call that needs an approval, unless the mode is `unrestricted`.
    #[must_use]
    pub fn asking(name: impl Into<String>, input: Value) -> Self {
        Self { needs_approval: true, ..Self::new(name, input) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_printed_and_all_else_is() {
        let token = Some("s3cret-7".to_owned());
        let shown = format!("{:?}", ScriptOptions { token, files: true, ..Default::default() });
        assert!(shown.contains("[hidden]") && !shown.contains("s3cret"), "{shown}");
        let fields = [
            "generation",
            "token",
            "turns",
            "ping_interval_ms",
            "slow_reader_limits",
            "turn_events",
            "correlation",
            "directories",
            "models",
            "files: true",
            "answers",
        ];
        assert!(fields.iter().all(|field| shown.contains(field)), "{shown}");
        assert!(format!("{:?}", ScriptOptions::default()).contains("token: None"));
    }
}
