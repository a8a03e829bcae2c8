//! What a server shows of a change of a conversation's directory: it says that it works on a command, then how the
//! device is or an error, and that it does not work any more (PROTOCOL.md section 12). While a turn runs it says nothing
//! of the kind but how the device is.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to show that it has handled a change; it takes some milliseconds.
pub(crate) const HANDLED: Duration = Duration::from_secs(2);

/// And how long after that the directory may be shown: what was handled may have been a change before this one.
pub(crate) const SHOWN: Duration = Duration::from_millis(250);

/// A path without `.`, without `..` where something is in front of it, and without a slash at its end: by its text alone,
/// so that a symbolic link in front of `..` counts as a directory. The server shows directories in this form.
#[must_use]
pub fn normalized(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match (part, plain.components().next_back()) {
            (Component::ParentDir, Some(Component::Normal(_))) => drop(plain.pop()),
            // There is nothing above the root.
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            _ => plain.push(part),
        }
    }
    if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain }
}

/// The wait for what becomes of a `change_device_state`. Times count from when it was sent.
#[derive(Debug)]
pub struct DirectoryChange {
    is_begun: bool,
    until: Duration,
}

impl Default for DirectoryChange {
    fn default() -> Self {
        Self { is_begun: false, until: HANDLED }
    }
}

impl DirectoryChange {
    /// Takes an `update_device_status` or `update_loop_status` of the conversation, and gives the directory that it
    /// shows. Whether that is the one that was asked for is for whoever knows the file system.
    pub fn frame(&mut self, now: Duration, text: &str) -> Option<String> {
        let frame: Value = serde_json::from_str(text).ok()?;
        match frame["loop_status"]["status"].as_str() {
            // That one may be the change.
            Some("EXECUTING_COMMAND") => (self.is_begun, self.until) = (true, HANDLED),
            Some(_) if self.is_begun => {
                (self.is_begun, self.until) = (false, HANDLED.min(now.saturating_add(SHOWN)));
            }
            _ => {}
        }
        frame["device_status"]["current_working_directory"].as_str().map(str::to_owned)
    }

    /// When it is not worth waiting any more, and the server is to be asked.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn the_wait_is_short_once_a_change_was_handled_and_long_again_with_another() {
        let mut change = DirectoryChange::default();
        let mut seen = |at, status: Value| {
            let loop_status =
                json!({ "type": "update_loop_status", "loop_status": { "status": status } });
            assert_eq!(change.frame(ms(at), &loop_status.to_string()), None);
            change.until()
        };
        assert_eq!(seen(1, json!("WAITING_ON_INPUT")), HANDLED, "nothing was begun");
        assert_eq!(seen(2, json!("EXECUTING_COMMAND")), HANDLED);
        assert_eq!(seen(3, json!("WAITING_ON_INPUT")), ms(253));
        assert_eq!(seen(4, json!(7)), ms(253), "no status");
        assert_eq!(seen(5, json!("EXECUTING_COMMAND")), HANDLED);
        assert_eq!(seen(1900, json!("WAITING_ON_INPUT")), HANDLED, "and never longer");
    }

    #[test]
    #[cfg(unix)]
    fn a_path_is_normalized_by_its_text() {
        for (path, expected) in [
            ("/tmp/x/../y", "/tmp/y"),
            ("/tmp/", "/tmp"),
            ("/tmp/./x//y/", "/tmp/x/y"),
            ("/tmp/x/../..", "/"),
            ("/../..", "/"),
            ("/", "/"),
            ("a/b/../c", "a/c"),
            ("a/..", "."),
            ("../../a", "../../a"),
            ("", "."),
        ] {
            assert_eq!(normalized(Path::new(path)).to_str(), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_directory_is_a_text() {
        let mut change = DirectoryChange::default();
        for (status, expected) in [
            (json!({ "current_working_directory": "/a" }), Some("/a".to_owned())),
            (json!({ "current_working_directory": 7 }), None),
            (json!("odd"), None),
        ] {
            let frame = json!({ "type": "update_device_status", "device_status": status });
            assert_eq!(change.frame(ms(1), &frame.to_string()), expected);
        }
        assert_eq!(change.frame(ms(1), "no JSON"), None);
    }
}
