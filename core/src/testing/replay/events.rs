//! What the engine makes of a recording, on the recording's own clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;

use super::{of_first_client, stands_by};
use crate::engine::{Approvals, Channel, Command, Delivery, Engine, Ids, Token, TurnOptions};
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::testing::parse::parsed;
use crate::testing::trace::{Channel as Socket, Payload, Trace, TraceEvent, TraceLine};

/// Plays a recording through the engine alone, without sockets and without waiting, and gives what happened:
/// the same list in all three languages, each time.
///
/// Each item is an object with `t_ms` (the recording's clock) and `type`: `open` and `closed` of a connection,
/// `sent` and `message` with a `frame`, and for each input with a client message id, in the order in which they
/// were sent and counted from 1 (`turn`): `turn_event` with an `event`, and how it ended, `turn` with a `result`
/// or `turn_failed` with an `error`.
///
/// # Errors
///
/// [`ErrorKind::InvalidOption`] when the file cannot be read as a recording, and for one of a client with a
/// standby: which of its connections told what first is decided by the answers to the client's own questions, so
/// that such a file is played to a client ([`super::replay`]).
pub fn events(path: impl AsRef<Path>) -> Result<Vec<Box<RawValue>>, Error> {
    let unusable = |what: String| Error::new(ErrorKind::InvalidOption, format!("replay: {what}"));
    let mut trace = Trace::read(path).map_err(|error| unusable(error.to_string()))?;
    of_first_client(&mut trace);
    if trace.lines.iter().any(stands_by) {
        let what = "two connections are in the recording: connect to it in place of a server";
        return Err(unusable(what.to_owned()));
    }
    let mut stage = Stage::new();
    for line in &trace.lines {
        stage.play(line);
    }
    stage.end();
    Ok(stage.events)
}

struct Stage {
    engine: Engine,
    now: Duration,
    turns: Token,
    events: Vec<Box<RawValue>>,
}

impl Stage {
    fn new() -> Self {
        let ids = Arc::new(Ids::with_prefix("replay".to_owned()));
        let engine = Engine::new(ids, Duration::ZERO);
        Self { engine, now: Duration::ZERO, turns: 0, events: Vec::new() }
    }

    fn tell(&mut self, kind: &str, fields: &str) {
        let at = self.now.as_millis();
        let text = format!(r#"{{"t_ms":{at},"type":"{kind}"{fields}}}"#);
        self.events.extend(RawValue::from_string(text));
    }

    /// Lets the time of the recording pass, with all that is due on the way.
    fn pass(&mut self, until: Duration) {
        while let Some(due) = self.engine.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.engine.handle_timeout(self.now);
            self.collect();
        }
        self.now = self.now.max(until);
    }

    fn play(&mut self, line: &TraceLine) {
        self.pass(Duration::from_millis(line.t_ms));
        let now = self.now;
        match &line.event {
            TraceEvent::Open { .. } if line.channel != Some(Socket::Stream) => {
                self.tell("open", "");
                self.engine.handle_connected(now, line.channel == Some(Socket::Control));
            }
            TraceEvent::Close { code, .. } if line.channel != Some(Socket::Stream) => {
                self.tell("closed", &format!(r#","code":{code}"#));
                let error = Error::new(ErrorKind::Disconnected, "the connection was lost");
                self.engine.handle_connection_lost(now, &error.with_close_code(Some(*code)));
            }
            TraceEvent::Received(Payload::Frame(frame)) => {
                let channel = if line.channel == Some(Socket::Stream) {
                    Channel::Stream
                } else {
                    Channel::Control
                };
                self.engine.handle_frame(now, channel, &Text::from(frame.get()));
            }
            TraceEvent::Sent(Payload::Frame(frame)) => {
                self.tell("sent", &format!(r#","frame":{}"#, frame.get()));
                if let Some(command) = self.turn_of(frame.get()) {
                    self.engine.handle_command(now, command);
                }
            }
            _ => {}
        }
        self.collect();
    }

    /// The turn that a recorded input asks for.
    fn turn_of(&mut self, text: &str) -> Option<Command> {
        let frame = parsed(text)?;
        let scope = |key: &str| frame["runtime"][key].as_str().map(str::to_owned);
        let messages = frame["payload"]["messages"].as_array()?;
        let ids = messages.iter().filter_map(|message| message["client_message_id"].as_str());
        let client_ids: Vec<String> = ids.map(str::to_owned).collect();
        if frame["type"] != "input" || client_ids.is_empty() {
            return None;
        }
        self.turns += 1;
        let options = TurnOptions {
            approvals: Some(Approvals::Wait),
            events: true,
            idle_timeout: None,
            tool_timeout: None,
            ..TurnOptions::default()
        };
        Some(Command::RunTurn {
            token: self.turns,
            text: Text::from(text),
            request_id: frame["request_id"].as_str().unwrap_or_default().to_owned(),
            runtime: (scope("agent_id")?, scope("conversation_id")?),
            client_ids,
            options,
        })
    }

    fn collect(&mut self) {
        // The recorded client has sent what it sent.
        while self.engine.poll_transmit().is_some() {}
        while let Some(delivery) = self.engine.poll_delivery() {
            match delivery {
                Delivery::Message { channel, text, .. } => {
                    let channel = channel.as_str();
                    self.tell("message", &format!(r#","channel":"{channel}","frame":{text}"#));
                }
                Delivery::TurnEvent { token, event, .. } => {
                    self.tell(
                        "turn_event",
                        &format!(r#","turn":{token},"event":{}"#, json!(event)),
                    );
                }
                Delivery::Turn { token, result } => {
                    let result = result.to_json();
                    self.tell("turn", &format!(r#","turn":{token},"result":{result}"#));
                }
                Delivery::Failed { token, error } => {
                    let error = error.to_json();
                    self.tell("turn_failed", &format!(r#","turn":{token},"error":{error}"#));
                }
                _ => {}
            }
        }
    }

    /// What is open at the end of the recording ends with it.
    fn end(&mut self) {
        let error = Error::new(ErrorKind::Disconnected, "the recording ends here");
        self.engine.handle_connection_lost(self.now, &error);
        self.collect();
    }
}
