//! Changes of a file on the server (PROTOCOL.md section 20).

use serde_json::Value;

use crate::client::{Client, command};
use crate::error::Error;
use crate::events::{MessageFilter, Messages};
use crate::families::Files;
use crate::protocol::typed::Command as _;
use crate::protocol::types::{FileChangedMessage, ServerMessage, WatchFileCommand};

/// The changes of one file, from [`Files::changes`]. Dropping it ends the watching.
#[derive(Debug)]
#[must_use = "dropping it ends the watching"]
pub struct FileChanges {
    client: Client,
    path: String,
    messages: Messages,
}

impl Files<'_> {
    /// Watches a file of the server's by its absolute path. Sends `watch_file`, which has no response:
    /// a path that cannot be watched is silent.
    ///
    /// # Errors
    ///
    /// Those of [`Client::tell`].
    pub fn changes(self, path: impl Into<String>) -> Result<FileChanges, Error> {
        let (client, path) = (self.client().clone(), path.into());
        let messages = client.messages(MessageFilter::all().types(["file_changed"]));
        let fields = Value::Object(WatchFileCommand::new(path.clone()).fields());
        let sent =
            client.shared_connection().watch_file(&command(WatchFileCommand::TYPE, fields)?)?;
        client.router.sent(&sent);
        Ok(FileChanges { client, path, messages })
    }
}

impl FileChanges {
    /// The next change; `None` once the client is closed, or the connection was lost and is not opened
    /// again by itself. Otherwise the watching goes on after a reconnect; what changes in between is not
    /// told.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<FileChangedMessage> {
        loop {
            if let ServerMessage::FileChanged(change) = self.messages.next().await?.typed()
                && change.path == self.path
            {
                return Some(*change);
            }
        }
    }

    /// How many changes went because [`FileChanges::next`] was not called for too long, the oldest first: at most 65,536
    /// of them or 64 MiB wait. With several files watched it may count another's.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.messages.dropped()
    }
}

impl Drop for FileChanges {
    fn drop(&mut self) {
        self.client.shared_connection().unwatch_file(std::mem::take(&mut self.path));
    }
}
