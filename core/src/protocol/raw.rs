//! JSON objects edited without touching what is not edited: numbers, spacing and unknown fields
//! of a user's command go out as they came in.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::plain::plain;

/// An object whose values stay text.
#[derive(Debug, Clone)]
pub struct RawObject(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawObject;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawObject(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl RawObject {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// When the text is not one valid JSON object.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The text of a field's value; of the last one where a key repeats.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }

    /// A field's value as a string.
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|text| serde_json::from_str(text).ok())
    }

    /// Sets a field to a value given as JSON text; every other field keeps its place.
    ///
    /// # Errors
    ///
    /// When the text is not valid JSON.
    pub fn set(&mut self, key: &str, json: String) -> Result<(), serde_json::Error> {
        let value = RawValue::from_string(json)?;
        if let Some(entry) = self.0.iter_mut().rev().find(|(name, _)| name == key) {
            entry.1 = value;
        } else {
            self.0.push((key.to_owned(), value));
        }
        Ok(())
    }

    /// Sets a field to a string.
    ///
    /// # Errors
    ///
    /// Never in practice: a quoted string is valid JSON.
    pub fn set_str(&mut self, key: &str, value: &str) -> Result<(), serde_json::Error> {
        self.set(key, quoted(value))
    }

    /// Takes a field out, wherever it repeats.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    /// The object as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let size =
            self.0.iter().map(|(key, value)| key.len() + value.get().len() + 5).sum::<usize>();
        let mut text = String::with_capacity(size + 2);
        text.push('{');
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            quote(&mut text, key);
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        text
    }
}

/// A string as JSON text.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    quote(&mut json, text);
    json
}

/// Puts a string as JSON text behind what is there.
pub(super) fn quote(json: &mut String, text: &str) {
    if plain(text.as_bytes()) < text.len() {
        json.push_str(&serde_json::Value::from(text).to_string());
    } else {
        json.extend(["\"", text, "\""]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_values_stay_byte_for_byte() {
        let text =
            r#"{"big":123456789012345678901234567890,"f":1.50,"o":{ "x" : [1 ,2]},"é":"\u00e9"}"#;
        let mut object = RawObject::parse(text).expect("valid");
        assert_eq!(object.to_text(), text);
        object.set_str("request_id", "a\"b").expect("valid");
        assert_eq!(
            object.to_text(),
            format!(r#"{},"request_id":"a\"b"}}"#, &text[..text.len() - 1])
        );
        object.set_str("f", "now").expect("valid");
        assert_eq!(object.get_str("f").as_deref(), Some("now"));
        object.remove("request_id");
        object.remove("f");
        assert_eq!(object.to_text(), text.replace(r#""f":1.50,"#, ""));
    }
}
