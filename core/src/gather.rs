//! Turns that were sent already, waited for together.

use futures_util::stream::FuturesUnordered;

use crate::batch::{Batch, BatchItem, Progress, checked, collected};
use crate::engine::TurnResult;
use crate::error::Error;
use crate::turn::{Asked, Turn};

/// Waits for turns that were sent with [`crate::Session::send`] or [`crate::Client::send_turn`], in any
/// conversations, of any clients. Resolves when the last one has ended, with one item for each in their order,
/// as [`crate::map`] does: a turn that fails is an item with an error, and does not hold up the others (see
/// [`gather_checked`]). Sends nothing.
///
/// Their events are not kept. A permission that is asked of a turn's follower meanwhile is denied, because
/// there is none; a session's policy is asked as ever.
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
/// # use letta_app_client::{Client, ConnectOptions, SessionOptions};
/// use letta_app_client::gather;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let turns = vec![ScriptedTurn::text(["It is fine."])];
/// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// # let here = client.session(SessionOptions::agent("agent-1")).await?;
/// # let there = client.session(SessionOptions::agent("agent-2")).await?;
/// let batch = gather([here.send("Check the tests.")?, there.send("Check the docs.")?]).await;
/// for item in &batch.items {
///     match &item.result {
///         Ok(result) => println!("{}: {}", item.agent_id, result.text),
///         Err(error) => println!("{}: {error}", item.agent_id),
///     }
/// }
/// # assert!(batch.items.iter().all(|item| item.result.as_ref().unwrap().text == "It is fine."));
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future stops the turns that have not ended.
pub async fn gather(turns: impl IntoIterator<Item = Turn>) -> Batch {
    gather_with(turns, |_| {}).await
}

/// [`gather`] with a function that is told of each turn that is over, in the order in which they are. It runs in
/// the same task; what takes long in it holds up the others.
///
/// # Cancel safety
///
/// As [`gather`].
pub async fn gather_with(
    turns: impl IntoIterator<Item = Turn>,
    progress: impl FnMut(Progress<'_>),
) -> Batch {
    let running = running(turns);
    let total = running.len();
    collected(running, total, progress).await
}

/// [`gather_with`], where the first turn that fails stops the others: what was sent is of use only as a whole.
///
/// # Errors
///
/// What [`crate::Session::run`] gives of the first turn to fail.
///
/// # Cancel safety
///
/// As [`gather`].
pub async fn gather_checked(
    turns: impl IntoIterator<Item = Turn>,
    progress: impl FnMut(Progress<'_>),
) -> Result<Batch, Error> {
    let running = running(turns);
    let total = running.len();
    checked(running, total, progress).await
}

fn running(
    turns: impl IntoIterator<Item = Turn>,
) -> FuturesUnordered<impl Future<Output = (usize, BatchItem)>> {
    let ended = |(index, turn)| async move { (index, ended(turn).await) };
    turns.into_iter().enumerate().map(ended).collect()
}

async fn ended(mut turn: Turn) -> BatchItem {
    // Taken, so that nothing piles up; and asked, so that nobody waits for an answer for ever.
    while turn.next().await.is_some() {}
    let result = turn.result().await.and_then(TurnResult::checked);
    let Asked { agent_id, prompt } = turn.asked.clone();
    BatchItem { prompt, agent_id, result }
}
