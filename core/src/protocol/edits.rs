//! A JSON object with some fields set, and all else byte for byte as it came: spacing, numbers, keys that repeat.

use std::borrow::Cow;
use std::ops::Range;

use super::node::{Json, Node};
use super::raw::quote;

/// A text, and what is to be different in it.
#[derive(Debug)]
pub(crate) struct Edits<'a> {
    text: &'a str,
    /// The object without what is around it.
    whole: Range<usize>,
    changes: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    /// `object` must be read from the text.
    pub(crate) fn new(text: &'a str, object: &Node<'_>) -> Self {
        Self { text, whole: object.at.clone(), changes: Vec::new() }
    }

    /// Sets a field of the object, or of one inside it, to a string. A new one comes behind the others.
    pub(crate) fn set<'n>(
        &mut self,
        object: &mut Node<'n>,
        key: &'static str,
        value: impl Into<Cow<'n, str>>,
    ) {
        let value = value.into();
        let mut text = String::with_capacity(key.len() + value.len() + 6);
        if let Some(node) = object.get_mut(key) {
            quote(&mut text, &value);
            self.changes.push((node.at.clone(), text));
            node.json = Json::Text(value);
        } else if let Json::Object(fields) = &mut object.json {
            let end = fields.last().map_or(object.at.start + 1, |(_, last)| last.at.end);
            text.push_str(if fields.is_empty() { "" } else { "," });
            quote(&mut text, key);
            text.push(':');
            quote(&mut text, &value);
            self.changes.push((end..end, text));
            fields.push((key.into(), Node { json: Json::Text(value), at: end..end }));
        }
    }

    /// How long the text will be.
    pub(crate) fn size(&self) -> usize {
        let (more, less) = self
            .changes
            .iter()
            .fold((0, 0), |(more, less), (at, with)| (more + with.len(), less + at.len()));
        self.whole.len() + more - less
    }

    /// The text as it is to be.
    pub(crate) fn apply(mut self) -> String {
        // Two at one place stay in order.
        self.changes.sort_by_key(|(at, _)| at.start);
        let mut text = String::with_capacity(self.size());
        let mut from = self.whole.start;
        for (at, with) in &self.changes {
            text.push_str(&self.text[from..at.start]);
            text.push_str(with);
            from = at.end;
        }
        text.push_str(&self.text[from..self.whole.end]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_stays_byte_for_byte() {
        for (before, after) in [
            ("{}", r#"{"new":"a\"b"}"#),
            ("\n{ } ", r#"{"new":"a\"b" }"#),
            ("{\n  \"f\" : 1.50 \n}\n", "{\n  \"f\" : 1.50,\"new\":\"a\\\"b\" \n}"),
            (
                r#"{"\u00e9":"\u00e9","a":1,"a":2}"#,
                r#"{"\u00e9":"\u00e9","a":1,"a":2,"new":"a\"b"}"#,
            ),
            // Of those that repeat, the last one counts for whoever reads it.
            (r#"{"new":1, "n\u0065w":[ 2 ],"z":[3]}"#, r#"{"new":1, "n\u0065w":"a\"b","z":[3]}"#),
        ] {
            let mut object = Node::object(before).unwrap();
            let mut edits = Edits::new(before, &object);
            edits.set(&mut object, "new", "a\"b");
            assert_eq!((object.text("new"), edits.size()), (Some("a\"b"), after.len()), "{before}");
            assert_eq!(edits.apply(), after);
        }
    }

    #[test]
    fn several_changes_keep_their_places() {
        let text = r#"{"in":{"x":{}},"b":0}"#;
        let mut object = Node::object(text).unwrap();
        let mut edits = Edits::new(text, &object);
        edits.set(&mut object, "c", "1");
        edits.set(&mut object, "d", "2");
        edits.set(object.get_mut("in").and_then(|inner| inner.get_mut("x")).unwrap(), "e", "3");
        edits.set(&mut object, "b", "4");
        assert_eq!(edits.apply(), r#"{"in":{"x":{"e":"3"}},"b":"4","c":"1","d":"2"}"#);
    }
}
