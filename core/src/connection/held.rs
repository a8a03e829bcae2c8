//! What sessions have for as long as they are there: their runtime, its tools and its mode, and watched files.

use super::Connection;
use crate::check::Check;
use crate::engine::{Command, registration};
use crate::error::Error;
use crate::prepare::Prepared;
use crate::protocol::Text;
use crate::protocol::raw::RawObject;

impl Connection {
    /// Somebody holds a runtime (agent, conversation), or lets go of it: each holder once. After the last one the
    /// runtime is not started again when a lost connection is opened (PROTOCOL.md section 16), until a command
    /// names it. `opening` is the `request_id` of the session's start ([`Check::Opening`]): when it lets go of what
    /// others hold, and had external tools, theirs are registered again. Otherwise nothing is sent.
    pub fn hold_runtime(&self, runtime: (String, String), opening: String, held: bool) {
        self.command_if_possible(Command::HoldRuntime { runtime, opening, held });
    }

    /// Somebody offers external tools in a runtime (agent, conversation) for a while, beside those of its sessions: to
    /// be followed by a command with [`Check::Offer`], as when they go with an empty list. With `None` they go, and what is
    /// left is registered at once.
    pub fn offer_tools(&self, runtime: (String, String), owner: String, groups: Option<String>) {
        self.command_if_possible(Command::OfferTools { runtime, owner, groups });
    }

    /// The permission mode of a runtime (agent, conversation) that a session holds, as far as this client has set it.
    #[must_use]
    pub fn mode_of(&self, runtime: &(String, String)) -> Option<String> {
        self.shared.modes.of(runtime)
    }

    /// Somebody watches a file (PROTOCOL.md section 20.5), until [`Connection::unwatch_file`]. Sends the `watch_file` that is
    /// given, unless one of the same file was sent a moment ago. Returns the frame.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`].
    pub fn watch_file(&self, command: &str) -> Result<Text, Error> {
        let Prepared { text, .. } = self.prepare(command, Check::Documented(&[]), false)?;
        let path = RawObject::parse(&text).ok().and_then(|frame| frame.get_str("path"));
        // It is a string: that was checked.
        let path = path.unwrap_or_default();
        self.command(Command::WatchFile { path, text: text.clone() })?;
        Ok(text)
    }

    /// Somebody watches the file no more. Sends `unwatch_file` when nobody else does; without a connection it is not
    /// watched on the next one.
    pub fn unwatch_file(&self, path: String) {
        self.command_if_possible(Command::UnwatchFile { path });
    }

    /// The command that gives a runtime, agent and conversation, other external tools, without a `request_id`:
    /// `runtime_external_tools_update`, or `runtime_start` where the server is known to be too old for it, which
    /// replaces them as well and changes nothing else (PROTOCOL.md sections 8 and 14). `groups` is JSON. Nothing is sent.
    #[must_use]
    pub fn registration(&self, runtime: &(String, String), groups: &str) -> String {
        registration(self.shared.newest(), runtime, groups)
    }
}
