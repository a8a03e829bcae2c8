//! One conversation on the server: its queue, its running turn, what it has stored.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::ConnId;
use crate::sim::plan::Plan;

pub const IDLE: &str = "WAITING_ON_INPUT";

#[derive(Debug, Clone)]
pub struct Input {
    pub client_id: String,
    pub text: String,
    pub conn: ConnId,
    /// The queue's id of it.
    pub item: String,
}

/// What the running turn does when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Send,
    WaitForModel,
    Process,
    StartRun,
    Say,
    EndRun,
    /// Waits for a person.
    Asking,
    /// A tool of the server's runs.
    Working,
    /// A tool of a client's runs.
    Calling,
}

#[derive(Debug)]
pub struct Running {
    /// The turn's place in the ledger.
    pub record: usize,
    pub turn_id: String,
    pub inputs: Vec<Input>,
    pub plan: Plan,
    pub step: Step,
    pub run: Option<String>,
    /// Words of the run so far.
    pub said: u32,
    pub tool_done: bool,
    pub failed: u32,
    pub call: String,
    /// Whose external tool runs, under which id.
    pub calling: Option<(ConnId, String)>,
    /// It began while the server was cleaning up: its state is lost (section 18).
    pub orphan: bool,
}

#[derive(Debug, Default)]
pub struct Conversation {
    pub queue: VecDeque<Input>,
    pub turn: Option<Running>,
    pub status: &'static str,
    pub executing: bool,
    /// Which messages each run answers.
    pub correlation: Vec<(String, Vec<String>)>,
    /// The results of a turn that was stopped are still to be delivered.
    pub interrupted: bool,
    pub cleaning_until: Option<Duration>,
    /// The only wake-up that counts.
    pub ticket: u64,
    pub batches: u64,
    pub items: u64,
    /// Oldest first.
    pub messages: Vec<Value>,
}

impl Conversation {
    /// Whether an input would have to wait.
    pub fn busy(&self) -> bool {
        self.turn.is_some() || !self.queue.is_empty() || self.interrupted
    }

    /// Where an input with this id is already: it makes no second turn meanwhile (section 10).
    pub fn known(&self, client_id: &str) -> Option<&'static str> {
        let has = |input: &Input| input.client_id == client_id;
        if self.turn.as_ref().is_some_and(|turn| turn.inputs.iter().any(has)) {
            return Some("started");
        }
        self.queue.iter().any(has).then_some("queued")
    }
}
