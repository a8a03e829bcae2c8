//! Recordings of a client's own traffic: every frame both ways, in the line format of the recordings that the
//! tests play (`protocol/traces/README.md`).
//!
//! The sockets only hand over what they have sent and received ([`Tap`]); a thread of the recording's own
//! ([`RecordWriter`]) takes out what must not be kept, and writes. When it does not keep up, lines are left out
//! and counted: the sockets never wait for a disk.

mod file;
mod losses;
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
#[cfg(test)]
pub(crate) use writer::AGAIN;
pub(crate) use writer::Place;
pub use writer::{RecordWriter, RecordedFrame};

use crate::error::{Error, ErrorKind};
use crate::transport::OpTeller;
use losses::{Loss, Losses};
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
#[derive(Debug)]
struct Books {
    connections: AtomicU64,
    waiting_lines: AtomicUsize,
    waiting_bytes: AtomicUsize,
    /// Lines that are not in the file, all in all, without those that wait.
    lost: AtomicU64,
    /// Nobody waits for what still waits.
    given_up: AtomicBool,
    ended: AtomicBool,
    over: Notify,
    losses: Losses,
}

impl Books {
    fn new(losses: Losses) -> Self {
        Self {
            connections: AtomicU64::new(0),
            waiting_lines: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            over: Notify::new(),
            losses,
        }
    }

    /// One more is to wait, if there is room for it. However much waits, the writer has to come to an end.
    fn wait(&self, entry: &Entry) -> bool {
        if matches!(entry, Entry::End) {
            return true;
        }
        let lines = self.waiting_lines.fetch_add(1, Ordering::Relaxed);
        let bytes = self.waiting_bytes.fetch_add(entry.bytes(), Ordering::Relaxed);
        lines < WAITING_LINES && bytes <= WAITING_BYTES
    }

    /// A line with so many bytes of a frame does not wait any more.
    fn settle(&self, bytes: usize) {
        self.waiting_lines.fetch_sub(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Lines that are not in the file, with those that may still come into it where nobody waits for that.
    fn missing(&self) -> u64 {
        let is_left = self.given_up.load(Ordering::Acquire) || self.ended.load(Ordering::Acquire);
        let waiting = if is_left { self.waiting_lines.load(Ordering::Relaxed) as u64 } else { 0 };
        self.lost() + waiting
    }
}

impl Recorder {
    /// Opens the file, and gives the way in and the writer.
    pub(crate) fn open(
        options: &RecordOptions,
        secrets: &[String],
        teller: OpTeller,
    ) -> Result<(Self, RecordWriter), Error> {
        if options.max_bytes == 0 {
            let message = "record.max_bytes: expected a number from 1, got 0";
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        let (entries, inbox) = channel();
        let books = Arc::new(Books::new(Losses::new(&options.path, teller)));
        let writer = RecordWriter::open(options, secrets, inbox, Arc::clone(&books));
        let writer = writer.map_err(|error| {
            let message = format!("record: cannot write {}: {error}", options.path.display());
            let busy = error.kind() == std::io::ErrorKind::ResourceBusy;
            let refused = Error::new(ErrorKind::InvalidOption, message).with_source(error);
            if busy {
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
        self.books.missing()
    }

    /// Why lines are missing, as far as nobody was told yet.
    pub(crate) fn untold(&self) -> Vec<String> {
        self.books.losses.take()
    }

    /// Why lines are missing.
    #[cfg(feature = "cli")]
    pub(crate) fn told(&self) -> Vec<String> {
        self.books.losses.said()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn put(&self, entry: Entry) {
        let waits = self.books.wait(&entry);
        let refused =
            if waits { self.entries.send(entry).err().map(|error| error.0) } else { Some(entry) };
        if let Some(entry) = refused.filter(|entry| !matches!(entry, Entry::End)) {
            self.books.settle(entry.bytes());
            self.books.lose(1);
            if !waits {
                self.books.losses.tell(&Loss::TooFast);
            }
        }
    }

    /// Nothing more will come; waits until all of it is written.
    pub(crate) async fn finish(&self, limit: Duration) {
        let over = self.books.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        self.put(Entry::End);
        if !self.books.ended.load(Ordering::Acquire) {
            // A disk or a redactor that takes longer is left behind, and what still waits is counted.
            let waited = tokio::time::timeout(limit, over).await;
            self.books.given_up.store(waited.is_err(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::op_channel as channel;

    fn ping() -> Entry {
        let place = Place { connection: 1, channel: "socket", standby: false };
        Entry::Ping { at: Duration::ZERO, place }
    }

    #[test]
    fn lines_above_the_limit_are_left_out_and_the_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions::new(folder.path().join("full"));
        let begin = || Recorder::open(&options, &[], channel().1.teller()).unwrap();
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

    #[tokio::test]
    async fn what_waits_when_nobody_does_is_counted_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions::new(folder.path().join("slow"));
        let (recorder, mut writer) = Recorder::open(&options, &[], channel().1.teller()).unwrap();
        let place = Place { connection: 1, channel: "socket", standby: false };
        for _ in 0..3 {
            let (at, place, text) = (Duration::ZERO, place.clone(), "{}".into());
            recorder.put(Entry::Frame { at, place, direction: Direction::Sent, text });
        }
        recorder.put(ping());
        let frame = writer.next_frame().unwrap();
        assert_eq!(recorder.lost(), 0, "somebody waits for it");
        recorder.finish(Duration::ZERO).await;
        assert_eq!(recorder.lost(), 4, "the one at hand is not written yet");
        writer.write_frame(&frame, None);
        assert_eq!(recorder.lost(), 3);
        let frame = writer.next_frame().unwrap();
        writer.write_frame(&frame, Some("{}".to_owned()));
        assert_eq!(recorder.lost(), 2);
        drop(writer);
        assert_eq!(recorder.lost(), 2, "nobody writes them any more");
        recorder.put(ping());
        assert_eq!(recorder.lost(), 3);
    }
}
