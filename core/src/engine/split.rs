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

/// For how long gaps are put down to the loss, once the socket is back and was asked how everything stands.
const BLAMED: Duration = Duration::from_secs(5);

/// A loss of the stream socket of this connection.
#[derive(Debug)]
pub(super) struct StreamLost {
    error: Error,
    /// Until when gaps are put down to it; none while it is not back.
    until: Option<Duration>,
}

impl Engine {
    /// The stream socket is gone; what is still to come does so on the control socket.
    pub fn handle_stream_lost(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        self.stream_lost = Some(StreamLost { error: error.clone(), until: None });
    }

    /// The stream socket is open again. The server is asked how runtimes with turns stand: where the last of their
    /// events are missing, nothing else might ever tell.
    pub fn handle_stream_reopened(&mut self, now: Duration) {
        self.ctx.now = now;
        if let Some(lost) = &mut self.stream_lost {
            lost.until = Some(now.saturating_add(BLAMED));
        }
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
    /// nothing is known are looked for there. Turns that nobody waits for keep their place.
    pub(crate) fn passed_over(&mut self) {
        let now = self.ctx.now;
        let blamed = |lost: &&StreamLost| lost.until.is_none_or(|until| now < until);
        let Some(StreamLost { error, .. }) = self.stream_lost.as_ref().filter(blamed) else {
            return;
        };
        let error = error.clone();
        let recovers = |turn: &Turn| !turn.options.recover_timeout.is_zero();
        for runtime in self.runtimes.all() {
            for index in 0..runtime.turns.len() {
                let turn = &runtime.turns[index];
                let goes_on = turn.is_ours() && turn.stop.is_none() && recovers(turn);
                if let Some(place) = self.turns.get(&turn.token).filter(|_| goes_on) {
                    let partial = runtime.result_of(turn, &End::default(), now);
                    let cut = Cut::with_gap(turn, place.request_id.clone(), partial, &error);
                    runtime.mark_gap(index, cut, &mut self.ctx);
                }
            }
        }
        let unknown =
            |turn: &Turn| turn.phase == Phase::Sent || (turn.is_ours() && !recovers(turn));
        self.look_for(|_, turn| turn.stop.is_none() && unknown(turn), &error);
    }

    /// A runtime may be at rest although a turn of it goes on, as far as is known: its end is among what is missing.
    pub(crate) fn look_for_lost_ends(&mut self) {
        let Some(StreamLost { error, .. }) = &self.stream_lost else { return };
        let error = error.clone();
        let lost = |runtime: &Runtime, turn: &Turn| {
            turn.resumed.is_some() && runtime.idle() && turn.ending.is_none() && turn.stop.is_none()
        };
        self.look_for(lost, &error);
    }

    fn look_for(&mut self, wanted: impl Fn(&Runtime, &Turn) -> bool, error: &Error) {
        for place in self.cut_where(wanted, error) {
            if !self.runtimes.get(&place.0, &place.1).is_restoring() {
                self.look_up(&place);
            }
        }
        self.watch_cuts();
    }
}
