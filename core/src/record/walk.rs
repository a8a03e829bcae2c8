//! Goes through a JSON text and changes what it is told to: every other byte stays as it came.

use std::borrow::Cow;

use crate::protocol::frames::plain_text;

/// A step on the way from the whole text to a value.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Key(Cow<'a, str>),
    Item(usize),
}

impl Step<'_> {
    fn again(&self) -> Step<'_> {
        match self {
            Self::Key(key) => Step::Key(Cow::Borrowed(key)),
            Self::Item(number) => Step::Item(*number),
        }
    }
}

/// What stands in a place.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// The name of a field; the way ends with the object.
    Key(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// A number, or one of JSON's words.
    Word(&'a str),
    /// An object or an array.
    Open,
}

/// Says what is to be in a place; nothing where it stays as it is.
type Visit<'v> = dyn FnMut(&[Step<'_>], Piece<'_>) -> Option<String> + 'v;

struct Walk<'a, 'v> {
    text: &'a str,
    at: usize,
    path: Vec<Step<'a>>,
    visit: &'v mut Visit<'v>,
    changed: String,
    /// How much of the text is in `changed`, or replaced there.
    taken: usize,
    /// Inside of what is replaced as a whole.
    passed_over: bool,
}

/// Goes through a text, which has to be JSON, and gives what it becomes; nothing where it stays the same.
pub(super) fn walk<'v>(text: &str, visit: &'v mut Visit<'v>) -> Option<String> {
    walk_below(&[], text, visit)
}

/// The same for a text that stands in another one, at the end of this way.
pub(super) fn walk_below<'a, 'v>(
    above: &'a [Step<'a>],
    text: &'a str,
    visit: &'v mut Visit<'v>,
) -> Option<String> {
    let (path, changed) = (above.iter().map(Step::again).collect(), String::new());
    let mut walk = Walk { text, at: 0, path, visit, changed, taken: 0, passed_over: false };
    walk.value();
    if walk.taken == 0 {
        return None;
    }
    walk.changed.push_str(text.get(walk.taken..).unwrap_or_default());
    Some(walk.changed)
}

impl<'a> Walk<'a, '_> {
    /// The next byte that is no white space, which stays.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn ask(&mut self, piece: Piece<'_>) -> Option<String> {
        if self.passed_over { None } else { (self.visit)(&self.path, piece) }
    }

    fn replace(&mut self, start: usize, with: Option<String>) {
        if let Some(with) = with {
            self.changed.push_str(self.text.get(self.taken..start).unwrap_or_default());
            self.changed.push_str(&with);
            self.taken = self.at;
        }
    }

    fn value(&mut self) {
        let first = self.peek();
        let start = self.at;
        let with = match first {
            Some(b'"') => {
                let text = plain_text(self.string());
                self.ask(Piece::Text(text))
            }
            Some(open @ (b'{' | b'[')) => {
                let with = self.ask(Piece::Open);
                let around = std::mem::replace(&mut self.passed_over, with.is_some());
                self.passed_over |= around;
                self.at += 1;
                if open == b'{' {
                    self.fields();
                } else {
                    self.items();
                }
                self.passed_over = around;
                with
            }
            _ => {
                let word = self.word();
                self.ask(Piece::Word(word))
            }
        };
        self.replace(start, with);
    }

    fn fields(&mut self) {
        while let Some(byte) = self.peek() {
            let start = self.at;
            if byte != b'"' {
                self.at += 1;
                if byte == b'}' {
                    return;
                }
                continue;
            }
            let key = plain_text(self.string());
            let with = self.ask(Piece::Key(Cow::Borrowed(&key)));
            self.replace(start, with);
            self.path.push(Step::Key(key));
            self.peek();
            // The colon.
            self.at += 1;
            self.value();
            self.path.pop();
        }
    }

    fn items(&mut self) {
        let mut number = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b']' => return self.at += 1,
                b',' => self.at += 1,
                _ => {
                    self.path.push(Step::Item(number));
                    self.value();
                    self.path.pop();
                    number += 1;
                }
            }
        }
    }

    /// A string with its quotes.
    fn string(&mut self) -> &'a str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len());
        // Always further, whatever stands there.
        self.at += end.max(1);
        rest.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_replaced_is_replaced_as_a_whole_and_nothing_else_changes() {
        let text = r#" { "a" : [ 1.50 , {"b\n":"x\ud83d"}, [] ] , "c":{"a":"\"", "d" : null}, "a":true } "#;
        let mut seen = Vec::new();
        let same = walk(text, &mut |path, piece| {
            seen.push(format!("{} {piece:?}", path.len()));
            None
        });
        assert_eq!(same, None);
        let expected = [
            "0 Open",
            "0 Key(\"a\")",
            "1 Open",
            "2 Word(\"1.50\")",
            "2 Open",
            "2 Key(\"b\\n\")",
            "3 Text(\"x\u{fffd}\")",
            "2 Open",
            "0 Key(\"c\")",
            "1 Open",
            "1 Key(\"a\")",
            "2 Text(\"\\\"\")",
            "1 Key(\"d\")",
            "2 Word(\"null\")",
            "0 Key(\"a\")",
            "1 Word(\"true\")",
        ];
        assert_eq!(seen, expected);
        let changed = walk(text, &mut |path, piece| {
            let is_a = matches!(path.last(), Some(Step::Key(key)) if key == "a");
            (is_a && !matches!(piece, Piece::Key(_))).then(|| "0".to_owned())
        });
        let expected = r#" { "a" : 0 , "c":{"a":0, "d" : null}, "a":0 } "#;
        assert_eq!(changed.as_deref(), Some(expected));
    }

    /// The same, made of the value.
    fn marked(value: &Value) -> Value {
        match value {
            Value::String(text) => format!("{text}!").into(),
            Value::Array(items) => items.iter().map(marked).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (format!("{key}!"), marked(value))).collect()
            }
            other => other.clone(),
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<Option<bool>>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_strings_are_found(value in json()) {
            let upper = walk(&value.to_string(), &mut |_, piece| match piece {
                Piece::Key(text) | Piece::Text(text) => Some(Value::from(format!("{text}!")).to_string()),
                _ => None,
            });
            let text = upper.unwrap_or_else(|| value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), marked(&value));
        }
    }
}
