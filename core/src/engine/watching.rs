//! Who watches which file (PROTOCOL.md section 20.5). The server counts the watches of a connection. It may lose count of
//! those that come at once, and forgets a file that goes away: so a second one is told of unless it is a moment behind
//! the first, and all are taken back together, when the last who watches leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Engine;
use crate::protocol::Text;
use crate::protocol::envelope::Envelope;
use crate::protocol::raw::RawObject;

const WATCH: &str = "watch_file";
const UNWATCH: &str = "unwatch_file";

/// For so long the server may still be at work on a watch.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

/// How a file is watched.
#[derive(Debug, Default)]
struct Watched {
    /// By how many here.
    readers: usize,
    /// How often this connection's server was told.
    told: usize,
    /// When it was told last.
    at: Duration,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Watching(BTreeMap<String, Watched>);

impl Watching {
    /// One more watches a file. Says whether the server is to be told, where that need not be.
    fn begin(&mut self, path: String, is_needed: bool, is_open: bool, now: Duration) -> bool {
        let watched = self.0.entry(path).or_default();
        watched.readers += 1;
        let is_told = watched.told > 0 && now.saturating_sub(watched.at) < AT_ONCE && !is_needed;
        if is_open && !is_told {
            watched.told += 1;
            watched.at = now;
        }
        !is_told
    }

    /// One watches a file no more, and maybe sends that. Says how often the server is to be told besides.
    fn end(&mut self, path: &str, is_sent: bool) -> usize {
        let Some(watched) = self.0.get_mut(path) else { return 0 };
        watched.told = watched.told.saturating_sub(is_sent.into());
        watched.readers -= 1;
        if watched.readers > 0 {
            return 0;
        }
        self.0.remove(path).map_or(0, |watched| watched.told)
    }

    /// The connection is gone.
    pub(crate) fn lost(&mut self, will_reconnect: bool) {
        self.0.retain(|_, watched| {
            watched.told = 0;
            will_reconnect
        });
    }

    /// What is to be watched on the next one.
    fn again(&mut self, now: Duration) -> impl Iterator<Item = &String> {
        self.0.iter_mut().map(move |(path, watched)| {
            (watched.told, watched.at) = (1, now);
            path
        })
    }
}

impl Engine {
    /// Takes note of a command of the program's own that has no runtime, which is sent as it is. Says whether it is one of
    /// these.
    pub(super) fn note_watch(&mut self, text: &Text) -> bool {
        let Ok(kind) = Envelope::read(text).map(|frame| frame.kind) else { return false };
        if !matches!(&*kind, WATCH | UNWATCH) {
            return false;
        }
        if let Some(path) = RawObject::parse(text).ok().and_then(|frame| frame.get_str("path")) {
            if kind == WATCH {
                self.watching.begin(path, true, self.link.is_open(), self.ctx.now);
            } else {
                self.leave(&path, true);
            }
        }
        true
    }

    /// Somebody watches a file.
    pub(super) fn watch(&mut self, path: String, text: Text) {
        let is_open = self.link.is_open();
        if self.watching.begin(path, false, is_open, self.ctx.now) && is_open {
            self.ctx.transmit.push_back(text.into());
        }
    }

    /// Somebody watches a file no more.
    pub(super) fn unwatch(&mut self, path: &str) {
        self.leave(path, false);
    }

    fn leave(&mut self, path: &str, is_sent: bool) {
        for _ in 0..self.watching.end(path, is_sent) {
            self.tell_of_file(UNWATCH, path);
        }
    }

    /// There is another connection.
    pub(super) fn watch_again(&mut self) {
        let paths: Vec<_> = self.watching.again(self.ctx.now).cloned().collect();
        for path in paths {
            self.tell_of_file(WATCH, &path);
        }
    }

    fn tell_of_file(&mut self, kind: &str, path: &str) {
        let id = self.ctx.ids.next(&kind.replace('_', "-"));
        self.ctx.send_own(json!({ "type": kind, "request_id": id, "path": path }).to_string());
    }
}
