//! What every part of the engine writes to: frames to send, deliveries, timers, and what has been
//! learnt about the server.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::approvals::Approvers;
use super::delivery::{Delivery, Token};
use super::memory::Place;
use super::outgoing::Outgoing;
use super::recovery::Cut;
use super::result::TurnResult;
use super::turn::{End, Turn};
use crate::error::Error;
use crate::protocol::Text;
use crate::room::{FIRST, Room};

/// How far the settle pause grows by itself.
pub(crate) const LONGEST_SETTLE_PAUSE: Duration = Duration::from_secs(2);

/// Makes ids that no other connection uses: a random prefix and a counter.
#[derive(Debug)]
pub struct Ids {
    prefix: String,
    next: AtomicU64,
}

impl Ids {
    /// A new source with a random prefix.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn random() -> Result<Self, Error> {
        crate::random::prefix().map(Self::with_prefix)
    }

    /// A source with a given prefix, for tests.
    #[must_use]
    pub fn with_prefix(prefix: String) -> Self {
        Self { prefix, next: AtomicU64::new(1) }
    }

    /// The next id, readable by its kind: `sync-3f2a…-7`.
    #[must_use]
    pub fn next(&self, kind: &str) -> String {
        self.next_of(kind.chars())
    }

    /// The next id of a command: `agent-list-3f2a…-7`.
    pub(crate) fn next_of_command(&self, kind: &str) -> String {
        self.next_of(kind.chars().map(|letter| if letter == '_' { '-' } else { letter }))
    }

    /// An id of this kind that no other is longer than.
    pub(crate) fn longest(&self, kind: &str) -> String {
        self.numbered(kind.chars(), u64::MAX)
    }

    fn next_of(&self, kind: impl Iterator<Item = char>) -> String {
        self.numbered(kind, self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn numbered(&self, kind: impl Iterator<Item = char>, number: u64) -> String {
        let mut id = String::with_capacity(64);
        id.extend(kind);
        write!(id, "-{}-{number}", self.prefix).unwrap_or_default();
        id
    }
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A request's time limit.
    Request(Token),
    /// Any of a turn's limits.
    Turn(Token),
    /// The settle pause of a runtime (agent, conversation).
    Settle(String, String),
    /// The time limit of an external tool call.
    Tool(String),
    /// The time limit of a command that brings a runtime back after a reconnect.
    Restore(String),
    /// The time limit of a command that subscribes the standby.
    Subscribe(String),
    /// Turns of a runtime (agent, conversation) that are looked for after a reconnect.
    Recover(String, String),
}

/// From so many timers on, those of what has ended are looked for.
const MANY_TIMERS: usize = 256;

/// Timers that are never taken back: whoever set one looks again when it fires.
#[derive(Debug)]
pub(crate) struct Timers {
    set: BinaryHeap<Reverse<(Duration, Timer)>>,
    /// How many there were left when they were last sorted out.
    left: usize,
}

impl Default for Timers {
    fn default() -> Self {
        Self { set: BinaryHeap::with_capacity(FIRST), left: 0 }
    }
}

impl Timers {
    pub(crate) fn set(&mut self, at: Duration, timer: Timer) {
        self.set.push(Reverse((at, timer)));
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.set.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn due(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let due = self.set.pop().map(|Reverse((_, timer))| timer);
        self.set.give_back();
        due
    }

    /// Lets go of those that nobody would look at, once they may be most of all, or where nothing waits: what has
    /// ended long before its limit would stay until then.
    pub(crate) fn sort_out(&mut self, anything_waits: bool, is_wanted: impl Fn(&Timer) -> bool) {
        let many = if anything_waits { 2 * self.left } else { 0 };
        if self.set.len() >= many.max(MANY_TIMERS) {
            self.set.retain(|Reverse((_, timer))| is_wanted(timer));
            self.left = self.set.len();
            self.set.shrink_to(2 * self.left.max(MANY_TIMERS));
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a server has shown that it does; found out by seeing it, not by its version.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Features {
    /// It acknowledges inputs and sends `turn_finished` (0.30.3 and later).
    pub(crate) turn_finished: bool,
    /// It says which client messages a run answers (0.30.28 and later).
    pub(crate) correlation: bool,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Context {
    /// Time since the engine was made.
    pub(crate) now: Duration,
    pub(crate) transmit: VecDeque<Outgoing>,
    pub(crate) deliveries: VecDeque<Delivery>,
    /// The largest frame that may be sent.
    pub(crate) max_bytes: usize,
    /// Whether frames that no call waits for are told of.
    pub(crate) heard: bool,
    /// Turns that have ended since the engine last looked.
    pub(crate) ended: Vec<Token>,
    /// Turns that went on after a reconnect and have ended: what became of them is stored.
    pub(crate) resumed: Vec<(Place, Box<Cut>, End, TurnResult)>,
    pub(crate) timers: Timers,
    pub(crate) ids: Arc<Ids>,
    pub(crate) features: Features,
    pub(crate) approvers: Approvers,
    /// The connection was lost, and what the standby has seen of its end is being read: an input that left
    /// the queue then, left it with the connection.
    pub(crate) switching: bool,
    /// When the last frame came on the connection; `None` where a lost one is not opened again.
    pub(crate) last_frame: Option<Duration>,
    /// The connection was of use: a turn has ended on it, or a request was answered.
    pub(crate) worked: bool,
    /// How many commands that nobody waits for have never left.
    pub(crate) unsent: u64,
    /// How long to wait before an input on a runtime whose turn has just ended (section 18).
    pub(crate) settle_pause: Duration,
}

impl Context {
    /// Sends a frame the user did not ask for word by word.
    pub(crate) fn send_own(&mut self, text: String) {
        let text = Text::from(text);
        self.deliveries.push_back(Delivery::Sent { text: text.clone() });
        self.transmit.push_back(text.into());
    }

    /// A frame of the engine's own, unless it is too large: a server cuts the connection for that.
    pub(crate) fn fits(&self, what: &str, text: String) -> Result<String, String> {
        fits(what, text, self.max_bytes)
    }

    /// Whether nothing at all has come on the connection for the second half of a wait, and another will be
    /// opened if it proves to be dead. A wait that ends may be as long again then: the keep-alive needs 40 s by
    /// default to find that out.
    pub(crate) fn may_be_dead(&self, wait: Duration) -> bool {
        self.last_frame.is_some_and(|at| self.now.saturating_sub(at) >= wait / 2)
    }

    /// The settle pause was too short for this server: an input found the runtime half gone.
    pub(crate) fn lengthen_settle_pause(&mut self) {
        let longer = self.settle_pause.saturating_mul(2).min(LONGEST_SETTLE_PAUSE);
        self.settle_pause = self.settle_pause.max(longer);
    }

    /// A turn has a result, which is an error where it is to be checked and is no good one.
    pub(crate) fn turn_over(&mut self, token: Token, result: TurnResult, check: bool) {
        let checked = if check { result.checked() } else { Ok(result) };
        self.deliveries.push_back(match checked {
            Ok(result) => Delivery::Turn { token, result: Box::new(result) },
            Err(error) => Delivery::Failed { token, error },
        });
    }

    /// A turn is over that nobody waits for; where it was let go of, its caller is told that much.
    pub(crate) fn let_go_over(&mut self, turn: &Turn) {
        if turn.owes_end {
            self.deliveries.push_back(Delivery::Done { token: turn.token });
        }
    }

    pub(crate) fn fail(&mut self, token: Token, error: Error) {
        self.deliveries.push_back(Delivery::Failed { token, error });
    }
}

/// A frame of the engine's own, or how it is too large.
pub(crate) fn fits(what: &str, text: String, max: usize) -> Result<String, String> {
    let size = text.len();
    if size <= max {
        return Ok(text);
    }
    Err(format!("{what} is too large: {size} bytes, {max} allowed"))
}
