//! The thread that writes: what sockets have handed over becomes lines.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::{Value, json};

use super::Books;
use super::file::Rotating;
use super::options::{Direction, RecordOptions, Redactor};
use super::redact::Redaction;
use crate::protocol::Text;
use crate::protocol::scan::is_object;

/// Which socket it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of the connection, counted from 1; the two sockets of a pair have one number.
    pub(crate) connection: u64,
    /// `socket`, `control` or `stream`.
    pub(crate) channel: &'static str,
    /// Opened to take over from another one, which is still there.
    pub(crate) standby: bool,
}

/// What happened on a socket.
#[derive(Debug)]
pub(super) enum Entry {
    Open { at: Duration, place: Place, url: String },
    Frame { at: Duration, place: Place, direction: Direction, text: Text },
    Ping { at: Duration, place: Place },
    Close { at: Duration, place: Place, code: u16, reason: String },
    End,
}

impl Entry {
    fn at(&self) -> Option<Duration> {
        match self {
            Self::Open { at, .. }
            | Self::Frame { at, .. }
            | Self::Ping { at, .. }
            | Self::Close { at, .. } => Some(*at),
            Self::End => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        if let Self::Frame { text, .. } = self { text.len() } else { 0 }
    }
}

/// The writing end of a recording. [`run`](Self::run) is for a thread that has nothing else to do.
pub struct RecordWriter {
    inbox: Receiver<Entry>,
    books: Arc<Books>,
    file: Rotating,
    redaction: Redaction,
    redactor: Option<Redactor>,
    /// The sockets that are open, which a new file begins with.
    open: BTreeMap<Place, String>,
    /// How many lines are known to be missing.
    told: u64,
    /// The time of the last line, in milliseconds.
    at_ms: u64,
    /// Why nothing can be written any more.
    broken: bool,
    /// The bytes of the frame that was taken and is not written yet.
    held: Option<usize>,
    /// The last of the fields, for they go in this order: whoever has waited for the end may record into that file again.
    _end: End,
}

/// Tells of the end when it goes.
struct End(Arc<Books>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.over.notify_waiters();
    }
}

impl RecordWriter {
    pub(super) fn open(
        options: &RecordOptions,
        secrets: &[String],
        inbox: Receiver<Entry>,
        books: Arc<Books>,
    ) -> io::Result<Self> {
        let file = Rotating::open(&options.path, options.max_bytes, options.max_files)?;
        let redaction = Redaction::new(&options.fields, secrets);
        let redactor = options.redactor.clone();
        let mut writer = Self {
            inbox,
            _end: End(Arc::clone(&books)),
            books,
            file,
            redaction,
            redactor,
            open: BTreeMap::new(),
            told: 0,
            at_ms: 0,
            broken: false,
            held: None,
        };
        writer.file.write(begin(0))?;
        Ok(writer)
    }

    /// Writes until the client is closed, with the redactor of the options.
    pub fn run(mut self) {
        let redactor = self.redactor.take();
        while let Some(frame) = self.next_frame() {
            let written = match &redactor {
                None => Ok(Some(frame.text.clone())),
                Some(redact) => {
                    catch_unwind(AssertUnwindSafe(|| redact(frame.direction, &frame.text)))
                }
            };
            match written {
                Ok(text) => self.write_frame(&frame, text),
                Err(_) => self.fail_frame(&frame),
            }
        }
    }

    /// Waits for the next frame, and meanwhile writes everything else; `None` at the end. For a redactor that
    /// lives on a thread of its own language; the frame goes on to [`write_frame`](Self::write_frame).
    pub fn next_frame(&mut self) -> Option<RecordedFrame> {
        loop {
            self.settle();
            let entry = self.inbox.recv().ok()?;
            if matches!(entry, Entry::End) {
                return None;
            }
            self.held = Some(entry.bytes());
            self.at_ms = entry.at().map_or(self.at_ms, millis);
            self.tell_lost();
            if let Some(frame) = self.handle(entry) {
                return Some(frame);
            }
        }
    }

    /// Writes an entry, or gives it as a frame, of which somebody else may say how it is written.
    fn handle(&mut self, entry: Entry) -> Option<RecordedFrame> {
        match entry {
            Entry::Frame { at, place, direction, text } => {
                let written = self.redaction.frame(text.as_str());
                let frame = RecordedFrame { direction, text: String::new(), at, place };
                let Some(text) = written else {
                    self.miss(&frame, ": it is not JSON, so nothing could be redacted");
                    return None;
                };
                return Some(RecordedFrame { text, ..frame });
            }
            Entry::Open { at, place, url } => {
                let url = self.redaction.url(url);
                self.write(line(at, &place, &opened(&url)));
                self.open.insert(place, url);
            }
            Entry::Ping { at, place } => {
                self.write(line(at, &place, &json!({"event": "ping"})));
            }
            Entry::Close { at, place, code, reason } => {
                let reason = self.redaction.text(&reason);
                let closed = json!({"event": "close", "code": code, "reason": reason});
                self.write(line(at, &place, &closed));
                self.open.remove(&place);
            }
            Entry::End => {}
        }
        None
    }

    /// What was taken last is written, or left out.
    fn settle(&mut self) {
        if let Some(bytes) = self.held.take() {
            self.books.settle(bytes);
        }
    }

    /// Writes a frame as a redactor gave it; `None` says that it was left out.
    pub fn write_frame(&mut self, frame: &RecordedFrame, text: Option<String>) {
        match text {
            Some(text) => self.write_text(frame, text),
            None => self.leave_out(frame, ""),
        }
        self.settle();
    }

    /// Leaves a frame out whose redactor has failed, and counts it.
    pub fn fail_frame(&mut self, frame: &RecordedFrame) {
        self.miss(frame, ": the redactor failed");
        self.settle();
    }

    /// Leaves a frame out, and counts it: what nobody has looked at must not be written, and is missing in a recording
    /// that nobody wanted it out of.
    fn miss(&mut self, frame: &RecordedFrame, why: &str) {
        // Where nothing can be written any more, the note counts as lost in its place.
        if !self.broken {
            self.books.lose(1);
            // It is told here, and not among what came too fast.
            self.told += 1;
        }
        self.leave_out(frame, why);
    }

    fn write_text(&mut self, frame: &RecordedFrame, text: String) {
        let (key, text) = if is_object(&text) {
            // Line ends may stand between the tokens of a JSON text, and nowhere else in it.
            ("frame", text.replace(['\n', '\r'], " "))
        } else {
            ("raw", Value::from(text).to_string())
        };
        let direction = frame.direction.as_str();
        let head = line(frame.at, &frame.place, &json!({ "dir": direction }));
        let head = head.strip_suffix('}').unwrap_or(&head);
        self.write(format!("{head},\"{key}\":{text}}}"));
    }

    fn leave_out(&mut self, frame: &RecordedFrame, why: &str) {
        let text = format!("a frame was left out ({}){why}", frame.direction.as_str());
        self.write(line(frame.at, &frame.place, &json!({"event": "note", "text": text})));
    }

    fn tell_lost(&mut self) {
        let lost = self.books.lost.load(Ordering::Relaxed);
        let missing = lost - self.told;
        if missing > 0 {
            self.told = lost;
            let text =
                format!("{missing} lines are missing: they came faster than they could be written");
            self.write(json!({"t_ms": self.at_ms, "event": "note", "text": text}).to_string());
        }
    }

    fn write(&mut self, line: String) {
        if self.broken || self.try_write(line).is_err() {
            // A full disk does not get emptier by trying; what is missing is counted.
            self.broken = true;
            self.books.lose(1);
            self.told = self.books.lost.load(Ordering::Relaxed);
        }
    }

    fn try_write(&mut self, line: String) -> io::Result<()> {
        if self.file.is_full(line.len() + 1) {
            self.file.rotate()?;
            self.file.write(begin(self.at_ms))?;
            for (place, url) in &self.open {
                let at = Duration::from_millis(self.at_ms);
                self.file.write(self::line(at, place, &opened(url)))?;
            }
        }
        self.file.write(line)
    }
}

/// A frame on its way into a recording, with the secrets and named fields taken out.
#[derive(Debug)]
pub struct RecordedFrame {
    /// Which way it went.
    pub direction: Direction,
    /// Its text.
    pub text: String,
    at: Duration,
    place: Place,
}

fn begin(at: u64) -> String {
    let text = format!("recorded by letta-app-client {}", env!("CARGO_PKG_VERSION"));
    json!({"t_ms": at, "event": "note", "text": text}).to_string()
}

fn opened(url: &str) -> Value {
    json!({"event": "open", "url": url, "extensions": null})
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

/// A line with these fields behind the time and the place.
fn line(at: Duration, place: &Place, fields: &Value) -> String {
    let at = millis(at);
    let Place { connection, channel, standby } = place;
    let client =
        standby.then(|| format!(",\"client\":\"standby {connection}\"")).unwrap_or_default();
    let fields = fields.to_string();
    let fields = fields.trim_start_matches('{');
    format!(
        "{{\"t_ms\":{at},\"connection\":{connection}{client},\"channel\":\"{channel}\",{fields}"
    )
}

impl std::fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWriter").field("file", &self.file).finish_non_exhaustive()
    }
}
