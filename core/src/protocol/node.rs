//! A JSON value as it stands in its text: strings are borrowed, and each value knows its place. What a
//! command is checked by, without a copy of it.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::Error as _;
use serde_json::{Map, Number, Value};

use super::frames::plain_text;
use super::scan::{Malformed, Scanner};

/// A value.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) json: Json<'a>,
    /// Where it stands in the text; nowhere, if it was not read from one.
    pub(crate) at: Range<usize>,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// In the order of the text, in which a key may repeat.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// Those of `serde_json`, which refuses the same texts but for halves of surrogate pairs, and has better words.
    pub(crate) fn object(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut scanner = Scanner::new(text);
        let read = read(&mut scanner).and_then(|node| scanner.end().map(|()| node));
        read.and_then(|node| if node.is_object() { Ok(node) } else { scanner.malformed() }).map_err(
            |malformed| {
                let parsed = serde_json::from_str::<Map<String, Value>>(text);
                parsed.err().unwrap_or_else(|| serde_json::Error::custom(malformed))
            },
        )
    }

    /// Reads any value; nothing where the text is none, or one of its numbers is too large.
    pub(crate) fn value(text: &'a str) -> Option<Self> {
        let mut scanner = Scanner::new(text);
        let node = read(&mut scanner).ok()?;
        scanner.end().ok()?;
        Some(node)
    }

    /// A copy that stands alone. Half a surrogate pair is a replacement character in it.
    pub(crate) fn to_value(&self) -> Value {
        match &self.json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::Text(text) => Value::String(text.clone().into_owned()),
            Json::Array(items) => items.iter().map(Self::to_value).collect(),
            Json::Object(fields) => {
                let fields = fields.iter().map(|(key, node)| (key.to_string(), node.to_value()));
                Value::Object(fields.collect())
            }
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self.json, Json::Object(_))
    }

    /// A field's value; that of the last one where a key repeats, as parsers have it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Json::Object(fields) = &self.json else { return None };
        fields.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Json::Object(fields) = &mut self.json else { return None };
        fields.iter_mut().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Json::Text(text) = &self.json { Some(text) } else { None }
    }

    /// A field's value, if it is a string.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

fn read<'a>(scanner: &mut Scanner<'a>) -> Result<Node<'a>, Malformed> {
    let first = scanner.peek();
    let start = scanner.at();
    let json = match first {
        // Half a surrogate pair is no character, but servers take it as it came.
        Some(b'"') => Json::Text(plain_text(scanner.raw()?)),
        Some(b'{') => {
            let mut fields = Vec::new();
            scanner.fields(|scanner, key| {
                fields.push((key, read(scanner)?));
                Ok(())
            })?;
            Json::Object(fields)
        }
        Some(b'[') => {
            let mut items = Vec::new();
            scanner.list(|scanner| {
                items.push(read(scanner)?);
                Ok(())
            })?;
            Json::Array(items)
        }
        _ => match scanner.raw()? {
            "null" => Json::Null,
            word @ ("true" | "false") => Json::Bool(word == "true"),
            // Not every number of JSON is one for parsers.
            digits => match serde_json::from_str(digits) {
                Ok(number) => Json::Number(number),
                Err(_) => return scanner.malformed(),
            },
        },
    };
    Ok(Node { json, at: start..scanner.at() })
}

impl<'a> From<Json<'a>> for Node<'a> {
    fn from(json: Json<'a>) -> Self {
        Self { json, at: 0..0 }
    }
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        let json = match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::String(text) => Json::Text(text.into()),
            Value::Array(items) => Json::Array(items.iter().map(Self::from).collect()),
            Value::Object(fields) => return fields.into(),
        };
        json.into()
    }
}

impl<'a> From<&'a Map<String, Value>> for Node<'a> {
    fn from(fields: &'a Map<String, Value>) -> Self {
        let fields = fields.iter().map(|(key, value)| (key.into(), value.into()));
        Json::Object(fields.collect()).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both read it, and read the same; or both refuse it, in the same words.
    fn as_serde(text: &str) {
        let parsed = serde_json::from_str::<Map<String, Value>>(text).map(Value::Object);
        let read = Node::object(text).map(|node| node.to_value());
        assert_eq!(read.map_err(|e| e.to_string()), parsed.map_err(|e| e.to_string()), "{text}");
    }

    #[test]
    fn what_a_parser_refuses_is_refused() {
        for inside in
            ["1e999", "-0", "1.50", "01", r#""\ud8""#, r#""\ud83d\ude00""#, "tru", "\u{a0}"]
        {
            as_serde(&format!(r#"{{"a":{inside}}}"#));
        }
        for text in
            ["", "[1]", "7", "{} {}", "\u{a0}{}", r#"{"a":1,}"#, r#" {"a":1,"a":{"b":[]}} "#]
        {
            as_serde(text);
        }
        for levels in [126, 127] {
            as_serde(&format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)));
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_are_read() {
        let node = Node::object(r#"{"a":"x\ud83d","b":"\ude00\n"}"#).unwrap();
        assert_eq!((node.text("a"), node.text("b")), (Some("x\u{fffd}"), Some("\u{fffd}\n")));
    }

    proptest! {
        #[test]
        fn pieces_of_json_are_read_as_serde_reads_them(
            pieces in prop::collection::vec(prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just(" "), Just("\n"), Just("\"a\""),
                Just("\"\\n\""), Just("\"é\\u00e9\""), Just("\"a\":"), Just("null"), Just("true"), Just("false"),
                Just("-1"), Just("2.50"), Just("1e400"), Just("12345678901234567890123"),
            ], 0..10),
        ) {
            let pieces = pieces.concat();
            as_serde(&pieces);
            as_serde(&format!(r#"{{"a":[{pieces}]}}"#));
            as_serde(&format!(r"{{{pieces}}}"));
        }
    }
}
