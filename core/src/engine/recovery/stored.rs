//! The stored messages of a conversation, and what they say of an input (PROTOCOL.md sections 16 and 19).

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::result::TurnResult;
use super::super::runs::Runs;
use super::cut::Cut;
use crate::protocol::frames::Delta;

/// How many messages are asked for at once.
pub(crate) const PAGE: usize = 100;

/// How many are looked through. An input that was sent moments ago and has that many messages above it
/// has not been stored.
pub(crate) const DEPTH: usize = 1000;

/// What separates the inputs that the server has merged into one (section 10).
const SEAM: &str = "\n";

/// A page, newest message first.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    messages: Vec<Box<RawValue>>,
    #[serde(default)]
    next_before: Option<String>,
    #[serde(default)]
    has_more: Option<bool>,
}

/// What the conversation says of an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is stored; its answer is what lies between these places, newest first.
    At(usize, usize),
    /// It is not stored.
    Absent,
    /// It may have been merged into another, or lie deeper.
    Unclear,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Newest first.
    messages: Vec<Box<RawValue>>,
    heads: Vec<Head>,
    /// Nothing older is left, or nothing that counts.
    deep_enough: bool,
    whole: bool,
}

/// What is looked at of every message.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    message_type: String,
    #[serde(default)]
    otid: Option<String>,
}

impl Stored {
    /// Takes the next page in. Returns the id before which the next one begins, where one is needed.
    pub(crate) fn add(&mut self, page: Page, cuts: &[Cut]) -> Option<String> {
        let full = page.messages.len() >= PAGE;
        for message in page.messages {
            // What cannot be read is nobody's input.
            let head = serde_json::from_str(message.get()).unwrap_or(Head {
                id: None,
                message_type: String::new(),
                otid: None,
            });
            self.heads.push(head);
            self.messages.push(message);
        }
        // Split servers do not say whether there is more.
        self.whole = !page.has_more.unwrap_or(full);
        self.deep_enough = self.whole || self.messages.len() >= DEPTH;
        let found = cuts.iter().filter(|cut| cut.sent).all(|cut| self.place_of(cut).is_some());
        let last = page.next_before.or_else(|| self.heads.last()?.id.clone());
        last.filter(|_| !found && !self.deep_enough)
    }

    /// The newest message of an input.
    fn place_of(&self, cut: &Cut) -> Option<usize> {
        self.heads.iter().position(|head| {
            head.message_type == "user_message"
                && head.otid.as_deref().is_some_and(|otid| cut.has_client_id(otid))
        })
    }

    /// Looks for an input; `others` were lost together with it.
    pub(crate) fn find(&self, cut: &Cut, others: &[Cut]) -> Found {
        if let Some(place) = self.place_of(cut) {
            return Found::At(place, self.next_input(place, cut));
        }
        // Of inputs that were merged only the first one's id is stored.
        let texts = cut.texts();
        for (place, head) in self.heads.iter().enumerate() {
            if head.message_type != "user_message" || !self.may_contain(place, texts.as_deref()) {
                continue;
            }
            let is_of = |with: &Cut| head.otid.as_deref().is_some_and(|otid| with.is_with(otid));
            // The server may have said so itself: then the other one need not be lost too.
            let with = std::iter::once(cut).chain(others).find(|with| is_of(with));
            return match with {
                Some(with) if texts.is_some() => Found::At(place, self.next_input(place, with)),
                _ => Found::Unclear,
            };
        }
        let proven = if cut.answered() { self.whole } else { self.deep_enough };
        if proven { Found::Absent } else { Found::Unclear }
    }

    /// Whether a message was made of several inputs, of which these texts may be one.
    fn may_contain(&self, place: usize, texts: Option<&[String]>) -> bool {
        let message: Value = self.messages[place].get().parse().unwrap_or_default();
        let Some(parts) = texts_of(&message["content"]) else { return texts.is_none() };
        let merged = parts.iter().any(|part| part == SEAM);
        merged && texts.is_none_or(|texts| texts.iter().all(|text| parts.contains(text)))
    }

    /// Where the next input lies that the turn does not answer.
    fn next_input(&self, place: usize, cut: &Cut) -> usize {
        let newer = self.heads[..place].iter().rposition(|head| {
            head.message_type == "user_message"
                && !head.otid.as_deref().is_some_and(|otid| cut.is_with(otid))
        });
        newer.map_or(0, |newer| newer + 1)
    }

    /// What was stored of an answer, as far as it begins with what was seen of it. An input that joined
    /// the turn while a tool ran lies in the middle of the answer, so what comes behind it counts where
    /// the part before is too little. `told`: the server has said which inputs the turn answers.
    pub(crate) fn answer(&self, at: (usize, usize), cut: &Cut, told: bool) -> Option<TurnResult> {
        let from = if told { at.1 } else { self.whole_answer(at.1, cut) };
        let until_next = self.told(from, at.0, cut);
        let answers =
            std::iter::once(until_next).chain((at.1 > 0).then(|| self.told(0, at.0, cut)));
        let seen = cut.partial.text.as_str();
        answers.into_iter().find(|answer| answer.text.starts_with(seen))
    }

    /// Where an answer seems to end that goes on behind the next input: a turn that has ended, and had a tool's
    /// output before that input, was joined by it (section 10), and by those that follow it at once.
    fn whole_answer(&self, mut from: usize, cut: &Cut) -> usize {
        let is = |place: usize, kind: &str| self.heads[place].message_type == kind;
        let mut joined = false;
        while cut.end.is_some()
            && from > 0
            && (is(from, "tool_return_message") || (joined && is(from, "user_message")))
        {
            joined = true;
            let newer = self.heads[..from - 1].iter();
            let next = newer.rev().position(|head| head.message_type == "user_message");
            from = next.map_or(0, |back| from - 1 - back);
        }
        from
    }

    fn told(&self, from: usize, to: usize, cut: &Cut) -> TurnResult {
        let mut runs = Runs::default();
        let mut ids: Vec<Arc<str>> = Vec::new();
        let unknown = cut.partial.run_ids.last().cloned().unwrap_or_default();
        for message in self.messages[from..to].iter().rev() {
            let Ok(mut delta) = Delta::read(message.get()) else { continue };
            let run = delta.run_id.get_or_insert_with(|| Cow::Borrowed(&unknown));
            if !ids.iter().any(|id| **id == **run) {
                ids.push((&**run).into());
            }
            runs.record(&delta, message.get());
        }
        let mut result = TurnResult {
            text: String::new(),
            runs: Vec::new(),
            tool_calls: Vec::new(),
            messages: Vec::new(),
            ..cut.partial.clone()
        };
        runs.tell(&ids, &mut result);
        for call in &mut result.tool_calls {
            let seen = cut.tools_ended.get(&call.id).cloned();
            // The server stores of every tool that was run that it has succeeded.
            let stored = call.status.take().filter(|status| status != "success");
            call.status = seen.or(stored);
        }
        result
    }
}

/// The texts of a message's content; `None` where something in it is not text.
pub(crate) fn texts_of(content: &Value) -> Option<Vec<String>> {
    match content {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(parts) => {
            parts.iter().map(|part| part["text"].as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}
