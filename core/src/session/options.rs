//! How a session is opened, and what is said in it.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::directory::absolute;
use super::fields_of;
use crate::approvals::nobody_to_ask;
use crate::engine::{Approvals, TurnOptions};
use crate::error::Error;
use crate::policy::Policy;
use crate::tool::{Tool, Toolbox};

/// Which conversation to start or join, and how. Made by [`SessionOptions::agent`] or
/// [`SessionOptions::new_agent`].
#[derive(Clone)]
pub struct SessionOptions {
    pub(super) start: Map<String, Value>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) turns: TurnOptions,
    pub(super) tools: Vec<Tool>,
    pub(super) policy: Option<Policy>,
}

/// Of the fields the names alone: a new agent may come with secrets.
impl fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOptions")
            .field("fields", &self.start.keys().collect::<Vec<_>>())
            .field("cwd", &self.cwd)
            .field("turns", &self.turns)
            .field("tools", &self.tools)
            .field("policy", &self.policy)
            .finish()
    }
}

impl SessionOptions {
    fn with(field: &str, value: Value) -> Self {
        let mut start = Map::new();
        start.insert(field.to_owned(), value);
        Self { start, cwd: None, turns: TurnOptions::default(), tools: Vec::new(), policy: None }
    }

    /// A conversation with an existing agent; a new conversation, unless [`SessionOptions::conversation`] names
    /// one.
    #[must_use]
    pub fn agent(id: impl Into<String>) -> Self {
        Self::with("agent_id", id.into().into())
    }

    /// A conversation with a new agent, from the body of the REST API's `agents.create`.
    #[must_use]
    pub fn new_agent(body: &Value) -> Self {
        Self::with("create_agent", json!({ "body": body }))
    }

    /// Keeps a new agent out of the user's global settings, where the server would otherwise pin it (section
    /// 8).
    #[must_use]
    pub fn unpinned(mut self) -> Self {
        // Anything else than an object is for the check of commands to refuse.
        let agent = self.start.get_mut("create_agent").and_then(Value::as_object_mut);
        if let Some(agent) = agent {
            agent.insert("pin_global".to_owned(), false.into());
        }
        self
    }

    /// Refuses what [`crate::Session::run`] would, and what a session would before it is sent. Returns the fields of
    /// its `runtime_start`.
    pub(crate) fn check_run(&self) -> Result<Value, Error> {
        self.turns.check_limits()?;
        if self.turns.approvals() == Approvals::Ask && self.policy.is_none() {
            return Err(nobody_to_ask("use a policy"));
        }
        let cwd = self.cwd.as_deref().map(absolute).transpose()?;
        let tools = Toolbox::new(self.tools.clone())?;
        Ok(fields_of(&self.start, cwd.as_deref(), &tools))
    }

    /// How long a turn waits for the next connection.
    pub(crate) fn patience(&self) -> Duration {
        self.turns.recover_timeout
    }

    /// Joins an existing conversation; `default` is the agent's default one.
    #[must_use]
    pub fn conversation(self, id: impl Into<String>) -> Self {
        self.field("conversation_id", id.into().into())
    }

    /// Which tools run without asking: `standard`, `acceptEdits`, `unrestricted` or `strict` (section 8). By default
    /// the mode that the conversation has from another session of this client, else `standard`: the server's own
    /// default would run everything.
    #[must_use]
    pub fn mode(self, mode: impl Into<String>) -> Self {
        self.field("mode", mode.into().into())
    }

    /// The directory on the server's machine; a relative path is resolved against the current directory of this
    /// process, with `..` taken out of its text. See [`crate::Session::cwd_ignored`].
    #[must_use]
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// The limit for each whole turn ([`TurnOptions::timeout`]); none by default.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.turns.timeout = Some(limit);
        self
    }

    /// How long the server may be silent while the model is at work ([`TurnOptions::idle_timeout`]); `None`
    /// for no limit.
    #[must_use]
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.turns.idle_timeout = limit.into();
        self
    }

    /// All options of turns: their limits, and who decides on permissions. By default
    /// ([`crate::Approvals::AskOrDeny`]) the client is asked ([`crate::Client::approval_requests`]), and without a
    /// handler there everything is denied; the session's own tools run unasked. If [`SessionOptions::approvals`] is
    /// set, it decides on permissions, whatever is chosen here. This replaces what
    /// [`SessionOptions::timeout`] and [`SessionOptions::idle_timeout`] have set before, so call it first.
    #[must_use]
    pub fn turns(mut self, options: TurnOptions) -> Self {
        self.turns = options;
        self
    }

    /// Adds a function that the agent can call (section 14). It runs in this program, and only for calls of
    /// this conversation, whoever started the turn: each call in a task of its own, on the tokio runtime in
    /// which the session is made, else on one thread of the library's for all such functions, which must not block.
    ///
    /// A tool that you pass in needs no permission, unless you have chosen what happens with permissions: by a
    /// policy ([`SessionOptions::approvals`]), or by [`TurnOptions::approvals`](field@TurnOptions::approvals).
    /// In that case the choice applies to these tools too.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds several functions, each as [`SessionOptions::tool`] does.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Tool>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Decides on the permissions that turns of this session need (section 13): a [`Policy`], a
    /// [`crate::Rule`], or a function by [`crate::Rule::ask`]. It is used in turns with
    /// [`crate::Approvals::Ask`], which the session's turns are unless [`crate::Session::send_with`] says
    /// otherwise. [`crate::Session::approvals`] lists what it decided.
    #[must_use]
    pub fn approvals(mut self, policy: impl Into<Policy>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// Any other field of `runtime_start` (sections 8 and 20).
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.start.insert(name.to_owned(), value);
        self
    }
}

/// A prompt for an agent: text, or the parts of a message's `content` (section 8.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt(pub(crate) Value);

impl Prompt {
    /// The text, of a prompt that is nothing else.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// The `content` of the message: the text, or its parts.
    #[must_use]
    pub fn content(&self) -> &Value {
        &self.0
    }

    /// The payload of the `input` that it becomes.
    pub(crate) fn payload(&self) -> Value {
        let message = json!({ "role": "user", "content": self.0 });
        json!({ "kind": "create_message", "messages": [message] })
    }
}

/// The text, and the parts of any other prompt as JSON.
impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => self.0.fmt(f),
        }
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Of an iteration over texts.
impl From<&&str> for Prompt {
    fn from(text: &&str) -> Self {
        (*text).into()
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&String> for Prompt {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Cow<'_, str>> for Prompt {
    fn from(text: Cow<'_, str>) -> Self {
        text.into_owned().into()
    }
}

impl From<&Cow<'_, str>> for Prompt {
    fn from(text: &Cow<'_, str>) -> Self {
        (**text).into()
    }
}

impl From<Box<str>> for Prompt {
    fn from(text: Box<str>) -> Self {
        text.into_string().into()
    }
}

impl From<&Box<str>> for Prompt {
    fn from(text: &Box<str>) -> Self {
        (**text).into()
    }
}

impl From<Arc<str>> for Prompt {
    fn from(text: Arc<str>) -> Self {
        (*text).into()
    }
}

impl From<&Arc<str>> for Prompt {
    fn from(text: &Arc<str>) -> Self {
        (**text).into()
    }
}

/// The `content`, as it is.
impl From<Value> for Prompt {
    fn from(content: Value) -> Self {
        Self(content)
    }
}

impl From<&Value> for Prompt {
    fn from(content: &Value) -> Self {
        Self(content.clone())
    }
}

/// The parts of the `content`.
impl From<Vec<Value>> for Prompt {
    fn from(parts: Vec<Value>) -> Self {
        Self(parts.into())
    }
}

impl From<&Vec<Value>> for Prompt {
    fn from(parts: &Vec<Value>) -> Self {
        Self(parts.clone().into())
    }
}

/// A prompt that is used again.
impl From<&Self> for Prompt {
    fn from(prompt: &Self) -> Self {
        prompt.clone()
    }
}
