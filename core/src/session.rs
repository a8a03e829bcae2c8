//! A conversation with an agent, the way programs use it: ask, follow, stop.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::engine::{Approvals, TurnOptions, TurnResult, Usage};
use crate::error::{Error, ErrorKind};
use crate::events::MessageFilter;
use crate::pages::StoredMessages;
use crate::turn::Turn;

/// Which conversation, and how it is led. Made by [`SessionOptions::agent`] or
/// [`SessionOptions::new_agent`].
#[derive(Debug, Clone)]
pub struct SessionOptions {
    start: Map<String, Value>,
    cwd: Option<PathBuf>,
    turns: TurnOptions,
}

impl SessionOptions {
    fn with(field: &str, value: Value) -> Self {
        let mut start = Map::new();
        start.insert(field.to_owned(), value);
        start.insert("mode".to_owned(), "standard".into());
        // Nobody is there to ask unless the program says so: what wants a permission is denied, so
        // that nothing hangs and nothing is accepted silently.
        let turns = TurnOptions { approvals: Approvals::Deny, ..TurnOptions::default() };
        Self { start, cwd: None, turns }
    }

    /// A conversation with an agent that exists; a new one unless [`SessionOptions::conversation`]
    /// names it.
    #[must_use]
    pub fn agent(id: impl Into<String>) -> Self {
        Self::with("agent_id", id.into().into())
    }

    /// A conversation with a new agent, from the body of the REST API's `agents.create`.
    #[must_use]
    pub fn new_agent(body: &Value) -> Self {
        Self::with("create_agent", json!({ "body": body }))
    }

    /// Goes on with a conversation that exists; `default` is the agent's default one.
    #[must_use]
    pub fn conversation(self, id: impl Into<String>) -> Self {
        self.field("conversation_id", id.into().into())
    }

    /// What runs unasked: `standard` (the default), `acceptEdits`, `unrestricted` or `strict` (section
    /// 8). The server's own default would run everything.
    #[must_use]
    pub fn mode(self, mode: impl Into<String>) -> Self {
        self.field("mode", mode.into().into())
    }

    /// The directory on the server's machine; a relative one is taken from here. See
    /// [`Session::cwd_ignored`].
    #[must_use]
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// How turns are limited and who is asked for permissions; `Deny` by default.
    #[must_use]
    pub fn turns(mut self, options: TurnOptions) -> Self {
        self.turns = options;
        self
    }

    /// Any other field of `runtime_start`, such as `external_tools` (sections 8 and 20).
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.start.insert(name.to_owned(), value);
        self
    }
}

/// What is said to an agent: text, or the parts of a message's `content` (section 8.1).
#[derive(Debug, Clone)]
pub struct Prompt(Value);

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Value> for Prompt {
    fn from(content: Value) -> Self {
        Self(content)
    }
}

/// A conversation with an agent, from [`Client::session`]. A cheap handle; there is nothing to close.
#[derive(Debug, Clone)]
pub struct Session {
    client: Client,
    runtime: Value,
    start: Map<String, Value>,
    cwd: Option<String>,
    cwd_ignored: bool,
    turns: TurnOptions,
    usage: Arc<Mutex<Usage>>,
}

impl Client {
    /// Starts or joins a conversation: `runtime_start`, always with a mode (section 8).
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn session(&self, options: SessionOptions) -> Result<Session, Error> {
        let SessionOptions { mut start, cwd, turns } = options;
        let wanted = cwd.as_deref().map(absolute).transpose()?;
        if let Some(wanted) = &wanted {
            start.insert("cwd".to_owned(), wanted.as_str().into());
        }
        let response = self.runtime_start(Value::Object(start.clone())).await?.json();
        let runtime = response["runtime"].clone();
        let usage = Arc::default();
        let mut session = Session {
            client: self.clone(),
            runtime,
            start,
            cwd: None,
            cwd_ignored: false,
            turns,
            usage,
        };
        if let Some(wanted) = wanted {
            session.cwd = session.directory().await?;
            session.cwd_ignored = session.cwd.as_deref().is_some_and(|cwd| !same(cwd, &wanted));
        }
        Ok(session)
    }
}

impl Session {
    /// The agent.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        self.runtime["agent_id"].as_str().unwrap_or_default()
    }

    /// The conversation.
    #[must_use]
    pub fn conversation_id(&self) -> &str {
        self.runtime["conversation_id"].as_str().unwrap_or_default()
    }

    /// Both, as other commands want them.
    #[must_use]
    pub fn runtime(&self) -> &Value {
        &self.runtime
    }

    /// The directory the conversation works in, as the server said when it was asked for one.
    #[must_use]
    pub fn cwd(&self) -> Option<&str> {
        self.cwd.as_deref()
    }

    /// Whether the server has silently kept another directory than the one that was asked for: it does
    /// so when there is no such directory on its machine (section 8).
    #[must_use]
    pub fn cwd_ignored(&self) -> bool {
        self.cwd_ignored
    }

    /// The token counts of all turns of this session whose results were seen.
    #[must_use]
    pub fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and resolves with the result of a turn that the agent ended itself.
    ///
    /// # Errors
    ///
    /// Those of [`Client::run_turn`]; besides [`ErrorKind::TurnFailed`], [`ErrorKind::TurnAborted`] and
    /// [`ErrorKind::ApprovalRequired`] when the turn ended so, with the result.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the turn on the server.
    pub async fn run(&self, prompt: impl Into<Prompt>) -> Result<TurnResult, Error> {
        let options = TurnOptions { check: true, ..self.turns.clone() };
        self.send_with(prompt, options)?.result().await
    }

    /// Asks, and returns at once with the turn, to be followed, awaited, stopped or left alone.
    ///
    /// # Errors
    ///
    /// What is wrong with the input, before anything is sent.
    pub fn send(&self, prompt: impl Into<Prompt>) -> Result<Turn, Error> {
        self.send_with(prompt, self.turns.clone())
    }

    /// [`Session::send`] with options of its own.
    ///
    /// # Errors
    ///
    /// As [`Session::send`].
    pub fn send_with(
        &self,
        prompt: impl Into<Prompt>,
        options: TurnOptions,
    ) -> Result<Turn, Error> {
        let message = json!({ "role": "user", "content": prompt.into().0 });
        let payload = json!({ "kind": "create_message", "messages": [message] });
        let fields = json!({ "runtime": self.runtime, "payload": payload });
        let mut turn = self.client.send_turn(fields, options)?;
        turn.usage = Some(Arc::clone(&self.usage));
        Ok(turn)
    }

    /// Stops whatever runs in the conversation, also what others started: `abort_message` (section
    /// 15). Says whether there was something.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn abort(&self) -> Result<bool, Error> {
        let response = self.client.abort(json!({ "runtime": self.runtime })).await?;
        Ok(response.json()["aborted"] == true)
    }

    /// The stored messages, newest first.
    #[must_use]
    pub fn messages(&self) -> StoredMessages {
        self.client.conversations().messages(self.conversation_id())
    }

    /// A copy of the conversation that goes its own way: `conversation_fork`, then `runtime_start` with
    /// the same mode and directory.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn fork(&self) -> Result<Self, Error> {
        let fields = json!({ "conversation_id": self.conversation_id() });
        let forked = self.client.request("conversation_fork", fields).await?.json();
        let mut options = SessionOptions {
            start: self.start.clone(),
            cwd: self.cwd.as_deref().map(PathBuf::from),
            turns: self.turns.clone(),
        };
        for field in ["create_agent", "create_conversation", "cwd"] {
            options.start.remove(field);
        }
        options = options.field("agent_id", self.runtime["agent_id"].clone());
        let options = options.field("conversation_id", forked["conversation"]["id"].clone());
        self.client.session(options).await
    }

    /// Changes what runs unasked: `change_device_state`. The server sends no answer.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn set_mode(&mut self, mode: &str) -> Result<(), Error> {
        self.change(&json!({ "mode": mode }))?;
        self.start.insert("mode".to_owned(), mode.into());
        Ok(())
    }

    /// Changes the directory: `change_device_state`, then `sync` to see whether the server did so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`] when the server has kept another one; otherwise see [`Client`].
    pub async fn set_cwd(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let wanted = absolute(path.as_ref())?;
        self.change(&json!({ "cwd": wanted }))?;
        let cwd = self.directory().await?;
        self.cwd_ignored = cwd.as_deref().is_some_and(|cwd| !same(cwd, &wanted));
        self.cwd = cwd;
        if self.cwd_ignored {
            let kept = self.cwd.as_deref().unwrap_or_default();
            let message = format!("the server has no directory {wanted:?} and stays in {kept:?}");
            return Err(Error::new(ErrorKind::Request, message));
        }
        Ok(())
    }

    /// Changes the model by its handle, such as `anthropic/claude-sonnet-4`: `update_model`.
    ///
    /// # Errors
    ///
    /// See [`Client`]. A handle nobody knows is accepted, and fails when it is used (section 19).
    pub async fn update_model(&self, handle: &str) -> Result<(), Error> {
        let payload = json!({ "model_handle": handle });
        let fields = json!({ "runtime": self.runtime, "payload": payload });
        self.client.request("update_model", fields).await.map(drop)
    }

    fn change(&self, payload: &Value) -> Result<(), Error> {
        let command = json!({
            "type": "change_device_state", "runtime": self.runtime, "payload": payload,
        });
        self.client.send(&command)
    }

    /// The directory of the conversation, from a snapshot; `None` where the server does not say.
    async fn directory(&self) -> Result<Option<String>, Error> {
        let filter = MessageFilter::all().types(["update_device_status"]);
        let filter = filter.runtime(self.agent_id(), self.conversation_id());
        let mut statuses = self.client.messages(filter);
        // The snapshot comes before the answer (section 16).
        let fields = json!({
            "runtime": self.runtime, "recover_approvals": false, "force_device_status": true,
        });
        self.client.sync(fields).await?;
        let mut cwd = None;
        while let Some(message) = statuses.next_waiting() {
            let status = &message.json()["device_status"];
            cwd = status["current_working_directory"].as_str().map(str::to_owned).or(cwd);
        }
        Ok(cwd)
    }
}

/// A path the server understands.
fn absolute(path: &Path) -> Result<String, Error> {
    let invalid = |what: String| Error::new(ErrorKind::InvalidOption, format!("cwd: {what}"));
    let absolute = std::path::absolute(path).map_err(|error| invalid(error.to_string()))?;
    let text = absolute.to_str().map(str::to_owned);
    text.ok_or_else(|| invalid(format!("expected a path of Unicode text, got {}", path.display())))
}

/// Whether two paths are one directory, as far as can be seen from here: the server reports it without
/// symbolic links.
fn same(reported: &str, wanted: &str) -> bool {
    let real = || std::fs::canonicalize(wanted).ok();
    Path::new(reported) == Path::new(wanted)
        || real().is_some_and(|real| real == Path::new(reported))
}
