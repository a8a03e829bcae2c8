//! How long a model that was asked says nothing.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::super::options::ScriptedTurn;

/// Until when the model says nothing since it was asked. A turn that is stopped meanwhile ends no earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Silence {
    /// It speaks, or works on something else.
    #[default]
    Over,
    Until(Instant),
    /// It never answers.
    Endless,
}

impl Silence {
    /// That of a model that is asked now for the answer of a turn.
    pub(super) fn of(turn: &ScriptedTurn) -> Self {
        let deltas = turn.reasoning.len() + turn.text.len();
        let delay = match (turn.spread_ms, u32::try_from(deltas).unwrap_or(u32::MAX)) {
            (_, 0) if turn.hang => return Self::Endless,
            (_, 0) => return Self::Over,
            (Some(spread), deltas) => Duration::from_millis(spread) / deltas,
            (None, _) => Duration::from_millis(turn.delay_ms),
        };
        if delay.is_zero() { Self::Over } else { Self::Until(Instant::now() + delay) }
    }

    pub(super) async fn end(self) {
        match self {
            Self::Over => {}
            Self::Until(time) => sleep_until(time).await,
            Self::Endless => pending().await,
        }
    }
}
