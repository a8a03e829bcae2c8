//! The fields of a frame that decide where it goes, read in one pass; the rest stays text.
//!
//! A routing field of the wrong type counts as absent: the frame then reaches the message
//! handlers like an unknown one, and nothing else (PROTOCOL.md sections 5 and 6).

use std::borrow::Cow;

use super::frames::Delta;
pub use super::scan::Malformed;
use super::scan::Scanner;
use super::statuses::{Statuses, asked};

/// The agent and conversation a frame belongs to (`RuntimeScope`, section 21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `agent_id`.
    pub agent_id: Cow<'a, str>,
    /// `conversation_id`.
    pub conversation_id: Cow<'a, str>,
}

/// The routing fields of one frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `type`; empty when there is none.
    pub kind: Cow<'a, str>,
    /// `request_id`.
    pub request_id: Option<Cow<'a, str>>,
    /// `runtime`.
    pub runtime: Option<Scope<'a>>,
    /// `event_seq`.
    pub event_seq: Option<u64>,
    /// `subagent_id`: set on deltas of a subagent, which never count for a turn (section 9.5).
    pub subagent_id: Option<Cow<'a, str>>,
    /// `terminal_id`, by which `terminal_spawned` is matched.
    pub terminal_id: Option<Cow<'a, str>>,
    /// `teleport_id`, by which `teleport_ready` is matched.
    pub teleport_id: Option<Cow<'a, str>>,
    /// The JSON text of `delta`, for [`super::frames::Delta::read`].
    pub delta: Option<&'a str>,
    /// The JSON text of `device_status.pending_control_requests`.
    pub(crate) asked: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// Reads the routing fields of a frame, in one pass over all of it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the text is not one valid JSON object, or nested more than 127 levels deep.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        Self::read_with(text, None, None)
    }

    /// The same, and the delta if it is asked for: it is not gone through a second time then. One that cannot be read
    /// is left to [`Delta::read`].
    ///
    /// # Errors
    ///
    /// As [`Envelope::read`].
    pub(super) fn read_with(
        text: &'a str,
        mut delta: Option<&mut Option<Delta<'a>>>,
        mut statuses: Option<&mut Statuses>,
    ) -> Result<Self, Malformed> {
        let mut envelope = Self::default();
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, key| {
            match key {
                "type" => envelope.kind = scanner.string_or_other()?.unwrap_or_default(),
                "request_id" => envelope.request_id = scanner.string_or_other()?,
                "subagent_id" => envelope.subagent_id = scanner.string_or_other()?,
                "terminal_id" => envelope.terminal_id = scanner.string_or_other()?,
                "teleport_id" => envelope.teleport_id = scanner.string_or_other()?,
                "event_seq" => envelope.event_seq = scanner.number_or_other()?,
                "runtime" => envelope.runtime = scope(scanner)?,
                "delta" => {
                    envelope.delta = Some(match &mut delta {
                        Some(delta) => {
                            let (read, json) = scanner.tried(Delta::scan)?;
                            **delta = read;
                            json
                        }
                        None => scanner.raw()?,
                    });
                }
                "device_status" => {
                    envelope.asked = match &mut statuses {
                        Some(statuses) => statuses.read(scanner)?,
                        None => scanner.tried(asked)?.0.flatten(),
                    }
                }
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        scanner.end()?;
        Ok(envelope)
    }
}

/// A runtime, if it is an object with both ids.
fn scope<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Scope<'a>>, Malformed> {
    if scanner.peek() != Some(b'{') {
        scanner.skip()?;
        return Ok(None);
    }
    let (mut agent_id, mut conversation_id) = (None, None);
    scanner.object(|scanner, key| {
        match key {
            "agent_id" => agent_id = scanner.string_or_other()?,
            "conversation_id" => conversation_id = scanner.string_or_other()?,
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    let ids = agent_id.zip(conversation_id);
    Ok(ids.map(|(agent_id, conversation_id)| Scope { agent_id, conversation_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_delta_and_borrows() {
        let text = r#"{"type":"stream_delta","delta":{"message_type":"assistant_message",
            "run_id":"r1","content":[{"type":"text"}]},"runtime":{"agent_id":"a",
            "conversation_id":"c","acting_user_id":null},"event_seq":7,"x":[{}]}"#;
        let envelope = Envelope::read(text).expect("valid");
        assert_eq!(envelope.kind, "stream_delta");
        assert!(matches!(envelope.kind, Cow::Borrowed(_)));
        let runtime = envelope.runtime.expect("runtime");
        assert_eq!((&*runtime.agent_id, &*runtime.conversation_id), ("a", "c"));
        assert_eq!(envelope.event_seq, Some(7));
    }

    #[test]
    fn fields_of_the_wrong_type_count_as_absent() {
        let text = r#"{"type":5,"request_id":{"a":[1]},"runtime":"x","delta":[1],
            "event_seq":-1,"subagent_id":null}"#;
        let nothing = Envelope { delta: Some("[1]"), ..Envelope::default() };
        assert_eq!(Envelope::read(text).expect("an object"), nothing);
        let partial = r#"{"type":"t","runtime":{"agent_id":"a"},"event_seq":1.5}"#;
        let envelope = Envelope::read(partial).expect("an object");
        assert_eq!((envelope.kind.as_ref(), envelope.runtime), ("t", None));
    }

    #[test]
    fn escaped_keys_and_values_are_understood() {
        let envelope = Envelope::read(r#"{"\u0074ype":"a\"b","request_id":"\u00e9"}"#).expect("ok");
        assert_eq!((&*envelope.kind, envelope.request_id.as_deref()), ("a\"b", Some("é")));
    }

    #[test]
    fn what_is_not_an_object_is_malformed() {
        for text in ["", "42", "[1]", "{not json", "{\"type\":\"a\"", "null", "{} {}"] {
            assert!(Envelope::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_pass_reads_what_two_read() {
        for delta in [
            r#"{"message_type":"assistant_message","run_id":"r","content":[{"text":"a\nb"}]}"#,
            r#"{"message_type":"assistant_message","content":"half \ud83d of a pair"}"#,
            r#"{"message_type":"assistant_message","content":null,"otid":null}"#,
            r#"{"message_type":"user_message","content":{"odd":[1,{"text":2}]}}"#,
            r#"{"message_type":"tool_return_message","tool_returns":[{"tool_call_id":"c"}]}"#,
            // What cannot be read is passed over all the same, and what follows it is found.
            r#"{"message_type":"stop_reason","run_id":[{"deep":[7]}]}"#,
            r#"{"run_id":"r"}"#,
            "[1]",
            "null",
        ] {
            let text = format!(
                r#"{{"type":"x","delta":{delta},"device_status":{{"a":[1],"pending_control_requests":[ ]}},"event_seq":7}}"#
            );
            let mut read = None;
            let whole = Envelope::read_with(&text, Some(&mut read), None).expect("an object");
            assert_eq!((whole.asked, whole.event_seq), (Some("[ ]"), Some(7)), "{delta}");
            assert_eq!(read, Delta::read(delta).ok(), "{delta}");
            assert_eq!(whole, Envelope::read(&text).expect("an object"));
        }
    }
}
