//! The directory a conversation works in: what is asked for, and what the server says of it.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::Session;
use crate::background;
use crate::engine::{DirectoryChange, normalized};
use crate::error::{Error, ErrorKind};
use crate::events::{MessageFilter, Messages};

impl Session {
    /// Changes the directory: `change_device_state`, and waits until the server shows it; where it does not, it is asked
    /// (`sync`) 250 ms after it has handled the change, or 2 s after that was sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`] when the server has kept another one; otherwise see [`Client`](crate::Client).
    pub async fn set_cwd(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let wanted = absolute(path.as_ref())?;
        let mut statuses = self.statuses(&["update_device_status", "update_loop_status"]);
        self.change(&json!({ "cwd": wanted }))?;
        let shown = shown(&mut statuses, &wanted).await;
        let cwd = if shown.is_some() { shown } else { self.directory().await? };
        self.settle_in(cwd, &wanted);
        if self.cwd_ignored {
            let kept = self.cwd.as_deref().unwrap_or_default();
            let message = format!("the server has no directory {wanted:?} and stays in {kept:?}");
            return Err(Error::new(ErrorKind::Request, message));
        }
        Ok(())
    }

    /// What the server says of the directory it was asked for.
    pub(crate) fn settle_in(&mut self, cwd: Option<String>, wanted: &str) {
        self.cwd_ignored = cwd.as_deref().is_some_and(|cwd| !same(cwd, wanted));
        self.cwd = cwd;
    }

    /// The directory of the conversation, from a snapshot; `None` where the server does not say.
    pub(crate) async fn directory(&self) -> Result<Option<String>, Error> {
        let mut statuses = self.statuses(&["update_device_status"]);
        // The snapshot comes before the answer (section 16).
        let fields = json!({
            "runtime": self.runtime, "recover_approvals": false, "force_device_status": true,
        });
        self.client.sync(fields).await?;
        let mut cwd = None;
        while let Some(message) = statuses.next_waiting() {
            let status = &message.json()["device_status"];
            cwd = status["current_working_directory"].as_str().map(str::to_owned).or(cwd);
        }
        Ok(cwd)
    }

    fn statuses(&self, types: &[&str]) -> Messages {
        let filter = MessageFilter::all().types(types.iter().copied());
        self.client.messages(filter.runtime(self.agent_id(), self.conversation_id()))
    }
}

/// Waits until the server shows the directory, if it does.
async fn shown(statuses: &mut Messages, wanted: &str) -> Option<String> {
    let (mut change, sent) = (DirectoryChange::default(), Instant::now());
    loop {
        let left = change.until().saturating_sub(sent.elapsed());
        let message = tokio::select! {
            message = statuses.next() => message?,
            _ = background::after(left) => return None,
        };
        let cwd = change.frame(sent.elapsed(), message.text());
        if cwd.as_deref().is_some_and(|cwd| same(cwd, wanted)) {
            return cwd;
        }
    }
}

/// A path the server understands, as it would show it.
pub(super) fn absolute(path: &Path) -> Result<String, Error> {
    if let Some(path) = path.to_str().filter(|path| is_elsewhere(path)) {
        return Ok(path.to_owned());
    }
    let invalid = |what: String| Error::new(ErrorKind::InvalidOption, format!("cwd: {what}"));
    let absolute = std::path::absolute(path).map_err(|error| invalid(error.to_string()))?;
    let text = normalized(&absolute).into_os_string().into_string().ok();
    text.ok_or_else(|| invalid(format!("expected a path of Unicode text, got {}", path.display())))
}

/// Whether a path begins at a root of another system, as that of a server in a WSL does for Windows: here it would be made
/// part of something else.
fn is_elsewhere(path: &str) -> bool {
    if cfg!(windows) {
        path.starts_with('/') && !path.starts_with("//")
    } else {
        matches!(path.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
    }
}

/// Whether two paths are one directory, as far as can be seen from here: the server reports it without
/// symbolic links.
fn same(reported: &str, wanted: &str) -> bool {
    let (reported, wanted) = (normalized(Path::new(reported)), Path::new(wanted));
    reported == normalized(wanted)
        || std::fs::canonicalize(wanted).is_ok_and(|real| real == reported)
}
