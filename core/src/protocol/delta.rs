//! The deltas of runs (`stream_delta`, PROTOCOL.md section 11), read by the scanner: they are nearly all that a
//! server sends.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::Text;
use super::frames::{OneOrMany, ToolCallPart, content_text, parts_text, plain_text};
use super::scan::{Malformed, Scanner};

/// The union of the delta fields the rules and the result need, borrowed from its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta<'a> {
    /// Tells deltas apart.
    pub message_type: Cow<'a, str>,
    /// The run, if any.
    pub run_id: Option<Cow<'a, str>>,
    /// Differs from piece to piece on the local backend; see `otid`.
    pub id: Option<Cow<'a, str>>,
    /// The piece, on `reasoning_message`.
    pub reasoning: Option<Cow<'a, str>>,
    /// The client's message id on a `user_message` echo; else the id of the streamed message.
    pub otid: Option<Cow<'a, str>>,
    /// JSON: a string or parts, on `assistant_message`; anything on `user_message`.
    pub content: Option<&'a str>,
    /// The text in `content`, where it could be read at once.
    pub(super) text: Option<Cow<'a, str>>,
    /// One call, on `approval_request_message` and `tool_call_message`.
    pub tool_call: Option<ToolCallPart>,
    /// The calls as an object or a list, on the same messages.
    pub tool_calls: Option<OneOrMany<ToolCallPart>>,
    /// The results, on `tool_return_message`.
    pub tool_returns: Option<Vec<ToolReturnPart<'a>>>,
    /// On lifecycle messages of tools, and repeated on `tool_return_message`.
    pub tool_call_id: Option<Cow<'a, str>>,
    /// On `client_tool_start`.
    pub tool_name: Option<Cow<'a, str>>,
    /// On `client_tool_start`: the arguments as JSON text.
    pub tool_args: Option<Cow<'a, str>>,
    /// `success` or `error`, on tool messages.
    pub status: Option<Cow<'a, str>>,
    /// The output, on `tool_return_message`.
    pub tool_return: Option<Box<Output<'a>>>,
    /// On `stop_reason` and `loop_error`.
    pub stop_reason: Option<Cow<'a, str>>,
    /// On `loop_error`.
    pub is_terminal: Option<bool>,
    /// On `event_message`: `retry`, `compaction`, …
    pub event_type: Option<Cow<'a, str>>,
    /// A text, on lifecycle and error messages.
    pub message: Option<Cow<'a, str>>,
}

/// What a tool has put out: usually a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output<'a> {
    /// As it stands in the frame.
    json: &'a str,
    /// The text, where it has escapes and could be read at once: it may be large, and is not read again.
    unescaped: Option<Text>,
}

impl Output<'_> {
    /// The text, or the JSON text of any other value.
    #[must_use]
    pub fn text(&self) -> Text {
        self.unescaped.clone().unwrap_or_else(|| plain_text(self.json).into_owned().into())
    }
}

/// The result of one call.
#[derive(Debug, PartialEq, Eq)]
pub struct ToolReturnPart<'a> {
    /// The id of the call.
    pub tool_call_id: Cow<'a, str>,
    /// `success` or `error`.
    pub status: Option<Cow<'a, str>>,
    /// The output.
    pub output: Option<Output<'a>>,
}

impl<'a> Delta<'a> {
    /// Reads the `delta` of a `stream_delta`. A field that decides something and has the wrong type makes the
    /// read fail; a text for people does not.
    ///
    /// # Errors
    ///
    /// [`Malformed`] in that case, and when the text is not one JSON object with a `message_type`.
    pub fn read(json: &'a str) -> Result<Self, Malformed> {
        let mut scanner = Scanner::new(json);
        let delta = Self::scan(&mut scanner)?;
        scanner.end()?;
        Ok(delta)
    }

    /// The same from the place where it stands in a frame.
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Malformed> {
        let (mut delta, mut message_type) = (Self::default(), None);
        scanner.object(|scanner, key| {
            let field = match key {
                "message_type" => &mut message_type,
                "run_id" => &mut delta.run_id,
                "id" => &mut delta.id,
                "otid" => &mut delta.otid,
                "tool_call_id" => &mut delta.tool_call_id,
                "tool_name" => &mut delta.tool_name,
                "status" => &mut delta.status,
                "stop_reason" => &mut delta.stop_reason,
                _ => return delta.read_other(scanner, key),
            };
            *field = scanner.text()?;
            Ok(())
        })?;
        delta.message_type = message_type.ok_or(Malformed { at: 0 })?;
        Ok(delta)
    }

    fn read_other(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Result<(), Malformed> {
        match key {
            "reasoning" => self.reasoning = free_text(scanner)?,
            "tool_args" => self.tool_args = free_text(scanner)?,
            "event_type" => self.event_type = free_text(scanner)?,
            "message" => self.message = free_text(scanner)?,
            "content" => {
                let (text, json) = scanner.tried(content)?;
                (self.text, self.content) = (text, Some(json).filter(|json| *json != "null"));
            }
            "tool_return" => self.tool_return = output(scanner)?.map(Box::new),
            "tool_call" => self.tool_call = value(scanner)?,
            "tool_calls" => self.tool_calls = value(scanner)?,
            "tool_returns" => self.tool_returns = returns(scanner)?,
            "is_terminal" => self.is_terminal = value(scanner)?,
            _ => scanner.skip()?,
        }
        Ok(())
    }

    /// The text in its `content` (section 11).
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.text {
            Some(text) => Cow::Borrowed(text),
            None => self.content.map(content_text).unwrap_or_default(),
        }
    }

    /// The tool calls in it: the list if there is one, else the single call.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCallPart> {
        let listed = self.tool_calls.as_ref().map(|calls| calls.0.as_slice()).unwrap_or_default();
        let single = self.tool_call.as_ref().filter(|_| listed.is_empty());
        listed.iter().chain(single)
    }

    /// The tool results in it: call, status and output. The list comes first: results forwarded from a backend
    /// have nothing else (section 11).
    pub fn outputs(&self) -> impl Iterator<Item = (&str, Option<&str>, Option<&Output<'a>>)> {
        let listed = self.tool_returns.as_deref().unwrap_or_default();
        let single = self.tool_call_id.as_deref().filter(|_| listed.is_empty());
        let single = single.map(|id| (id, self.status.as_deref(), self.tool_return.as_deref()));
        let listed = listed
            .iter()
            .map(|part| (&*part.tool_call_id, part.status.as_deref(), part.output.as_ref()));
        listed.chain(single)
    }

    /// What the pieces of one message have in common within a run (section 11).
    #[must_use]
    pub fn message_id(&self) -> &str {
        self.otid.as_deref().or(self.id.as_deref()).unwrap_or_default()
    }

    /// Whether it is the mark of an abort (section 15).
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        self.message_type == "status" && self.message.as_deref() == Some("Interrupted")
    }

    /// Whether it shows what a running command has printed so far, and not its result (section 11).
    #[must_use]
    pub fn is_preview(&self) -> bool {
        self.id.as_deref().is_some_and(|id| id.contains("-tool-return-stream-"))
    }
}

/// The JSON text of a value, unless it is `null`.
fn unless_null<'a>(scanner: &mut Scanner<'a>) -> Result<Option<&'a str>, Malformed> {
    Ok(Some(scanner.raw()?).filter(|json| *json != "null"))
}

/// An output, unless it is `null`.
fn output<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Output<'a>>, Malformed> {
    let (text, json) = scanner.tried(Scanner::string)?;
    let unescaped = match text {
        Some(Cow::Owned(text)) => Some(text.into()),
        _ => None,
    };
    Ok((json != "null").then_some(Output { json, unescaped }))
}

/// The text in a content, where all of it is as it should be.
fn content<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, Malformed> {
    match scanner.peek() {
        Some(b'"') => scanner.string(),
        _ => parts_text(scanner),
    }
}

/// A text that decides nothing.
fn free_text<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, Malformed> {
    Ok(unless_null(scanner)?.map(plain_text))
}

/// A value with a structure, which is rare.
fn value<T: DeserializeOwned>(scanner: &mut Scanner<'_>) -> Result<Option<T>, Malformed> {
    let json = scanner.raw()?;
    serde_json::from_str(json).or_else(|_| scanner.malformed())
}

/// The results of calls. Outputs may be large, so they are left where they are.
fn returns<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Vec<ToolReturnPart<'a>>>, Malformed> {
    if scanner.peek() == Some(b'n') {
        return scanner.skip().map(|()| None);
    }
    let mut parts = Vec::new();
    scanner.list(|scanner| {
        let (mut call, mut status, mut output) = (None, None, None);
        scanner.object(|scanner, key| {
            match key {
                "tool_call_id" => call = scanner.text()?,
                "status" => status = scanner.text()?,
                "tool_return" => output = self::output(scanner)?,
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        let Some(tool_call_id) = call else { return scanner.malformed() };
        parts.push(ToolReturnPart { tool_call_id, status, output });
        Ok(())
    })?;
    Ok(Some(parts))
}
