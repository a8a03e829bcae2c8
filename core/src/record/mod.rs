//! Recordings of a client's own traffic: every frame both ways, in the line format of the recordings that the
//! tests play (`protocol/traces/README.md`).
//!
//! The sockets only hand over what they have sent and received ([`Tap`]); a thread of the recording's own
//! ([`RecordWriter`]) takes out what must not be kept, and writes. When it does not keep up, lines are left out
//! and counted: the sockets never wait for a disk.

mod file;
mod options;
mod redact;
mod tap;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
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
    entries: SyncSender<Entry>,
    books: Arc<Books>,
}

/// What the sockets and the writer both count.
#[derive(Debug, Default)]
struct Books {
    connections: AtomicU64,
    waiting_bytes: AtomicUsize,
    /// Lines that are not in the file, all in all.
    lost: AtomicU64,
    ended: AtomicBool,
    over: Notify,
}

impl Books {
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
        let (entries, inbox) = sync_channel(WAITING_LINES);
        let books = Arc::new(Books::default());
        let writer = RecordWriter::open(options, secrets, inbox, Arc::clone(&books));
        let writer = writer.map_err(|error| {
            let message = format!("record: cannot write {}: {error}", options.path.display());
            Error::new(ErrorKind::InvalidOption, message)
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
        let bytes = entry.bytes();
        let waiting = self.books.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting > WAITING_BYTES || self.entries.try_send(entry).is_err() {
            self.books.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
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
