//! The text of a frame.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};
use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};

/// The text of a frame, shared without copying: a clone costs next to nothing. It is a `str` for everybody who reads it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Utf8Bytes);

impl Text {
    /// Of a text that is part of the program, without a copy.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Utf8Bytes::from_static(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// As the socket gave it; here and below without a copy.
    pub(crate) fn from_wire(text: Utf8Bytes) -> Self {
        Self(text)
    }

    /// Of bytes that may be no text.
    pub(crate) fn from_bytes(bytes: Bytes) -> Option<Self> {
        Utf8Bytes::try_from(bytes).ok().map(Self)
    }

    /// As the socket takes it.
    pub(crate) fn into_wire(self) -> Utf8Bytes {
        self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Takes the string over without a copy.
impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        *self == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_compared_and_serialized_as_the_text_it_is() {
        let text = Text::from("ü\n");
        assert_eq!((format!("{text:?}"), format!("{text}")), (r#""ü\n""#.into(), "ü\n".into()));
        assert_eq!(serde_json::to_string(&text).expect("text"), r#""ü\n""#);
        assert_eq!(text, "ü\n");
        assert_eq!(text, String::from("ü\n"));
        assert_eq!("ü\n", text);
    }

    #[test]
    fn the_string_it_is_made_of_and_its_clones_are_not_copied() {
        let string = "x".repeat(100);
        let place = string.as_ptr();
        let text = Text::from(string);
        assert_eq!((text.as_ptr(), text.clone().as_ptr()), (place, place));
        assert_eq!(Text::from_wire(text.into_wire()).as_ptr(), place);
    }
}
