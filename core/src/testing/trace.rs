//! Recorded traces: one JSON object per line, in the format of `protocol/traces/README.md`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::options::Generation;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The socket a line of a recording belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The only socket of its client.
    Socket,
    /// The control socket of a pair.
    Control,
    /// The stream socket of a pair.
    Stream,
}

/// A recording.
#[derive(Debug)]
pub struct Trace {
    /// The lines in file order.
    pub lines: Vec<TraceLine>,
}

/// One line of a [`Trace`].
#[derive(Debug)]
pub struct TraceLine {
    /// The number of the line in its file, counted from 1.
    pub number: usize,
    /// Milliseconds since the start of the recording.
    pub t_ms: u64,
    /// Which client it was, where several took part.
    pub client: Option<String>,
    /// Which socket it was; notes and HTTP exchanges have none.
    pub channel: Option<Channel>,
    /// What happened.
    pub event: TraceEvent,
}

/// What a [`TraceLine`] tells.
#[derive(Debug)]
pub enum TraceEvent {
    /// The client sent a message.
    Sent(Payload),
    /// The client received a message.
    Received(Payload),
    /// A socket opened.
    Open {
        /// The address the client used.
        url: String,
    },
    /// A socket closed.
    Close {
        /// The close code; 1005 and 1006 stand for closes that carried none.
        code: u16,
        /// The close reason, often empty.
        reason: String,
    },
    /// The server sent a WebSocket ping.
    Ping,
    /// The person or program that recorded left a comment.
    Note(String),
    /// Something that does not happen on an open socket: an HTTP exchange or a refused upgrade.
    Other(String),
}

/// A message of a recording.
#[derive(Debug)]
pub enum Payload {
    /// A JSON object, with the text exactly as it stands in the file.
    Frame(Box<RawValue>),
    /// Text that is no JSON object, or a description of a message that was too large to keep.
    Raw {
        /// The text.
        text: String,
        /// Whether it was a binary message.
        binary: bool,
    },
}

/// Why a file could not be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file has content of another format.
    #[error("{}:{line}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TraceError> {
    fs::read(path).map_err(|source| TraceError::Io { path: path.to_owned(), source })
}

/// What some editors begin a file with, and what is no part of its first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Trace {
    /// Reads a recording from a file.
    ///
    /// # Errors
    ///
    /// [`TraceError`] when the file cannot be read or a line is not in the format of the recordings.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let bytes = read(path)?;
        Self::parse(&bytes).map_err(|(line, message)| TraceError::Format {
            path: path.to_owned(),
            line,
            message,
        })
    }

    /// Which kind of server it was recorded from.
    #[must_use]
    pub fn generation(&self) -> Generation {
        let split =
            |line: &TraceLine| matches!(line.channel, Some(Channel::Control | Channel::Stream));
        if self.lines.iter().any(split) { Generation::Split } else { Generation::Single }
    }

    /// Line by line, also where one is no text: it may have been cut within a character.
    fn parse(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut lines = Vec::new();
        // Behind the last line's end there is nothing, unless who wrote it was killed meanwhile.
        let last = bytes.split(|byte| *byte == b'\n').count();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let number = index + 1;
            match text_of(line).and_then(|line| TraceLine::parse(number, line)) {
                Ok(line) => lines.push(line),
                Err(_) if number == last => {}
                Err(message) => return Err((number, message)),
            }
        }
        Ok(Self { lines })
    }
}

fn text_of(line: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(line).map_err(|error| {
        let column = error.valid_up_to() + 1;
        format!("expected UTF-8, got a byte that is none at column {column}")
    })
}

#[derive(Deserialize)]
struct WireLine {
    #[serde(default)]
    t_ms: u64,
    client: Option<String>,
    channel: Option<Channel>,
    dir: Option<String>,
    frame: Option<Box<RawValue>>,
    raw: Option<String>,
    #[serde(default)]
    binary: bool,
    event: Option<String>,
    url: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
    text: Option<String>,
}

impl TraceLine {
    fn parse(number: usize, line: &str) -> Result<Self, String> {
        let wire: WireLine = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let event = match (wire.dir.as_deref(), wire.event.as_deref()) {
            (Some(direction), None) => {
                let payload = match (wire.frame, wire.raw) {
                    (Some(frame), _) => Payload::Frame(frame),
                    (None, Some(text)) => Payload::Raw { text, binary: wire.binary },
                    (None, None) => return Err("a message without `frame` and `raw`".to_owned()),
                };
                match direction {
                    "send" => TraceEvent::Sent(payload),
                    "recv" => TraceEvent::Received(payload),
                    other => return Err(format!("unknown direction `{other}`")),
                }
            }
            (None, Some("open")) => TraceEvent::Open { url: wire.url.unwrap_or_default() },
            (None, Some("close")) => TraceEvent::Close {
                code: wire.code.unwrap_or(1005),
                reason: wire.reason.unwrap_or_default(),
            },
            (None, Some("ping")) => TraceEvent::Ping,
            (None, Some("note")) => TraceEvent::Note(wire.text.unwrap_or_default()),
            (None, Some(other)) => TraceEvent::Other(other.to_owned()),
            _ => return Err("a line needs either `dir` or `event`".to_owned()),
        };
        Ok(Self { number, t_ms: wire.t_ms, client: wire.client, channel: wire.channel, event })
    }
}
