//! What the generated wire types are made of: objects that keep unknown fields, sets of words that keep
//! unknown words, unions that keep unknown members.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A command of the protocol, with the type of its response.
pub trait Command {
    /// Its `type`.
    const TYPE: &'static str;
    /// What answers it; `()` for a command without a response.
    type Response: DeserializeOwned;

    /// Its fields, without `type`.
    fn fields(&self) -> Map<String, Value>;
}

/// Takes a field that has to be there.
pub(crate) fn take<T: DeserializeOwned>(
    map: &mut Map<String, Value>,
    key: &str,
) -> Result<T, String> {
    let value = map.remove(key).ok_or_else(|| format!("field `{key}` is missing"))?;
    serde_json::from_value(value).map_err(|error| format!("field `{key}`: {error}"))
}

/// Takes a field that may be left out, which is not the same as being `null`.
pub(crate) fn take_optional<T: DeserializeOwned>(
    map: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<T>, String> {
    let Some(value) = map.remove(key) else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|error| format!("field `{key}`: {error}"))
}

/// Writes a field. What the types of the protocol hold can always be written.
pub(crate) fn put<T: serde::Serialize>(map: &mut Map<String, Value>, key: &str, value: &T) {
    map.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
}

/// Takes the tag of an object that has one, and demands that it is the right one.
pub(crate) fn take_tag(
    map: &mut Map<String, Value>,
    key: &str,
    wanted: &str,
) -> Result<(), String> {
    match map.remove(key) {
        Some(Value::String(tag)) if tag == wanted => Ok(()),
        other => Err(format!("field `{key}`: expected `{wanted}`, got {other:?}")),
    }
}

/// A set of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`.")] $variant,)*
            /// A word that this version does not know.
            Unknown(String),
        }

        impl $name {
            /// The word on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)*
                    _ => Self::Unknown(word),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from).map(Self::from)
            }
        }
    };
}

/// The struct of an object and how it is read and written; with a tag where a union tells it by one.
macro_rules! object {
    (
        $(#[$doc:meta])* $name:ident $(= $key:literal: $tag:literal)? {
            required { $($(#[$rdoc:meta])* $required:ident = $rkey:literal: $rtype:ty,)* }
            optional { $($(#[$odoc:meta])* $optional:ident = $okey:literal: $otype:ty,)* }
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$rdoc])* pub $required: $rtype,)*
            $($(#[$odoc])* pub $optional: Option<$otype>,)*
            /// Fields that this version does not know.
            pub extra: Map<String, Value>,
        }

        impl $name {
            #[expect(clippy::allow_attributes, reason = "objects differ in what they need")]
            #[allow(
                clippy::too_many_arguments,
                clippy::new_without_default,
                reason = "one for each field that has to be there, be there many or none"
            )]
            /// With what has to be there; everything else can be set afterwards.
            #[must_use]
            pub fn new($($required: impl Into<$rtype>),*) -> Self {
                Self {
                    $($required: $required.into(),)*
                    $($optional: None,)*
                    extra: Map::new(),
                }
            }

            /// The fields, the tag not among them.
            #[expect(clippy::allow_attributes, reason = "some objects have no fields")]
            #[allow(unused_mut, reason = "some objects have no fields")]
            fn to_map(&self) -> Map<String, Value> {
                let mut map = self.extra.clone();
                $(crate::protocol::typed::put(&mut map, $rkey, &self.$required);)*
                $(if let Some(value) = &self.$optional {
                    crate::protocol::typed::put(&mut map, $okey, value);
                })*
                map
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                #[expect(clippy::allow_attributes, reason = "only some objects have a tag")]
                #[allow(unused_mut, reason = "only some objects have a tag")]
                let mut map = self.to_map();
                $(map.insert($key.to_owned(), $tag.into());)?
                map.serialize(to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let mut map = Map::deserialize(from)?;
                let read = |map: &mut Map<String, Value>| -> Result<Self, String> {
                    $(crate::protocol::typed::take_tag(map, $key, $tag)?;)?
                    Ok(Self {
                        $($required: crate::protocol::typed::take(map, $rkey)?,)*
                        $($optional: crate::protocol::typed::take_optional(map, $okey)?,)*
                        extra: Map::new(),
                    })
                };
                let mut object = read(&mut map).map_err(serde::de::Error::custom)?;
                object.extra = map;
                Ok(object)
            }
        }
    };
}

/// A command: an object with the type of its response.
macro_rules! command {
    ($(#[$doc:meta])* $name:ident = $tag:literal, $response:ty { $($fields:tt)* }) => {
        $crate::protocol::typed::object! { $(#[$doc])* $name = "type": $tag { $($fields)* } }

        impl crate::protocol::typed::Command for $name {
            const TYPE: &'static str = $tag;
            type Response = $response;

            fn fields(&self) -> Map<String, Value> {
                self.to_map()
            }
        }
    };
}

/// A union of objects that are told apart by a tag.
macro_rules! tagged {
    (
        $(#[$doc:meta])* $name:ident by $key:literal {
            $($(#[$vdoc:meta])* $variant:ident($type:ident) = $tag:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant(Box<$type>),)*
            /// Of a kind that this version does not know, or with fields of other types.
            Unknown(Map<String, Value>),
        }

        impl From<Map<String, Value>> for $name {
            fn from(map: Map<String, Value>) -> Self {
                let read = match map.get($key).and_then(Value::as_str) {
                    $(Some($tag) => {
                        serde_json::from_value(Value::Object(map.clone())).map(Self::$variant).ok()
                    })*
                    _ => None,
                };
                read.unwrap_or(Self::Unknown(map))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(object) => object.serialize(to),)*
                    Self::Unknown(map) => map.serialize(to),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Map::deserialize(from).map(Self::from)
            }
        }
    };
}

pub(crate) use {command, object, tagged, words};
