//! A split server whose stream socket is lost goes on as if nothing had happened (PROTOCOL.md section 2.1). What was on
//! its way is lost then, and only the numbers of the events tell.

use std::time::Duration;

use super::Engine;
use super::memory::Place;
use super::recovery::Cut;
use super::resync::how_it_stands;
use super::runtime::Runtime;
use super::turn::{End, Phase, Turn};
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

    /// Events are missing for good. Where their socket was lost before, that is made good as after a lost connection:
    /// what turns that run have said is read from the stored conversation once they are over, and inputs of which
    /// nothing is known are looked for there.
    pub(crate) fn passed_over(&mut self) {
        let Some(error) = self.stream_lost.clone() else { return };
        let goes_on = |turn: &Turn| turn.is_ours() && !turn.options.recover_timeout.is_zero();
        for runtime in self.runtimes.all() {
            for index in 0..runtime.turns.len() {
                let turn = &runtime.turns[index];
                if let Some(place) = self.turns.get(&turn.token).filter(|_| goes_on(turn)) {
                    let partial = runtime.result_of(turn, &End::default(), self.ctx.now);
                    let cut = Cut::with_gap(turn, place.request_id.clone(), partial, &error);
                    runtime.mark_gap(index, cut, &mut self.ctx);
                }
            }
        }
        self.look_for(|_, turn| turn.phase != Phase::Held && !goes_on(turn), &error);
    }

    /// A runtime may be at rest although a turn of it goes on, as far as is known: its end is among what is missing.
    pub(crate) fn look_for_lost_ends(&mut self) {
        let Some(error) = self.stream_lost.clone() else { return };
        let lost = |runtime: &Runtime, turn: &Turn| {
            turn.resumed.is_some() && runtime.idle() && turn.ending.is_none()
        };
        if self.runtimes.iter().any(|runtime| runtime.turns.iter().any(|turn| lost(runtime, turn)))
        {
            self.look_for(lost, &error);
        }
    }

    fn look_for(&mut self, wanted: impl Fn(&Runtime, &Turn) -> bool, error: &Error) {
        self.cut_where(wanted, error);
        self.watch_cuts();
        self.reconnected();
    }
}
