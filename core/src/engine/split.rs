//! A split server whose stream socket is lost goes on as if nothing had happened (PROTOCOL.md section 2.1). What was on
//! its way is lost then, and only the numbers of the events tell.

use std::time::Duration;

use super::Engine;
use super::memory::Place;
use super::resync::how_it_stands;
use super::turn::Phase;
use crate::error::Error;

impl Engine {
    /// The stream socket is gone; what is still to come does so on the control socket.
    pub fn handle_stream_lost(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        self.stream_lost = Some(error.clone());
    }

    /// The stream socket is open again. The server is asked how runtimes with turns stand: where the last of their
    /// events are missing, nothing else might ever tell.
    pub fn handle_stream_reopened(&mut self, now: Duration) {
        self.ctx.now = now;
        let at_work = self.runtimes.iter().filter(|runtime| !runtime.turns.is_empty());
        let places: Vec<Place> = at_work
            .map(|runtime| (runtime.agent_id.clone(), runtime.conversation_id.clone()))
            .collect();
        for place in places {
            let id = self.ctx.ids.next("sync");
            self.ctx.send_own(how_it_stands(&place, &id));
        }
    }

    /// Events are missing for good. Where their socket was lost before, turns are looked for as after a lost connection:
    /// what goes on is followed, and what it said meanwhile is read from the stored conversation.
    pub(crate) fn passed_over(&mut self) {
        let Some(error) = self.stream_lost.clone() else { return };
        self.cut_where(|_, turn| turn.phase != Phase::Held, &error);
        self.watch_cuts();
        self.reconnected();
    }
}
