//! What a handle may read while the driver works: the state, the server's description, counters.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Counters, Ids};
use crate::protocol::version::Version;

/// How a client stands to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Built, not connected yet.
    New,
    /// Connecting.
    Connecting,
    /// Connected.
    Open,
    /// The connection could not be opened, or was lost.
    Disconnected,
    /// Closed by its owner; it cannot be used again.
    Closed,
}

impl State {
    const ALL: [Self; 5] =
        [Self::New, Self::Connecting, Self::Open, Self::Disconnected, Self::Closed];

    /// The name of the state in all three languages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Disconnected => "disconnected",
            Self::Closed => "closed",
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ids: Arc<Ids>,
    state: AtomicU8,
    split: AtomicBool,
    info: Mutex<Option<String>>,
    newest: Mutex<Option<Version>>,
    frames: AtomicU64,
    bytes: AtomicU64,
    malformed: AtomicU64,
    degraded: AtomicU64,
}

impl Shared {
    pub(crate) fn new(ids: Ids) -> Self {
        Self {
            ids: Arc::new(ids),
            state: AtomicU8::new(State::New as u8),
            split: AtomicBool::new(false),
            info: Mutex::new(None),
            newest: Mutex::new(None),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            degraded: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> State {
        let index = usize::from(self.state.load(Ordering::Acquire));
        State::ALL.get(index).copied().unwrap_or(State::Closed)
    }

    /// Sets the state; a closed client stays closed.
    pub(crate) fn set_state(&self, state: State) {
        let closed = State::Closed as u8;
        let step = |old: u8| (old != closed).then_some(state as u8);
        // Refused only when it is closed, which is what was wanted.
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).unwrap_or_default();
    }

    pub(crate) fn connected(&self, info: Option<String>, split: bool, newest: Option<Version>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = info;
        self.split.store(split, Ordering::Release);
        self.set_state(State::Open);
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
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            degraded: self.degraded.load(Ordering::Relaxed),
        }
    }
}
