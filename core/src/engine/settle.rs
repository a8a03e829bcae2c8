//! The pause in which the server cleans up after a turn: an input that came then would find the runtime half gone
//! (PROTOCOL.md section 18).

use std::time::Duration;

use super::context::Context;
use super::runtime::Runtime;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Settle {
    /// When the pause is over, unless it is so already.
    until: Option<Duration>,
    closing: Closing,
}

/// The frames that tell that the clean-up is over: a queue snapshot, and an idle status right behind it.
#[derive(Debug, Default, PartialEq, Eq)]
enum Closing {
    /// None are known to come.
    #[default]
    Unknown,
    /// They come.
    Awaited,
    /// The last frame of the runtime was the first of the two.
    Half,
}

impl Settle {
    /// When the pause is over.
    pub(crate) fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Whether the pause goes on.
    pub(crate) fn goes_on(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// A frame of the runtime came. The snapshots of a `sync` look like the closing ones, but something stands
    /// between them.
    pub(crate) fn heard(&mut self, kind: &str) {
        if self.closing == Closing::Half && kind != "update_loop_status" {
            self.closing = Closing::Awaited;
        }
    }

    /// A queue snapshot came.
    pub(crate) fn queue_seen(&mut self) {
        if self.closing == Closing::Awaited {
            self.closing = Closing::Half;
        }
    }

    /// An idle status came, or another one.
    pub(crate) fn status_seen(&mut self, idle: bool) {
        match self.closing {
            Closing::Half if idle => *self = Self::default(),
            Closing::Half => self.closing = Closing::Awaited,
            Closing::Awaited | Closing::Unknown => {}
        }
    }

    /// Ends the pause if its time has come.
    pub(crate) fn due(&mut self, now: Duration) {
        if !self.goes_on(now) {
            *self = Self::default();
        }
    }
}

impl Runtime {
    /// Starts the pause in which the server cleans up after a turn.
    pub(crate) fn settle(&mut self, ctx: &mut Context) {
        let until = Some(ctx.now.saturating_add(ctx.settle_pause));
        self.settle = Settle { until, closing: Closing::Unknown };
        self.wake(ctx);
    }

    /// The same for a turn that the server has named. Of those that began in the queue the closing frames come when
    /// the clean-up is over.
    pub(crate) fn settle_after(&mut self, turn_id: Option<&str>, ctx: &mut Context) {
        self.settle(ctx);
        let number = turn_id.and_then(|id| id.strip_prefix("batch-"));
        if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            self.settle.closing = Closing::Awaited;
        }
    }

    /// The pause may be over, or the time for a word on an input.
    pub(crate) fn settle_due(&mut self, ctx: &mut Context) {
        self.settle.due(ctx.now);
        self.unspoken.due(ctx.now);
        self.release(ctx);
        self.wake(ctx);
    }
}
