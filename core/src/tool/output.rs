//! What a tool returned, as content for the model (PROTOCOL.md section 14).

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};

/// What a model is shown of a tool's result: text and images.
///
/// Text becomes one by `into()`, so that a [`crate::Tool`] may return a `String`. A [`Value`] becomes its
/// JSON text, unless it is a text itself, or a whole result as the protocol has it (`{"content": […]}`);
/// `()` and `null` become `done`.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    content: Vec<Value>,
    is_error: bool,
}

impl ToolOutput {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        let part = json!({ "type": "text", "text": text.into() });
        Self { content: vec![part], is_error: false }
    }

    /// Anything that JSON can express, as JSON text.
    ///
    /// # Errors
    ///
    /// What serde says of a value that JSON cannot express.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self::from)
    }

    /// An image, from the bytes of a PNG, JPEG, GIF or WebP file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when it is none: on some servers a wrong image ends the whole turn.
    pub fn image(bytes: &[u8]) -> Result<Self, Error> {
        let Some(kind) = image_type(bytes) else {
            let message = "image: expected the bytes of a PNG, JPEG, GIF or WebP file";
            return Err(Error::new(ErrorKind::InvalidOption, message));
        };
        let part = json!({ "type": "image", "data": base64(bytes), "mimeType": kind });
        Ok(Self { content: vec![part], is_error: false })
    }

    /// This and then another.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        let Self { content, is_error } = other.into();
        self.content.extend(content);
        self.is_error |= is_error;
        self
    }

    /// Says that the tool failed; the content says why.
    #[must_use]
    pub fn error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// The `result` of an answer.
    pub(super) fn to_result(&self) -> Value {
        let mut result = json!({ "content": self.content });
        if self.is_error {
            result["is_error"] = true.into();
        }
        result
    }
}

impl From<&str> for ToolOutput {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for ToolOutput {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<()> for ToolOutput {
    fn from((): ()) -> Self {
        Self::text("done")
    }
}

impl From<Value> for ToolOutput {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => ().into(),
            Value::String(text) => text.into(),
            value => result(&value).unwrap_or_else(|| Self::text(value.to_string())),
        }
    }
}

/// A value that is a whole result already: it has the fields of one and no others, and its content is text and images.
/// Other things have a `content` as well, and nothing of them may be lost.
fn result(value: &Value) -> Option<ToolOutput> {
    let fields = value.as_object()?;
    if fields.keys().any(|key| key != "content" && key != "is_error") {
        return None;
    }
    let content = fields.get("content")?.as_array()?.clone();
    let is_part = |part: &Value| part["type"] == "text" || part["type"] == "image";
    let is_error = fields.get("is_error").map_or(Some(false), Value::as_bool)?;
    content.iter().all(is_part).then_some(ToolOutput { content, is_error })
}

fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 0x3f;
            let padded = digit > group.len();
            text.push(if padded { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(output: impl Into<ToolOutput>) -> Value {
        output.into().to_result()
    }

    fn text(text: &str) -> Value {
        json!({ "content": [{ "type": "text", "text": text }] })
    }

    #[test]
    fn what_a_tool_returns_becomes_content() {
        assert_eq!(told("found"), text("found"));
        assert_eq!(told(()), text("done"));
        assert_eq!(told(json!("found")), text("found"));
        assert_eq!(told(json!(null)), text("done"));
        assert_eq!(told(json!([1, { "a": null }])), text(r#"[1,{"a":null}]"#));
        assert_eq!(told(ToolOutput::json(&("a", 2)).unwrap()), text(r#"["a",2]"#));
        let failed = json!({ "content": [{ "type": "text", "text": "no" }], "is_error": true });
        assert_eq!(told(ToolOutput::text("no").error()), failed);
    }

    #[test]
    fn a_whole_result_is_taken_as_it_is() {
        let whole = json!({ "content": [{ "type": "text", "text": "no" }], "is_error": true });
        assert_eq!(told(whole.clone()), whole);
        assert_eq!(told(json!({ "content": [] })), json!({ "content": [] }));
        for other in [
            json!({ "content": "no" }),
            json!({ "content": [], "more": 1 }),
            json!({ "content": [], "is_error": "no" }),
            json!({ "content": [{ "type": "chapter", "text": "no" }] }),
            json!({ "content": ["text"] }),
            json!({ "is_error": true }),
        ] {
            assert_eq!(told(other.clone()), text(&other.to_string()));
        }
    }

    #[test]
    fn images_are_known_by_their_first_bytes() {
        let png = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
        let output = ToolOutput::text("look:").and(ToolOutput::image(&png).unwrap());
        let expected = json!({ "content": [
            { "type": "text", "text": "look:" },
            { "type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png" },
        ] });
        assert_eq!(told(output), expected);
        let error = ToolOutput::image(b"<svg>").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
