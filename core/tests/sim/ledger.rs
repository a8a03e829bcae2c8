//! What truly happened on the server, which no client sees as a whole.

use std::collections::BTreeMap;

/// One turn: inputs that were committed to a conversation together, and the runs that answered them.
#[derive(Debug)]
pub struct TurnRecord {
    pub conversation: String,
    pub inputs: Vec<InputRecord>,
    pub runs: Vec<RunRecord>,
    pub end: End,
    /// It wanted a permission.
    pub asked: bool,
    /// It began while the server was cleaning up (PROTOCOL.md section 18).
    pub orphan: bool,
}

#[derive(Debug)]
pub struct InputRecord {
    pub tag: String,
    pub client_id: String,
    /// The first run that answers it: an input that joins a running turn comes late.
    pub from_run: usize,
    /// It says which tools its turn has, which is read where it is the first.
    pub own_tools: bool,
}

#[derive(Debug)]
pub struct RunRecord {
    pub id: String,
    pub text: String,
    /// It failed and was tried again.
    pub withdrawn: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Running,
    Finished {
        stop_reason: String,
    },
    /// Nobody was left who listened, or the server went down.
    Cut,
    /// Somebody wanted it to stop.
    Aborted,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub turns: Vec<TurnRecord>,
    /// How often an input with a prompt came to the server.
    pub received: BTreeMap<String, u32>,
    /// Inputs that left the queue without an answer.
    pub dropped: BTreeMap<String, u32>,
    /// Inputs of a connection without the tools that its client had registered.
    pub without_tools: Vec<String>,
}

impl Ledger {
    /// How many turns began too soon.
    pub fn raced(&self) -> usize {
        self.turns.iter().filter(|turn| turn.orphan).count()
    }

    /// The turns that answer a prompt. More than one means that it was committed more than once.
    pub fn commits(&self, tag: &str) -> Vec<(&TurnRecord, &InputRecord)> {
        let input = |turn: &'_ TurnRecord| turn.inputs.iter().position(|input| input.tag == tag);
        let turns = self.turns.iter().filter_map(|turn| Some((turn, input(turn)?)));
        turns.map(|(turn, index)| (turn, &turn.inputs[index])).collect()
    }
}

impl TurnRecord {
    /// The whole text that answers an input, without runs that were tried again.
    pub fn text_for(&self, input: &InputRecord) -> String {
        let runs = self.runs.iter().skip(input.from_run).filter(|run| !run.withdrawn);
        runs.map(|run| run.text.as_str()).collect()
    }
}
