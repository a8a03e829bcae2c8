//! The turns of a session: which are open, and what those that have ended used.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::engine::{Token, TurnResult, Usage};

/// Shared by a session and by whoever sees its turns end, also where nobody waits for them any more.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    /// Those that have not ended, as far as is known here.
    open: HashSet<Token>,
    usage: Usage,
}

impl Tally {
    fn with<T>(&self, act: impl FnOnce(&mut Turns) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn sent(&self, token: Token) {
        self.with(|turns| turns.open.insert(token));
    }

    /// A turn has ended, or nothing is heard of it any more.
    pub(crate) fn ended(&self, token: Token, result: Option<&TurnResult>) {
        self.with(|turns| {
            if let Some(result) = result {
                turns.usage.merge(result.counted());
            }
            turns.open.remove(&token);
        });
    }

    pub(crate) fn usage(&self) -> Usage {
        self.with(|turns| turns.usage)
    }

    pub(crate) fn open(&self) -> Vec<Token> {
        self.with(|turns| turns.open.iter().copied().collect())
    }
}
