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
const AT_ONCE: Duration = Duration::from_secs(1);

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
    /// One more watches a file. Says whether the server is to be told.
    fn begin(&mut self, path: String, is_open: bool, now: Duration) -> bool {
        let watched = self.0.entry(path).or_default();
        watched.readers += 1;
        let is_told = watched.told > 0 && now.saturating_sub(watched.at) < AT_ONCE;
        if is_open && !is_told {
            watched.told += 1;
            watched.at = now;
        }
        !is_told
    }

    /// One watches a file no more. Says how often the server is to be told; `None` where nobody is known to.
    fn end(&mut self, path: &str) -> Option<usize> {
        let watched = self.0.get_mut(path)?;
        watched.readers -= 1;
        if watched.readers > 0 {
            return Some(0);
        }
        self.0.remove(path).map(|watched| watched.told)
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
    /// Takes note of a command that has no runtime. Says whether it is to be sent as it is, if it is one of these.
    pub(super) fn note_watch(&mut self, text: &Text) -> Option<bool> {
        let kind = Envelope::read(text).ok()?.kind;
        if !matches!(&*kind, WATCH | UNWATCH) {
            return None;
        }
        let path = RawObject::parse(text).ok()?.get_str("path")?;
        if kind == WATCH {
            return Some(self.watching.begin(path, self.link.is_open(), self.ctx.now));
        }
        // What nobody is known to watch is for the server to know.
        let told = self.watching.end(&path).unwrap_or(1);
        for _ in 1..told {
            self.tell_of_file(UNWATCH, &path);
        }
        Some(told > 0)
    }

    /// Somebody watches a file no more.
    pub(super) fn unwatch(&mut self, path: &str) {
        for _ in 0..self.watching.end(path).unwrap_or_default() {
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
