//! What can be done about a turn from elsewhere than where it is followed.

use std::sync::{Arc, Weak};

use crate::connection::Connection;
use crate::engine::{Token, TurnReport};

/// A stop button for a turn, and a look at how it stands, from [`Turn::handle`](crate::Turn::handle): for another task
/// than the one that follows the turn. To be cloned at will; it keeps neither the turn nor its client alive.
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
/// # use letta_app_client::{Client, ConnectOptions, SessionOptions};
/// use letta_app_client::TurnStatus;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let endless = ScriptedTurn { hang: true, ..ScriptedTurn::text(["on and on"]) };
/// # let server = MockServer::scripted(ScriptOptions { turns: vec![endless], ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// # let session = client.session(SessionOptions::agent("agent-123")).await?;
/// let mut turn = session.send("Tell me a story.")?;
/// let button = turn.handle();
/// while let Some(text) = turn.next_text().await {
///     print!("{text}");
///     button.abort(); // From wherever the button is.
/// }
/// assert_eq!(turn.result().await?.status, Some(TurnStatus::Aborted));
/// assert!(button.report().is_none());
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TurnHandle {
    connection: Weak<Connection>,
    token: Token,
}

impl TurnHandle {
    pub(crate) fn new(connection: &Arc<Connection>, token: Token) -> Self {
        Self { connection: Arc::downgrade(connection), token }
    }

    /// Stops the turn on the server, or takes its input out of the queue, as [`Turn::abort`](crate::Turn::abort) does.
    /// Does not wait: whoever follows the turn sees the end. Nothing happens when it has ended, or was detached.
    pub fn abort(&self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.abort_turn(self.token);
        }
    }

    /// How the turn stands, as [`Turn::report`](crate::Turn::report) says; `None` when it has ended. Takes a few
    /// microseconds, for which it blocks.
    #[must_use]
    pub fn report(&self) -> Option<TurnReport> {
        self.connection.upgrade()?.turn_report(self.token)
    }
}
