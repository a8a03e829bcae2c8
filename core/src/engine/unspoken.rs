//! Inputs that went to an idle server and whose turns nobody here follows. Until the server has said something of
//! one, a second would start beside it, on a lost runtime (PROTOCOL.md sections 17 and 18).

use std::time::Duration;

use super::completion::REFUSAL_WAIT;
use super::turn::TurnOptions;
use crate::protocol::Text;
use crate::protocol::envelope::Envelope;
use crate::protocol::frames::{Delta, QueueFrame};

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Unspoken(Vec<Input>);

/// One of them, until a loop status tells what the server does.
#[derive(Debug)]
struct Input {
    /// Without one a server does not acknowledge it.
    request_id: Option<String>,
    /// When the server must have shown a sign of it.
    until: Duration,
    /// It has said something: it starts it, or has it in the queue.
    spoken: bool,
}

impl Unspoken {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An input went to an idle server.
    pub(crate) fn add(&mut self, text: &Text, now: Duration) {
        let envelope = Envelope::read(text).ok();
        let request_id = envelope.and_then(|envelope| envelope.request_id);
        self.0.push(Input {
            request_id: request_id.map(|id| id.as_ref().to_owned()),
            until: now.saturating_add(TurnOptions::default().accept_timeout),
            spoken: false,
        });
    }

    /// Whether the server has still to say something of one.
    pub(crate) fn is_awaited(&self, now: Duration) -> bool {
        self.0.iter().any(|input| !input.spoken && input.until > now)
    }

    /// Whether one may be about to run.
    pub(crate) fn comes(&self, now: Duration) -> bool {
        self.0.iter().any(|input| input.until > now)
    }

    /// When the time of one is over.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.0.iter().map(|input| input.until).min()
    }

    /// Forgets those whose time is over.
    pub(crate) fn due(&mut self, now: Duration) {
        self.0.retain(|input| input.until > now);
    }

    /// The server has answered an input.
    pub(crate) fn answered(&mut self, request_id: &str, accepted: bool) {
        let is_it = |input: &Input| input.request_id.as_deref() == Some(request_id);
        self.0.retain(|input| accepted || !is_it(input));
        self.0.iter_mut().filter(|input| is_it(input)).for_each(|input| input.spoken = true);
    }

    /// A loop status came. One that is idle may still be of the time before.
    pub(crate) fn status_seen(&mut self, idle: bool) {
        self.0.retain(|input| idle && !input.spoken);
    }

    /// A queue snapshot came: where something waits, the server is at work.
    pub(crate) fn queue_seen(&mut self, frame: &QueueFrame) {
        if !frame.queue.is_empty() || frame.removed.as_ref().is_some_and(|it| !it.is_empty()) {
            self.begun();
        }
    }

    /// A delta came. Older servers acknowledge no input, and on a lost runtime all statuses are idle.
    pub(crate) fn delta_seen(&mut self, delta: &Delta<'_>, now: Duration) {
        let is_error = delta.message_type == "loop_error";
        if delta.run_id.is_some() || (is_error && delta.is_terminal == Some(true)) {
            self.begun();
        } else if is_error {
            // It may say that the input was invalid, or be about somebody else's command.
            let until = now.saturating_add(REFUSAL_WAIT);
            self.0.iter_mut().for_each(|input| input.until = input.until.min(until));
        }
    }

    fn begun(&mut self) {
        self.0.iter_mut().for_each(|input| input.spoken = true);
    }
}
