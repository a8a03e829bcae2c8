//! What is recorded, and what never is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Sent,
    /// From the server to the client.
    Received,
}

impl Direction {
    /// `send` or `recv`, as in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "send",
            Self::Received => "recv",
        }
    }
}

/// A redactor: it is given each frame and says how it is written; `None` for not at all.
pub(super) type Redactor = Arc<dyn Fn(Direction, &str) -> Option<String> + Send + Sync>;

/// A recording of everything that goes over a client's sockets, as one JSON object per line in the format of
/// `protocol/traces`, for `testing::replay`, or for a report.
///
/// Never written are the token, in whatever text it stands, and the values of an agent's secrets and of a
/// provider's fields (`secret_list`, `secret_apply`, `connect_provider`; PROTOCOL.md section 19), nor, from then
/// on, what repeats these values: as they are, as a URL spells them, or in JSON within JSON. One of fewer than eight
/// characters or of lower-case letters alone may be a word of the protocol's own, and stays in names of fields,
/// types, ids, states and times. Prompts, answers and files are written: take out with
/// [`redact_fields`](Self::redact_fields) and [`redact`](Self::redact) what others must not read. The file is
/// readable for its owner only.
///
/// The sockets do not wait for the file. What is handed over faster than it is written waits, up to 65,536
/// lines or 64 MiB; above that lines are left out, which a note in the file and
/// [`Counters::unrecorded`](crate::engine::Counters::unrecorded) count. What cannot be written, because the disk is
/// full, is counted and noted too, and tried again after a second;
/// [`Event::Unrecorded`](crate::Event::Unrecorded) tells of the first line that is missing. A close waits until all is written, for up to
/// two seconds; from then on what still waits is counted there, too. Each line is written at once and as a whole: a
/// process that is killed loses what was still waiting, usually less than a millisecond's worth, and at most
/// the last line is broken, which readers pass over.
#[derive(Clone)]
pub struct RecordOptions {
    /// The file. One that is there already is moved aside like a full one, when the first connection is open; one that
    /// another recording still writes is refused, as each client needs its own.
    pub path: PathBuf,
    /// When the file is full: it becomes `NAME.1`, what was `NAME.1` becomes `NAME.2`, and a new one is begun.
    /// 256 MiB by default.
    pub max_bytes: u64,
    /// How many such older files are kept; 3 by default.
    pub max_files: u32,
    /// See [`redact_fields`](Self::redact_fields).
    pub fields: Vec<String>,
    pub(super) redactor: Option<Redactor>,
}

impl RecordOptions {
    /// Records into this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 256 * 1024 * 1024,
            max_files: 3,
            fields: Vec::new(),
            redactor: None,
        }
    }

    /// Sets the size of a full file.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets how many full files are kept.
    #[must_use]
    pub fn max_files(mut self, max_files: u32) -> Self {
        self.max_files = max_files;
        self
    }

    /// Writes `"[redacted]"` in place of the values of these fields. `content` is every field of that name, at any
    /// depth; with dots it is a path from the frame on, where `*` stands for every element:
    /// `payload.messages.*.content`. Fields in texts that are JSON themselves count as well. The pieces in which
    /// arguments of tools are streamed are no whole JSON: name the fields they stand in (`arguments`, `tool_args`), too.
    #[must_use]
    pub fn redact_fields<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.fields.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Asks a function how each frame is written, after everything else has been taken out; `None` leaves the
    /// frame out. It runs on the recording's own thread, so it may take its time. One that panics leaves
    /// the frame out, which [`Counters::unrecorded`](crate::engine::Counters::unrecorded) counts.
    #[must_use]
    pub fn redact(
        mut self,
        redactor: impl Fn(Direction, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.redactor = Some(Arc::new(redactor));
        self
    }
}

impl fmt::Debug for RecordOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordOptions")
            .field("path", &self.path)
            .field("max_bytes", &self.max_bytes)
            .field("max_files", &self.max_files)
            .field("fields", &self.fields)
            .field("redactor", &self.redactor.is_some())
            .finish()
    }
}
