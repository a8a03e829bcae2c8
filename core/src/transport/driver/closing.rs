//! How a client is closed: what was asked for before still goes out, then the sockets end cleanly, and whoever waits
//! is told.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Driver, Leaving, Op, closed, next_op, wake};
use crate::engine::{Channel, Delivery, Engine};
use crate::mailbox::Sink;
use crate::state::State;
use crate::transport::leaving::untold;
use crate::transport::sockets::Wake;

/// How long a close waits until the server has said where an input is that was told to stop: only then
/// can it be stopped.
pub(in crate::transport) const STOP_WAIT: Duration = Duration::from_millis(400);

/// How long a close waits for the pause before an input that nobody waits for. One that is sent while the server still
/// cleans up may go wrong; one that is not sent is lost.
pub(in crate::transport) const PAUSE_WAIT: Duration = Duration::from_secs(1);

/// How long a close then waits for the server's word on the first of several such inputs, before which the next ones
/// do not leave.
pub(in crate::transport) const WORD_WAIT: Duration = Duration::from_millis(200);

/// How long a close waits for the server's reply, if so much is left of its time.
pub(in crate::transport) const CLOSE_WAIT: Duration = Duration::from_millis(1500);

/// What is kept of a close's time for the last lines of a recording.
const RECORD_WAIT: Duration = Duration::from_millis(80);

/// How long all of a close takes at most, which stays below two seconds. What is left of it at the end is for the
/// last lines of a recording.
pub(in crate::transport) const CLOSE_LIMIT: Duration = Duration::from_millis(1980);

impl<S: Sink> Driver<S> {
    /// Sends what stops turns that were given up a moment ago, and inputs that wait for a pause and that nobody
    /// waits for. What has not left then is counted.
    async fn send_rest(&mut self) {
        let start = Instant::now();
        self.go_on_while(Engine::has_unsent, start + STOP_WAIT).await;
        self.go_on_while(Engine::has_unawaited, start + PAUSE_WAIT).await;
        if self.engine.has_unawaited() && self.sockets.is_some() {
            self.engine.end_pauses(self.now());
            self.pump();
            self.go_on_while(Engine::has_unawaited, start + PAUSE_WAIT + WORD_WAIT).await;
        }
    }

    async fn go_on_while(&mut self, wanted: fn(&Engine) -> bool, until: Instant) {
        while wanted(&self.engine) && self.sockets.is_some() {
            let next = self.engine_time().map_or(until, |at| at.min(until));
            tokio::select! {
                wake = wake(&mut self.sockets) => drop(self.handle_wake(wake).await),
                () = sleep_until(next) => {}
            }
            if Instant::now() >= until {
                return;
            }
            self.engine.handle_timeout(self.now());
            self.pump();
            self.tell_unsent();
        }
    }

    /// The process ends. What was given before leaves, as far as that can be in the time: all turns and commands that are
    /// held back, what stops turns that were given up, and what is written. In the second half of the time, pauses are over.
    pub(super) async fn leave(&mut self, leaving: Leaving) {
        self.pump();
        let until = Instant::from_std(leaving.until);
        let now = Instant::now();
        self.go_on_while(Engine::has_left_behind, now + (until - now) / 2).await;
        if self.engine.has_left_behind() && self.sockets.is_some() {
            self.engine.end_all_pauses(self.now());
            self.pump();
            self.go_on_while(Engine::has_left_behind, until).await;
        }
        while let Some(sockets) = &mut self.sockets
            && let Ok(Some(wake)) = timeout_at(until, sockets.next_while_writing()).await
        {
            self.handle_wake(wake).await;
            self.pump();
        }
        self.tell_unsent();
    }

    /// For who asks how much has not left, when no more can be waited for.
    fn tell_unsent(&mut self) {
        let waiting = self.sockets.as_ref().map_or(0, |sockets| sockets.control.waiting());
        self.ops.tell_unsent(self.engine.left_behind() + waiting as u64);
    }

    /// Ends everything that waits, closes the sockets cleanly, and answers the closers.
    pub(super) async fn shut_down(&mut self) {
        let until = Instant::now() + CLOSE_LIMIT;
        self.set_state(State::Closed, None);
        self.attempt = None;
        let connecting = self.connecting.take();
        self.fail_all(connecting, &closed());
        // What was asked for before the close still goes out, the abort of a turn above all.
        self.pump();
        self.tell_unsent();
        self.send_rest().await;
        self.engine.handle_connection_lost(self.now(), &closed());
        self.pump();
        self.tell_unsent();
        if let Some(mut sockets) = self.sockets.take() {
            sockets.reopening = None;
            sockets.control.close();
            if let Some(stream) = &mut sockets.stream {
                stream.close();
            }
            let (ops, unsent) = (&mut self.ops, self.engine.left_behind());
            let drained = async {
                let mut is_written = false;
                loop {
                    let wake = if is_written {
                        Some(sockets.next().await)
                    } else {
                        sockets.next_while_writing().await
                    };
                    match wake {
                        None => {
                            is_written = true;
                            ops.tell_unsent(unsent);
                            ops.left();
                        }
                        Some(Wake::Ended(Channel::Stream, _)) => sockets.stream = None,
                        Some(Wake::Ended(Channel::Control, _)) => return,
                        Some(Wake::Frame(..) | Wake::Reopened(_)) => {}
                    }
                }
            };
            // A server that does not reply is left behind.
            let both = async { tokio::join!(drained, self.standby.close()) };
            let most = (Instant::now() + CLOSE_WAIT).min(until - RECORD_WAIT);
            timeout_at(most, both).await.map(drop).unwrap_or_default();
            self.unsent(sockets.control.take_unwritten());
        }
        self.ops.close();
        while let Some(op) = next_op(&mut self.next_op, &mut self.ops).await {
            match op {
                Op::Close { token } => self.closing.push(token),
                Op::Connect { token } => {
                    self.sink.deliver(Delivery::Failed { token, error: closed() });
                }
                Op::Report { reply, .. } => drop(reply),
                Op::Unrecorded | Op::ServerEnded => {}
                Op::Leave(leaving) => drop(leaving),
                Op::Command(command) => {
                    if let Some(token) = command.token() {
                        self.sink.deliver(Delivery::Failed { token, error: closed() });
                    } else {
                        self.engine.handle_late(*command);
                    }
                }
            }
        }
        // Whoever is told that it is closed finds counters that know of all.
        self.pump();
        self.tell_unsent();
        self.ops.left();
        if let Some(recorder) = &self.target.endpoint.recorder {
            recorder.finish(until - Instant::now()).await;
        }
        self.tell_unrecorded();
        if self.closing.is_empty() {
            untold(self.engine.counters().unsent);
        }
        for token in std::mem::take(&mut self.closing) {
            self.done(token);
        }
    }
}
