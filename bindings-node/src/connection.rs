//! `core::Connection` as a JavaScript class: one method for each of its methods.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use letta_app_client::engine::TurnOptions;
use letta_app_client::{Check, Connection as Core, Mailbox, RecordWriter, RequestOptions};
use napi::bindgen_prelude::{FnArgs, Function};
use napi::{Env, JsString};
use napi_derive::napi;

use crate::delivery::{LongText, long_texts};
use crate::doorbell::Doorbell;
use crate::drain::Drain;
use crate::errors::{Thrown, thrown};
use crate::options::{NativeOptions, NativeTurnOptions, connect_options, time_limit, turn_options};
use crate::recording;
use crate::server::Server;
use crate::taken::taken;
use crate::text::js_text;

/// What came in so far.
#[napi(object)]
pub struct NativeCounters {
    pub frames: i64,
    pub bytes: i64,
    pub malformed: i64,
    pub degraded: i64,
    pub reconnects: i64,
    pub restored: i64,
    pub restore_failures: i64,
    pub unrecorded: i64,
    pub unsent: i64,
    /// `off`, `opening` or `ready`.
    #[napi(ts_type = "'off' | 'opening' | 'ready'")]
    pub standby: String,
}

/// Events of a followed turn.
#[napi(object, object_from_js = false)]
pub struct TakenEvents<'env> {
    /// A JSON list, in which outputs that are long are empty. Pieces of one message that follow each other are a
    /// list in it: the events' type, run and message, and then the pieces.
    #[napi(ts_type = "string")]
    pub events: JsString<'env>,
    /// Those outputs.
    pub outputs: Vec<LongText<'env>>,
}

/// What methods for one command take beside it.
const OPTIONS: [&str; 2] = ["timeoutMs", "signal"];

/// One client's connection; see `letta_app_client::Connection`.
#[napi]
pub struct Connection {
    core: Core,
    mailbox: Arc<Mailbox>,
    /// A recording whose redactor is JavaScript's, until it is served.
    writer: Mutex<Option<RecordWriter>>,
    answer: Option<Sender<recording::Answer>>,
    drain: Mutex<Drain>,
}

#[napi]
impl Connection {
    /// Builds a connection without touching the network. Its bell rings once per burst; then `drain` has to be
    /// called.
    #[napi(constructor)]
    pub fn new(
        options: NativeOptions,
        doorbell: &Doorbell,
        bell: u32,
        server: Option<&Server>,
    ) -> Result<Self, Thrown> {
        let redacted = options.redacted == Some(true);
        let mut options = connect_options(options)?;
        options.server = server.map(Server::watch);
        let bell = doorbell.bell(bell);
        let mailbox = Mailbox::new(move || bell.ring());
        let sink = Arc::clone(&mailbox);
        let opened = if redacted {
            Core::open_recorded(options, sink)
        } else {
            Core::open(options, sink).map(|core| (core, None))
        };
        let (core, writer) = opened.map_err(thrown)?;
        let (writer, drain) = (Mutex::new(writer), Mutex::default());
        Ok(Self { core, mailbox, writer, answer: None, drain })
    }

    /// Has a function of JavaScript's say how each frame is written: it is called with `send` or `recv` and
    /// the text, and has to call `writeRecorded` or `failRecorded`, on its own thread, when that has time for it.
    #[napi]
    pub fn serve_recording(
        &mut self,
        #[napi(ts_arg_type = "(direction: string, text: string) => void")] redactor: Function<
            '_,
            FnArgs<(String, String)>,
            (),
        >,
    ) -> Result<(), Thrown> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return Ok(()) };
        self.answer = Some(recording::serve(writer, &redactor)?);
        Ok(())
    }

    /// Writes the frame that the redactor was asked about; `null` leaves it out.
    #[napi]
    pub fn write_recorded(&self, text: Option<String>) {
        if let Some(answer) = &self.answer {
            // Nobody waits for it when the client is closed.
            answer.send(Ok(text)).unwrap_or_default();
        }
    }

    /// Leaves that frame out and counts it: the redactor has failed.
    #[napi]
    pub fn fail_recorded(&self) {
        if let Some(answer) = &self.answer {
            answer.send(Err(recording::Failed)).unwrap_or_default();
        }
    }

    /// A new token, which names a call until its completion is delivered.
    #[napi]
    pub fn token(&self) -> i64 {
        number(self.core.token())
    }

    /// `new`, `connecting`, `open`, `reconnecting`, `disconnected` or `closed`.
    #[napi]
    pub fn state(&self) -> &'static str {
        self.core.state().as_str()
    }

    /// The server's answer to `GET /app-server-info`, as JSON.
    #[napi]
    pub fn info(&self) -> Option<String> {
        self.core.info()
    }

    /// Why the token is not safe on its way; `null` when it is, or when there is none.
    #[napi]
    pub fn insecure_token(&self) -> Option<String> {
        self.core.insecure_token().map(str::to_owned)
    }

    /// Whether the server has a control and a stream socket.
    #[napi]
    pub fn is_split(&self) -> bool {
        self.core.is_split()
    }

    /// What came in so far.
    #[napi]
    pub fn counters(&self) -> NativeCounters {
        let counters = self.core.counters();
        NativeCounters {
            frames: number(counters.frames),
            bytes: number(counters.bytes),
            malformed: number(counters.malformed),
            degraded: number(counters.degraded),
            reconnects: number(counters.reconnects),
            restored: number(counters.restored),
            restore_failures: number(counters.restore_failures),
            unrecorded: number(counters.unrecorded),
            unsent: number(counters.unsent),
            standby: counters.standby.as_str().to_owned(),
        }
    }

    /// An id no other request of this connection has.
    #[napi]
    pub fn next_request_id(&self, prefix: String) -> String {
        self.core.next_request_id(&prefix)
    }

    /// Connects; completes with `done` or `failed`.
    #[napi]
    pub fn connect(&self, token: i64) -> Result<(), Thrown> {
        self.core.connect(token_of(token)).map_err(thrown)
    }

    /// Closes for good; completes with `done`, unless `false` is returned.
    #[napi]
    pub fn close(&self, token: i64) -> bool {
        self.core.close(token_of(token))
    }

    /// Sends a command that is looked at as closely as `check` says.
    #[napi]
    pub fn send(
        &self,
        command: String,
        #[napi(ts_arg_type = "'documented' | 'catalog' | 'shape'")] check: String,
    ) -> Result<(), Thrown> {
        // Who waits for nothing has no options.
        let check = Check::named(&check, &[]).map_err(thrown)?;
        self.core.send_checked(&command, check).map(drop).map_err(thrown)
    }

    /// Sends the requests and inputs that were held.
    #[napi]
    pub fn flush(&self) {
        self.core.flush();
    }

    /// Sends a command and expects its answer: `response` or `failed`, or, when `manual`,
    /// `candidate`s until `resolve` or `cancel`. One that is `held` waits for `flush`, or for what is sent
    /// next.
    #[napi]
    pub fn request(
        &self,
        token: i64,
        command: String,
        timeout_ms: Option<f64>,
        manual: bool,
        #[napi(ts_arg_type = "'documented' | 'catalog' | 'shape' | 'opening' | 'offer'")]
        check: String,
        held: bool,
    ) -> Result<(), Thrown> {
        let timeout = time_limit(timeout_ms)?;
        let check = Check::named(&check, &OPTIONS).map_err(thrown)?;
        let options = RequestOptions { timeout, manual, check, held };
        self.core.request(token_of(token), &command, options).map(drop).map_err(thrown)
    }

    /// Checks the fields of a command's method as if it were sent.
    #[napi]
    pub fn check_command(&self, command: String) -> Result<(), Thrown> {
        self.core.check_command(&command, Check::Documented(&OPTIONS)).map_err(thrown)
    }

    /// Sends an input and follows its turn: `turn` or `failed`, and, when it is `followed`, `turn ready`
    /// whenever `takeTurn` has something to give. One that is `held` waits for `flush`, or for what is sent next.
    /// Options that are left out are those of the engine.
    #[napi]
    pub fn run_turn(
        &self,
        token: i64,
        command: String,
        followed: bool,
        held: bool,
        options: Option<NativeTurnOptions>,
    ) -> Result<(), Thrown> {
        let options = TurnOptions { events: followed, ..turn_options(options.as_ref())? };
        if followed {
            self.mailbox.follow_turn(token_of(token));
            self.crossing().crossed.open(token);
        }
        let frame = self.core.run_turn(token_of(token), &command, options, held);
        frame.map(drop).inspect_err(|_| self.leave_turn(token)).map_err(thrown)
    }

    /// The oldest events of a followed turn, a part of them; to be called until there are none.
    #[napi]
    pub fn take_turn<'env>(&self, env: &'env Env, token: i64) -> napi::Result<TakenEvents<'env>> {
        let events = self.mailbox.take_events(token_of(token));
        let mut drain = self.crossing();
        let (events, outputs) = taken(events, |output| drain.crossed.note(token, output));
        drop(drain);
        Ok(TakenEvents { events: js_text(env, &events)?, outputs: long_texts(env, outputs)? })
    }

    /// Nobody takes the events of the turn any more.
    #[napi]
    pub fn leave_turn(&self, token: i64) {
        self.crossing().crossed.close(token);
        self.mailbox.leave_turn(token_of(token));
    }

    /// Stops a turn on the server; `turn` or `failed` still comes.
    #[napi]
    pub fn abort_turn(&self, token: i64) {
        self.core.abort_turn(token_of(token));
    }

    /// Lets a turn go on; `done` is delivered at its end.
    #[napi]
    pub fn detach_turn(&self, token: i64) {
        self.crossing().crossed.close(token);
        self.core.detach_turn(token_of(token));
    }

    /// The phase of an open turn and a text about it; `null` when it has ended.
    #[napi]
    pub fn turn_report(&self, token: i64) -> Option<Vec<String>> {
        let report = self.core.turn_report(token_of(token))?;
        Some(vec![report.phase.as_str().to_owned(), report.to_string()])
    }

    /// A handler of permission questions comes or goes: of one runtime (agent, conversation), or of
    /// all. It is a token, with which `approval` is delivered.
    #[napi]
    pub fn handle_approvals(
        &self,
        token: i64,
        agent: Option<String>,
        conversation: Option<String>,
        handled: bool,
    ) {
        self.core.handle_approvals(token_of(token), agent.zip(conversation), handled);
    }

    /// A permission question has reached a handler that had gone: it is asked of others.
    #[napi]
    pub fn return_approval(&self, ask: i64) {
        self.core.return_approval(token_of(ask));
    }

    /// A session holds a runtime, or lets go of it; `opening` is the `request_id` of its start.
    #[napi]
    pub fn hold_runtime(&self, agent: String, conversation: String, opening: String, held: bool) {
        self.core.hold_runtime((agent, conversation), opening, held);
    }

    /// External tools come for a while beside those of the runtime's sessions, or go.
    #[napi]
    pub fn offer_tools(
        &self,
        agent: String,
        conversation: String,
        owner: String,
        groups: Option<String>,
    ) {
        self.core.offer_tools((agent, conversation), owner, groups);
    }

    /// The permission mode of a runtime that a session holds.
    #[napi]
    pub fn mode_of(&self, agent: String, conversation: String) -> Option<String> {
        self.core.mode_of(&(agent, conversation))
    }

    /// Somebody watches a file, until `unwatchFile`.
    #[napi]
    pub fn watch_file(&self, command: String) -> Result<(), Thrown> {
        self.core.watch_file(&command).map(drop).map_err(thrown)
    }

    /// Somebody watches a file no more.
    #[napi]
    pub fn unwatch_file(&self, path: String) {
        self.core.unwatch_file(path);
    }

    /// The command that gives a runtime other external tools, without a `request_id`.
    #[napi]
    pub fn registration(&self, agent: String, conversation: String, groups: String) -> String {
        self.core.registration(&(agent, conversation), &groups)
    }

    /// Answers a permission question with a decision as JSON.
    #[napi]
    pub fn answer_approval(&self, ask: i64, decision: String) {
        self.core.answer_approval(token_of(ask), Ok(decision));
    }

    /// Answers a permission question with the text of an error, which denies.
    #[napi]
    pub fn fail_approval(&self, ask: i64, error: String) {
        self.core.answer_approval(token_of(ask), Err(error));
    }

    /// The caller has gone; a turn is stopped on the server. Nothing more is delivered for it.
    #[napi]
    pub fn cancel(&self, token: i64) {
        self.crossing().crossed.close(token);
        self.core.cancel(token_of(token));
    }

    /// The caller of a manual request took its answer.
    #[napi]
    pub fn resolve(&self, token: i64) {
        self.core.resolve(token_of(token));
    }

    /// Says whether external tool calls are delivered as calls.
    #[napi]
    pub fn handle_tools(&self, handled: bool) {
        self.core.handle_tools(handled);
    }

    /// Answers an external tool call with a result as JSON.
    #[napi]
    pub fn answer_tool(&self, request_id: String, result: String) {
        self.core.answer_tool(request_id, Ok(result));
    }

    /// Answers an external tool call with the text of an error.
    #[napi]
    pub fn fail_tool(&self, request_id: String, error: String) {
        self.core.answer_tool(request_id, Err(error));
    }

    /// Says whether frames are wanted that no call waits for. Those behind a completion are kept until whoever
    /// waited for it has had its say.
    #[napi]
    pub fn want_messages(&self, wanted: bool) {
        self.mailbox.want_messages(wanted);
    }

    /// Takes what waits, up to completions that are followed by something else: whoever they complete goes on
    /// before the rest is asked for. The first is a JSON list of numbers, the others are the texts of deliveries;
    /// see `src/drain.rs`.
    #[napi(ts_return_type = "Array<string>")]
    pub fn drain<'env>(&self, env: &'env Env) -> napi::Result<Vec<JsString<'env>>> {
        let texts = self.crossing().next(&self.mailbox);
        texts.iter().map(|text| js_text(env, text)).collect()
    }

    /// The outputs of a turn's result that are long, which is `null` there: to be taken before the next `drain`.
    #[napi]
    pub fn take_outputs<'env>(
        &self,
        env: &'env Env,
        token: i64,
    ) -> napi::Result<Vec<LongText<'env>>> {
        long_texts(env, self.crossing().outputs(token))
    }
}

impl Connection {
    fn crossing(&self) -> MutexGuard<'_, Drain> {
        self.drain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers of ours stay far below 2^53, where JavaScript's end to be exact.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is none of ours names no call and no question.
fn token_of(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
