//! How the engine's connection comes and goes.

use std::time::Duration;

use super::Engine;
use super::context::Features;
use crate::error::Error;
use crate::protocol::version::Version;

impl Engine {
    /// The server of the next connection has this version at most, where that is known.
    pub fn know_version(&mut self, newest: Option<Version>) {
        self.newest = newest;
    }

    /// A connection is open, with one socket or with the pair of a split server.
    pub fn handle_connected(&mut self, now: Duration, split: bool) {
        self.ctx.now = now;
        self.sequence.start(split);
        self.stream_lost = None;
        if let Some(standby) = &mut self.standby {
            standby.connected(split);
        }
        self.frames_before = self.counters.frames;
        if self.link.opened(now) {
            for ((agent, conversation), busy) in self.resync.begin(&mut self.ctx) {
                self.runtimes.join(&agent, &conversation).restore(busy, &mut self.ctx);
            }
            self.watch_again();
            self.hand_on_carried();
            self.runtimes.all().for_each(|runtime| runtime.release(&mut self.ctx));
            self.reconnected();
        }
    }

    /// Somebody waits for a connection: an attempt begins now, or a second after the last one at most. To be said
    /// again after each attempt that fails, for as long as that is so.
    pub fn handle_connecting(&mut self, now: Duration) {
        self.ctx.now = now;
        self.link.hurry(now);
    }

    /// An attempt to connect has failed. [`Engine::will_reconnect`] says whether there will be another.
    pub fn handle_connect_failed(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        self.link.failed(now, error);
        if !self.link.will_reconnect() {
            self.watching.lost(false);
            self.drop_carried();
            self.give_up_cuts(error);
        }
    }

    /// The connection is gone, by itself ([`crate::ErrorKind::Disconnected`]) or by the user
    /// ([`crate::ErrorKind::Closed`]). Everything that waits ends, and what was known of the server is
    /// forgotten: ids start again on the next connection (section 6).
    pub fn handle_connection_lost(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        while self.sequence.give_up() {
            self.process_ready();
        }
        if let Some(standby) = &mut self.standby {
            standby.down();
        }
        let heard = self.counters.frames > self.frames_before;
        if std::mem::take(&mut self.ctx.worked) {
            self.link.worked();
        }
        self.link.lost(now, error, heard);
        self.watching.lost(self.link.will_reconnect());
        let error = &error.clone().with_will_reconnect(self.link.will_reconnect());
        let busy = self.runtimes.iter().filter(|runtime| runtime.joined && runtime.at_work(now));
        self.resync.lost(busy.map(|r| (r.agent_id.clone(), r.conversation_id.clone())));
        self.requests.fail_all(error, &self.unsent(), &mut self.ctx);
        // What was released by the last frames, which had waited behind a gap.
        for frame in std::mem::take(&mut self.ctx.transmit) {
            self.handle_unsent(frame);
        }
        self.carry_over();
        self.cut_turns(error);
        if !self.link.will_reconnect() {
            self.give_up_cuts(error);
        }
        self.tools.clear(&mut self.ctx);
        self.ctx.approvers.clear();
        self.turns.clear();
        self.inputs.clear();
        self.ctx.timers.clear();
        self.ctx.ended.clear();
        self.ctx.features = Features::default();
        self.watch_cuts();
    }
}
