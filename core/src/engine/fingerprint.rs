//! What is the same in the copies of an event that two connections get: everything but the number, the
//! time and the key that the server gives each copy (PROTOCOL.md section 6).

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const OF_THE_COPY: [&str; 3] = ["event_seq", "emitted_at", "idempotency_key"];

/// A number that two copies of one event share; `None` for what is no JSON object.
pub(crate) fn fingerprint(text: &str) -> Option<u64> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
            let mut hasher = DefaultHasher::new();
            while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                if !OF_THE_COPY.contains(&&*key) {
                    key.hash(&mut hasher);
                    value.get().hash(&mut hasher);
                }
            }
            Ok(hasher.finish())
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Fields).ok()
}

/// A key of an object; borrowed unless it holds escapes.
struct Key<'a>(Cow<'a, str>);

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

/// A number for a runtime.
pub(crate) fn number_of(agent: &str, conversation: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (agent, conversation).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_an_event_are_told_from_other_events() {
        let copy = |seq: u32, at: &str, text: &str| {
            fingerprint(&format!(
                r#"{{"type":"stream_delta","event_seq":{seq},"delta":{{"content":"{text}"}},
                "emitted_at":"{at}","idempotency_key":"stream_delta:{seq}"}}"#
            ))
            .expect("an object")
        };
        assert_eq!(copy(1, "10:00", "a"), copy(7, "10:01", "a"));
        assert_ne!(copy(1, "10:00", "a"), copy(1, "10:00", "b"));
        assert_eq!(fingerprint("[1]"), None);
        assert_eq!(fingerprint("{"), None);
    }
}
