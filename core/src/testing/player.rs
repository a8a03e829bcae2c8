//! Plays one recording to the clients that connect, strictly in file order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::cast::Cast;
use super::connection::{Command, Event};
use super::options::{Generation, PlayOptions};
use super::parse::parsed;
use super::shared::Shared;
use super::trace::{Channel, Payload, Trace, TraceEvent, TraceLine};
use super::translate::Translation;

/// How long the sockets may take to close at the end.
const FINISH_LIMIT: Duration = Duration::from_secs(2);
/// Whatever the recording and the speed say.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// After this many lines the other tasks get a chance to write, so that a long answer is not held back.
const LINES_AT_ONCE: usize = 64;

/// Plays the recording, closes what is left and reports how it went.
pub(super) async fn play(
    trace: Trace,
    generation: Generation,
    options: PlayOptions,
    events: UnboundedReceiver<Event>,
    shared: Arc<Shared>,
) {
    let mut player = Player {
        generation,
        options,
        events,
        shared,
        cast: Cast::default(),
        inbox: VecDeque::new(),
        translation: Translation::default(),
    };
    let result = player.run(&trace).await;
    if let Err(reason) = &result {
        player.cast.fail_all(reason);
    }
    player.finish().await;
    player.shared.update(|state| {
        state.failure = result.err();
        state.done = true;
    });
}

struct Player {
    generation: Generation,
    options: PlayOptions,
    events: UnboundedReceiver<Event>,
    shared: Arc<Shared>,
    cast: Cast,
    /// Frames that no line has asked for yet, with the socket they came from.
    inbox: VecDeque<(u64, String)>,
    translation: Translation,
}

impl Player {
    async fn run(&mut self, trace: &Trace) -> Result<(), String> {
        let mut before = trace.lines.first().map_or(0, |line| line.t_ms);
        for (index, line) in trace.lines.iter().enumerate() {
            self.pause(line.t_ms.saturating_sub(before)).await;
            before = before.max(line.t_ms);
            self.step(line).await.map_err(|what| format!("line {}: {what}", line.number))?;
            if index % LINES_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Lets as much time pass as was recorded between two lines, at the wanted speed.
    async fn pause(&self, recorded_ms: u64) {
        let speed = self.options.speed;
        if speed > 0.0 && recorded_ms > 0 {
            let recorded = Duration::from_millis(recorded_ms);
            let pause = Duration::try_from_secs_f64(recorded.as_secs_f64() / speed);
            sleep(pause.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)).await;
        }
    }

    async fn step(&mut self, line: &TraceLine) -> Result<(), String> {
        let client = line.client.as_deref().unwrap_or_default();
        let Some(channel) = line.channel else {
            return Ok(());
        };
        self.take_events();
        match &line.event {
            TraceEvent::Open { .. } => self.open(client, channel).await?,
            TraceEvent::Received(Payload::Frame(frame)) => {
                if let Some(kind) = kind(frame.get()) {
                    self.deliver(client, channel, &kind, frame.get());
                }
            }
            TraceEvent::Sent(Payload::Frame(frame)) => self.expect(client, frame.get()).await?,
            TraceEvent::Close { code, reason } => self.cast.close(client, channel, *code, reason),
            TraceEvent::Ping => {
                if let Some(socket) = self.cast.find(client, channel) {
                    socket.link.send(Command::Ping);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Waits for the connection that plays this one.
    async fn open(&mut self, client: &str, channel: Channel) -> Result<(), String> {
        let what = format!("a connection for {}", describe(client, channel));
        self.until(what, |player| player.cast.bind(player.generation, client, channel)).await
    }

    fn deliver(&mut self, client: &str, channel: Channel, kind: &str, text: &str) {
        let channel = match channel {
            Channel::Socket if is_stream_kind(kind) => Channel::Stream,
            Channel::Socket => Channel::Control,
            named => named,
        };
        let socket = self.cast.find(client, channel).or_else(|| {
            let others = [Channel::Socket, Channel::Control, Channel::Stream];
            others.into_iter().find_map(|other| self.cast.find(client, other))
        });
        if let Some(socket) = socket {
            let text = self.translation.apply(client, text).into_owned();
            socket.link.send(Command::Text(text));
        }
    }

    /// Waits for the command that stands for a recorded one.
    async fn expect(&mut self, client: &str, recorded: &str) -> Result<(), String> {
        let Some(recorded) = parsed(recorded) else {
            return Ok(());
        };
        let Some(kind) = recorded["type"].as_str() else {
            return Ok(());
        };
        let what = match recorded["payload"]["kind"].as_str() {
            Some(detail) if kind == "input" => format!("`{kind}` ({detail})"),
            _ => format!("`{kind}`"),
        };
        let from = if client.is_empty() { String::new() } else { format!(" from client {client}") };
        let what = format!("{what}{from}");
        let (socket, actual) = if self.options.wait_for_commands {
            self.until(what, |player| player.take_match(client, &recorded)).await?
        } else {
            let Some(found) = self.take_match(client, &recorded) else { return Ok(()) };
            found
        };
        self.translation.learn(client, &recorded, &actual);
        if self.options.answer_unrecorded && recorded["request_id"].is_null() {
            self.answer(socket, &actual);
        }
        Ok(())
    }

    fn take_match(&mut self, client: &str, recorded: &Value) -> Option<(u64, Value)> {
        let mut at = 0;
        while let Some((socket, _)) = self.inbox.get(at) {
            let socket = *socket;
            if !self.cast.belongs(socket, client) {
                at += 1;
                continue;
            }
            let (_, text) = self.inbox.remove(at)?;
            match parsed(&text) {
                Some(actual) if same_command(recorded, &actual) => return Some((socket, actual)),
                _ => self.shared.unexpected(text),
            }
        }
        None
    }

    /// Sends the response that the recording lacks because its client had given no id.
    fn answer(&self, socket: u64, command: &Value) {
        let Some(request_id) = command["request_id"].as_str() else {
            return;
        };
        let mut response = match command["type"].as_str() {
            Some("input") if self.generation == Generation::Single => {
                let mut accepted = json!({ "type": "input_accepted", "accepted": true });
                if command["payload"]["kind"] == "create_message" {
                    accepted["disposition"] = "started".into();
                }
                accepted
            }
            Some("sync") => json!({ "type": "sync_response", "success": true }),
            Some("abort_message") => {
                json!({ "type": "abort_message_response", "success": true, "aborted": false })
            }
            _ => return,
        };
        response["request_id"] = request_id.into();
        response["runtime"] = command["runtime"].clone();
        if let Some(socket) = self.cast.by_id(socket) {
            socket.link.send(Command::Text(response.to_string()));
        }
    }

    /// Handles what connections have told so far.
    fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.note(event);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Opened(link) => self.cast.add(link),
            Event::Frame { socket, text } => {
                self.shared.update(|state| state.waiting -= 1);
                self.inbox.push_back((socket, text));
            }
            Event::Closed { socket } => self.cast.gone(socket),
            Event::Stopped => {}
        }
    }

    async fn until<T>(
        &mut self,
        what: String,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, String> {
        let limit = self.options.step_timeout;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = condition(self) {
                return Ok(found);
            }
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some(event)) => self.note(event),
                Ok(None) => return Err(format!("the server stopped while waiting for {what}")),
                Err(_) => return Err(format!("waited {} ms for {what}", limit.as_millis())),
            }
        }
    }

    /// Closes every socket that is left and waits until all have written what they were given.
    async fn finish(&mut self) {
        self.take_events();
        self.cast.close_all();
        let shared = Arc::clone(&self.shared);
        let closed = async {
            while shared.lock().sockets.values().any(|socket| socket.link.is_some()) {
                match self.events.recv().await {
                    // A client that reconnects finds the recording over.
                    Some(Event::Opened(link)) => link.send(Command::Close(None)),
                    Some(event) => self.note(event),
                    None => break,
                }
            }
        };
        let _ = timeout(FINISH_LIMIT, closed).await;
        self.take_events();
        for (_, text) in self.inbox.drain(..) {
            self.shared.unexpected(text);
        }
    }
}

fn kind(text: &str) -> Option<String> {
    let frame = parsed(text)?;
    frame["type"].as_str().map(ToOwned::to_owned)
}

fn same_command(recorded: &Value, actual: &Value) -> bool {
    let same_kind = recorded["payload"]["kind"] == actual["payload"]["kind"];
    recorded["type"] == actual["type"] && (recorded["type"] != "input" || same_kind)
}

/// What a split server sends on the stream socket (protocol reference, section 2.1).
pub(super) fn is_stream_kind(kind: &str) -> bool {
    matches!(
        kind,
        "stream_delta"
            | "update_device_status"
            | "update_loop_status"
            | "update_queue"
            | "update_subagent_state"
    )
}

fn describe(client: &str, channel: Channel) -> String {
    let name = match channel {
        Channel::Socket => "the socket",
        Channel::Control => "the control socket",
        Channel::Stream => "the stream socket",
    };
    if client.is_empty() { name.to_owned() } else { format!("{name} of client {client}") }
}
