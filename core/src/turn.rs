//! A turn that is under way: followed, awaited, stopped or left alone.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::connection::Connection;
use crate::engine::{Delivery, Token, TurnEvent, TurnResult};
use crate::error::Error;
use crate::events::Inbox;
use crate::router::{Router, gone};

/// One thing a follower of a turn sees.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TurnUpdate {
    /// Something happened.
    Event(TurnEvent),
    /// The follower did not keep up, and this many events before here were dropped. What was said is
    /// in the result all the same.
    Lagged {
        /// How many.
        dropped: u64,
    },
}

/// A turn that was asked for with [`crate::Client::send_turn`].
///
/// Follow it with [`Turn::next`], wait for its end with [`Turn::result`], in any order. Dropping it
/// before its end stops the turn on the server; [`Turn::detach`] lets it go on.
#[derive(Debug)]
pub struct Turn {
    pub(crate) connection: Arc<Connection>,
    pub(crate) router: Router,
    pub(crate) token: Token,
    pub(crate) inbox: Inbox,
    pub(crate) outcome: oneshot::Receiver<Result<TurnResult, Error>>,
    pub(crate) ended: Option<Result<TurnResult, Error>>,
}

impl Turn {
    /// The next event; `None` once the turn is over and every event was seen.
    ///
    /// Events come from the moment the turn was sent, however late this is called first: at most
    /// 65,536 of them or 64 MiB are kept, then the oldest pieces of text go, and
    /// [`TurnUpdate::Lagged`] counts them.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<TurnUpdate> {
        loop {
            match self.inbox.take() {
                Some(Delivery::TurnEvent { event, .. }) => return Some(TurnUpdate::Event(event)),
                Some(Delivery::Lagged { dropped }) => return Some(TurnUpdate::Lagged { dropped }),
                Some(_) => {}
                None if self.ended.is_some() => return None,
                None => {
                    // Events are left before the end, so none is missed when the end is seen first.
                    tokio::select! {
                        biased;
                        outcome = &mut self.outcome => {
                            self.ended = Some(outcome.unwrap_or_else(|_| Err(gone())));
                        }
                        () = self.inbox.ready() => {}
                    }
                }
            }
        }
    }

    /// Waits for the turn's end.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Client::run_turn`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped; it can be called again.
    pub async fn result(&mut self) -> Result<TurnResult, Error> {
        if self.ended.is_none() {
            let outcome = (&mut self.outcome).await;
            self.ended = Some(outcome.unwrap_or_else(|_| Err(gone())));
        }
        self.ended.clone().unwrap_or_else(|| Err(gone()))
    }

    /// Stops the turn on the server, or takes its input out of the queue, and waits for the end, for
    /// `abort_grace` at most. The result's status is then [`crate::TurnStatus::Aborted`], or whatever
    /// the turn had come to by itself.
    ///
    /// # Errors
    ///
    /// Those of [`Turn::result`].
    pub async fn abort(&mut self) -> Result<TurnResult, Error> {
        self.connection.abort_turn(self.token);
        self.result().await
    }

    /// Lets the turn go on without anybody watching.
    pub fn detach(mut self) {
        if self.router.forget(self.token) {
            self.connection.detach_turn(self.token);
        }
        self.ended = Some(Err(gone()));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended.is_none() && self.router.forget(self.token) {
            self.connection.cancel(self.token);
        }
    }
}
