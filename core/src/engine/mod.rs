//! Everything the client decides, without I/O: frames, commands and the time go in; frames to
//! send, deliveries and the next time-out come out.
//!
//! The engine is a pure function of its inputs. It knows no socket, no clock and no lock, so the
//! recorded traces, property tests and simulated networks drive it directly.

mod approvals;
mod backoff;
mod carried;
mod command;
mod completion;
mod connection;
mod context;
mod counters;
mod decider;
mod decision;
mod definition;
mod delivery;
mod directory;
mod event;
mod fingerprint;
mod follow;
mod held;
mod incoming;
mod lane;
mod leftover;
mod link;
mod memory;
mod modes;
mod outgoing;
mod ownership;
mod recovery;
mod refusal;
mod registering;
mod registration;
mod report;
mod requests;
mod resend;
mod result;
mod resync;
mod runs;
mod runtime;
mod runtimes;
mod schema;
mod sequence;
mod settle;
mod shadow;
mod sharing;
mod split;
mod standby;
mod stopping;
mod submission;
mod tools;
mod turn;
mod unspoken;
mod waiting;
mod watching;
mod words;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use approvals::Approvers;
pub use backoff::Reconnect;
use carried::Carried;
pub use command::Command;
#[cfg(test)]
pub(crate) use completion::REFUSAL_WAIT;
pub use context::Ids;
#[cfg(test)]
pub(crate) use context::LONGEST_SETTLE_PAUSE;
use context::{Context, Features, Timer, Timers};
pub use counters::Counters;
pub(crate) use decision::check_answer;
pub use decision::check_decision;
pub use definition::{
    check_tool_arguments, check_tool_name, check_tool_parameters, nullable_parameters,
    registered_parameters,
};
pub use delivery::{Channel, Delivery, KEPT_FRAMES, Token};
pub use directory::{DirectoryChange, normalized};
#[cfg(test)]
pub(crate) use directory::{HANDLED, SHOWN};
pub use event::TurnEvent;
use link::Link;
#[cfg(test)]
pub(crate) use link::WHILE_AWAITED;
#[cfg(test)]
pub(crate) use memory::{REFUSALS, REMEMBERED};
pub use modes::Modes;
pub use outgoing::Outgoing;
pub(crate) use outgoing::Unawaited;
#[cfg(test)]
pub(crate) use recovery::DEPTH;
use recovery::Recovery;
pub use refusal::refusal;
pub(crate) use registration::registration;
pub use report::{TurnPhase, TurnReport};
use requests::Requests;
pub use requests::{Correlation, Expect};
pub use resend::Resend;
pub use result::{
    CompletedBy, InputDelivery, RunText, ToolCall, TurnMessage, TurnResult, TurnStatus, Usage,
};
use resync::Resync;
#[cfg(test)]
pub(crate) use resync::{AT_ONCE, PATIENCE as RESTORE_WAIT};
use runtime::Runtime;
#[cfg(test)]
pub(crate) use runtimes::NAMES;
use runtimes::Runtimes;
use sequence::Sequence;
#[cfg(test)]
pub(crate) use sequence::{PATIENCE as GAP_WAIT, ROOM as BEHIND_GAP};
use settle::Settle;
#[cfg(test)]
pub(crate) use shadow::{STANDBY_BYTES, STANDBY_EVENTS};
use split::StreamLost;
use standby::Standby;
pub use submission::{NextStep, Submission};
use tools::ToolCalls;
pub use tools::ToolLimits;
use turn::Cause;
pub(crate) use turn::above_zero;
pub use turn::{Approvals, TurnOptions};
#[cfg(test)]
pub(crate) use watching::AT_ONCE as WATCH_AGAIN;
use watching::Watching;
pub use words::{allowed_by_no_rule, approver_failed, denied_by_rule};

use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::shapes::Shapes;
use crate::protocol::version::Version;
use crate::room::{FIRST, Room};
use crate::state::StandbyState;

/// How many requests and turns may wait at once by default.
pub const MAX_PENDING_REQUESTS: usize = 10_000;

/// Where an open turn is: its runtime, and the `request_id` of its input.
#[derive(Debug)]
struct Place {
    runtime: (String, String),
    request_id: String,
}

/// See the module's text.
#[derive(Debug)]
pub struct Engine {
    ctx: Context,
    requests: Requests,
    tools: ToolCalls,
    runtimes: Runtimes,
    /// Where each open turn is.
    turns: HashMap<Token, Place>,
    /// The turn of each input that waits for its answer.
    inputs: HashMap<String, Token>,
    sequence: Sequence,
    stream_lost: Option<StreamLost>,
    shapes: Shapes,
    counters: Counters,
    /// How many frames had come when the connection was opened.
    frames_before: u64,
    link: Link,
    resync: Resync,
    watching: Watching,
    recovery: Recovery,
    /// `None` where none was asked for.
    standby: Option<Box<Standby>>,
    carried: Carried,
    max_pending: usize,
    /// The version that the server has at most.
    newest: Option<Version>,
}

impl Engine {
    /// An engine for one client. `settle_pause` is the wait before an input on a runtime whose
    /// turn has just ended (PROTOCOL.md section 18).
    #[must_use]
    pub fn new(ids: Arc<Ids>, settle_pause: Duration) -> Self {
        Self::with_tools(ids, settle_pause, ToolLimits::default())
    }

    /// The same with limits for external tools (section 14).
    #[must_use]
    pub fn with_tools(ids: Arc<Ids>, settle_pause: Duration, tools: ToolLimits) -> Self {
        Self {
            ctx: Context {
                now: Duration::ZERO,
                max_bytes: usize::MAX,
                transmit: VecDeque::with_capacity(FIRST),
                deliveries: VecDeque::with_capacity(FIRST),
                heard: true,
                ended: Vec::new(),
                resumed: Vec::new(),
                timers: Timers::default(),
                ids,
                features: Features::default(),
                approvers: Approvers::default(),
                switching: false,
                last_frame: None,
                worked: false,
                unsent: 0,
                settle_pause,
            },
            requests: Requests::default(),
            tools: ToolCalls::new(tools),
            runtimes: Runtimes::default(),
            turns: HashMap::new(),
            inputs: HashMap::new(),
            sequence: Sequence::default(),
            stream_lost: None,
            shapes: Shapes::default(),
            counters: Counters::default(),
            frames_before: 0,
            link: Link::default(),
            resync: Resync::default(),
            watching: Watching::default(),
            recovery: Recovery::default(),
            standby: None,
            carried: Carried::default(),
            max_pending: MAX_PENDING_REQUESTS,
            newest: None,
        }
    }

    /// Sends no answer of a tool or to a permission question that is larger.
    #[must_use]
    pub fn max_message_bytes(mut self, most: usize) -> Self {
        self.ctx.max_bytes = most;
        self
    }

    /// Lets so many requests and turns wait at once.
    #[must_use]
    pub fn max_pending(mut self, most: usize) -> Self {
        self.max_pending = most;
        self
    }

    /// Opens lost connections again, and brings back what they had (section 16). `seed` makes the
    /// waits of clients differ.
    #[must_use]
    pub fn reconnecting(mut self, rules: Reconnect, seed: u64) -> Self {
        self.link.reconnect(rules, seed);
        self.resync.enable();
        self.ctx.last_frame = Some(Duration::ZERO);
        self
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Text> {
        self.poll_outgoing().map(Outgoing::into_text)
    }

    /// The same with what [`Engine::handle_unsent`] has to know where it does not leave.
    pub fn poll_outgoing(&mut self) -> Option<Outgoing> {
        let frame = self.ctx.transmit.pop_front();
        self.ctx.transmit.give_back();
        frame
    }

    /// The next item for the user's side.
    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        let delivery = self.ctx.deliveries.pop_front();
        self.ctx.deliveries.give_back();
        delivery
    }

    /// When [`Engine::handle_timeout`] wants to be called next, in time since the engine was made.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let standby = self.standby.as_ref().and_then(|standby| standby.link.at());
        let links = [self.link.at(), standby];
        let times = links.into_iter().chain([self.ctx.timers.next(), self.sequence.deadline]);
        times.flatten().min()
    }

    /// Whether a turn was told to stop, but not the server, which has not said yet where the input is; or whether an
    /// input waits to be sent that nobody waits for. A connection that is about to be closed waits a moment for that.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.has_unawaited() || self.runtimes.iter().any(Runtime::has_unsent)
    }

    /// Whether an input, or what waits behind one, has not left, and nobody waits for what becomes of it.
    #[must_use]
    pub fn has_unawaited(&self) -> bool {
        self.runtimes.iter().any(Runtime::has_unawaited)
    }

    /// Ends the settle pauses that such inputs wait for, because the connection is about to be closed: what comes too
    /// soon may go wrong, and what is not sent is lost.
    pub fn end_pauses(&mut self, now: Duration) {
        self.end_pauses_of(now, Runtime::has_unawaited);
    }

    /// The same for all that was given and has not left, because the process is about to end.
    pub(crate) fn end_all_pauses(&mut self, now: Duration) {
        self.end_pauses_of(now, |runtime| runtime.left_behind() > 0);
    }

    /// How much was given and has not left, and what was counted as never sent before.
    pub(crate) fn left_behind(&self) -> u64 {
        let here: usize = self.runtimes.iter().map(Runtime::left_behind).sum();
        self.ctx.unsent + (here + self.carried.len()) as u64
    }

    /// Whether there is any of that, or a turn to stop, that may leave on this connection.
    pub(crate) fn has_left_behind(&self) -> bool {
        self.runtimes.iter().any(|runtime| runtime.left_behind() > 0 || runtime.has_unsent())
    }

    fn end_pauses_of(&mut self, now: Duration, wanted: fn(&Runtime) -> bool) {
        self.ctx.now = now;
        for runtime in self.runtimes.all().filter(|runtime| wanted(runtime)) {
            runtime.settle = Settle::default();
            runtime.release(&mut self.ctx);
        }
    }

    /// What came in so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            reconnects: self.link.reconnects(),
            restored: self.resync.restored,
            restore_failures: self.resync.failures,
            standby: self.standby.as_ref().map_or(StandbyState::Off, |it| it.state()),
            unsent: self.ctx.unsent,
            ..self.counters
        }
    }

    /// Whether there is no connection, but will be one again without being asked for.
    #[must_use]
    pub fn will_reconnect(&self) -> bool {
        self.link.will_reconnect()
    }

    /// Whether it is time for an attempt to open a lost connection again; said once for each.
    pub fn poll_connect(&mut self) -> bool {
        self.link.begin(self.ctx.now)
    }

    /// Takes a caller's command.
    pub fn handle_command(&mut self, now: Duration, command: Command) {
        self.ctx.now = now;
        if let Some(token) = command.token()
            && self.requests.len() + self.turns.len() >= self.max_pending
        {
            let most = self.max_pending;
            let message =
                format!("max_pending_requests: {most} requests and turns are waiting already");
            self.ctx.fail(token, Error::new(ErrorKind::TooManyRequests, message));
            return;
        }
        match command {
            Command::Send { text, runtime, settles } => self.submit(text, runtime, settles, None),
            Command::Request { token, command, text, runtime, settles, expect } => {
                self.requests.add(token, &command, expect, &mut self.ctx);
                if self.requests.contains(token) {
                    self.submit(text, runtime, settles, Some(token));
                }
            }
            Command::Register { token, command, text, expect, opening } => {
                self.register(token, &command, &text, expect, opening);
            }
            Command::RunTurn { token, text, request_id, runtime, client_ids, options } => {
                if self.inputs.contains_key(&request_id) || self.recovery.has_input(&request_id) {
                    let message =
                        format!("an input with the same id is already waiting: {request_id}");
                    self.ctx.fail(token, Error::new(ErrorKind::InvalidCommand, message));
                    return;
                }
                self.inputs.insert(request_id.clone(), token);
                self.join(&runtime.0, &runtime.1);
                let entry = self.runtimes.get(&runtime.0, &runtime.1);
                entry.start_turn(token, client_ids, options, text, &mut self.ctx);
                self.turns.insert(token, Place { runtime, request_id });
            }
            Command::Cancel { token } => {
                if self.requests.remove(token) {
                    self.take_back(token);
                } else if !self.stop_cut(token, Cause::Gone) {
                    let gone = Cause::Gone;
                    self.with_turn(token, |runtime, ctx| runtime.stop_turn(token, gone, ctx));
                }
                self.give_up(token);
            }
            Command::Abort { token } => {
                let asked = Cause::Asked;
                if !self.stop_cut(token, asked) {
                    self.with_turn(token, |runtime, ctx| runtime.stop_turn(token, asked, ctx));
                }
            }
            Command::Detach { token } => {
                if !self.let_cut_go(token) {
                    self.with_turn(token, |runtime, ctx| runtime.detach_turn(token, ctx));
                }
            }
            Command::Resolve { token } => {
                self.requests.remove(token);
            }
            Command::HandleApprovals { token, runtime, handled } => {
                self.handle_approvals(token, runtime, handled);
            }
            Command::AnswerApproval { ask, answer } => {
                if let Some((agent, conversation, request_id)) = self.ctx.approvers.take(ask) {
                    let runtime = self.runtimes.get(&agent, &conversation);
                    runtime.answer_approval(&request_id, answer, &mut self.ctx);
                }
            }
            Command::ReturnApproval { ask } => {
                if let Some((agent, conversation, request_id)) = self.ctx.approvers.take(ask) {
                    let runtime = self.runtimes.get(&agent, &conversation);
                    runtime.return_approval(&request_id, &mut self.ctx);
                }
            }
            Command::WatchFile { path, text } => self.watch(path, text),
            Command::UnwatchFile { path } => self.unwatch(&path),
            Command::HoldRuntime { runtime, opening, held } => {
                self.resync.hold(&runtime, &opening, held);
                self.register_left();
            }
            Command::OfferTools { runtime, owner, groups } => {
                self.resync.memory.offer(&runtime, &owner, groups.as_deref());
                self.register_left();
            }
            Command::HandleTools { handled } => self.tools.handled = handled,
            Command::AnswerTool { request_id, answer } => {
                self.tools.answer(&request_id, answer, &mut self.ctx);
            }
        }
        self.forget_ended();
    }

    /// Looks at every limit that has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.ctx.now = now;
        self.link.due(now);
        if let Some(standby) = &mut self.standby {
            standby.link.due(now);
        }
        self.sequence.due(now);
        self.process_ready();
        while let Some(timer) = self.ctx.timers.due(now) {
            match timer {
                Timer::Request(token) if self.requests.is_due(token, now) => {
                    let unsent = self.take_back(token);
                    self.requests.expire(token, unsent, &mut self.ctx);
                    self.give_up(token);
                }
                Timer::Request(_) => {}
                Timer::Turn(token) => {
                    self.with_turn(token, |runtime, ctx| runtime.turn_due(token, ctx));
                }
                Timer::Tool(request_id) => self.tools.due(&request_id, &mut self.ctx),
                Timer::Restore(request_id) => {
                    let place = self.resync.due(&request_id, &mut self.ctx);
                    self.restored(place);
                }
                Timer::Subscribe(request_id) => self.subscription_due(&request_id),
                Timer::Recover(agent, conversation) => self.cuts_due(&(agent, conversation)),
                Timer::Settle(agent, conversation) => {
                    self.runtimes.get(&agent, &conversation).settle_due(&mut self.ctx);
                }
            }
        }
        self.forget_ended();
    }

    /// Sends a command, now or when it may be sent. `call` is the request that it is of.
    fn submit(
        &mut self,
        text: Text,
        runtime: Option<(String, String)>,
        settles: bool,
        call: Option<Token>,
    ) {
        if let Some((agent, conversation)) = &runtime {
            self.join(agent, conversation);
        }
        self.resync.memory.sent(&text, self.requests.len(), false);
        let Some((agent, conversation)) = runtime else {
            if call.is_none() {
                self.note_watch(&text);
            }
            let known = || Unawaited { place: None, settles };
            self.ctx.transmit.push_back(Outgoing::new(text, call, known));
            return;
        };
        let runtime = self.runtimes.get(&agent, &conversation);
        if !settles {
            runtime.note_own_answer(&text, &mut self.ctx);
        }
        runtime.submit(text, settles, call, &mut self.ctx);
    }

    /// Takes a request back that has not left: nobody waits for its answer. Says whether that was so.
    fn take_back(&mut self, token: Token) -> bool {
        let Some(runtime) = self.runtimes.all().find_map(|it| it.take_back(token).then_some(it))
        else {
            return false;
        };
        runtime.release(&mut self.ctx);
        true
    }

    /// The calls that have not left.
    fn unsent(&self) -> HashSet<Token> {
        self.runtimes.iter().flat_map(|runtime| runtime.held.calls()).collect()
    }

    /// This client has to do with a runtime.
    fn join(&mut self, agent: &str, conversation: &str) {
        if !self.runtimes.get(agent, conversation).joined {
            self.runtimes.join(agent, conversation);
        }
        if self.resync.joined(agent, conversation) {
            self.subscribe_standby((agent.to_owned(), conversation.to_owned()));
        }
    }

    /// A runtime may be there again after a reconnect.
    fn restored(&mut self, place: Option<(String, String)>) {
        let Some(place) = place else { return };
        if let Some(standby) = &mut self.standby {
            standby.restored(&place);
        }
        if !self.look_up(&place) {
            self.runtimes.get(&place.0, &place.1).restored(&mut self.ctx);
        }
    }

    fn with_turn(&mut self, token: Token, act: impl FnOnce(&mut Runtime, &mut Context)) {
        let Some(place) = self.turns.get(&token) else {
            return;
        };
        let runtime = self.runtimes.get(&place.runtime.0, &place.runtime.1);
        act(runtime, &mut self.ctx);
        runtime.ask_next(&mut self.ctx);
        runtime.release(&mut self.ctx);
    }

    fn handle_approvals(&mut self, token: Token, runtime: Option<(String, String)>, handled: bool) {
        if handled {
            self.ctx.approvers.add(token, runtime);
        } else {
            self.ctx.approvers.remove(token);
        }
        // What it was asked before it went, it may still answer.
        for runtime in self.runtimes.all() {
            runtime.ask_next(&mut self.ctx);
        }
    }

    /// How an open turn stands; `None` when it is none of ours, was given up or detached, or has
    /// ended.
    #[must_use]
    pub fn report(&self, now: Duration, token: Token) -> Option<TurnReport> {
        let Some(Place { runtime, .. }) = self.turns.get(&token) else {
            return self.report_cut(now, token);
        };
        self.runtimes.find(&runtime.0, &runtime.1)?.report(now, token)
    }

    /// Drops what is kept for what has ended.
    fn forget_ended(&mut self) {
        if !self.ctx.resumed.is_empty() {
            self.read_resumed();
        }
        for token in self.ctx.ended.drain(..) {
            if let Some(place) = self.turns.remove(&token) {
                forget_input(&mut self.inputs, &place.request_id, token);
            }
        }
        self.turns.give_back();
        self.inputs.give_back();
        let Self { ctx, requests, turns, tools, .. } = self;
        let anything_waits = requests.len() + turns.len() > 0 || tools.any();
        ctx.timers.sort_out(anything_waits, |timer| match timer {
            Timer::Request(token) => requests.contains(*token),
            Timer::Turn(token) => turns.contains_key(token),
            Timer::Tool(request_id) => tools.is_open(request_id),
            // Of the others there are few for each runtime.
            _ => true,
        });
    }
}

/// Nobody waits for the word on a turn's input any more. A later turn may have one with the same id by now.
fn forget_input(inputs: &mut HashMap<String, Token>, request_id: &str, token: Token) {
    if inputs.get(request_id) == Some(&token) {
        inputs.remove(request_id);
    }
}
