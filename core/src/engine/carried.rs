//! Commands that nobody waits for and that had not left when their connection was lost: nobody could be told, so
//! they leave on the next one. Where there will be none, or where they mean nothing on it, they are counted.

use super::Engine;
use super::command::Command;
use super::decision::OwnAnswer;
use super::held::Held;
use super::memory::Place;
use super::outgoing::{Outgoing, Unawaited};
use crate::protocol::envelope::Envelope;

/// See the module's text. In the order of the runtimes, and within one in the order given.
pub(crate) type Carried = Vec<(Place, Held)>;

/// Whether a command is about what the lost connection had: the turn that ran there has been cancelled with it, and
/// what is asked still is asked again.
fn ends_with_connection(command: &str) -> bool {
    let is_abort = Envelope::read(command).is_ok_and(|frame| frame.kind == "abort_message");
    is_abort || OwnAnswer::read(command).is_some()
}

impl Engine {
    /// A frame has not left, and will not on the connection that it was for. To be called in the order of the frames,
    /// before what was held is looked at.
    pub fn handle_unsent(&mut self, frame: Outgoing) {
        let Outgoing { text, unawaited } = frame;
        // Whoever waits is told by what they wait for.
        let Some(Unawaited { place, settles }) = unawaited.map(|known| *known) else { return };
        match place {
            Some(place) => self.carry(place, Held { text, call: None, settles }),
            // What has no runtime is of that connection, as terminals are, or the next one may be of another server.
            None => self.ctx.unsent += 1,
        }
        if !self.link.is_open() && !self.link.will_reconnect() {
            self.drop_carried();
        }
    }

    /// A command that nobody waits for was given when its connection was gone already. What it changes is remembered as
    /// if it had left: a mode for the connection after the next one, too, and who watches a file.
    pub fn handle_late(&mut self, command: Command) {
        let Command::Send { text, runtime: place, settles } = command else { return };
        self.resync.memory.sent(&text, self.requests.len(), false);
        let will_reconnect = self.link.is_open() || self.link.will_reconnect();
        if place.is_none() && will_reconnect && self.note_watch(&text) {
            return;
        }
        self.handle_unsent(Outgoing::new(text, None, || Unawaited { place, settles }));
    }

    fn carry(&mut self, place: Place, held: Held) {
        if ends_with_connection(&held.text) {
            self.ctx.unsent += 1;
        } else {
            self.carried.push((place, held));
        }
    }

    /// The connection is gone. Keeps what leaves on the next one, if there will be one.
    pub(super) fn carry_over(&mut self) {
        let mut held = Vec::new();
        for runtime in self.runtimes.all() {
            let place = (runtime.agent_id.clone(), runtime.conversation_id.clone());
            held.extend(runtime.held.take_unawaited().map(|one| (place.clone(), one)));
        }
        for (place, held) in held {
            self.carry(place, held);
        }
        if !self.link.will_reconnect() {
            self.drop_carried();
        }
    }

    /// There will be no connection.
    pub(super) fn drop_carried(&mut self) {
        self.ctx.unsent += std::mem::take(&mut self.carried).len() as u64;
    }

    /// There is a connection again, and it is asked for the runtimes there were: what is carried is held there, before
    /// what was given later, until it is released.
    pub(super) fn hand_on_carried(&mut self) {
        for ((agent, conversation), held) in std::mem::take(&mut self.carried).into_iter().rev() {
            self.join(&agent, &conversation);
            let runtime = self.runtimes.get(&agent, &conversation);
            runtime.held.push_front(held);
            runtime.wake(&mut self.ctx);
        }
    }
}
