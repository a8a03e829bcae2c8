//! Events of a followed turn on their way into JavaScript.

use std::collections::VecDeque;

use letta_app_client::engine::{Delivery, TurnEvent};
use letta_app_client::event_json;
use letta_app_client::protocol::Text;
use napi::bindgen_prelude::Either;

use crate::delivery::{LONG, Long};

/// What the pieces of one message have in common: type, run and message.
type Common<'a> = (&'static str, &'a str, &'a str);

/// A piece of text, as nearly all events are, and what it has in common with its neighbours.
fn piece(delivery: &Delivery) -> Option<(Common<'_>, &str)> {
    let Delivery::TurnEvent { event, .. } = delivery else { return None };
    match event {
        TurnEvent::AssistantDelta { run_id, message_id, text } => {
            Some((("assistant_delta", run_id, message_id), text))
        }
        TurnEvent::ReasoningDelta { run_id, message_id, text } => {
            Some((("reasoning_delta", run_id, message_id), text))
        }
        _ => None,
    }
}

/// The output of a tool that an event has, and whether it is the call's last.
fn output_of(delivery: &mut Delivery) -> Option<(&mut Text, bool)> {
    let Delivery::TurnEvent { event, .. } = delivery else { return None };
    match event {
        TurnEvent::ToolOutput { output, .. } => Some((output, false)),
        TurnEvent::ToolCallEnd { output, .. } => Some((output, true)),
        _ => None,
    }
}

/// A JSON text that grows.
struct Json(Vec<u8>);

impl Json {
    /// The beginning of a list.
    fn open(&mut self) {
        self.next();
        self.0.push(b'[');
    }

    fn close(&mut self) {
        self.0.push(b']');
    }

    /// What stands before a value that is not the first of its list.
    fn next(&mut self) {
        if self.0.last().is_some_and(|last| *last != b'[') {
            self.0.push(b',');
        }
    }

    fn value(&mut self, json: &str) {
        self.next();
        self.0.extend_from_slice(json.as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.next();
        // A vector takes everything, and texts can always be written.
        serde_json::to_writer(&mut self.0, text).unwrap_or_default();
    }
}

/// Says of events what `TakenEvents` has: them as JSON, and their long outputs. It tells of those that a result may have.
pub(crate) fn taken(
    mut events: VecDeque<Delivery>,
    mut crossing: impl FnMut(&Text),
) -> (String, Vec<Long>) {
    let mut json = Json(Vec::with_capacity(events.len() * 32 + 2));
    let (mut outputs, mut items) = (Vec::new(), 0);
    let mut open: Option<Common<'_>> = None;
    json.open();
    for event in &mut events {
        if let Some((output, is_end)) = output_of(event).filter(|(it, _)| it.len() > LONG) {
            let text = std::mem::take(output);
            if is_end {
                crossing(&text);
            }
            outputs.push(Long { place: items, text: Either::A(text) });
        }
        let piece = piece(event);
        let common = piece.map(|(common, _)| common);
        let follows = common.is_some() && open == common;
        if !follows {
            items += 1;
            if open.is_some() {
                json.close();
            }
        }
        match piece {
            Some(((kind, run, message), text)) => {
                if !follows {
                    json.open();
                    for text in [kind, run, message] {
                        json.text(text);
                    }
                }
                json.text(text);
            }
            None => json.value(&event_json(event)),
        }
        open = common;
    }
    if open.is_some() {
        json.close();
    }
    json.close();
    // Texts of Rust and what serde_json writes are UTF-8.
    (String::from_utf8(json.0).unwrap_or_default(), outputs)
}
