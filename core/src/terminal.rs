//! A terminal on the server (PROTOCOL.md sections 19 and 20).

use std::time::Duration;

use serde_json::Number;
use tokio::sync::oneshot;

use crate::background;
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::events::{MessageFilter, Messages};
use crate::families::Terminals;
use crate::protocol::types::{
    ServerMessage, TerminalInputCommand, TerminalKillCommand, TerminalResizeCommand,
    TerminalSpawnCommand,
};

/// How long output may still come after the exit was told, or after a kill, which tells no exit.
const TAIL: Duration = Duration::from_millis(250);

/// A terminal that runs on the server, from [`Terminals::open`]. Dropping it ends it there.
#[derive(Debug)]
#[must_use = "dropping a terminal ends it on the server"]
pub struct Terminal {
    client: Client,
    id: String,
    messages: Messages,
    exit_code: Option<i64>,
    /// Resolves when no more output is to be waited for; there once the end is near.
    tail: Option<oneshot::Receiver<()>>,
    /// No more output is waited for.
    over: bool,
}

impl Terminals<'_> {
    /// Starts a terminal of a size in characters, in a directory on the server, by default the one the
    /// server runs in. Sends `terminal_spawn`; resolves when it runs.
    ///
    /// # Errors
    ///
    /// Those of [`Client::call`]; [`crate::ErrorKind::Request`] with the reason when it cannot be
    /// started.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the terminal if it has started; so does a time limit that passes.
    pub async fn open(self, cols: u32, rows: u32, cwd: Option<&str>) -> Result<Terminal, Error> {
        let client = self.client().clone();
        let id = client.new_id("terminal");
        let types = ["terminal_output", "terminal_exited"];
        // Before it runs: its first output may come right behind the answer.
        let mut messages = client.messages(MessageFilter::all().types(types));
        messages.of_connection = true;
        let mut command = TerminalSpawnCommand::new(cols, rows, id.clone());
        command.cwd = cwd.map(str::to_owned);
        // Before it is asked for: whoever does not wait any more cannot end what the server starts meanwhile.
        let mut terminal =
            Terminal { client, id, messages, exit_code: None, tail: None, over: false };
        if let Err(error) = self.spawn(command).await {
            // After a time limit it may run; otherwise there is nothing to end.
            terminal.over = error.kind() != ErrorKind::RequestTimeout;
            return Err(error);
        }
        Ok(terminal)
    }
}

impl Terminal {
    /// The next piece of output, with its escape sequences; `None` once the terminal has ended, the
    /// connection was lost, or the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<String> {
        while !self.over {
            let message = match &mut self.tail {
                // Output may be behind the exit on the wire.
                Some(tail) => tokio::select! {
                    biased;
                    message = self.messages.next() => message,
                    _ = tail => None,
                },
                None => self.messages.next().await,
            };
            let Some(message) = message else {
                self.over = true;
                break;
            };
            match message.typed() {
                ServerMessage::TerminalOutput(output) if output.terminal_id == self.id => {
                    return Some(output.data);
                }
                ServerMessage::TerminalExited(exited) if exited.terminal_id == self.id => {
                    self.exit_code = exited.exit_code.as_i64();
                    self.tail.get_or_insert_with(|| background::after(TAIL));
                }
                _ => {}
            }
        }
        None
    }

    /// The exit code, once [`Terminal::next`] has seen it; a killed terminal has none.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        self.exit_code
    }

    /// How many frames went because [`Terminal::next`] was not called for too long, the oldest first: at most 65,536 of
    /// them or 64 MiB wait. With several terminals it may count another's. [`Terminal::next`] finds out, as
    /// [`Messages::dropped`] does.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.messages.dropped()
    }

    /// Types text: `terminal_input`.
    ///
    /// # Errors
    ///
    /// Those of [`Client::tell`].
    pub fn write(&self, text: impl Into<String>) -> Result<(), Error> {
        self.client.tell(&TerminalInputCommand::new(text, self.id.clone()))
    }

    /// Changes the size: `terminal_resize`.
    ///
    /// # Errors
    ///
    /// Those of [`Client::tell`].
    pub fn resize(&self, cols: u32, rows: u32) -> Result<(), Error> {
        let (cols, rows) = (Number::from(cols), Number::from(rows));
        self.client.tell(&TerminalResizeCommand::new(cols, rows, self.id.clone()))
    }

    /// Ends the terminal: `terminal_kill`. The exit is not reported then.
    ///
    /// # Errors
    ///
    /// Those of [`Client::tell`].
    pub fn kill(&mut self) -> Result<(), Error> {
        self.tail.get_or_insert_with(|| background::after(TAIL));
        self.client.tell(&TerminalKillCommand::new(self.id.clone()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.tail.is_none() && !self.over {
            // Without a connection it has ended anyway.
            self.kill().unwrap_or_default();
        }
    }
}
