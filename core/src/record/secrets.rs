//! The secrets that a recording knows, in all the ways in which they are written.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::redact::REDACTED;
use crate::spelling::{SHORTEST_SECRET, is_word, spellings};

/// These tell nothing, whatever they are the values of.
const NO_SECRETS: [&str; 3] = ["true", "false", "null"];

/// A way in which a secret is written.
#[derive(Debug)]
struct Known {
    text: String,
    /// The same where it stands in a JSON text.
    escaped: String,
    /// It may be one of the protocol's own words or numbers by chance, and stays where these stand.
    is_word: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The longest first, as one may be part of another.
    known: Vec<Known>,
}

impl Secrets {
    pub(super) fn remember(&mut self, secret: &str) {
        if secret.len() < SHORTEST_SECRET || NO_SECRETS.contains(&secret) {
            return;
        }
        let is_word = is_word(secret);
        for text in spellings(secret).iter().flat_map(|spelling| in_json(spelling)) {
            match self.known.iter_mut().find(|known| known.text == text) {
                Some(known) => known.is_word &= is_word,
                None => self.known.push(Known { escaped: escaped(&text), text, is_word }),
            }
        }
        self.known.sort_by_key(|known| std::cmp::Reverse(known.text.len()));
    }

    /// Whether one may stand in a JSON text, before anybody has read that.
    pub(super) fn may_be_in(&self, json: &str) -> bool {
        // JSON has several ways to write a character.
        let unknown = || json.contains("\\u") || json.contains("\\/");
        !self.known.is_empty()
            && (unknown() || self.known.iter().any(|known| json.contains(&known.escaped)))
    }

    /// A text without them, if it has any. Where the protocol's own words stand, only those that cannot be such.
    pub(super) fn hidden(&self, text: &str, among_words: bool) -> Option<String> {
        let mut hidden = Cow::Borrowed(text);
        for known in self.known.iter().filter(|known| !(among_words && known.is_word)) {
            if hidden.contains(&known.text) {
                hidden = hidden.replace(&known.text, REDACTED).into();
            }
        }
        if let Cow::Owned(hidden) = hidden { Some(hidden) } else { None }
    }

    /// Whether a number is a secret.
    pub(super) fn is(&self, digits: &str) -> bool {
        self.known.iter().any(|known| !known.is_word && known.text == digits)
    }
}

/// A text, and what it is in a JSON text that is a string itself (the arguments of a tool), twice over: as JavaScript
/// writes it and as Python does, which knows no character beyond ASCII.
fn in_json(text: &str) -> [String; 5] {
    let (once, ascii) = (escaped(text), in_ascii(&escaped(text)));
    [text.to_owned(), escaped(&once), escaped(&ascii), once, ascii]
}

/// The inside of a JSON string.
fn escaped(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for char in json.chars() {
        if char.is_ascii() {
            ascii.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // A string takes all that is written.
            write!(ascii, "\\u{unit:04x}").unwrap_or_default();
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowing(secrets: &[&str]) -> Secrets {
        let mut known = Secrets::default();
        for secret in secrets {
            known.remember(secret);
        }
        known
    }

    #[test]
    fn a_secret_is_found_in_json_within_json() {
        let secret = "-----BEGIN \"ü\"-----\nMIIabc";
        let known = knowing(&[secret]);
        let once = Value::from(secret).to_string();
        let twice = Value::from(once.as_str()).to_string();
        let ascii = r#"{"a":"-----BEGIN \"\u00fc\"-----\nMIIabc"}"#;
        let ascii_twice = Value::from(ascii).to_string();
        for text in [secret, &once, &twice, ascii, &ascii_twice] {
            let hidden = known.hidden(text, true).unwrap_or_else(|| panic!("{text}"));
            assert!(hidden.contains(REDACTED) && !hidden.contains("MIIabc"), "{hidden}");
        }
    }

    #[test]
    fn words_stay_where_words_stand() {
        let known = knowing(&["agent", "2026", "hunter-22", "true"]);
        assert_eq!(known.hidden("agent_id", true), None);
        assert_eq!(known.hidden("an agent", false).as_deref(), Some("an [redacted]"));
        assert_eq!(known.hidden("hunter-22", true).as_deref(), Some("[redacted]"));
        assert_eq!(known.hidden("true", false), None);
        assert!(!known.is("2026"));
        assert!(knowing(&["48151623"]).is("48151623"));
    }

    #[test]
    fn what_was_taken_for_a_word_is_one_no_more_when_it_is_part_of_a_secret() {
        let known = knowing(&["some%20word", "some word"]);
        assert_eq!(known.hidden("some word", true).as_deref(), Some("[redacted]"));
    }
}
