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
use super::file::{BEGUN, Rotating};
use super::losses::Loss;
use super::options::{Direction, RecordOptions, Redactor};
use super::redact::Redaction;
use crate::protocol::Text;
use crate::protocol::scan::is_object;

/// How long nothing is tried after a line that could not be written.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

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
    /// How many lines are known to be missing, and why.
    told: u64,
    /// The time of the last line, in milliseconds.
    at_ms: u64,
    /// The last line could not be written.
    trouble: Option<Trouble>,
    /// The bytes of the frame that was taken and is not written yet.
    held: Option<usize>,
    /// The last of the fields, for they go in this order: whoever has waited for the end may record into that file again.
    _end: End,
}

/// Since when nothing can be written.
#[derive(Debug)]
struct Trouble {
    /// How many lines are missing for that.
    missing: u64,
    why: String,
    /// When it is tried again, on the clock of the lines.
    again_ms: u64,
    /// The sockets that were opened meanwhile.
    unopened: Vec<Place>,
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
            trouble: None,
            held: None,
        };
        // What cannot be written is better known now. One that is there already is left until there is more to write.
        if writer.file.is_new() {
            writer.file.write(begin(0))?;
        }
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
            let entry = self.inbox.recv().unwrap_or(Entry::End);
            if matches!(entry, Entry::End) {
                self.conclude();
                return None;
            }
            self.held = Some(entry.bytes());
            self.at_ms = entry.at().map_or(self.at_ms, millis);
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
                    self.books.losses.tell(&Loss::NoJson);
                    return None;
                };
                return Some(RecordedFrame { text, ..frame });
            }
            Entry::Open { at, place, url } => {
                let url = self.redaction.url(url);
                let is_written = self.write(line(at, &place, &opened(&url)));
                if let (false, Some(trouble)) = (is_written, &mut self.trouble) {
                    trouble.unopened.push(place.clone());
                }
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
            None => drop(self.leave_out(frame, "")),
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
        // A note that could not be written counts in its place.
        if self.leave_out(frame, why) {
            self.lose();
        }
    }

    /// Counts a line, of which it is known why it is missing.
    fn lose(&mut self) {
        self.books.lose(1);
        self.told += 1;
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

    fn leave_out(&mut self, frame: &RecordedFrame, why: &str) -> bool {
        let text = format!("a frame was left out ({}){why}", frame.direction.as_str());
        self.write(line(frame.at, &frame.place, &json!({"event": "note", "text": text})))
    }

    /// Writes a line, or counts it. What was in the way, such as a full disk, may be gone a while later.
    fn write(&mut self, line: String) -> bool {
        let waits = self.trouble.as_ref().is_some_and(|trouble| self.at_ms < trouble.again_ms);
        let outcome = if waits { Err(None) } else { self.try_write(Some(line)).map_err(Some) };
        let Err(error) = outcome else { return true };
        self.lose();
        let trouble = self.trouble.get_or_insert_with(Trouble::new);
        trouble.missing += 1;
        if let Some(error) = error {
            trouble.why = error.to_string();
            trouble.again_ms = self.at_ms + millis(AGAIN);
            self.books.losses.tell(&Loss::Unwritten(trouble.why.clone()));
        }
        false
    }

    /// Nothing more comes: the last that is said is what is missing, if it can be said.
    fn conclude(&mut self) {
        if self.trouble.is_some() || self.books.lost() > self.told {
            // It is counted, whether or not it is written.
            self.try_write(None).unwrap_or_default();
        }
    }

    /// Writes a line, behind all that has to stand before it.
    fn try_write(&mut self, line: Option<String>) -> io::Result<()> {
        let lost = self.books.lost();
        let mut text = line.unwrap_or_default();
        let notes = self.missing(lost);
        text.insert_str(0, &notes);
        if self.file.is_full(text.len() + 1) {
            self.file.rotate()?;
        }
        let head = if self.file.is_new() { self.head() } else { self.unopened() };
        text.insert_str(0, &head);
        self.file.write(text)?;
        self.trouble = None;
        self.told = lost;
        Ok(())
    }

    /// What a new file begins with.
    fn head(&self) -> String {
        let open = self.open.iter();
        begin(self.at_ms)
            + "\n"
            + &open.map(|(place, url)| self.opened(place, url)).collect::<String>()
    }

    /// The sockets that were opened while nothing could be written, and still are open.
    fn unopened(&self) -> String {
        let unopened = self.trouble.iter().flat_map(|trouble| &trouble.unopened);
        let open = unopened.filter_map(|place| self.open.get(place).map(|url| (place, url)));
        open.map(|(place, url)| self.opened(place, url)).collect()
    }

    /// A line for a socket that is open already.
    fn opened(&self, place: &Place, url: &str) -> String {
        line(Duration::from_millis(self.at_ms), place, &opened(url)) + "\n"
    }

    /// What there is to say of lines that are missing, of so many in all.
    fn missing(&self, lost: u64) -> String {
        let mut notes = String::new();
        let mut add = |count: u64, why: &str| {
            let text = format!("{count} lines are missing: {why}");
            let note = json!({"t_ms": self.at_ms, "event": "note", "text": text});
            notes.push_str(&note.to_string());
            notes.push('\n');
        };
        if let Some(trouble) = &self.trouble {
            add(trouble.missing, &format!("they could not be written ({})", trouble.why));
        }
        if lost > self.told {
            add(lost - self.told, "they came faster than they could be written");
        }
        notes
    }
}

impl Trouble {
    fn new() -> Self {
        Self { missing: 0, why: String::new(), again_ms: 0, unopened: Vec::new() }
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
    let text = format!("{BEGUN}{}", env!("CARGO_PKG_VERSION"));
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::record::losses::Losses;
    use crate::transport::op_channel;

    /// A recording into a file that a test can take away from it.
    struct Recording {
        writer: RecordWriter,
        entries: Sender<Entry>,
        path: std::path::PathBuf,
        _folder: tempfile::TempDir,
    }

    fn recording() -> Recording {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let (entries, inbox) = channel();
        let books = Arc::new(Books::new(Losses::new(&path, op_channel().1.teller())));
        let options = RecordOptions::new(&path);
        let writer = RecordWriter::open(&options, &[], inbox, books).unwrap();
        Recording { writer, entries, path, _folder: folder }
    }

    fn place(connection: u64) -> Place {
        Place { connection, channel: "socket", standby: false }
    }

    impl Recording {
        /// Hands over a ping of this time, in milliseconds, and has it written.
        fn ping(&mut self, at: u64) {
            let entry = Entry::Ping { at: Duration::from_millis(at), place: place(1) };
            self.write(entry);
        }

        fn write(&mut self, entry: Entry) {
            let at = entry.at().unwrap_or_default();
            self.entries.send(entry).unwrap();
            // What the writer gives back has been written up to there.
            let text = "{}".into();
            let frame = Entry::Frame { at, place: place(1), direction: Direction::Sent, text };
            self.entries.send(frame).unwrap();
            let frame = self.writer.next_frame().unwrap();
            self.writer.write_frame(&frame, Some("{}".to_owned()));
        }

        /// Nothing can be written into the file that it gets.
        fn break_file(&mut self) -> File {
            self.writer.file.swap(File::open(&self.path).unwrap())
        }

        /// What is in the file without frames: the time, and the event or the text of a note.
        fn lines(&self) -> Vec<(u64, String)> {
            let text = std::fs::read_to_string(&self.path).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let lines = lines.filter(|line| line["frame"].is_null()).map(|line| {
                let said = line["text"].as_str().or(line["event"].as_str()).unwrap();
                (line["t_ms"].as_u64().unwrap(), said.to_owned())
            });
            lines.skip(1).collect()
        }
    }

    #[test]
    fn what_could_not_be_written_is_counted_and_tried_again_after_a_second() {
        let mut it = recording();
        it.ping(10);
        let file = it.break_file();
        it.ping(20);
        it.ping(500);
        drop(it.writer.file.swap(file));
        it.ping(1019);
        assert_eq!(it.lines(), [(10, "ping".to_owned())]);
        assert_eq!(it.writer.books.lost(), 6, "three pings, each with a frame");
        it.ping(1020);
        it.ping(1021);
        let lines = it.lines();
        assert!(lines[1].1.starts_with("6 lines are missing: they could not be written ("));
        let times: Vec<u64> = lines.iter().map(|line| line.0).collect();
        assert_eq!(times, [10, 1020, 1020, 1021]);
        assert_eq!(it.writer.books.lost(), 6);
        let told = it.writer.books.losses.take();
        let [told] = &*told else { panic!("{told:?}") };
        let path = it.path.display();
        let begin =
            format!("lines are missing in the recording {path}: they could not be written (");
        assert!(told.starts_with(&begin) && told.ends_with("), which is tried again"), "{told}");
    }

    #[test]
    fn the_last_line_says_what_is_missing_though_the_second_is_not_over() {
        let mut it = recording();
        let file = it.break_file();
        it.ping(20);
        drop(it.writer.file.swap(file));
        it.entries.send(Entry::End).unwrap();
        assert!(it.writer.next_frame().is_none());
        let lines = it.lines();
        let [(20, note)] = &*lines else { panic!("{lines:?}") };
        assert!(note.starts_with("2 lines are missing: "), "{note}");
        assert_eq!(it.writer.books.lost(), 2);
    }

    #[test]
    fn a_socket_that_was_opened_meanwhile_is_told_of_when_it_is_over() {
        let mut it = recording();
        let file = it.break_file();
        for connection in [7, 8] {
            let at = Duration::from_millis(connection);
            it.write(Entry::Open { at, place: place(connection), url: "ws://here".to_owned() });
        }
        let (at, reason) = (Duration::from_millis(9), String::new());
        it.write(Entry::Close { at, place: place(7), code: 1000, reason });
        drop(it.writer.file.swap(file));
        it.ping(2000);
        let said: Vec<String> = it.lines().into_iter().map(|line| line.1).collect();
        assert!(said[1].starts_with("6 lines are missing: "), "{said:?}");
        assert_eq!((&*said[0], &*said[2]), ("open", "ping"));
        assert!(std::fs::read_to_string(&it.path).unwrap().contains(r#""connection":8,"channel""#));
    }

    #[test]
    fn what_came_too_fast_is_told_in_its_own_words() {
        let mut it = recording();
        let file = it.break_file();
        it.ping(1);
        it.writer.books.lose(3);
        drop(it.writer.file.swap(file));
        it.ping(1001);
        let said: Vec<String> = it.lines().into_iter().map(|line| line.1).collect();
        assert!(said[0].starts_with("2 lines are missing: they could not be written"), "{said:?}");
        assert_eq!(said[1], "3 lines are missing: they came faster than they could be written");
    }
}
