//! One task per client: it owns the sockets and the engine, and is the only one who touches them.

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, SystemTime};

use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::clock::{Clock, Wall};
use super::connect::{Connected, open_another};
use super::connecting::{Attempt, Connecting, outcome};
use super::leaving::Leaving;
use super::ops::OpReceiver;
use super::socket::{Ended, Socket};
use super::sockets::{Sockets, Wake, next_of};
use super::standby::{Standby, StandbyEvent};
use crate::engine::{Channel, Command, Delivery, Engine, Outgoing, Token, TurnReport};
use crate::error::{Error, ErrorKind};
use crate::mailbox::Sink;
use crate::options::{ConnectOptions, Endpoint};
use crate::protocol::Text;
use crate::record::Recorder;
use crate::server::ExitCall;
use crate::shared::Shared;
use crate::state::State;

/// How long the stream socket is read on after the control socket has ended: what was sent before
/// the end may still be on its way.
const STREAM_DRAIN: Duration = Duration::from_millis(100);

/// The waits between attempts to open a lost stream socket again.
const REOPEN_FIRST: Duration = Duration::from_millis(250);
const REOPEN_LAST: Duration = Duration::from_secs(15);

/// How many operations are handled before the sockets get their turn.
const OPS_AT_ONCE: usize = 256;

/// How many full bursts are read before the time is looked at all the same: what the buffers of a system and a
/// server hold, and more.
const BURSTS_BEFORE_TIME: usize = 100;

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Op {
    Connect {
        token: Token,
    },
    Command(Box<Command>),
    Report {
        token: Token,
        reply: SyncSender<Option<TurnReport>>,
    },
    Close {
        token: Token,
    },
    /// The recording has something to tell.
    Unrecorded,
    /// The server of one's own that this is a client of has ended.
    ServerEnded,
    /// See [`super::leave`].
    Leave(Leaving),
}

/// Where to connect, and how.
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) options: ConnectOptions,
}

/// What a step of the driver handles.
enum Happened {
    Op(Option<Op>),
    Wake(Wake),
    Standby(StandbyEvent),
    Attempted(Box<Result<Connected, Error>>),
    Time,
}

/// See the module's text.
pub(crate) struct Driver<S> {
    pub(super) target: Arc<Target>,
    pub(super) engine: Engine,
    pub(super) sink: S,
    ops: OpReceiver,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) sockets: Option<Sockets>,
    pub(super) standby: Standby,
    pub(super) attempt: Option<Attempt>,
    pub(super) connecting: Connecting,
    closing: Vec<Token>,
    /// The process ends.
    leaving: Option<Leaving>,
    /// For the word that the server has ended.
    _server: Option<ExitCall>,
    /// How many bursts were full, up to now.
    full_bursts: usize,
    /// An operation that was taken from the channel and not handled yet.
    next_op: Option<Op>,
    /// So many operations were handled that the sockets come first now.
    is_sockets_turn: bool,
    /// What is to be told before the first attempt.
    pub(super) warning: Option<String>,
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        // Told in `shut_down`; this is for a panic.
        self.shared.set_state(State::Closed);
    }
}

impl<S: Sink> Driver<S> {
    pub(crate) fn new(
        endpoint: Endpoint,
        options: ConnectOptions,
        seed: u64,
        sink: S,
        ops: OpReceiver,
        shared: Arc<Shared>,
    ) -> Self {
        let wall = Box::new(SystemTime::now);
        Self::with_wall(endpoint, options, seed, sink, ops, shared, wall)
    }

    /// The same with another wall clock.
    fn with_wall(
        endpoint: Endpoint,
        options: ConnectOptions,
        seed: u64,
        sink: S,
        ops: OpReceiver,
        shared: Arc<Shared>,
        wall: Wall,
    ) -> Self {
        let ids = Arc::clone(&shared.ids);
        let mut engine = Engine::with_tools(ids, options.settle_pause, options.external_tools)
            .showing(&shared.modes);
        if let Some(rules) = options.reconnect {
            engine = engine.reconnecting(rules, seed);
            if options.standby {
                engine = engine.standing_by(rules, !seed);
            }
        }
        let warning = endpoint.token_at_risk();
        engine = engine
            .max_pending(options.max_pending_requests)
            .max_message_bytes(options.max_message_bytes);
        let server = options.server.as_ref().map(|server| {
            let teller = ops.teller();
            server.on_exit(move || teller.tell(Op::ServerEnded))
        });
        Self {
            target: Arc::new(Target { endpoint, options }),
            engine,
            sink,
            ops,
            shared,
            clock: Clock::new(wall),
            sockets: None,
            standby: Standby::default(),
            attempt: None,
            connecting: Connecting::default(),
            closing: Vec::new(),
            leaving: None,
            _server: server,
            full_bursts: 0,
            next_op: None,
            is_sockets_turn: false,
            warning,
        }
    }

    /// Runs until the client is closed, or nobody holds a handle any more. Not on a driver of its own, which would
    /// be there twice: as what it was given and as what it works on.
    pub(crate) async fn run(&mut self) {
        while self.step().await {
            self.pump();
        }
        // Apart: it is larger than all that an idle connection needs.
        Box::pin(self.shut_down()).await;
        self.pump();
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Waits for one thing to happen and handles it. `false` when the client is to be closed.
    async fn step(&mut self) -> bool {
        self.give_up_server();
        let engine_at = self.engine_time();
        let sockets = self.sockets.as_ref();
        let sockets_at = sockets.map(|open| open.keep_alive_at().min(self.clock.look_at()));
        let times = [engine_at, sockets_at, self.standby.keep_alive_at(), self.connecting.until()];
        let next = times.into_iter().flatten().min();
        let is_sockets_turn = std::mem::take(&mut self.is_sockets_turn);
        let happened = tokio::select! {
            // After a sleep of the whole machine, what has come meanwhile counts before the time does.
            biased;
            op = next_op(&mut self.next_op, &mut self.ops), if !is_sockets_turn => Happened::Op(op),
            wake = wake(&mut self.sockets) => Happened::Wake(wake),
            event = self.standby.next() => Happened::Standby(event),
            outcome = outcome(&mut self.attempt) => Happened::Attempted(Box::new(outcome)),
            // What the sockets have is known once the runtime has looked.
            () = yield_now(), if is_sockets_turn => Happened::Time,
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                Happened::Time
            }
        };
        // Before anything is told the time.
        self.look_for_a_sleep();
        let mut is_full = false;
        match happened {
            Happened::Op(op) => {
                let goes_on = self.handle_ops(op);
                if let Some(leaving) = self.leaving.take() {
                    Box::pin(self.leave(leaving)).await;
                }
                return goes_on;
            }
            Happened::Wake(wake) => is_full = self.handle_wake(wake).await,
            Happened::Standby(event) => self.handle_standby(event).await,
            Happened::Attempted(outcome) => self.attempted(*outcome),
            Happened::Time => {}
        }
        self.full_bursts = if is_full { self.full_bursts + 1 } else { 0 };
        // What waits in a socket counts before the time does: an answer that has come is not too late.
        if self.full_bursts.is_multiple_of(BURSTS_BEFORE_TIME) {
            self.engine.handle_timeout(self.now());
        }
        let ended = self.sockets.as_mut().and_then(Sockets::keep_alive);
        if let Some((channel, ended)) = ended {
            // Apart, as its way is far larger than that of a frame.
            Box::pin(self.socket_ended(channel, ended)).await;
        }
        self.keep_standby();
        self.give_up_waiting();
        self.attempt_if_due();
        true
    }

    /// After a sleep of the machine the server may be gone without a word.
    fn look_for_a_sleep(&mut self) {
        if let Some(sockets) = &mut self.sockets
            && self.clock.slept()
        {
            let now = Instant::now();
            let standby = self.standby.socket.as_deref_mut();
            sockets.each().chain(standby).for_each(|socket| socket.resume(now));
        }
    }

    /// Handles an operation and those that came with it: one flush for a burst of commands.
    fn handle_ops(&mut self, first: Option<Op>) -> bool {
        let Some(mut op) = first else { return false };
        for _ in 0..OPS_AT_ONCE {
            match op {
                Op::Command(command) => {
                    if let Some(frame) = command.frame() {
                        self.shared.taken_over(frame.len());
                    }
                    self.command(*command);
                }
                Op::Report { token, reply } => self.report(token, &reply),
                Op::Connect { token } => self.connect(token),
                Op::Unrecorded => self.tell_unrecorded(),
                // Looked at in the next step.
                Op::ServerEnded => {}
                Op::Leave(leaving) => self.leaving = Some(leaving),
                Op::Close { token } => {
                    self.closing.push(token);
                    return false;
                }
            }
            match self.ops.try_recv() {
                Some(next) => op = next,
                None => return true,
            }
        }
        // Many senders must not keep the sockets from being read and written; the last one taken waits its turn.
        (self.next_op, self.is_sockets_turn) = (Some(op), true);
        true
    }

    /// Gives a command to the engine. Without a connection nothing can be waited for.
    fn command(&mut self, command: Command) {
        if self.sockets.is_some() {
            self.engine.handle_command(self.now(), command);
        } else if let Some(token) = command.token() {
            let error = Error::new(ErrorKind::Disconnected, "the connection was lost")
                .with_will_reconnect(self.engine.will_reconnect())
                .with_unsent();
            self.sink.deliver(Delivery::Failed { token, error });
            self.sink.flush();
        } else if command.frame().is_some() {
            // Whoever gave it has seen an open connection, and is told nothing more.
            self.engine.handle_late(command);
        } else {
            self.engine.handle_command(self.now(), command);
        }
    }

    /// Gives back to the engine what has not left.
    pub(super) fn unsent(&mut self, frames: impl IntoIterator<Item = Outgoing>) {
        for frame in frames {
            self.engine.handle_unsent(frame);
        }
    }

    /// Says why a recording has not all.
    fn tell_unrecorded(&mut self) {
        let recorder = self.target.endpoint.recorder.as_ref();
        for reason in recorder.map(Recorder::untold).unwrap_or_default() {
            self.sink.deliver(Delivery::Unrecorded { reason });
        }
    }

    fn report(&self, token: Token, reply: &SyncSender<Option<TurnReport>>) {
        // Whoever asked may have given up.
        reply.try_send(self.engine.report(self.now(), token)).unwrap_or_default();
    }

    /// Says whether more frames are likely to have come already.
    async fn handle_wake(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::Frame(channel, first) => {
                let now = self.now();
                if let Some(sockets) = &mut self.sockets {
                    let engine = &mut self.engine;
                    engine.hear(self.sink.hears());
                    let handle = |frame: &Text| engine.handle_frame(now, channel, frame);
                    let is_full = sockets.handle_all(channel, &first, handle).await;
                    // Somebody may listen before the next ones come.
                    self.engine.hear(true);
                    return is_full;
                }
            }
            Wake::Ended(channel, ended) => Box::pin(self.socket_ended(channel, ended)).await,
            Wake::Reopened(socket) => {
                if let Some(sockets) = &mut self.sockets {
                    sockets.stream = Some(socket);
                    sockets.reopening = None;
                    self.engine.handle_stream_reopened(self.now());
                }
            }
        }
        false
    }

    /// Hands out what the engine has to say, and rings once.
    pub(super) fn pump(&mut self) {
        while let Some(frame) = self.engine.poll_outgoing() {
            match &mut self.sockets {
                Some(sockets) => sockets.control.send(frame),
                None => self.engine.handle_unsent(frame),
            }
        }
        self.standby.send_all(&mut self.engine);
        // First, so that whoever is told of something finds counters that know of it.
        self.shared.set_counters(self.engine.counters());
        self.sink.deliver_all(std::iter::from_fn(|| self.engine.poll_delivery()));
        self.sink.flush();
    }

    pub(super) fn done(&mut self, token: Token) {
        self.sink.deliver(Delivery::Done { token });
    }

    /// Changes the state, and tells of it once.
    pub(super) fn set_state(&mut self, state: State, error: Option<Error>) {
        if self.shared.set_state(state) {
            self.sink.deliver(Delivery::State { state, error });
        }
    }

    /// A socket ended by itself. The control socket is the session; a lost stream socket is opened
    /// again, and meanwhile its frames come on the control socket (PROTOCOL.md section 2.1).
    async fn socket_ended(&mut self, channel: Channel, ended: Ended) {
        let Ended { code, reason } = ended;
        let reason = self.target.endpoint.without_secrets(&reason);
        let message = format!("the connection was lost: {reason}");
        let error = Error::new(ErrorKind::Disconnected, message).with_close_code(Some(code));
        if channel == Channel::Stream {
            if let Some(sockets) = &mut self.sockets {
                sockets.stream = None;
                sockets.reopening = Some(Box::pin(reopen(Arc::clone(&self.target))));
                self.engine.handle_stream_lost(self.now(), &error);
            }
            return;
        }
        if self.take_over(code, &reason, &error).await {
            return;
        }
        let (mut control, stream) =
            self.sockets.take().map(|open| (open.control, open.stream)).unzip();
        if let Some(mut stream) = stream.flatten() {
            let drain = async {
                while let Wake::Frame(channel, frame) = next_of(&mut stream).await {
                    self.engine.handle_frame(self.clock.now(), channel, &frame);
                }
            };
            // A stream socket that stays open has nothing more to say.
            timeout(STREAM_DRAIN, drain).await.unwrap_or_default();
        }
        let unwritten = control.as_mut().map(Socket::take_unwritten);
        self.unsent(unwritten.into_iter().flatten());
        // Frames, then the loss, then what fails because of it: whoever resumes knows already.
        self.pump();
        self.engine.handle_connection_lost(self.now(), &error);
        let will_reconnect = self.engine.will_reconnect();
        let state = if will_reconnect { State::Reconnecting } else { State::Disconnected };
        let changed = self.shared.set_state(state);
        self.sink.deliver(Delivery::Disconnected { channel, code, reason, will_reconnect });
        if changed {
            let error = Some(error.with_will_reconnect(will_reconnect));
            self.sink.deliver(Delivery::State { state, error });
        }
    }

    /// When the engine has something to do.
    fn engine_time(&self) -> Option<Instant> {
        self.engine.next_timeout().and_then(|at| self.clock.instant(at))
    }
}

async fn next_op(waiting: &mut Option<Op>, ops: &mut OpReceiver) -> Option<Op> {
    match waiting.take() {
        Some(op) => Some(op),
        None => ops.recv().await,
    }
}

/// Waits for the sockets; for ever when there are none.
async fn wake(sockets: &mut Option<Sockets>) -> Wake {
    match sockets {
        Some(sockets) => sockets.next().await,
        None => pending().await,
    }
}

/// Waits before the first attempt too: where the whole session is going down, its control socket
/// ends in the meantime, and a stream socket opened then would be taken for the next session's.
async fn reopen(target: Arc<Target>) -> Socket {
    let (mut wait, stream) = (REOPEN_FIRST, Some(Channel::Stream));
    loop {
        sleep(wait).await;
        if let Ok(socket) = open_another(&target.endpoint, &target.options, stream).await {
            return socket;
        }
        wait = (wait * 2).min(REOPEN_LAST);
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client is closed")
}

pub(super) mod closing;
#[cfg(test)]
mod tests;
