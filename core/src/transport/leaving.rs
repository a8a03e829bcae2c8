//! The end of the process, which waits for no thread: what was handed over a moment before is given a short time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ops::{OpSender, OpTap};

/// How long the drivers are waited for beyond their time, at whose end each says how much is left.
const GRACE: Duration = Duration::from_millis(50);

/// What a driver is asked for; dropping it is the answer.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(super) until: Instant,
    _answer: Sender<()>,
}

impl Leaving {
    pub(super) fn new(until: Instant, answer: Sender<()>) -> Self {
        Self { until, _answer: answer }
    }
}

/// The connections of the process.
struct Every {
    /// Those of a parent are not this process's.
    pid: u32,
    taps: Vec<OpTap>,
}

static EVERY: Mutex<Option<Every>> = Mutex::new(None);

/// What was never sent by connections that have ended without anybody who was told.
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// A connection that [`leave`] is to know of, as long as it is there.
pub(crate) fn enlist(ops: &OpSender) {
    let mut every = EVERY.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    let mut taps = every.take().filter(|every| every.pid == pid).map_or(Vec::new(), |it| it.taps);
    // Looked through once for each doubling.
    if taps.len() == taps.capacity() {
        taps.retain(OpTap::is_there);
    }
    taps.push(ops.tap());
    *every = Some(Every { pid, taps });
}

/// A connection has ended, and nobody who closed it is told of what it has not sent.
pub(super) fn untold(unsent: u64) {
    UNTOLD.fetch_add(unsent, Ordering::Relaxed);
}

/// To be called when the process ends: what was handed to its connections before, and has not left, leaves within the
/// time given. Turns that run are not stopped, and nothing is closed. Returns at once where there is nothing to wait
/// for, and always soon after the time. In a forked child, the connections of the parent do not count.
///
/// Returns how much has not left even so, and is lost when the process ends now. That includes what closed connections
/// have not sent, unless whoever closed them was told ([`Counters::unsent`](crate::engine::Counters::unsent)).
#[must_use]
pub fn leave(limit: Duration) -> u64 {
    let until = Instant::now() + limit;
    // A lock that is held at a fork stays so in the child.
    let taps = match EVERY.try_lock() {
        Ok(every) => match &*every {
            Some(every) if every.pid == std::process::id() => every.taps.clone(),
            _ => return 0,
        },
        Err(_) => return 0,
    };
    leave_all(&taps, until) + UNTOLD.swap(0, Ordering::Relaxed)
}

fn leave_all(taps: &[OpTap], until: Instant) -> u64 {
    let (answer, answers) = channel();
    for tap in taps {
        tap.leave(Leaving::new(until, answer.clone()));
    }
    drop(answer);
    // Nothing is sent: it ends when all have answered.
    let most = (until + GRACE).saturating_duration_since(Instant::now());
    answers.recv_timeout(most).unwrap_or_default();
    taps.iter().map(OpTap::rest).sum()
}
