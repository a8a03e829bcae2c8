//! What happens in a turn, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, FusedStream, Stream};

use crate::error::Error;
use crate::turn::{Turn, TurnUpdate};

/// The updates of a turn, from [`Turn::updates`]. Dropping it before the end stops the turn on the server.
///
/// Its last item says how the turn ended: [`TurnUpdate::Finished`], or the error that [`Turn::result`] would give. It
/// can be polled after that, and has nothing more.
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
/// # use letta_app_client::{Client, ConnectOptions, SessionOptions};
/// use futures_util::TryStreamExt;
/// use letta_app_client::{TurnEvent, TurnUpdate};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let turns = vec![ScriptedTurn::text(["All ", "pass."])];
/// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// # let session = client.session(SessionOptions::agent("agent-123")).await?;
/// let mut updates = session.send("Do the tests pass?")?.updates();
/// while let Some(update) = updates.try_next().await? {
///     match update {
///         TurnUpdate::Event(TurnEvent::AssistantDelta { text, .. }) => print!("{text}"),
///         TurnUpdate::Finished(result) => assert_eq!(result.text, "All pass."),
///         _ => {}
///     }
/// }
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the updates of a turn stops it on the server"]
pub struct TurnUpdates {
    /// What is left; nothing once the last item was given.
    left: Option<BoxStream<'static, Result<TurnUpdate, Error>>>,
}

impl TurnUpdates {
    pub(crate) fn new(turn: Turn) -> Self {
        let next = |turn: Option<Turn>| async move {
            let mut turn = turn?;
            match turn.next().await {
                Some(update) => Some((Ok(update), Some(turn))),
                None => Some((Err(turn.failure()?), None)),
            }
        };
        Self { left: Some(Box::pin(stream::unfold(Some(turn), next))) }
    }
}

impl Stream for TurnUpdates {
    type Item = Result<TurnUpdate, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(left) = &mut self.left else { return Poll::Ready(None) };
        let next = left.as_mut().poll_next(context);
        if let Poll::Ready(None) = next {
            self.left = None;
        }
        next
    }
}

impl FusedStream for TurnUpdates {
    fn is_terminated(&self) -> bool {
        self.left.is_none()
    }
}

impl fmt::Debug for TurnUpdates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnUpdates").field("over", &self.left.is_none()).finish_non_exhaustive()
    }
}
