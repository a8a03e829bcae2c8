//! Recordings of real servers, played into the engine without a socket.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{
    Approvals, Channel, Command, Delivery, Engine, Ids, Token, TurnEvent, TurnOptions, TurnResult,
};
use letta_app_client::protocol::Text;
use letta_app_client::testing::{
    Channel as Socket, Expected, ExpectedInput, Payload, Trace, TraceEvent, TraceLine,
};
use letta_app_client::{Error, ErrorKind};
use serde_json::Value;

/// One client of a recording.
struct Client {
    engine: Engine,
    inputs: Vec<(Token, ExpectedInput)>,
}

pub type Outcome = Result<TurnResult, Error>;

/// A run, and its text so far.
type Said = (Arc<str>, String);

/// What the followers of turns were told: by client and turn, the text of each run in order.
#[derive(Default)]
struct Told {
    runs: HashMap<(String, Token), Vec<Said>>,
    withdrawn: HashMap<(String, Token), Vec<Arc<str>>>,
}

impl Told {
    fn hear(&mut self, turn: (String, Token), event: TurnEvent) {
        let runs = self.runs.entry(turn.clone()).or_default();
        match event {
            TurnEvent::RunStarted { run_id } => runs.push((run_id, String::new())),
            TurnEvent::RunWithdrawn { run_id } => {
                self.withdrawn.entry(turn).or_default().push(run_id);
            }
            TurnEvent::AssistantDelta { run_id, text, .. } => {
                let run = runs.iter_mut().find(|(id, _)| *id == run_id);
                run.expect("a run is announced before it speaks").1.push_str(&text);
            }
            _ => {}
        }
    }

    /// What was told must be what the result says.
    fn compare(&self, turn: &(String, Token), result: &TurnResult) {
        let told = self.runs.get(turn).map(Vec::as_slice).unwrap_or_default();
        let withdrawn = self.withdrawn.get(turn).map(Vec::as_slice).unwrap_or_default();
        for (run, text) in told {
            let said = result.runs.iter().find(|said| *said.run_id == **run);
            assert_eq!(said.map_or("", |said| &said.text), text, "{turn:?} {run}");
            let counts = said.is_none_or(|said| said.withdrawn == withdrawn.contains(run));
            assert!(counts, "{turn:?}: withdrawn {withdrawn:?}, result {:?}", result.runs);
        }
        // Only the runs of an earlier turn with the same message id are not told again.
        let ids: Vec<_> = told.iter().map(|(id, _)| &**id).collect();
        let told_of_result = result.run_ids.iter().filter(|id| ids.contains(&id.as_str())).count();
        assert_eq!(told_of_result, ids.len(), "{turn:?}: {ids:?} of {:?}", result.run_ids);
    }
}

/// Plays lines, and gives how each expected input ended.
pub fn replay(
    lines: &[TraceLine],
    expected: &[ExpectedInput],
) -> Vec<(ExpectedInput, Option<Outcome>)> {
    let mut clients: HashMap<String, Client> = HashMap::new();
    let mut outcomes: HashMap<(String, Token), Outcome> = HashMap::new();
    let mut told = Told::default();
    let mut next = 0;
    let mut reported = Vec::new();
    let mut now = Duration::ZERO;
    for line in lines {
        let label = line.client.clone().unwrap_or_default();
        now = Duration::from_millis(line.t_ms);
        let client = clients.entry(label.clone()).or_insert_with(|| Client {
            engine: Engine::new(Arc::new(Ids::with_prefix(label.clone())), Duration::ZERO),
            inputs: Vec::new(),
        });
        client.engine.handle_timeout(now);
        match &line.event {
            TraceEvent::Open { .. } => {
                let split = matches!(line.channel, Some(Socket::Control | Socket::Stream));
                if line.channel != Some(Socket::Stream) {
                    client.engine.handle_connected(now, split);
                }
            }
            // A stream socket may go without the session; the control socket is the session.
            TraceEvent::Close { .. } if line.channel != Some(Socket::Stream) => {
                let error = Error::new(ErrorKind::Disconnected, "closed in the recording");
                client.engine.handle_connection_lost(now, &error);
            }
            TraceEvent::Received(Payload::Frame(frame)) => {
                let channel = match line.channel {
                    Some(Socket::Stream) => Channel::Stream,
                    _ => Channel::Control,
                };
                client.engine.handle_frame(now, channel, &Text::from(frame.get()));
            }
            TraceEvent::Sent(Payload::Frame(frame)) => {
                let value: Value = serde_json::from_str(frame.get()).unwrap();
                let ids = message_ids(&value);
                let wanted = expected.iter().find(|input| {
                    input.sent_t_ms == Some(line.t_ms)
                        && input.client_message_ids.as_ref() == Some(&ids)
                        && input.client == line.client
                });
                if let Some(input) = wanted.filter(|_| !ids.is_empty()) {
                    next += 1;
                    client.inputs.push((next, input.clone()));
                    client.engine.handle_command(now, run_turn(next, frame.get(), &value, ids));
                }
            }
            _ => {}
        }
        assert_eq!(client.engine.counters().degraded, 0, "line {}", line.number);
        collect(&label, client, &mut outcomes, &mut told);
    }
    for (label, mut client) in clients {
        let error = Error::new(ErrorKind::Disconnected, "end of the recording");
        client.engine.handle_connection_lost(now, &error);
        collect(&label, &mut client, &mut outcomes, &mut told);
        for (token, input) in client.inputs {
            reported.push((input, outcomes.remove(&(label.clone(), token))));
        }
    }
    reported
}

fn collect(
    label: &str,
    client: &mut Client,
    outcomes: &mut HashMap<(String, Token), Outcome>,
    told: &mut Told,
) {
    while client.engine.poll_transmit().is_some() {}
    while let Some(delivery) = client.engine.poll_delivery() {
        let (token, outcome) = match delivery {
            Delivery::Turn { token, result } => (token, Ok(*result)),
            Delivery::Failed { token, error } => (token, Err(error)),
            Delivery::TurnEvent { token, event, .. } => {
                told.hear((label.to_owned(), token), event);
                continue;
            }
            _ => continue,
        };
        let result = outcome.as_ref().ok().or_else(|| outcome.as_ref().err()?.result());
        if let Some(result) = result {
            told.compare(&(label.to_owned(), token), result);
        }
        let twice = outcomes.insert((label.to_owned(), token), outcome);
        assert!(twice.is_none(), "a turn ended twice: {twice:?}");
    }
}

fn message_ids(command: &Value) -> Vec<String> {
    let messages = command["payload"]["messages"].as_array().into_iter().flatten();
    messages
        .filter_map(|message| message["client_message_id"].as_str())
        .map(str::to_owned)
        .collect()
}

fn run_turn(token: Token, text: &str, value: &Value, client_ids: Vec<String>) -> Command {
    let scope = |key: &str| value["runtime"][key].as_str().unwrap().to_owned();
    Command::RunTurn {
        token,
        text: Text::from(text),
        request_id: value["request_id"].as_str().unwrap_or_default().to_owned(),
        runtime: (scope("agent_id"), scope("conversation_id")),
        client_ids,
        options: TurnOptions {
            approvals: Some(Approvals::Wait),
            events: true,
            ..TurnOptions::default()
        },
    }
}

/// Every recording with its name and what is expected of its inputs.
pub fn recordings() -> Vec<(String, Trace, Vec<ExpectedInput>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces");
    let mut expected = Expected::read(folder.join("EXPECTED.json")).unwrap();
    let mut all = Vec::new();
    for generation in ["single", "split"] {
        for entry in std::fs::read_dir(folder.join(generation)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{generation}/{}", path.file_name().unwrap().to_string_lossy());
            let inputs = expected.inputs.remove(&name).unwrap_or_default();
            all.push((name, Trace::read(&path).unwrap(), inputs));
        }
    }
    assert!(expected.inputs.is_empty(), "no recording for {:?}", expected.inputs.keys());
    all
}
