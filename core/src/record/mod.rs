//! Recordings of a client's own traffic: every frame both ways, in the line format of the recordings that the
//! tests play (`protocol/traces/README.md`).
//!
//! The sockets only hand over what they have sent and received ([`Tap`]); a thread of the recording's own
//! ([`RecordWriter`]) takes out what must not be kept, and writes. When it does not keep up, lines are left out
//! and counted: the sockets never wait for a disk.

mod file;
mod options;
mod redact;
mod secrets;
mod tap;
mod walk;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub use options::{Direction, RecordOptions};
pub(crate) use tap::Tap;
pub(crate) use writer::Place;
pub use writer::{RecordWriter, RecordedFrame};

use crate::error::{Error, ErrorKind};
use writer::Entry;

/// What waits for the writer: lines, and bytes of frames in them.
pub(crate) const WAITING_LINES: usize = 65_536;
pub(crate) const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// The way in: what sockets hand over.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    begun: Instant,
    entries: Sender<Entry>,
    books: Arc<Books>,
}

/// What the sockets and the writer both count.
#[derive(Debug, Default)]
struct Books {
    connections: AtomicU64,
    waiting_lines: AtomicUsize,
    waiting_bytes: AtomicUsize,
    /// Lines that are not in the file, all in all.
    lost: AtomicU64,
    ended: AtomicBool,
    over: Notify,
}

impl Books {
    /// One more is to wait, if there is room for it.
    fn wait(&self, entry: &Entry) -> bool {
        let lines = self.waiting_lines.fetch_add(1, Ordering::Relaxed);
        let bytes = self.waiting_bytes.fetch_add(entry.bytes(), Ordering::Relaxed);
        lines < WAITING_LINES && bytes <= WAITING_BYTES
    }

    /// It does not wait any more.
    fn take(&self, entry: &Entry) {
        self.waiting_lines.fetch_sub(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(entry.bytes(), Ordering::Relaxed);
    }

    fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Recorder {
    /// Opens the file, and gives the way in and the writer.
    pub(crate) fn open(
        options: &RecordOptions,
        secrets: &[String],
    ) -> Result<(Self, RecordWriter), Error> {
        let (entries, inbox) = channel();
        let books = Arc::new(Books::default());
        let writer = RecordWriter::open(options, secrets, inbox, Arc::clone(&books));
        let writer = writer.map_err(|error| {
            let message = format!("record: cannot write {}: {error}", options.path.display());
            let refused = Error::new(ErrorKind::InvalidOption, message);
            if error.kind() == std::io::ErrorKind::ResourceBusy {
                return refused.with_hint("give each client a file of its own");
            }
            refused
        })?;
        Ok((Self { begun: Instant::now(), entries, books }, writer))
    }

    /// The number of the next connection; attempts count.
    pub(crate) fn connection(&self) -> u64 {
        self.books.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The number of the connection that is there.
    pub(crate) fn latest(&self) -> u64 {
        self.books.connections.load(Ordering::Relaxed)
    }

    /// Lines that are not in the file.
    pub(crate) fn lost(&self) -> u64 {
        self.books.lost.load(Ordering::Relaxed)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn put(&self, entry: Entry) {
        // However much waits, the writer has to come to an end.
        let waits = self.books.wait(&entry) || matches!(entry, Entry::End);
        let refused =
            if waits { self.entries.send(entry).err().map(|error| error.0) } else { Some(entry) };
        if let Some(entry) = refused {
            self.books.take(&entry);
            self.books.lose(1);
        }
    }

    /// Nothing more will come; waits until all of it is written.
    pub(crate) async fn finish(&self, limit: Duration) {
        let over = self.books.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        self.put(Entry::End);
        if !self.books.ended.load(Ordering::Acquire) {
            // A disk that does not take it is left behind, as what is lost is counted.
            tokio::time::timeout(limit, over).await.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping() -> Entry {
        let place = Place { connection: 1, channel: "socket", standby: false };
        Entry::Ping { at: Duration::ZERO, place }
    }

    #[test]
    fn lines_above_the_limit_are_left_out_and_the_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions::new(folder.path().join("full"));
        let begin = || Recorder::open(&options, &[]).unwrap();
        let mut open = None;
        let room = allocation_counter::measure(|| open = Some(begin())).bytes_current;
        assert!(room < 64 * 1024, "{room} bytes are kept for lines to come");
        let (recorder, writer) = open.unwrap();
        (0..WAITING_LINES).for_each(|_| recorder.put(ping()));
        assert_eq!(recorder.lost(), 0);
        recorder.put(ping());
        assert_eq!(recorder.lost(), 1);
        recorder.put(Entry::End);
        writer.run();
        let written = std::fs::read_to_string(&options.path).unwrap();
        assert_eq!(written.matches(r#""event":"ping""#).count(), WAITING_LINES);
        assert_eq!(recorder.books.waiting_lines.load(Ordering::Relaxed), 0);
    }
}
