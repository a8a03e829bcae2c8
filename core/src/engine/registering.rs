//! External tools of several sessions on one runtime: all are registered together, and what is left again when one of
//! them goes (PROTOCOL.md section 14).

use std::sync::Arc;

use super::Engine;
use super::delivery::{Delivery, Token};
use super::modes::Modes;
use super::registration::registration;
use super::requests::Expect;
use super::resync::mode_change;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::raw::RawObject;

impl Engine {
    /// Shows the modes of runtimes that sessions hold there; that of a new one before the answer is delivered.
    #[must_use]
    pub fn showing(mut self, modes: &Arc<Modes>) -> Self {
        self.resync.memory.modes = Some(Arc::clone(modes));
        self
    }

    /// Sends a command that registers tools, with what it lacks, and waits for its answer.
    pub(super) fn register(
        &mut self,
        token: Token,
        command: &str,
        text: &Text,
        expect: Expect,
        opening: bool,
    ) {
        self.requests.add(token, command, expect, &mut self.ctx);
        if !self.requests.contains(token) {
            return;
        }
        let (memory, given) = (&mut self.resync.memory, text);
        let text = if opening {
            memory.complete_opening(token, text)
        } else {
            memory.complete_offer(text)
        };
        if text.len() > self.ctx.max_bytes {
            self.requests.remove(token);
            memory.unsent(token);
            let (size, most) = (text.len(), self.ctx.max_bytes);
            let message = format!("`{command}` has {size} bytes, above the limit of {most}");
            let hint =
                "the external tools of the other sessions of the conversation are part of it";
            self.ctx.fail(token, Error::new(ErrorKind::MessageTooLarge, message).with_hint(hint));
            return;
        }
        memory.sent(&text, self.requests.len(), true);
        if opening {
            self.drop_held_mode(token, given);
        }
        self.ctx.deliveries.push_back(Delivery::Sent { text: text.clone() });
        self.ctx.transmit.push_back(text.into());
    }

    /// The caller of a session that is being opened has gone.
    pub(super) fn give_up(&mut self, token: Token) {
        self.resync.memory.give_up(token);
        self.register_left();
    }

    /// Registers what is left of the tools of runtimes, and sends modes that are others now. A connection that is not
    /// there has none.
    pub(super) fn register_left(&mut self) {
        if !self.link.is_open() {
            return;
        }
        while let Some((place, mode)) = self.resync.memory.next_corrected() {
            self.ctx.send_own(mode_change(&place, &mode));
        }
        while let Some((place, registers)) = self.resync.left() {
            let registration = registration(self.newest, &place, &registers.0);
            if let Ok(command) = RawObject::parse(&registration) {
                self.resync.register(place, command, registers, &mut self.ctx);
            }
        }
    }

    /// A session's start says which mode there is from now on: what was given before and has not left would change it
    /// again. Where nothing comes of the start, that one counts after all.
    fn drop_held_mode(&mut self, token: Token, start: &Text) {
        let Ok(start) = RawObject::parse(start) else { return };
        let place = start.get_str("agent_id").zip(start.get_str("conversation_id"));
        let Some((agent, conversation)) = place.filter(|_| start.get("mode").is_some()) else {
            return;
        };
        if self.runtimes.find(&agent, &conversation).is_some() {
            let held = &mut self.runtimes.get(&agent, &conversation).held;
            if held.edit(without_mode) {
                self.resync.memory.replaces_mode(token);
            }
        }
    }
}

/// A `change_device_state` without its mode; nothing where nothing is left of it, and what else it is as it was.
fn without_mode(command: Text) -> Option<Text> {
    let Ok(mut frame) = RawObject::parse(&command) else { return Some(command) };
    if frame.get_str("type").as_deref() != Some("change_device_state") {
        return Some(command);
    }
    let payload = frame.get("payload").and_then(|payload| RawObject::parse(payload).ok());
    let Some(mut payload) = payload.filter(|payload| payload.get("mode").is_some()) else {
        return Some(command);
    };
    payload.remove("mode");
    let rest = payload.to_text();
    // It was taken from valid JSON.
    frame.set("payload", rest.clone()).unwrap_or_default();
    (rest != "{}").then(|| Text::from(frame.to_text()))
}
