//! The fields of a frame that decide where it goes, read in one pass; the rest stays text.
//!
//! A routing field of the wrong type counts as absent: the frame then reaches the message
//! handlers like an unknown one, and nothing else (PROTOCOL.md sections 5 and 6).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
}

/// The text is not a JSON object.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct Malformed(#[from] serde_json::Error);

impl<'a> Envelope<'a> {
    /// Reads the routing fields of a frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the text is not one valid JSON object.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        Ok(serde_json::from_str(text)?)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Envelope<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    match key.0.as_ref() {
                        "type" => {
                            envelope.kind = map.next_value::<Text<'de>>()?.0.unwrap_or_default();
                        }
                        "request_id" => envelope.request_id = map.next_value::<Text<'de>>()?.0,
                        "subagent_id" => envelope.subagent_id = map.next_value::<Text<'de>>()?.0,
                        "terminal_id" => envelope.terminal_id = map.next_value::<Text<'de>>()?.0,
                        "teleport_id" => envelope.teleport_id = map.next_value::<Text<'de>>()?.0,
                        "event_seq" => envelope.event_seq = map.next_value::<Number>()?.0,
                        "runtime" => envelope.runtime = map.next_value::<MaybeScope<'de>>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A key of an object; borrowed unless it holds escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Str;
        impl<'de> Visitor<'de> for Str {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Str)
    }
}

/// Any value of another type than the wanted one, read over.
macro_rules! ignore_other_types {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method<E>(self, _: $type) -> Result<Self::Value, E> { Ok(Self::Value::default()) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

macro_rules! ignore_maps {
    () => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            ignore_other_types!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            ignore_maps!();
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Default)]
struct Number(Option<u64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Number(Some(number)))
            }
            ignore_other_types!(visit_bool(bool), visit_i64(i64), visit_f64(f64), visit_str(&str));
            ignore_maps!();
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Default)]
struct MaybeScope<'a>(Option<Scope<'a>>);

impl<'de> Deserialize<'de> for MaybeScope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = MaybeScope<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut agent_id, mut conversation_id) = (None, None);
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    match key.0.as_ref() {
                        "agent_id" => agent_id = map.next_value::<Text<'de>>()?.0,
                        "conversation_id" => conversation_id = map.next_value::<Text<'de>>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let scope = agent_id.zip(conversation_id);
                Ok(MaybeScope(
                    scope.map(|(agent_id, conversation_id)| Scope { agent_id, conversation_id }),
                ))
            }
            ignore_other_types!(
                visit_bool(bool),
                visit_i64(i64),
                visit_u64(u64),
                visit_f64(f64),
                visit_str(&str),
            );
        }
        deserializer.deserialize_any(Any)
    }
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
        assert_eq!(Envelope::read(text).expect("an object"), Envelope::default());
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
}
