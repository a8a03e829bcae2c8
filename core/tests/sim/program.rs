//! A program that uses the engine: it starts conversations, sends inputs one after the other, answers
//! what it is asked, and goes on after every loss.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{
    Command, Correlation, Delivery, Expect, Token, TurnEvent, TurnOptions,
};
use letta_app_client::protocol::Text;
use letta_app_client::{Error, ErrorKind, Resend, TurnResult};
use serde_json::{Value, json};

use super::dice::Dice;
use super::judge::Outcome;
use super::script::{Call, Script, Stop};
use super::world::{Event, World};

/// How long it waits before it looks again whether there is a connection.
const RETRY: Duration = Duration::from_millis(500);

/// The handler of permissions.
const HANDLER: Token = 1;

#[derive(Debug)]
pub enum Step {
    Start(usize),
    Next(usize),
    Stop(Token, Stop),
    Answer(u64),
    ToolDone(String),
}

/// A call that waits.
#[derive(Debug)]
struct Open {
    call: Call,
    losses: u32,
    stopped: bool,
    /// Text of each run that its events told of.
    told: Vec<(Arc<str>, String)>,
}

#[derive(Debug)]
pub struct Program {
    callers: Vec<VecDeque<Call>>,
    conversations: usize,
    /// Conversations whose `runtime_start` was answered.
    started: BTreeSet<usize>,
    starting: BTreeMap<Token, usize>,
    requests: BTreeSet<Token>,
    open: BTreeMap<Token, (usize, Open)>,
    outcomes: Vec<Outcome>,
    /// Calls that were to stop.
    pub stopped: BTreeSet<String>,
    tokens: Token,
    dice: Dice,
    pub losses: u32,
}

impl Program {
    pub fn new(script: &Script, dice: Dice) -> Self {
        let callers = script.calls.iter().map(|call| call.caller + 1).max().unwrap_or_default();
        let calls = |caller: usize| script.calls.iter().filter(move |call| call.caller == caller);
        Self {
            callers: (0..callers).map(|caller| calls(caller).cloned().collect()).collect(),
            conversations: script.conversations,
            started: BTreeSet::new(),
            starting: BTreeMap::new(),
            requests: BTreeSet::new(),
            open: BTreeMap::new(),
            outcomes: Vec::new(),
            stopped: BTreeSet::new(),
            tokens: 100,
            dice,
            losses: 0,
        }
    }

    pub fn conversation(index: usize) -> String {
        format!("conv-{index}")
    }

    pub fn is_done(&self) -> bool {
        self.callers.iter().all(VecDeque::is_empty) && self.open.is_empty()
    }

    pub fn waiting(&self) -> impl Iterator<Item = Token> + '_ {
        let requests = self.requests.iter().chain(self.starting.keys());
        requests.chain(self.open.keys()).copied()
    }

    pub fn unfinished(&self) -> Vec<String> {
        let open = self.open.values().map(|(_, open)| open.call.plan.tag.clone());
        let later = self.callers.iter().flatten().map(|call| format!("({})", call.plan.tag));
        open.chain(later).collect()
    }

    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    pub fn started(&self) -> impl Iterator<Item = String> + '_ {
        self.started.iter().map(|index| Self::conversation(*index))
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    pub fn begin(world: &mut World) {
        let now = world.now;
        let handler = Command::HandleApprovals { token: HANDLER, runtime: None, handled: true };
        world.engine.handle_command(now, handler);
        world.engine.handle_command(now, Command::HandleTools { handled: true });
        for index in 0..world.program().conversations {
            world.later(Duration::ZERO, Event::Program(Step::Start(index)));
        }
        for caller in 0..world.program().callers.len() {
            Self::plan_next(world, caller);
        }
    }

    fn plan_next(world: &mut World, caller: usize) {
        let after = world.program().callers[caller].front().map(|call| call.after);
        if let Some(after) = after {
            world.later(after, Event::Program(Step::Next(caller)));
        }
    }

    pub fn step(world: &mut World, step: Step) {
        let now = world.now;
        match step {
            Step::Start(index) => Self::start(world, index),
            Step::Next(caller) => Self::next(world, caller),
            Step::Stop(token, how) => Self::stop(world, token, how),
            Step::Answer(ask) => {
                let behavior = if world.program().dice.once_in(4) { "deny" } else { "allow" };
                let answer = json!({ "behavior": behavior, "message": "no" }).to_string();
                let command = Command::AnswerApproval { ask, answer: Ok(answer) };
                world.engine.handle_command(now, command);
            }
            Step::ToolDone(request_id) => {
                let answer = json!({ "content": [{ "type": "text", "text": "7" }] }).to_string();
                let command = Command::AnswerTool { request_id, answer: Ok(answer) };
                world.engine.handle_command(now, command);
            }
        }
    }

    fn request(world: &mut World, kind: &str, mut fields: Value, response: &str) -> Token {
        let token = world.program().token();
        let id = format!("{kind}-{token}");
        fields["type"] = kind.into();
        fields["request_id"] = id.as_str().into();
        let expect = Expect {
            correlation: Correlation::RequestId(id),
            response_type: Some(response.to_owned()),
            timeout: Some(Duration::from_secs(30)),
            manual: false,
        };
        let command = Command::Request {
            token,
            command: kind.to_owned(),
            text: Text::from(fields.to_string()),
            runtime: None,
            settles: false,
            expect,
        };
        let now = world.now;
        world.engine.handle_command(now, command);
        token
    }

    fn start(world: &mut World, index: usize) {
        if world.conn.is_none() {
            world.later(RETRY, Event::Program(Step::Start(index)));
            return;
        }
        let tool = json!({ "name": "count", "description": "Counts", "parameters": {} });
        let fields = json!({
            "agent_id": "agent-1", "conversation_id": Self::conversation(index),
            "mode": "standard", "external_tools": [{ "tools": [tool] }],
        });
        let token = Self::request(world, "runtime_start", fields, "runtime_start_response");
        world.program().starting.insert(token, index);
    }

    fn next(world: &mut World, caller: usize) {
        let conversation = caller % world.program().conversations;
        let started = world.program().started.contains(&conversation);
        if world.conn.is_none() || !started {
            world.later(RETRY, Event::Program(Step::Next(caller)));
            return;
        }
        let Some(call) = world.program().callers[caller].pop_front() else { return };
        if world.program().dice.once_in(3) {
            let token = Self::request(world, "list_models", json!({}), "list_models_response");
            world.program().requests.insert(token);
        }
        let token = world.program().token();
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        // Several connections one after the other may prove to be dead, each after 40 s.
        let recover = if world.script.steady { 300 } else { 30 };
        let options = TurnOptions {
            timeout: call.timeout,
            recover_timeout: Duration::from_secs(recover),
            idle_timeout: seconds(120),
            tool_timeout: seconds(120),
            approval_timeout: seconds(60),
            events: call.followed,
            resend: Some(if call.resend { Resend::IfUncommitted } else { Resend::Never }),
            ..TurnOptions::default()
        };
        let place = ("agent-1".to_owned(), Self::conversation(conversation));
        let (request_id, client_id) = (format!("input-{token}"), format!("cm-{}", call.plan.tag));
        let message = json!({
            "role": "user", "content": call.plan.prompt(), "client_message_id": client_id,
        });
        let mut input = json!({
            "type": "input", "request_id": request_id,
            "runtime": { "agent_id": place.0, "conversation_id": place.1 },
            "payload": { "kind": "create_message", "messages": [message] },
        });
        if call.plan.own_tools {
            input["payload"]["external_tool_scope_ids"] = json!([call.plan.tag]);
        }
        if let Some((after, how)) = call.stop {
            world.later(after, Event::Program(Step::Stop(token, how)));
        }
        let losses = world.program().losses;
        let open = Open { call, losses, stopped: false, told: Vec::new() };
        world.program().open.insert(token, (caller, open));
        let command = Command::RunTurn {
            token,
            text: Text::from(input.to_string()),
            request_id,
            runtime: place,
            client_ids: vec![client_id],
            options,
        };
        let now = world.now;
        world.engine.handle_command(now, command);
    }

    fn stop(world: &mut World, token: Token, how: Stop) {
        let now = world.now;
        let Some((caller, open)) = world.program().open.get_mut(&token) else { return };
        let caller = *caller;
        open.stopped = true;
        let tag = open.call.plan.tag.clone();
        world.program().stopped.insert(tag);
        match how {
            Stop::Abort => world.engine.handle_command(now, Command::Abort { token }),
            Stop::Cancel | Stop::Detach => {
                world.program().open.remove(&token);
                let command = if how == Stop::Cancel {
                    Command::Cancel { token }
                } else {
                    Command::Detach { token }
                };
                world.engine.handle_command(now, command);
                Self::plan_next(world, caller);
            }
        }
    }

    pub fn deliver(world: &mut World, delivery: Delivery) {
        match delivery {
            Delivery::Turn { token, result } => Self::ended(world, token, Ok(result)),
            Delivery::Failed { token, error } => {
                if let Some(index) = world.program().starting.remove(&token) {
                    world.later(RETRY, Event::Program(Step::Start(index)));
                } else if !world.program().requests.remove(&token) {
                    Self::ended(world, token, Err(error));
                }
            }
            Delivery::Response { token, .. } => {
                if let Some(index) = world.program().starting.remove(&token) {
                    world.program().started.insert(index);
                }
                world.program().requests.remove(&token);
            }
            Delivery::TurnEvent { token, event, .. } => {
                if let Some((_, open)) = world.program().open.get_mut(&token) {
                    open.hear(event);
                }
            }
            // Some are never decided.
            Delivery::Approval { ask, .. }
                if world.script.steady || !world.program().dice.once_in(8) =>
            {
                let wait = world.program().dice.millis(0, 5000);
                world.later(wait, Event::Program(Step::Answer(ask)));
            }
            Delivery::ToolCall { text } => {
                let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                let id = frame["request_id"].as_str().unwrap_or_default().to_owned();
                let wait = world.program().dice.millis(0, 3000);
                world.later(wait, Event::Program(Step::ToolDone(id)));
            }
            _ => {}
        }
    }

    fn ended(world: &mut World, token: Token, result: Result<Box<TurnResult>, Error>) {
        let losses = world.program().losses;
        let Some((caller, open)) = world.program().open.remove(&token) else {
            panic!("call {token} ended twice, or after it was left: {result:?}");
        };
        let followed = open.call.followed.then(|| open.text());
        if result.as_ref().is_err_and(is_limit) {
            world.program().stopped.insert(open.call.plan.tag.clone());
        }
        world.program().outcomes.push(Outcome {
            tag: open.call.plan.tag,
            result,
            stopped: open.stopped,
            losses: losses - open.losses,
            followed,
        });
        Self::plan_next(world, caller);
    }
}

fn is_limit(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TurnTimeout | ErrorKind::TurnIdleTimeout)
}

impl Open {
    fn hear(&mut self, event: TurnEvent) {
        match event {
            TurnEvent::RunStarted { run_id } => self.told.push((run_id, String::new())),
            TurnEvent::RunWithdrawn { run_id } => self.told.retain(|(run, _)| *run != run_id),
            TurnEvent::AssistantDelta { run_id, text, .. } => {
                if let Some((_, said)) = self.told.iter_mut().find(|(run, _)| *run == run_id) {
                    said.push_str(&text);
                }
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        self.told.iter().map(|(_, text)| text.as_str()).collect()
    }
}
