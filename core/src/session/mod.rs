//! A conversation with an agent, the way programs use it: ask, follow, stop.

mod directory;
mod options;
mod own;
mod structured;
mod tally;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::approvals::nobody_to_ask;
use crate::check::Check;
use crate::client::Client;
use crate::connection::RequestOptions;
use crate::engine::{Approvals, Resend, TurnOptions, TurnResult, Usage};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::pages::StoredMessages;
use crate::policy::{AuditEntry, Policy};
use crate::tasks::Tasks;
use crate::tool::{Scope, Toolbox};
use crate::turn::Turn;
use directory::absolute;
pub use options::{Prompt, SessionOptions};
use own::Hold;
pub(crate) use own::Own;
pub use structured::Structured;
pub(crate) use tally::Tally;

/// The conversation of this name is the agent's own; every agent has one.
pub(crate) const DEFAULT: &str = "default";

/// A conversation with an agent, from [`Client::session`]. It is a cheap handle that can be cloned freely.
/// Several may exist for one conversation, whose mode, directory and tools are those of all.
///
/// Its tools and its policy stay in use until the last handle is dropped or, if that is later, until the last
/// of its turns has ended; [`Session::close`] ends them at once. Until then the conversation is started again
/// after each reconnect.
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
/// use letta_app_client::{Client, ConnectOptions, ErrorKind, SessionOptions, TurnStatus};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let failing = ScriptedTurn { error: Some("no credits".to_owned()), ..ScriptedTurn::text(["half"]) };
/// # let turns = vec![ScriptedTurn::text(["All pass."]), failing];
/// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// let options = SessionOptions::agent("agent-123").cwd(".").mode("acceptEdits");
/// let session = client.session(options).await?;
/// let result = session.run("Do the tests pass?").await?;
/// assert_eq!(result.text, "All pass.");
///
/// // A turn that the agent did not end itself is an error, which has what it came to.
/// let error = session.run("And the others?").await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::TurnFailed);
/// assert_eq!(error.result().map(|result| result.text.as_str()), Some("half"));
///
/// // With options of its own, it is an outcome like others.
/// let result = session.run_with("And now?", session.turn_options()).await?;
/// assert_eq!(result.status, Some(TurnStatus::Failed));
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    client: Client,
    runtime: Value,
    start: Map<String, Value>,
    cwd: Option<String>,
    cwd_ignored: bool,
    turns: TurnOptions,
    tools: Toolbox,
    policy: Option<Policy>,
    own: Arc<Own>,
}

/// Which conversation it is, and nothing that it was started with: a new agent may come with secrets.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("agent_id", &self.agent_id())
            .field("conversation_id", &self.conversation_id())
            .field("mode", &self.mode())
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Starts or joins a conversation: `runtime_start`, with a mode unless the conversation has one already from this
    /// client (section 8). Resolves with its session once the server has answered; if a directory was asked for, the server is first asked which one
    /// it uses (`sync`).
    ///
    /// Several sessions may have one conversation. What a further one does not name stays as it is: the permission mode,
    /// the external tools of the others (section 14). Its mode and directory are those of all; its tools come to theirs,
    /// of which they replace what has the same name, and go with it (those of the last one stay registered, unanswered, until
    /// the connection ends); a turn of another session needs a permission for them.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`](crate::ErrorKind::InvalidOption) for tools of one name, or such that the server would not
    /// take, and for limits of its turns that are none, before anything is sent;
    /// [`Request`](crate::ErrorKind::Request) also for an answer that names no runtime; otherwise see the type's text.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the conversation on the server, where it may have been started, and may have its mode
    /// and directory; its tools are taken back from those of other sessions, and are not answered.
    pub async fn session(&self, options: SessionOptions) -> Result<Session, Error> {
        let (mut session, wanted) = self.started(options).await?;
        if let Some(wanted) = wanted {
            let cwd = session.directory().await?;
            session.settle_in(cwd, &wanted);
        }
        Ok(session)
    }

    /// The session of a conversation that the server has started, and the directory that was asked for, which the
    /// server has not shown yet.
    pub(crate) async fn started(
        &self,
        options: SessionOptions,
    ) -> Result<(Session, Option<String>), Error> {
        let SessionOptions { mut start, cwd, mut turns, tools, policy } = options;
        turns.check_limits()?;
        let wanted = cwd.as_deref().map(absolute).transpose()?;
        let tools = Toolbox::new(tools)?;
        let tasks = Tasks::here(self.shared_connection());
        let fields = fields_of(&start, wanted.as_deref(), &tools);
        if policy.is_some() {
            turns.approvals = Some(Approvals::Ask);
        }
        let (serving, served) = watch::channel(());
        let mut calls = None;
        if !tools.is_empty() {
            // Registered before it is sent: in a conversation that runs a call may come at once.
            let text = |field: &str| start.get(field).and_then(Value::as_str).map(str::to_owned);
            let (agent, conversation) = (text("agent_id"), text("conversation_id"));
            let names = tools.names().map(str::to_owned).collect();
            let read = self.tool_calls_in(Scope { agent, conversation }, names);
            calls = Some(read.token());
            tasks.serve(tools.clone().serve(read, served, tasks.clone()))?;
        }
        let opening = RequestOptions { check: Check::Opening(&[]), ..RequestOptions::default() };
        let started = self.ask("runtime_start", fields, opening).await?;
        let runtime = runtime_of(&started)?;
        if let Some(calls) = calls {
            self.settle_tool_calls(calls, &runtime);
        }
        let id = |field: &str| runtime[field].as_str().unwrap_or_default().to_owned();
        let place = (id("agent_id"), id("conversation_id"));
        if let Some(mode) = self.shared_connection().mode_of(&place) {
            start.insert("mode".to_owned(), mode.into());
        }
        let opening = started.json()["request_id"].as_str().unwrap_or_default().to_owned();
        let hold = Hold::new(self.shared_connection(), place, opening);
        let own = Arc::new(Own::new(policy.clone(), serving, &tasks, hold)?);
        let session = Session {
            client: self.clone(),
            runtime,
            start,
            cwd: None,
            cwd_ignored: false,
            turns,
            tools,
            policy,
            own,
        };
        Ok((session, wanted))
    }
}

impl Session {
    /// The client it belongs to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

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

    /// Agent and conversation.
    fn place(&self) -> (String, String) {
        (self.agent_id().to_owned(), self.conversation_id().to_owned())
    }

    /// Agent and conversation, in the form that other commands take.
    #[must_use]
    pub fn runtime(&self) -> &Value {
        &self.runtime
    }

    /// Which tools run without asking, as this client has last set it for the conversation, through whatever session;
    /// of one that no session has open any more, as it was when this one was opened, or last changed by it.
    #[must_use]
    pub fn mode(&self) -> String {
        let known = self.client.shared_connection().mode_of(&self.place());
        let own = || self.start.get("mode").and_then(Value::as_str).unwrap_or_default().to_owned();
        known.unwrap_or_else(own)
    }

    /// The directory the conversation works in, as the server said when it was asked for one.
    #[must_use]
    pub fn cwd(&self) -> Option<&str> {
        self.cwd.as_deref()
    }

    /// Whether the server has silently kept another directory than the one asked for, because there is no such
    /// directory on its machine (section 8).
    #[must_use]
    pub fn cwd_ignored(&self) -> bool {
        self.cwd_ignored
    }

    /// The token counts of the turns of this session that have ended, also of those that were dropped before their end
    /// and have ended since; not of those that were detached.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.own.usage()
    }

    /// What the policy of the session has decided so far, in order ([`SessionOptions::approvals`]): the latest 4,096
    /// decisions, or as many as have questions of 64 MiB together; [`Session::approvals_dropped`] counts the others.
    ///
    /// Rules decide on a thread of the library's. The functions of [`crate::Rule::ask`] run on the tokio runtime on which
    /// the session was made, for as long as that is there, then (and without one) on that thread; a runtime that ends
    /// while one of them decides leaves an entry without a decision, which denies.
    #[must_use]
    pub fn approvals(&self) -> Vec<AuditEntry> {
        self.own.audit().entries()
    }

    /// How many decisions are no longer in [`Session::approvals`], because there were too many.
    #[must_use]
    pub fn approvals_dropped(&self) -> u64 {
        self.own.audit().dropped()
    }

    /// The options of its turns, to be changed for one of them ([`Session::send_with`]).
    #[must_use]
    pub fn turn_options(&self) -> TurnOptions {
        self.turns.clone()
    }

    /// Sends a prompt, and resolves with the result of a turn that ended normally: `input` (section 8.1), and
    /// the turn's end (section 17). A turn that [`Session::close`] has stopped, through whatever handle, is no
    /// error either: its text ends where it was stopped, and [`TurnResult::status`] is
    /// [`Aborted`](crate::TurnStatus::Aborted).
    ///
    /// # Errors
    ///
    /// Those of [`Client::run_turn`]; in addition [`TurnFailed`](crate::ErrorKind::TurnFailed),
    /// [`TurnAborted`](crate::ErrorKind::TurnAborted) (unless [`Session::close`] stopped the turn) and
    /// [`ApprovalRequired`](crate::ErrorKind::ApprovalRequired) when the turn ended that way, with the result.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the turn on the server.
    pub async fn run(&self, prompt: impl Into<Prompt>) -> Result<TurnResult, Error> {
        self.run_with(prompt, TurnOptions { check: true, ..self.turns.clone() }).await
    }

    /// [`Session::run`] with options of its own. Without [`TurnOptions::check`] the result is returned however
    /// the turn ended; [`TurnResult::status`] tells how.
    ///
    /// # Errors
    ///
    /// As [`Session::run`]; [`InvalidOption`](crate::ErrorKind::InvalidOption) for [`Approvals::Ask`] without a policy.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the turn on the server.
    pub async fn run_with(
        &self,
        prompt: impl Into<Prompt>,
        options: TurnOptions,
    ) -> Result<TurnResult, Error> {
        self.can_run(&options, "use send, or a policy")?;
        let resend = options.resend.or(Some(Resend::IfUncommitted));
        // Nobody reads the events.
        self.sent(prompt, TurnOptions { events: false, resend, ..options }, &[])?.await
    }

    /// Sends a prompt, and returns the turn at once: you can follow it, await it, stop it or leave it alone.
    ///
    /// # Errors
    ///
    /// What is wrong with the input, before anything is sent.
    pub fn send(&self, prompt: impl Into<Prompt>) -> Result<Turn, Error> {
        self.send_with(prompt, self.turns.clone())
    }

    /// [`Session::send`] with options of its own; see [`Session::turn_options`]. With
    /// [`Approvals::Ask`] the session's policy decides on permissions, or whoever follows the turn where
    /// there is none.
    ///
    /// # Errors
    ///
    /// As [`Session::send`].
    pub fn send_with(
        &self,
        prompt: impl Into<Prompt>,
        options: TurnOptions,
    ) -> Result<Turn, Error> {
        self.sent(prompt, TurnOptions { events: true, ..options }, &[])
    }

    /// What was chosen for permissions, by these options or by the session.
    fn chosen(&self, options: &TurnOptions) -> Option<Approvals> {
        options.approvals.or(self.turns.approvals)
    }

    /// Refuses what would ask the follower of a turn that nobody follows.
    fn can_run(&self, options: &TurnOptions, hint: &str) -> Result<(), Error> {
        if self.chosen(options) == Some(Approvals::Ask) && self.policy.is_none() {
            return Err(nobody_to_ask(hint));
        }
        Ok(())
    }

    /// Sends an input whose turn sees the tools of these scopes as well (section 14).
    fn sent(
        &self,
        prompt: impl Into<Prompt>,
        mut options: TurnOptions,
        scopes: &[&str],
    ) -> Result<Turn, Error> {
        options.approvals = self.chosen(&options);
        if options.approvals.is_none() {
            // Unless the program has a handler nobody is there to ask: what wants a permission is denied then, so that
            // nothing hangs and nothing is accepted silently. Its own tools it wants to be called.
            options.approvals = Some(Approvals::AskOrDeny);
            options.allow.extend(self.tools.names().map(str::to_owned));
        }
        let asks = self.own.asks().filter(|_| options.approvals() == Approvals::Ask);
        let mut payload = prompt.into().payload();
        if !scopes.is_empty() {
            payload["external_tool_scope_ids"] = scopes.into();
        }
        let fields = json!({ "runtime": self.runtime, "payload": payload });
        let turn = self.client.send_turn_of(fields, options, asks)?;
        Ok(turn.owned_by(&self.own))
    }

    /// Stops whatever is running in the conversation, even if others started it: `abort_message` (section 15).
    /// Returns whether there was something to stop.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn abort(&self) -> Result<bool, Error> {
        let response = self.client.abort(json!({ "runtime": self.runtime })).await?;
        Ok(response.json()["aborted"] == true)
    }

    /// Stops the turns that were sent through any handle of this session and have not ended; they get the
    /// result of an aborted turn (section 15). Calls of its tools are no longer answered. Does not wait. The
    /// conversation stays on the server, and is not started again after a reconnect (unless another session
    /// uses it, or a command names it). A detached turn goes on.
    pub fn close(&self) {
        for token in self.own.close() {
            self.client.abort_turn(token);
        }
    }

    /// The stored messages, newest first.
    #[must_use]
    pub fn messages(&self) -> StoredMessages {
        let messages = self.client.conversations().messages(self.conversation_id());
        // A server that has lost the conversation names its agent then.
        messages.of_agent(self.agent_id())
    }

    /// Copies the conversation into a new one: `conversation_fork`, then `runtime_start` with the same mode,
    /// directory, tools and policy. A session that does not know its directory, because it has asked for none, first
    /// asks the server for it (`sync`).
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn fork(&self) -> Result<Self, Error> {
        // The server starts a copy in its own directory, not in the one of the conversation.
        let cwd = match self.cwd() {
            Some(cwd) => Some(cwd.to_owned()),
            None => self.directory().await?,
        };
        let mut fields = json!({ "conversation_id": self.conversation_id() });
        if self.conversation_id() == DEFAULT {
            fields["body"] = json!({ "agent_id": self.agent_id() });
        }
        let forked = self.client.request("conversation_fork", fields).await?.json();
        let mut options = SessionOptions {
            start: self.start.clone(),
            cwd: cwd.map(PathBuf::from),
            turns: self.turns.clone(),
            tools: self.tools.tools().to_vec(),
            policy: self.policy.clone(),
        };
        for field in ["create_agent", "create_conversation", "cwd"] {
            options.start.remove(field);
        }
        options.start.insert("mode".to_owned(), self.mode().into());
        options = options.field("agent_id", self.runtime["agent_id"].clone());
        let options = options.field("conversation_id", forked["conversation"]["id"].clone());
        self.client.session(options).await
    }

    /// Changes which tools run without asking: `change_device_state`. The server sends no answer.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn set_mode(&mut self, mode: &str) -> Result<(), Error> {
        self.change(&json!({ "mode": mode }))?;
        self.start.insert("mode".to_owned(), mode.into());
        Ok(())
    }

    /// Changes the model by its handle, such as `anthropic/claude-sonnet-4`: `update_model`.
    ///
    /// # Errors
    ///
    /// See [`Client`]. An unknown handle is accepted, and fails only when it is used (section 19).
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
}

/// The conversation that an answer to `runtime_start` names; without one there is no session.
fn runtime_of(response: &Message) -> Result<Value, Error> {
    let runtime = response.json()["runtime"].take();
    for field in ["agent_id", "conversation_id"] {
        if runtime[field].as_str().is_none_or(str::is_empty) {
            let got = &runtime[field];
            let message = format!(
                "`runtime_start`: response field `runtime.{field}`: expected non-empty string, got {got}"
            );
            return Err(Error::new(ErrorKind::Request, message).with_response(response.text()));
        }
    }
    Ok(runtime)
}

/// The fields of `runtime_start` with a directory and tools.
fn fields_of(start: &Map<String, Value>, cwd: Option<&str>, tools: &Toolbox) -> Value {
    let mut fields = start.clone();
    if let Some(cwd) = cwd {
        fields.insert("cwd".to_owned(), cwd.into());
    }
    if !tools.is_empty() {
        fields.insert("external_tools".to_owned(), groups(start, tools));
    }
    Value::Object(fields)
}

/// What is registered for a conversation anyway: what its fields say, and its own tools.
fn groups(start: &Map<String, Value>, tools: &Toolbox) -> Value {
    let mut groups = start.get("external_tools").cloned().unwrap_or_else(|| json!([]));
    if let Some(groups) = groups.as_array_mut().filter(|_| !tools.is_empty()) {
        groups.push(tools.group());
    }
    groups
}
