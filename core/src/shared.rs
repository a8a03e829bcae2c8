//! What a handle may read while the driver works: the state, the server's description, counters.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Counters, Ids, Modes};
use crate::error::Error;
use crate::protocol::version::Version;
use crate::state::{StandbyState, State};

/// How much may wait for a server that does not read, or for a thread that is not given time: five of the
/// largest messages that a server takes, and more commands than anybody waits for.
pub(crate) const OUTBOX_BYTES: usize = 512 * 1024 * 1024;
pub(crate) const OUTBOX_MESSAGES: usize = 65_536;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ids: Arc<Ids>,
    state: AtomicU8,
    split: AtomicBool,
    /// Of the runtimes that sessions hold.
    pub(crate) modes: Arc<Modes>,
    info: Mutex<Option<String>>,
    newest: Mutex<Option<Version>>,
    frames: AtomicU64,
    bytes: AtomicU64,
    malformed: AtomicU64,
    degraded: AtomicU64,
    repeated: AtomicU64,
    reconnects: AtomicU64,
    restored: AtomicU64,
    restore_failures: AtomicU64,
    unsent: AtomicU64,
    standby: AtomicU8,
    given_up: Mutex<Option<Error>>,
    /// Frames, and bytes of them, that callers have handed over and the driver has not taken.
    handed: AtomicUsize,
    handed_bytes: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(ids: Ids) -> Self {
        Self {
            ids: Arc::new(ids),
            state: AtomicU8::new(State::New as u8),
            split: AtomicBool::new(false),
            modes: Arc::default(),
            info: Mutex::new(None),
            newest: Mutex::new(None),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            degraded: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            restored: AtomicU64::new(0),
            restore_failures: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            standby: AtomicU8::new(StandbyState::Off as u8),
            given_up: Mutex::new(None),
            handed: AtomicUsize::new(0),
            handed_bytes: AtomicUsize::new(0),
        }
    }

    /// A frame is handed over. `false` where so much waits that it is not to be.
    pub(crate) fn hand_over(&self, bytes: usize) -> bool {
        let waiting = self.handed.fetch_add(1, Ordering::Relaxed);
        let waiting_bytes = self.handed_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting < OUTBOX_MESSAGES && waiting_bytes < OUTBOX_BYTES;
        if !fits {
            self.taken_over(bytes);
        }
        fits
    }

    /// The driver has taken it.
    pub(crate) fn taken_over(&self, bytes: usize) {
        self.handed.fetch_sub(1, Ordering::Relaxed);
        self.handed_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> State {
        let index = usize::from(self.state.load(Ordering::Acquire));
        State::ALL.get(index).copied().unwrap_or(State::Closed)
    }

    /// Sets the state; a closed client stays closed. Whether that changed it.
    pub(crate) fn set_state(&self, state: State) -> bool {
        let closed = State::Closed as u8;
        let step = |old: u8| (old != closed).then_some(state as u8);
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step);
        before.is_ok_and(|before| before != state as u8)
    }

    /// Why a lost connection is not opened again by itself, once that is so.
    pub(crate) fn given_up(&self) -> Option<Error> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn give_up(&self, error: Option<Error>) {
        *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// What is known of the server of a connection that is about to be [`State::Open`].
    pub(crate) fn connected(&self, info: Option<String>, split: bool, newest: Option<Version>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = info;
        self.split.store(split, Ordering::Release);
    }

    pub(crate) fn info(&self) -> Option<String> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server is of no later version; `None` when that is not known.
    pub(crate) fn newest(&self) -> Option<Version> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_split(&self) -> bool {
        self.split.load(Ordering::Acquire)
    }

    pub(crate) fn set_counters(&self, counters: Counters) {
        self.frames.store(counters.frames, Ordering::Relaxed);
        self.bytes.store(counters.bytes, Ordering::Relaxed);
        self.malformed.store(counters.malformed, Ordering::Relaxed);
        self.degraded.store(counters.degraded, Ordering::Relaxed);
        self.repeated.store(counters.repeated, Ordering::Relaxed);
        self.reconnects.store(counters.reconnects, Ordering::Relaxed);
        self.restored.store(counters.restored, Ordering::Relaxed);
        self.restore_failures.store(counters.restore_failures, Ordering::Relaxed);
        self.unsent.store(counters.unsent, Ordering::Relaxed);
        self.standby.store(counters.standby as u8, Ordering::Relaxed);
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            degraded: self.degraded.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            restored: self.restored.load(Ordering::Relaxed),
            restore_failures: self.restore_failures.load(Ordering::Relaxed),
            standby: self.standby(),
            unsent: self.unsent.load(Ordering::Relaxed),
            unrecorded: 0,
        }
    }

    fn standby(&self) -> StandbyState {
        let index = usize::from(self.standby.load(Ordering::Relaxed));
        StandbyState::ALL.get(index).copied().unwrap_or_default()
    }
}
