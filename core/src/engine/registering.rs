//! External tools of several sessions on one runtime: all are registered together, and what is left again when one of
//! them goes (PROTOCOL.md section 14).

use super::Engine;
use super::delivery::{Delivery, Token};
use super::registration::registration;
use super::requests::Expect;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::raw::RawObject;

impl Engine {
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
        let memory = self.resync.memory();
        let text = if opening {
            memory.complete_opening(token, text)
        } else {
            memory.complete_offer(text)
        };
        if text.len() > self.ctx.max_bytes {
            self.requests.remove(token);
            memory.give_up(token);
            let (size, most) = (text.len(), self.ctx.max_bytes);
            let message = format!("`{command}` has {size} bytes, above the limit of {most}");
            let hint =
                "the external tools of the other sessions of the conversation are part of it";
            self.ctx.fail(token, Error::new(ErrorKind::MessageTooLarge, message).with_hint(hint));
            return;
        }
        self.resync.sent(&text, self.requests.len(), true);
        self.ctx.deliveries.push_back(Delivery::Sent { text: text.clone() });
        self.ctx.transmit.push_back(text.into());
    }

    /// The caller of a session that is being opened has gone.
    pub(super) fn give_up(&mut self, token: Token) {
        self.resync.give_up(token);
        self.register_left();
    }

    /// Registers what is left of the tools of runtimes. A connection that is not there has none.
    pub(super) fn register_left(&mut self) {
        if !self.link.is_open() {
            return;
        }
        while let Some((place, groups)) = self.resync.left() {
            let newest = self.resync.memory().newest;
            let Ok(mut command) = RawObject::parse(&registration(newest, &place, &groups)) else {
                continue;
            };
            let kind = command.get_str("type").unwrap_or_default();
            let id = self.ctx.ids.next_of_command(&kind);
            // An id is a string.
            command.set_str("request_id", &id).unwrap_or_default();
            self.ctx.send_own(command.to_text());
        }
    }
}
