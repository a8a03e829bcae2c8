//! What many turns came to.

use std::future::ready;
use std::pin::pin;

use futures_util::stream::{Stream, StreamExt};

use crate::engine::{TurnResult, Usage};
use crate::error::Error;
use crate::session::Prompt;

/// What many prompts came to: of [`crate::map`] and of [`crate::gather`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// One for each prompt, in their order.
    pub items: Vec<BatchItem>,
    /// The token counts of all turns, those that failed included. What turns share counts once.
    pub usage: Usage,
}

/// One prompt of a [`Batch`], and what it came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BatchItem {
    /// What was said.
    pub prompt: Prompt,
    /// Who was asked.
    pub agent_id: String,
    /// What [`crate::Session::run`] gives: a turn that the agent did not end itself is an error, in which
    /// its result is. A turn of [`crate::gather`] that [`crate::Session::close`] has stopped is one, too.
    pub result: Result<TurnResult, Error>,
}

/// One prompt that is done.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Which of the prompts, counted from 0.
    pub index: usize,
    /// How many are done, this one included.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// What it came to.
    pub item: &'a BatchItem,
}

/// Waits for all, tells of each, and brings them into their order.
pub(crate) async fn collected(
    running: impl Stream<Item = (usize, BatchItem)>,
    total: usize,
    mut tell: impl FnMut(Progress<'_>),
) -> Batch {
    let mut running = pin!(running);
    let mut usage = Usage::default();
    let mut items = Vec::with_capacity(total);
    while let Some((index, item)) = running.next().await {
        let result = &item.result;
        if let Some(turn) = result.as_ref().ok().or_else(|| result.as_ref().err()?.result()) {
            usage.merge(turn.counted());
        }
        tell(Progress { index, done: items.len() + 1, total, item: &item });
        items.push((index, item));
    }
    // They were pushed as they were done.
    items.sort_unstable_by_key(|(index, _)| *index);
    Batch { items: items.into_iter().map(|(_, item)| item).collect(), usage }
}

/// [`collected`], up to the first that fails, whose error it gives. The others are dropped then, which stops them.
pub(crate) async fn checked(
    running: impl Stream<Item = (usize, BatchItem)>,
    total: usize,
    tell: impl FnMut(Progress<'_>),
) -> Result<Batch, Error> {
    let mut failed = None;
    let running = running.take_while(|(_, item)| {
        failed = item.result.as_ref().err().cloned();
        ready(failed.is_none())
    });
    let batch = collected(running, total, tell).await;
    failed.map_or(Ok(batch), Err)
}
