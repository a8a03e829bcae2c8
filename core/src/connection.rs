//! The handle every language is built on: it checks and completes what the user passes in, hands
//! it to the driver, and never blocks. Answers come through the [`Sink`].

mod held;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::background;
use crate::check::Check;
use crate::engine::{
    Command, Correlation, Counters, Expect, Ids, Token, TurnOptions, TurnReport, above_zero,
    check_answer,
};
use crate::error::{Error, ErrorKind};
use crate::mailbox::Sink;
use crate::options::ConnectOptions;
use crate::prepare::{Needs, Prepared, prepare, prepare_turn};
use crate::protocol::Text;
use crate::random;
use crate::record::{RecordWriter, Recorder};
use crate::shared::Shared;
use crate::state::State;
use crate::transport::{Driver, Op, OpSender, enlist, op_channel};

/// How long a report of a turn may take; the thread that gives it never does anything for so long.
const REPORT_WAIT: Duration = Duration::from_secs(1);

/// How a request waits for its answer.
#[derive(Debug, Clone, Copy)]
pub struct RequestOptions {
    /// The time limit.
    pub timeout: TimeLimit,
    /// The caller judges each frame that carries the request's id itself: it gets
    /// [`crate::engine::Delivery::Candidate`]s until it calls [`Connection::resolve`].
    pub manual: bool,
    /// How closely the command is looked at before it is sent.
    pub check: Check,
    /// Whether it waits for [`Connection::flush`], or for whatever is sent next: requests that are made together
    /// go out together, and the thread of the connection is woken once for them.
    pub held: bool,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self { timeout: TimeLimit::Default, manual: false, check: Check::Catalog, held: false }
    }
}

/// A time limit that may be left to the connection's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeLimit {
    /// `request_timeout` of the connection; none for the answer to an approval, which may come
    /// only after a whole turn (PROTOCOL.md section 13).
    Default,
    /// None: only the end of the connection ends the wait.
    Never,
    /// This long.
    After(Duration),
}

/// One client's connection. Dropping the last handle closes it.
///
/// Every call that is answered takes a token from [`Connection::token`]; exactly one completion
/// with that token comes through the sink.
pub struct Connection {
    shared: Arc<Shared>,
    /// There until the drop.
    ops: Option<OpSender>,
    next_token: AtomicU64,
    max_bytes: usize,
    request_timeout: Duration,
    insecure_token: Option<String>,
    recorder: Option<Recorder>,
    simulated: bool,
    pid: u32,
}

/// How it stands, and nothing of what goes over it.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("state", &self.shared.state()).finish_non_exhaustive()
    }
}

type Run = fn(Pin<Box<dyn Future<Output = ()> + Send>>) -> Result<(), Error>;

/// Chance, where connections run (the thread for all of them, unless a test simulates the network), and whether one does.
fn surroundings(options: &ConnectOptions) -> Result<(u64, Run, bool), Error> {
    #[cfg(feature = "testing")]
    if let Some(simulated) = &options.simulated {
        let run: Run = |driver| {
            tokio::spawn(driver);
            Ok(())
        };
        return Ok((simulated.seed, run, true));
    }
    let _ = options;
    Ok((random::number()?, |driver| background::spawn(driver), false))
}

impl Connection {
    /// Builds a connection without touching the network; the server need not listen yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] names the option that is not usable.
    pub fn open(options: ConnectOptions, sink: impl Sink) -> Result<Self, Error> {
        let (connection, writer) = Self::open_recorded(options, sink)?;
        if let Some(writer) = writer {
            let write = Box::new(move || writer.run());
            background::thread("letta-app-client-recorder", write).map_err(|error| {
                let message = format!("the recording's thread did not start: {error}");
                Error::new(ErrorKind::Internal, message)
            })?;
        }
        Ok(connection)
    }

    /// The same where the recording's writer, if there is one, runs on a thread of the caller's: the redactor
    /// may be a function of another language.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`].
    pub fn open_recorded(
        options: ConnectOptions,
        sink: impl Sink,
    ) -> Result<(Self, Option<RecordWriter>), Error> {
        #[cfg(feature = "testing")]
        let (options, playing) = {
            let mut options = options;
            let playing = options.replay.take().map(|replay| replay.start(&mut options));
            (options, playing.transpose()?)
        };
        let mut endpoint = options.check()?;
        let (ops, received) = op_channel();
        let recording = options.record.as_ref();
        let recording =
            recording.map(|record| Recorder::open(record, &endpoint.secrets(), received.teller()));
        let (recorder, writer) = recording.transpose()?.unzip();
        endpoint.recorder.clone_from(&recorder);
        let shared = Arc::new(Shared::new(Ids::random()?));
        let (max_bytes, request_timeout) = (options.max_message_bytes, options.request_timeout);
        let insecure_token = endpoint.token_at_risk();
        let (seed, run, simulated) = surroundings(&options)?;
        let mut driver = Driver::new(endpoint, options, seed, sink, received, Arc::clone(&shared));
        run(Box::pin(async move {
            driver.run().await;
            #[cfg(feature = "testing")]
            drop(playing);
        }))?;
        if !simulated {
            enlist(&ops);
        }
        let (next_token, pid) = (AtomicU64::new(1), std::process::id());
        let ops = Some(ops);
        let connection = Self {
            shared,
            ops,
            next_token,
            max_bytes,
            request_timeout,
            insecure_token,
            recorder,
            simulated,
            pid,
        };
        Ok((connection, writer))
    }

    /// A new token.
    #[must_use]
    pub fn token(&self) -> Token {
        self.next_token.fetch_add(1, Ordering::Relaxed)
    }

    /// How the client stands to its server.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// The server's answer to `GET /app-server-info`, as text; `None` when it was not asked or did
    /// not know the question (PROTOCOL.md section 3).
    #[must_use]
    pub fn info(&self) -> Option<String> {
        self.shared.info()
    }

    /// Whether the server has split channels.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.shared.is_split()
    }

    /// Why the token is not safe on its way to the server, in words: it goes over a network without
    /// encryption. `None` when it is encrypted, does not leave this machine, or there is none.
    #[must_use]
    pub fn insecure_token(&self) -> Option<&str> {
        self.insecure_token.as_deref()
    }

    /// What came in so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let unrecorded = self.recorder.as_ref().map_or(0, Recorder::lost);
        Counters { unrecorded, ..self.shared.counters() }
    }

    /// Why its recording lacks lines.
    #[cfg(feature = "cli")]
    pub(crate) fn unrecorded(&self) -> Vec<String> {
        self.recorder.as_ref().map(Recorder::told).unwrap_or_default()
    }

    /// Whether it lives in a simulated network, on the runtime of a test.
    pub(crate) fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// An id no other request of this connection has.
    #[must_use]
    pub fn next_request_id(&self, prefix: &str) -> String {
        self.shared.ids.next(prefix)
    }

    /// Connects. When a connection is open already, that is all. While a lost one is opened again, it waits until
    /// that is done, or given up, for `connect_timeout` at most.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] and [`ErrorKind::ForkedProcess`]; everything else comes through the sink.
    pub fn connect(&self, token: Token) -> Result<(), Error> {
        self.check_owner()?;
        self.push(Op::Connect { token }, OpSender::send)
    }

    /// Closes, for good. The completion comes once the sockets are closed, after 2 s at most.
    /// On a closed client it does nothing and `false` is returned: no completion will come.
    pub fn close(&self, token: Token) -> bool {
        self.check_owner().is_ok() && self.push(Op::Close { token }, OpSender::send).is_ok()
    }

    /// Sends a command that is checked against the catalog. Returns the frame.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCommand`] names the field; [`ErrorKind::MessageTooLarge`];
    /// [`ErrorKind::UnsupportedByServer`] when the server is known to be too old for it;
    /// [`ErrorKind::Disconnected`] and [`ErrorKind::Closed`] when there is no connection.
    pub fn send(&self, command: &str) -> Result<Text, Error> {
        self.send_checked(command, Check::Catalog)
    }

    /// Sends any object with a `type`, for commands this version does not know.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`], but fields are not checked.
    pub fn send_raw(&self, command: &str) -> Result<Text, Error> {
        self.send_checked(command, Check::Shape)
    }

    /// Sends a command that is looked at as closely as one likes. Returns the frame.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`], as far as it is looked at.
    pub fn send_checked(&self, command: &str, check: Check) -> Result<Text, Error> {
        let prepared = self.prepare(command, check, false)?;
        let mode =
            prepared.changed_mode().map(|(place, mode)| (self.shared.modes.read(place), mode));
        let Prepared { text, runtime, settles, .. } = prepared;
        // Raw frames leave as they are, when they are given.
        let settles = settles && check != Check::Shape;
        self.command(Command::Send { text: text.clone(), runtime, settles })?;
        if let Some((read, mode)) = mode {
            self.shared.modes.given(&read, &mode);
        }
        Ok(text)
    }

    /// Sends a command and expects its answer. Returns the frame, unless more may be added to it, and
    /// [`crate::engine::Delivery::Sent`] tells it ([`Check::Opening`], [`Check::Offer`]); a `request_id` is added
    /// where there is none.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`]. A request whose id is waiting already fails through the sink.
    pub fn request(
        &self,
        token: Token,
        command: &str,
        options: RequestOptions,
    ) -> Result<Option<Text>, Error> {
        // Before all that depends on the connection, as the limits of a turn.
        if let TimeLimit::After(limit) = options.timeout {
            above_zero("timeout", limit)?;
        }
        let prepared = self.prepare(command, options.check, true)?;
        let (correlation, response_type) = if options.manual {
            let id = prepared.request_id.clone().ok_or_else(|| {
                let message = format!("`{}`: field `request_id`: expected string", prepared.kind);
                Error::new(ErrorKind::InvalidCommand, message)
            })?;
            (Correlation::RequestId(id), None)
        } else {
            prepared.correlation()?
        };
        let timeout = match options.timeout {
            TimeLimit::After(limit) => Some(limit),
            TimeLimit::Never => None,
            TimeLimit::Default if prepared.answers_approval() => None,
            TimeLimit::Default => Some(self.request_timeout),
        };
        let expect = Expect { correlation, response_type, timeout, manual: options.manual };
        let Prepared { text, kind, runtime, settles, .. } = prepared;
        let (command, frame) = (kind.into_owned(), text.clone());
        let opening = matches!(options.check, Check::Opening(_));
        let completed = opening || options.check == Check::Offer;
        let command = if completed {
            Command::Register { token, command, text: frame, expect, opening }
        } else {
            Command::Request { token, command, text: frame, runtime, settles, expect }
        };
        let op = self.handed_over(command)?;
        self.push(op, giving(options.held))?;
        Ok((!completed).then_some(text))
    }

    /// Sends the requests and inputs that were held.
    pub fn flush(&self) {
        if self.check_owner().is_ok()
            && let Some(ops) = &self.ops
        {
            ops.flush();
        }
    }

    /// Sends an input and follows its turn to the end. `command` has `runtime` and `payload`;
    /// messages without a `client_message_id` get one. One that is `held` waits for [`Connection::flush`], or for
    /// what is sent next. Returns the frame.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`].
    pub fn run_turn(
        &self,
        token: Token,
        command: &str,
        options: TurnOptions,
        held: bool,
    ) -> Result<Text, Error> {
        self.check_owner()?;
        options.check_limits()?;
        let (prepared, client_ids) = prepare_turn(command, self.max_bytes, &self.shared.ids)?;
        self.check_open()?;
        let text = prepared.text;
        let op = self.handed_over(Command::RunTurn {
            token,
            text: text.clone(),
            request_id: prepared.request_id.unwrap_or_default(),
            runtime: prepared.runtime.unwrap_or_default(),
            client_ids,
            options,
        })?;
        self.push(op, giving(held))?;
        Ok(text)
    }

    /// The caller of a request or turn has gone; a turn is stopped on the server.
    pub fn cancel(&self, token: Token) {
        self.command_if_possible(Command::Cancel { token });
    }

    /// Stops a turn on the server; its completion comes when it has ended, or after `abort_grace`.
    pub fn abort_turn(&self, token: Token) {
        self.command_if_possible(Command::Abort { token });
    }

    /// Lets a turn go on. Its completion is [`crate::engine::Delivery::Done`], which says no more than that it is over, or
    /// that nothing is heard of it any more; one that comes for a turn which was over before is its own.
    pub fn detach_turn(&self, token: Token) {
        self.command_if_possible(Command::Detach { token });
    }

    /// The caller of a manual request took its answer.
    pub fn resolve(&self, token: Token) {
        self.command_if_possible(Command::Resolve { token });
    }

    /// How an open turn stands; `None` when it has ended, or when the connection's thread does not
    /// answer within a second. Blocks for the few microseconds that thread takes.
    #[must_use]
    pub fn turn_report(&self, token: Token) -> Option<TurnReport> {
        self.check_owner().ok()?;
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.push(Op::Report { token, reply }, OpSender::send).ok()?;
        answer.recv_timeout(REPORT_WAIT).ok()?
    }

    /// A handler of permission questions comes or goes: of one runtime (agent, conversation), or of
    /// all. It takes a token, with which [`crate::engine::Delivery::Approval`] comes. One that goes is asked nothing
    /// more; what it was asked is for it to answer, or to return.
    pub fn handle_approvals(&self, token: Token, runtime: Option<(String, String)>, handled: bool) {
        self.command_if_possible(Command::HandleApprovals { token, runtime, handled });
    }

    /// Answers the permission question of a number, with an `ApprovalResponseDecision` as JSON text or
    /// the text of an error, which denies. An invalid decision denies as well; one that comes too late
    /// reaches nobody.
    pub fn answer_approval(&self, ask: u64, answer: Result<String, String>) {
        self.command_if_possible(Command::AnswerApproval { ask, answer });
    }

    /// The permission question of a number has reached a handler that had gone: it is asked of others.
    pub fn return_approval(&self, ask: u64) {
        self.command_if_possible(Command::ReturnApproval { ask });
    }

    /// What keeps a decision from being the answer to a permission question (its `control_request`), if anything does:
    /// its form, or its size. Such a decision is denied, so a record of decisions asks before it keeps one.
    ///
    /// # Errors
    ///
    /// Says what is wrong, with the name of the field.
    pub fn check_decision(&self, question: &str, decision: &str) -> Result<(), String> {
        check_answer(question, decision, &self.shared.ids, self.max_bytes)
    }

    /// Says whether external tool calls are delivered as calls.
    pub fn handle_tools(&self, handled: bool) {
        self.command_if_possible(Command::HandleTools { handled });
    }

    /// Answers an external tool call, with the result as JSON text or the text of an error.
    pub fn answer_tool(&self, request_id: String, answer: Result<String, String>) {
        self.command_if_possible(Command::AnswerTool { request_id, answer });
    }

    /// Checks a command as if it were sent. Needs no connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCommand`] names the field; [`ErrorKind::MessageTooLarge`].
    pub fn check_command(&self, command: &str, check: Check) -> Result<(), Error> {
        self.check_owner()?;
        let needs = Needs { check, request_id: true, max_bytes: self.max_bytes };
        prepare(command, needs, &self.shared.ids).map(drop)
    }

    fn prepare<'a>(
        &self,
        command: &'a str,
        check: Check,
        request_id: bool,
    ) -> Result<Prepared<'a>, Error> {
        self.check_owner()?;
        let needs = Needs { check, request_id, max_bytes: self.max_bytes };
        let prepared = prepare(command, needs, &self.shared.ids)?;
        self.check_open()?;
        if check != Check::Shape {
            prepared.check_supported(self.shared.newest(), request_id)?;
        }
        Ok(prepared)
    }

    fn command(&self, command: Command) -> Result<(), Error> {
        let op = self.handed_over(command)?;
        self.push(op, OpSender::send)
    }

    fn handed_over(&self, command: Command) -> Result<Op, Error> {
        if let Some(frame) = command.frame()
            && !self.shared.hand_over(frame.len())
        {
            let message = "too many frames are waiting to be sent; this one was not sent";
            let hint = "the process is too busy, or it sends faster than the server reads";
            return Err(Error::new(ErrorKind::TooManyRequests, message).with_hint(hint));
        }
        Ok(Op::Command(Box::new(command)))
    }

    /// For commands that mean nothing without a connection.
    fn command_if_possible(&self, command: Command) {
        if self.check_owner().is_ok() {
            self.command(command).unwrap_or_default();
        }
    }

    fn push(&self, op: Op, give: fn(&OpSender, Op) -> bool) -> Result<(), Error> {
        if self.ops.as_ref().is_some_and(|ops| give(ops, op)) { Ok(()) } else { Err(closed()) }
    }

    fn check_owner(&self) -> Result<(), Error> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        let message = "this client belongs to the parent process";
        Err(Error::new(ErrorKind::ForkedProcess, message)
            .with_hint("make a new client after the fork"))
    }

    fn check_open(&self) -> Result<(), Error> {
        match self.state() {
            State::Open => Ok(()),
            State::Closed => Err(closed()),
            State::New | State::Connecting => {
                Err(Error::new(ErrorKind::Disconnected, "the client is not connected yet")
                    .with_hint("call connect first"))
            }
            State::Reconnecting => {
                let message = "the connection was lost and is being opened again";
                Err(Error::new(ErrorKind::Disconnected, message)
                    .with_hint("wait until connect returns, or until the state is `open`")
                    .with_will_reconnect(true)
                    .with_unsent())
            }
            State::Disconnected => Err(not_connected(self.shared.given_up().as_ref())),
        }
    }
}

/// The error of a client that does not connect by itself, with the reason where it has given up. What the server has
/// refused for good, connecting again does not help against.
fn not_connected(given_up: Option<&Error>) -> Error {
    let reason = given_up.map(|why| format!(": {}", why.message())).unwrap_or_default();
    let error = Error::new(ErrorKind::Disconnected, format!("the client is not connected{reason}"));
    match given_up.filter(|why| why.is_for_good()) {
        Some(why) if why.kind() == ErrorKind::Auth => {
            error.with_hint("make a new client with the token that the server takes by now")
        }
        Some(why) => match why.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        },
        None => error.with_hint("call connect to connect again"),
    }
}

fn giving(held: bool) -> fn(&OpSender, Op) -> bool {
    if held { OpSender::hold } else { OpSender::send }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client is closed")
}

impl Drop for Connection {
    /// What is held still goes out. In a forked child the driver's thread is not there, and a lock of its
    /// channel may be held for ever: the channel is left alone.
    fn drop(&mut self) {
        self.flush();
        if self.pid != std::process::id() {
            std::mem::forget(self.ops.take());
            std::mem::forget(self.recorder.take());
        }
    }
}
