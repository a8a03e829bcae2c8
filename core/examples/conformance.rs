//! Replays a folder of recordings through the client and a server double, and compares every
//! input's outcome with `EXPECTED.json`:
//!
//! `cargo run -p letta-app-client --features testing --example conformance -- protocol/traces`

use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::testing::{
    Channel, Expected, ExpectedInput, Generation, MockServer, Payload, PlayOptions, Trace,
    TraceEvent, TraceLine, differences,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, Error, Event, Events, TurnOptions, TurnResult,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// How many recordings are replayed at once, and how long to wait for anything.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(15);

type Turn = JoinHandle<Result<TurnResult, Error>>;
type Problem = Box<dyn StdError + Send + Sync>;

/// One client of a recording.
struct Player {
    client: Client,
    events: Events,
    /// Frames received, and frames sent.
    counts: (usize, usize),
}

impl Player {
    async fn connect(url: &str) -> Result<Self, Problem> {
        let client = Client::new(ConnectOptions::new(url).reconnect(None))?;
        let events = client.events();
        client.connect().await?;
        Ok(Self { client, events, counts: (0, 0) })
    }

    async fn catch_up(&mut self, received: usize, sent: usize) -> Result<(), Problem> {
        let waiting = async {
            while self.counts.0 < received || self.counts.1 < sent {
                match self.events.next().await {
                    Some(Event::Message(_)) => self.counts.0 += 1,
                    Some(Event::Sent(_)) => self.counts.1 += 1,
                    Some(_) => {}
                    None => break,
                }
            }
        };
        let done = timeout(PATIENCE, waiting).await;
        done.map_err(|_| format!("{:?} of {:?} frames came", self.counts, (received, sent)).into())
    }
}

/// Whether clients of this library can take part: every connection of the recording was accepted.
fn playable(trace: &Trace) -> bool {
    trace.lines.iter().any(|line| matches!(line.event, TraceEvent::Open { .. }))
        && !trace.lines.iter().any(|line| matches!(line.event, TraceEvent::Other(_)))
}

async fn replay(path: PathBuf, inputs: Vec<ExpectedInput>) -> Result<Vec<String>, Problem> {
    let trace = Trace::read(&path)?;
    if inputs.is_empty() && !playable(&trace) {
        return Ok(Vec::new());
    }
    let split = path.parent().is_some_and(|folder| folder.ends_with("split"));
    let generation = if split { Generation::Split } else { Generation::Single };
    let server = MockServer::play(Trace::read(&path)?, generation, PlayOptions::default())?;
    let mut players: HashMap<String, Player> = HashMap::new();
    let mut received: HashMap<String, usize> = HashMap::new();
    let mut turns: Vec<(ExpectedInput, Turn)> = Vec::new();
    for line in &trace.lines {
        let label = line.client.clone().unwrap_or_default();
        match &line.event {
            TraceEvent::Open { .. } if !players.contains_key(&label) => {
                players.insert(label.clone(), Player::connect(&server.url()).await?);
                received.insert(label, 0);
            }
            // A stream socket may go without the session.
            TraceEvent::Close { .. } if line.channel != Some(Channel::Stream) => {
                players.remove(&label);
            }
            TraceEvent::Received(Payload::Frame(_)) => {
                *received.entry(label).or_default() += 1;
            }
            TraceEvent::Sent(Payload::Frame(frame)) => {
                let command: Value = serde_json::from_str(frame.get())?;
                if !command["type"].is_string() {
                    continue;
                }
                let player = players.get_mut(&label).ok_or("a frame without a connection")?;
                let so_far = received.get(&label).copied().unwrap_or_default();
                player.catch_up(so_far, 0).await?;
                match expected_input(line, &command, &inputs) {
                    Some(input) => turns.push((input.clone(), start(&player.client, &command))),
                    None => player.client.send_raw(frame.get())?,
                }
                // Once it was handed over the next one may follow.
                let sent = player.counts.1 + 1;
                player.catch_up(0, sent).await?;
            }
            _ => {}
        }
    }
    // Clients stay until the server double has played to the end and closed every connection.
    let mut found = Vec::new();
    for (input, turn) in turns {
        let ids = input.client_message_ids.clone().unwrap_or_default();
        match timeout(PATIENCE, turn).await {
            Ok(outcome) => found.extend(describe(&ids, &differences(&input, &outcome?))),
            Err(_) => found.push(format!("{ids:?}: the call did not end")),
        }
    }
    if let Some(failure) = server.failure() {
        return Err(failure.into());
    }
    drop(players);
    Ok(found)
}

fn describe(ids: &[String], differences: &[String]) -> Option<String> {
    (!differences.is_empty()).then(|| format!("{ids:?}: {}", differences.join("; ")))
}

fn expected_input<'a>(
    line: &TraceLine,
    command: &Value,
    inputs: &'a [ExpectedInput],
) -> Option<&'a ExpectedInput> {
    let messages = command["payload"]["messages"].as_array()?;
    let ids: Vec<_> = messages.iter().filter_map(|m| m["client_message_id"].as_str()).collect();
    inputs.iter().find(|input| {
        input.sent_t_ms == Some(line.t_ms)
            && input.client == line.client
            && input.client_message_ids.iter().flatten().eq(ids.iter())
    })
}

fn start(client: &Client, command: &Value) -> Turn {
    let client = client.clone();
    let fields = json!({ "runtime": command["runtime"], "payload": command["payload"] });
    let options = TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() };
    tokio::spawn(async move { client.run_turn(fields, options).await })
}

fn recordings(folder: &Path) -> Result<Vec<(String, PathBuf)>, Problem> {
    let mut found = Vec::new();
    for generation in ["single", "split"] {
        let Ok(entries) = std::fs::read_dir(folder.join(generation)) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let name = format!("{generation}/{}", entry.file_name().to_string_lossy());
            if entry.path().extension().is_some_and(|kind| kind == "jsonl") {
                found.push((name, entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Problem> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: conformance DIR")?);
    let expected = Expected::read(folder.join("EXPECTED.json"))?;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (name, path) in recordings(&folder)? {
        let inputs = expected.inputs.get(&name).cloned().unwrap_or_default();
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            (name, inputs.len(), replay(path, inputs).await)
        });
    }
    let (mut files, mut passed, mut failed) = (0, 0, 0);
    while let Some(outcome) = running.join_next().await {
        let (name, inputs, outcome) = outcome?;
        files += 1;
        let failures = outcome.unwrap_or_else(|problem| {
            // Nothing is known of the recording's inputs then: all of them failed.
            vec![format!("the recording could not be replayed: {problem}"); inputs.max(1)]
        });
        for failure in &failures {
            println!("{name}: {failure}");
        }
        failed += failures.len();
        passed += inputs.saturating_sub(failures.len());
    }
    println!("{files} recordings");
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}
