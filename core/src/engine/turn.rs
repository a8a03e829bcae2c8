//! One `run_turn` call: what it was sent with, whose it is, what it waits for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::delivery::Token;
use super::recovery::Cut;
use super::resend::Resend;
use super::result::{CompletedBy, InputDelivery, TurnResult};
use super::waiting::tools_of;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;

/// What a turn does when it needs a permission (PROTOCOL.md section 13).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Approvals {
    /// A handler of the client answers. If there is none, the call ends with the stop reason
    /// `requires_approval`; the turn goes on once somebody answers, and until then the conversation's next inputs wait
    /// behind the question.
    #[default]
    Pause,
    /// A handler of the client or somebody else answers; the call waits and goes on to the turn's end.
    Wait,
    /// The turn's own handler answers: it gets [`super::Delivery::Approval`] with the turn's token.
    Ask,
    /// Nobody is asked: the permission is denied with a reason, and the turn goes on.
    Deny,
    /// A handler of the client answers. If there is none, the permission is denied with a reason, and the turn goes
    /// on. The default in a session, whose own tools then run unasked.
    AskOrDeny,
    /// A handler of the client answers. If there is none, the call fails with [`ErrorKind::ApprovalRequired`];
    /// the turn goes on once somebody answers, as with [`Approvals::Pause`].
    Raise,
}

impl Approvals {
    /// The names in all three languages.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("pause", Self::Pause),
        ("wait", Self::Wait),
        ("ask", Self::Ask),
        ("deny", Self::Deny),
        ("ask_or_deny", Self::AskOrDeny),
        ("raise", Self::Raise),
    ];

    /// The behaviour of a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when there is none of that name.
    pub fn named(name: &str) -> Result<Self, Error> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, approvals)| *approvals).ok_or_else(|| {
            let message = format!(
                "approvals: expected \"pause\", \"wait\", \"deny\", \"ask_or_deny\", \"raise\" or a handler, \
                 got {name:?}"
            );
            Error::new(ErrorKind::InvalidOption, message)
        })
    }
}

/// How long a turn may take and what ends it.
#[derive(Debug, Clone)]
pub struct TurnOptions {
    /// The limit for the whole turn; none by default.
    pub timeout: Option<Duration>,
    /// How long the runtime may be silent while the model is at work. Ten minutes by default; `None`
    /// for no limit.
    pub idle_timeout: Option<Duration>,
    /// How long the runtime may be silent while a tool runs. One hour by default; `None` for no limit.
    pub tool_timeout: Option<Duration>,
    /// How long a permission may stay undecided. No limit by default, because a person may have to decide.
    pub approval_timeout: Option<Duration>,
    /// How long to wait for the end of a turn that was told to stop. Two seconds by default.
    pub abort_grace: Duration,
    /// How long the server may take to show any sign of having received the input. 30 seconds by default. The
    /// time is doubled if nothing at all comes any more on a connection that would be opened again when lost:
    /// it may be dead, which the keep-alive finds out, and then the input is looked for. Without a sign the
    /// turn ends with [`ErrorKind::TurnInterrupted`]; the input may still have arrived.
    pub accept_timeout: Duration,
    /// Whether an input that was lost with the connection is sent again. By default only
    /// [`crate::Session::run`] does so.
    pub resend: Option<Resend>,
    /// How long a turn whose connection was lost waits for the next connection and for what the server has
    /// stored of the turn. 30 seconds by default, twice as long if the next connection seems to be dead too;
    /// zero to not wait at all.
    pub recover_timeout: Duration,
    /// What to do when the turn needs a permission. `None` if nobody has chosen: that means
    /// [`Approvals::Pause`], or in a session what the session has chosen, or else [`Approvals::AskOrDeny`] for
    /// everything but its own tools.
    pub approvals: Option<Approvals>,
    /// The names of tools that may run without asking, whatever `approvals` says.
    pub allow: Vec<String>,
    /// Whether the turn is followed: what happens in it is delivered as [`super::TurnEvent`]s.
    pub events: bool,
    /// Whether a turn that did not end normally is an error, with the result in it. By default its result is
    /// returned like any other. A caller who aborts the turn gets the result in any case.
    pub check: bool,
}

impl Default for TurnOptions {
    fn default() -> Self {
        Self {
            timeout: None,
            idle_timeout: Some(Duration::from_secs(600)),
            tool_timeout: Some(Duration::from_secs(3600)),
            approval_timeout: None,
            abort_grace: Duration::from_secs(2),
            accept_timeout: Duration::from_secs(30),
            resend: None,
            recover_timeout: Duration::from_secs(30),
            approvals: None,
            allow: Vec::new(),
            events: false,
            check: false,
        }
    }
}

/// How far an input has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not sent yet: the runtime's last turn is still settling, or the input waits for a turn of its own.
    Held,
    /// Sent; nothing is known.
    Sent,
    /// In the server's queue.
    Queued,
    /// The running turn answers it.
    Ours,
}

/// A final `stop_reason` of a server without `turn_finished`, waiting for its confirmation.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) stop_reason: String,
    pub(crate) frame: Text,
    /// Set once confirmed: how long to wait for the text of the error.
    pub(crate) until: Option<Duration>,
}

/// Why a turn was told to stop, which decides what its caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The caller has gone: nothing is delivered.
    Gone,
    /// The caller asked for it and waits for the outcome.
    Asked,
    /// A limit passed.
    Limit(Limit),
}

/// The limits of a turn that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// For the whole turn.
    Total,
    /// Silence while the model is at work.
    Idle,
    /// Silence while a tool runs.
    Tool,
    /// A permission that nobody decides on.
    Approval,
}

/// A limit of time, unless it is none at all.
pub(crate) fn above_zero(name: &str, limit: Duration) -> Result<Duration, Error> {
    if limit.is_zero() {
        let message = format!("{name}: expected a time above zero, got 0");
        return Err(Error::new(ErrorKind::InvalidOption, message));
    }
    Ok(limit)
}

impl TurnOptions {
    /// Whether a turn could be sent with these limits, for whoever wants to know before there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] names the one that is not usable.
    pub fn check_limits(&self) -> Result<(), Error> {
        for (name, limit) in [
            ("timeout", self.timeout),
            ("idle_timeout", self.idle_timeout),
            ("tool_timeout", self.tool_timeout),
            ("approval_timeout", self.approval_timeout),
            ("accept_timeout", Some(self.accept_timeout)),
        ] {
            limit.map(|limit| above_zero(name, limit)).transpose()?;
        }
        Ok(())
    }

    /// What it does when a permission is wanted.
    pub(crate) fn approvals(&self) -> Approvals {
        self.approvals.unwrap_or_default()
    }

    /// The length of a limit; `None` when there is none.
    pub(crate) fn limit(&self, limit: Limit) -> Option<Duration> {
        match limit {
            Limit::Total => self.timeout,
            Limit::Idle => self.idle_timeout,
            Limit::Tool => self.tool_timeout,
            Limit::Approval => self.approval_timeout,
        }
    }

    /// How often a turn's silence has to be looked at, whatever it is silent for.
    fn look_every(&self) -> Option<Duration> {
        [self.idle_timeout, self.tool_timeout, self.approval_timeout].into_iter().flatten().min()
    }
}

impl Limit {
    /// The error of a turn that came to this limit.
    pub(crate) fn error(self, options: &TurnOptions) -> Error {
        let seconds = self.length(options);
        let (kind, message) = match self {
            Self::Total => {
                (ErrorKind::TurnTimeout, format!("the turn did not end within {seconds} s"))
            }
            Self::Idle => (
                ErrorKind::TurnIdleTimeout,
                format!("the server sent nothing about the turn for {seconds} s"),
            ),
            Self::Tool => (
                ErrorKind::TurnIdleTimeout,
                format!(
                    "the server sent nothing for {seconds} s about a tool that the turn is running"
                ),
            ),
            Self::Approval => (
                ErrorKind::TurnIdleTimeout,
                format!("a permission that the turn needs was left undecided for {seconds} s"),
            ),
        };
        Error::new(kind, message)
    }

    fn length(self, options: &TurnOptions) -> f64 {
        options.limit(self).unwrap_or_default().as_secs_f64()
    }
}

/// The turn was told to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub(crate) cause: Cause,
    /// When to give up waiting for the end.
    pub(crate) until: Duration,
    /// The stop was sent while the input was still queued.
    pub(crate) removing: bool,
    /// The stop was sent while the turn was running.
    pub(crate) aborting: bool,
}

impl Stop {
    /// The time up to which one waits that nobody waits for.
    pub(crate) const NEVER: Duration = Duration::MAX;

    /// Whether the server was told. Of a turn that is only left over there is nothing to tell.
    pub(crate) fn is_sent(&self) -> bool {
        self.removing || self.aborting
    }

    /// Whether there is something to stop, or was: not where a turn is only left over.
    pub(crate) fn is_meant(&self) -> bool {
        self.until != Self::NEVER
    }
}

/// What ended a turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    pub(crate) by: Option<CompletedBy>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) turn_id: Option<String>,
    pub(crate) frame: Option<Text>,
}

/// One `run_turn` call that has not ended.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent observation")]
pub(crate) struct Turn {
    pub(crate) token: Token,
    pub(crate) client_ids: Vec<String>,
    pub(crate) options: TurnOptions,
    /// The frame.
    pub(crate) input: Text,
    /// What it says of the tools of its turn, once that was asked for.
    tools: OnceLock<String>,
    pub(crate) phase: Phase,
    /// `input_accepted` came: the server will send `turn_finished`.
    pub(crate) acked: bool,
    pub(crate) disposition: Option<String>,
    /// The server may take longer to show a sign of the input: nothing at all comes on the connection.
    pub(crate) more_time: bool,
    /// The runtime was at work when the input was sent, so the queue must list it first.
    pub(crate) busy: bool,
    /// Another input of ours was on its way when it was sent.
    pub(crate) behind: bool,
    /// The id of our entry in the server's queue, once it was listed.
    pub(crate) queue_item: Option<String>,
    /// The queue's last snapshot listed us.
    pub(crate) listed: bool,
    /// Some queued input was echoed since the last snapshot that listed us.
    pub(crate) echoed: bool,
    /// That the turn is ours was guessed, and can still turn out to be wrong.
    pub(crate) inferred: bool,
    /// How many runs had been seen when the input was sent.
    pub(crate) seen_at_send: u64,
    /// The run that was under way when the input joined a running turn.
    pub(crate) joined: Option<Arc<str>>,
    /// Why the input seems to be invalid, and until when the server may prove the opposite.
    pub(crate) refusal: Option<(String, Text, Duration)>,
    /// How many runs had been seen when the turn became ours: later ones are its own.
    pub(crate) ours_at: u64,
    pub(crate) runs: Vec<Arc<str>>,
    /// How many of them the follower was told of.
    pub(crate) announced: usize,
    /// The place in the queue the follower was told of.
    pub(crate) position: Option<usize>,
    pub(crate) merged: Vec<String>,
    pub(crate) ending: Option<Ending>,
    /// The mark of an abort came; the end should follow by this time.
    pub(crate) interrupted: Option<(Text, Duration)>,
    pub(crate) stop: Option<Stop>,
    pub(crate) sent_at: Duration,
    /// When it was sent for the first time, where that was on an earlier connection.
    pub(crate) first_sent: Option<Duration>,
    pub(crate) delivery: InputDelivery,
    /// It began on a connection that was lost, and goes on.
    pub(crate) resumed: Option<Box<Cut>>,
    /// A loop status came since the server said `started`.
    pub(crate) status_seen: bool,
    /// The server seems to have lost sight of it (section 18).
    pub(crate) detached: bool,
    /// Its runs have shown that it has.
    pub(crate) proved_lost: bool,
    /// Nobody waits for it any more; see `leftover.rs`.
    pub(crate) left_over: bool,
    /// When the runtime was first heard of after that.
    pub(crate) alive_at: Option<Duration>,
    /// Its caller has let go of it, and is still told when it is over.
    pub(crate) owes_end: bool,
}

impl Turn {
    pub(crate) fn new(
        token: Token,
        client_ids: Vec<String>,
        options: TurnOptions,
        input: Text,
        now: Duration,
    ) -> Self {
        Self {
            token,
            client_ids,
            options,
            input,
            tools: OnceLock::new(),
            phase: Phase::Held,
            acked: false,
            disposition: None,
            more_time: false,
            busy: false,
            behind: false,
            queue_item: None,
            listed: false,
            echoed: false,
            inferred: false,
            seen_at_send: 0,
            joined: None,
            refusal: None,
            ours_at: 0,
            runs: Vec::new(),
            announced: 0,
            position: None,
            merged: Vec::new(),
            ending: None,
            interrupted: None,
            stop: None,
            sent_at: now,
            first_sent: None,
            delivery: InputDelivery::Sent,
            resumed: None,
            status_seen: false,
            detached: false,
            proved_lost: false,
            left_over: false,
            alive_at: None,
            owes_end: false,
        }
    }

    /// A result of which nothing is missing in the middle. What a turn has said on the connection on which it
    /// goes on does not count where nobody has read what it said in between.
    pub(crate) fn without_gap(&self, result: TurnResult) -> TurnResult {
        let Some(cut) = &self.resumed else { return result };
        let result = result.with_before(&cut.partial);
        let TurnResult { text, runs, tool_calls, messages, .. } = cut.partial.clone();
        TurnResult { text, runs, tool_calls, messages, ..result }
    }

    /// What the input says of the tools of its turn; see [`tools_of`].
    pub(crate) fn tools(&self) -> &str {
        self.tools.get_or_init(|| tools_of(&self.input))
    }

    pub(crate) fn has_client_id(&self, id: &str) -> bool {
        self.client_ids.iter().any(|own| own == id)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.phase == Phase::Ours
    }

    /// Whether it is to stop, and what stops it where it stands has not been sent.
    pub(crate) fn is_to_be_stopped(&self) -> bool {
        let sent = |stop: &Stop| if self.is_ours() { stop.aborting } else { stop.is_sent() };
        self.stop.as_ref().is_some_and(|stop| !sent(stop))
    }

    pub(crate) fn owns_run(&self, id: &str) -> bool {
        self.runs.iter().any(|run| **run == *id)
    }

    pub(crate) fn add_run(&mut self, id: &str) {
        if !self.owns_run(id) {
            self.runs.push(id.into());
        }
    }

    /// The server said that the turn is ours. Runs seen later than the given place are its own.
    pub(crate) fn begin(&mut self, runs_seen: u64) {
        self.inferred = false;
        if self.phase != Phase::Ours {
            self.phase = Phase::Ours;
            self.ours_at = runs_seen;
        }
    }

    /// The input left the queue for a turn: a new one, or the one whose run is under way.
    pub(crate) fn join(&mut self, runs_seen: u64, under_way: Option<&Arc<str>>) {
        if self.phase != Phase::Ours {
            self.joined = under_way.cloned();
        }
        self.begin(runs_seen);
    }

    /// The turn seems to be ours: something began, and nothing else was known to be about to.
    pub(crate) fn begin_inferred(&mut self) {
        self.begin(self.seen_at_send);
        self.inferred = true;
    }

    /// The server says that the input waits in the queue: what seemed to be ours was somebody else's.
    /// Returns the runs that were taken for ours and announced so far.
    pub(crate) fn wait_in_queue(&mut self) -> Vec<Arc<str>> {
        if self.phase != Phase::Sent && !self.inferred {
            return Vec::new();
        }
        self.phase = Phase::Queued;
        self.inferred = false;
        self.ending = None;
        self.interrupted = None;
        let mut runs = std::mem::take(&mut self.runs);
        runs.truncate(std::mem::take(&mut self.announced));
        runs
    }

    /// When the server must have shown a sign of having received the input.
    pub(crate) fn accept_by(&self) -> Duration {
        let times = if self.more_time { 2 } else { 1 };
        let by = self.sent_at.saturating_add(self.options.accept_timeout.saturating_mul(times));
        self.refusal.as_ref().map_or(by, |(_, _, until)| by.min(*until))
    }

    /// When it began, whatever connections it took.
    pub(crate) fn since(&self) -> Duration {
        self.first_sent.unwrap_or(self.sent_at)
    }

    /// When the limit for the whole turn passes.
    pub(crate) fn total_deadline(&self) -> Option<Duration> {
        self.options.timeout.map(|limit| self.since().saturating_add(limit))
    }

    /// What is to be said of the input where the connection was lost and nothing is found out.
    pub(crate) fn unknown_delivery(&self) -> InputDelivery {
        if self.phase == Phase::Held { InputDelivery::Undelivered } else { InputDelivery::Unknown }
    }

    /// Whether the server has shown no sign of having received the input.
    pub(crate) fn unseen(&self) -> bool {
        self.phase == Phase::Sent && !self.acked
    }

    /// When the turn comes to a limit, given when its runtime was last heard of and what it is silent
    /// for since.
    pub(crate) fn deadline(&self, heard: Duration, silent: Limit) -> Option<Duration> {
        if let Some(stop) = self.stop.as_ref().filter(|stop| stop.is_meant()) {
            return Some(stop.until);
        }
        let total = self.total_deadline();
        let limit = self.options.limit(silent);
        let silence = limit.map(|limit| heard.max(self.sent_at).saturating_add(limit));
        let ending = self.ending.as_ref().and_then(|ending| ending.until);
        let interrupted = self.interrupted.as_ref().map(|(_, until)| *until);
        let accepted = self.unseen().then(|| self.accept_by());
        [total, silence, ending, interrupted, accepted].into_iter().flatten().min()
    }

    /// When to look at the turn's limits next: what it is silent for may change before they pass.
    pub(crate) fn look_at(&self, deadline: Option<Duration>, now: Duration) -> Option<Duration> {
        let regular = self.options.look_every().map(|every| now.saturating_add(every));
        let unlisted = self.is_unlisted().then(|| match self.accept_by() {
            at if at > now => at,
            _ => now.saturating_add(self.options.accept_timeout),
        });
        deadline.into_iter().chain(regular).chain(unlisted).min()
    }

    /// Whether the server has said that the input is queued, and has not listed it.
    pub(crate) fn is_unlisted(&self) -> bool {
        self.acked && self.phase == Phase::Queued && self.queue_item.is_none()
    }
}
