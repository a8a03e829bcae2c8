//! The state of a scripted server and how it reaches the clients.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::super::connection::{Command, Link};
use super::super::options::{Generation, ScriptOptions, ScriptedTurn};
use super::super::player::is_stream_kind;
use super::frames::Draft;
use super::silence::Silence;
use super::store::Stored;
use super::watch::Watch;

/// The common state. All tasks of a server share one thread, so the lock is never contended; it must not be held
/// across an `await`.
#[derive(Clone, Debug)]
pub(super) struct World(Arc<Mutex<State>>);

impl World {
    pub(super) fn new(options: ScriptOptions, folder: Option<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(State {
            options,
            folder,
            agents: BTreeMap::new(),
            conversations: BTreeMap::new(),
            made: BTreeSet::new(),
            deleted: BTreeSet::new(),
            turns_begun: 0,
            counters: BTreeMap::new(),
            clients: BTreeMap::new(),
            waiting_stream: None,
            runtimes: BTreeMap::new(),
            external_calls: HashMap::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An agent and a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) agent_id: String,
    pub(super) conversation_id: String,
}

impl Scope {
    pub(super) fn to_json(&self) -> Value {
        json!({ "agent_id": self.agent_id, "conversation_id": self.conversation_id })
    }

    /// `None` when an id is missing, empty or of the wrong type.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let id = |key: &str| value[key].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        Some(Self { agent_id: id("agent_id")?, conversation_id: id("conversation_id")? })
    }
}

/// What a runtime is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    #[default]
    Idle,
    Sending,
    Waiting,
    Processing,
    Asking,
    Executing,
    Command,
}

/// A connection of the single generation, or the session of the split one.
#[derive(Debug)]
pub(super) struct Client {
    /// The socket for commands and responses.
    pub(super) main: Link,
    pub(super) stream: Option<Link>,
    event_seq: u64,
    pub(super) subscriptions: BTreeSet<Scope>,
    /// External tools by runtime.
    pub(super) tools: BTreeMap<Scope, Vec<Offered>>,
    /// The files it watches, by the path it named.
    pub(super) watched: BTreeMap<String, Watch>,
}

/// An external tool.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    /// The scope id of its group, if any.
    pub(super) group: Option<String>,
    pub(super) name: String,
    /// The parameters without which it is not called.
    pub(super) required: Vec<String>,
}

/// An input that waits, or that a turn answers.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) owner: u64,
    /// The client message ids of its messages.
    pub(super) client_message_ids: Vec<String>,
    pub(super) content: Value,
    pub(super) tool_scopes: Vec<String>,
    /// The only tools there are for it, where it says so.
    pub(super) allowed: Option<Vec<String>>,
    /// Where it was queued: the queue id and the time.
    pub(super) queued: Option<(String, String)>,
}

/// The turn that is running.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) task: AbortHandle,
    pub(super) turn_id: String,
    pub(super) run_id: Option<String>,
    pub(super) silence: Silence,
}

/// An approval that was asked for.
#[derive(Debug)]
pub(super) struct Approval {
    pub(super) request_id: String,
    pub(super) request: Value,
    pub(super) answer: oneshot::Sender<Value>,
}

/// A call of an external tool that is not answered.
#[derive(Debug)]
pub(super) struct ExternalCall {
    /// The client that has to answer.
    pub(super) owner: u64,
    pub(super) scope: Scope,
    pub(super) answer: oneshot::Sender<Value>,
}

/// The state of one agent and conversation.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    pub(super) mode: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) step: Step,
    pub(super) active_run: Option<String>,
    pub(super) executing: Vec<String>,
    /// The client message ids of the latest runs.
    pub(super) correlation: VecDeque<(String, Vec<String>)>,
    pub(super) queue: VecDeque<Input>,
    pub(super) queue_ids: u64,
    pub(super) batches: u64,
    pub(super) turn: Option<Running>,
    pub(super) approval: Option<Approval>,
    /// What waits for the external tools and the model of a turn that was stopped: nothing else starts before they have
    /// answered.
    pub(super) lingering: Option<AbortHandle>,
    /// The last turn was cut off, so that the next input takes the way through the queue.
    pub(super) interrupted: bool,
    /// The last turn was cut off in its answer, which is stored until the next input runs.
    pub(super) partial: bool,
    /// What was said of each input, by its client message id: such an input is not run again.
    pub(super) accepted: BTreeMap<String, &'static str>,
    /// An input of the queue went with its connection, and what was accepted outlives the turn.
    pub(super) remembers: bool,
    /// What was said, oldest first.
    pub(super) stored: Vec<Stored>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) options: ScriptOptions,
    /// Where the files are.
    pub(super) folder: Option<PathBuf>,
    pub(super) agents: BTreeMap<String, Value>,
    pub(super) conversations: BTreeMap<Scope, Value>,
    /// Agents that a command has made: of those it is known which conversations there are.
    pub(super) made: BTreeSet<String>,
    /// Agents that were deleted.
    pub(super) deleted: BTreeSet<String>,
    turns_begun: usize,
    counters: BTreeMap<&'static str, u64>,
    /// By the id of their main socket.
    pub(super) clients: BTreeMap<u64, Client>,
    /// A stream socket that came before its control socket.
    pub(super) waiting_stream: Option<Link>,
    pub(super) runtimes: BTreeMap<Scope, Runtime>,
    /// Calls of external tools that are not answered.
    pub(super) external_calls: HashMap<String, ExternalCall>,
}

impl Runtime {
    /// Forgets what was accepted, when nothing is left to do; once later where an input was lost in the queue.
    pub(super) fn rest(&mut self) {
        if !std::mem::take(&mut self.remembers) {
            self.accepted.clear();
        }
    }
}

/// Real servers keep the correlation of this many runs.
const CORRELATED_RUNS: usize = 32;

impl State {
    pub(super) fn is_single(&self) -> bool {
        self.options.generation == Generation::Single
    }

    /// Whether inputs are acknowledged and the end of a turn is announced.
    pub(super) fn has_turn_events(&self) -> bool {
        self.is_single() && self.options.turn_events
    }

    /// Sends a conversation to a directory, if there is one. A server that has files looks.
    pub(super) fn change_directory(&mut self, scope: &Scope, cwd: &str) {
        let is_there = match (&self.options.directories, &self.folder) {
            (Some(known), _) => known.iter().any(|directory| directory == cwd),
            (None, Some(folder)) => folder.join(cwd).is_dir(),
            (None, None) => true,
        };
        if is_there {
            self.runtime(scope).cwd = Some(cwd.to_owned());
        }
    }

    /// Where a conversation is that was sent nowhere.
    pub(super) fn home(&self) -> String {
        let folder = self.folder.as_ref().map(|folder| folder.to_string_lossy().into_owned());
        folder.unwrap_or_else(|| "/home/user/project".to_owned())
    }

    /// Counts from 1, separately for each name.
    pub(super) fn count(&mut self, name: &'static str) -> u64 {
        let counter = self.counters.entry(name).or_default();
        *counter += 1;
        *counter
    }

    pub(super) fn next_script(&mut self) -> ScriptedTurn {
        let turns = &self.options.turns;
        let at = self.turns_begun.min(turns.len().saturating_sub(1));
        self.turns_begun += 1;
        turns.get(at).cloned().unwrap_or_default()
    }

    /// Whether the next input is to be lost; said once.
    pub(super) fn loses_input(&mut self) -> bool {
        let loses = self.options.turns.get(self.turns_begun).is_some_and(|turn| turn.lose_input);
        self.turns_begun += usize::from(loses);
        loses
    }

    pub(super) fn runtime(&mut self, scope: &Scope) -> &mut Runtime {
        self.runtimes.entry(scope.clone()).or_default()
    }

    pub(super) fn add_client(&mut self, main: Link) {
        let stream = self.waiting_stream.take();
        let id = main.id;
        let (subscriptions, tools) = (BTreeSet::new(), BTreeMap::new());
        let watched = BTreeMap::new();
        let client = Client { main, stream, event_seq: 0, subscriptions, tools, watched };
        self.clients.insert(id, client);
    }

    /// Whether a client gets the events of a runtime. In the split generation the only client gets everything.
    fn hears(&self, client: &Client, scope: &Scope) -> bool {
        !self.is_single() || client.subscriptions.contains(scope)
    }

    pub(super) fn listeners(&self, scope: &Scope) -> Vec<u64> {
        let hears = |(_, client): &(&u64, &Client)| self.hears(client, scope);
        self.clients.iter().filter(hears).map(|(id, _)| *id).collect()
    }

    pub(super) fn subscribe(&mut self, client: u64, scope: &Scope) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.subscriptions.insert(scope.clone());
        }
    }

    /// Sends an event to all who listen.
    pub(super) fn broadcast(&mut self, scope: &Scope, draft: &Draft) {
        for client in self.listeners(scope) {
            self.send_event(client, scope, draft);
        }
    }

    pub(super) fn send_event(&mut self, client: u64, scope: &Scope, draft: &Draft) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.event_seq += 1;
            let stream = client.stream.as_ref().filter(|_| is_stream_kind(draft.kind));
            let link = stream.unwrap_or(&client.main);
            link.send(Command::Text(draft.sealed(scope, client.event_seq)));
        }
    }

    /// Sends a frame without an envelope.
    pub(super) fn reply(&self, client: u64, frame: &Value) {
        if let Some(client) = self.clients.get(&client) {
            client.main.send(Command::Text(frame.to_string()));
        }
    }

    /// Remembers which client messages a run answers.
    pub(super) fn correlate(&mut self, scope: &Scope, run: &str, ids: &[String]) {
        if ids.is_empty() || !self.has_turn_events() || !self.options.correlation {
            return;
        }
        let runs = &mut self.runtime(scope).correlation;
        runs.push_back((run.to_owned(), ids.to_vec()));
        if runs.len() > CORRELATED_RUNS {
            runs.pop_front();
        }
    }
}
