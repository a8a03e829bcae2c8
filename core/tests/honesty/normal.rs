//! What of two sequences of frames is compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::{Value, json};

/// The allowed differences, each with its reason.
#[derive(Deserialize)]
pub struct Differences {
    /// Frames that are not compared: `type`, or `stream_delta:message_type`.
    frames: BTreeMap<String, String>,
    /// Fields that are not compared: `type.path.to.field`, of a delta `message_type.field`; `*` for every frame.
    fields: BTreeMap<String, String>,
    /// Ids, which are told apart by where they come first: the names of fields.
    ids: BTreeMap<String, String>,
    /// Kinds of frames that are compared in a sequence of their own, as their place among others is not promised.
    lanes: BTreeMap<String, String>,
    /// Neighbours of these types count once, where they are equal.
    repeats: BTreeMap<String, String>,
    /// Parts of a content that are not compared: how their text begins.
    texts: BTreeMap<String, String>,
    #[serde(skip)]
    used: Mutex<BTreeSet<String>>,
}

impl Differences {
    pub fn read() -> Self {
        serde_json::from_str(include_str!("differences.json")).unwrap()
    }

    fn uses(&self, rule: &str) {
        self.used.lock().unwrap().insert(rule.to_owned());
    }

    /// Rules that were not needed.
    pub fn unused(&self) -> Vec<&str> {
        let used = self.used.lock().unwrap();
        let rules = self.frames.keys().chain(self.fields.keys()).chain(self.ids.keys());
        // Whether frames change their places, or come twice, is a matter of luck.
        let rules = rules.chain(self.texts.keys());
        rules.map(String::as_str).filter(|rule| !used.contains(*rule)).collect()
    }

    /// How the frames of the double differ from those of the real server; `None` when they do not.
    pub fn compare(&self, real: &[Value], double: &[Value]) -> Option<String> {
        let (real, double) = (self.lanes(real), self.lanes(double));
        let names: BTreeSet<&String> = real.keys().chain(double.keys()).collect();
        let none = Vec::new();
        for name in names {
            let ours = double.get(name).unwrap_or(&none);
            let theirs = real.get(name).unwrap_or(&none);
            let at = theirs.iter().zip(ours).position(|(theirs, ours)| theirs != ours);
            let at = at.or((theirs.len() != ours.len()).then(|| theirs.len().min(ours.len())));
            if let Some(at) = at {
                let mut text = format!("frame {at} of {name:?}");
                for (whose, lane) in [("real", theirs), ("double", ours)] {
                    for (index, frame) in lane.iter().enumerate().skip(at.saturating_sub(1)).take(3)
                    {
                        write!(text, "\n  {whose} {index}: {frame}").unwrap();
                    }
                }
                return Some(text);
            }
        }
        None
    }

    fn lanes(&self, frames: &[Value]) -> BTreeMap<String, Vec<Value>> {
        let mut lanes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut ids = HashMap::new();
        for frame in frames {
            let (kind, mut body) = shape(frame);
            if self.frames.contains_key(&kind) {
                self.uses(&kind);
                continue;
            }
            let short = kind.rsplit(':').next().unwrap_or_default().to_owned();
            for rule in self.fields.keys() {
                let (of, path) = rule.split_once('.').unwrap();
                if (of == "*" || of == short) && remove(&mut body, path) {
                    self.uses(rule);
                }
            }
            self.name_ids(&mut body, &mut ids);
            let lane = if self.lanes.contains_key(&short) {
                self.uses(&short);
                short.clone()
            } else if self.lanes.contains_key("responses") && is_response(&short) {
                self.uses("responses");
                "responses".to_owned()
            } else {
                "events".to_owned()
            };
            let lane = lanes.entry(lane).or_default();
            if self.repeats.contains_key(&short) && lane.last() == Some(&body) {
                self.uses(&short);
                continue;
            }
            lane.push(body);
        }
        // Requests are answered in the order in which the server is ready.
        if let Some(responses) = lanes.get_mut("responses") {
            responses.sort_by_key(|frame| frame["request_id"].to_string());
        }
        lanes
    }

    /// Gives ids the number of their first appearance, also where they are keys or parts of other ids.
    fn name_ids(&self, value: &mut Value, known: &mut HashMap<String, String>) {
        match value {
            Value::Object(fields) => {
                let mut named = serde_json::Map::new();
                for (key, mut value) in std::mem::take(fields) {
                    if let Some(rule) =
                        self.ids.keys().find(|rule| **rule == key && key != "request_id")
                    {
                        self.uses(rule);
                        number(&mut value, rule, known);
                    } else if key == "request_id" && is_servers(&value) {
                        self.uses("request_id");
                        number(&mut value, "tool_call_id", known);
                    } else {
                        self.name_ids(&mut value, known);
                    }
                    named.insert(known.get(&key).cloned().unwrap_or(key), value);
                }
                *fields = named;
            }
            Value::Array(items) => {
                items.retain(|item| {
                    let text = item["text"].as_str().unwrap_or_default();
                    let added = self.texts.keys().find(|begin| text.starts_with(begin.as_str()));
                    added.inspect(|rule| self.uses(rule)).is_none()
                });
                for item in items.iter_mut() {
                    self.name_ids(item, known);
                }
            }
            _ => {}
        }
    }
}

/// An id, or a list of ids, as numbers. What looks like `batch-1` or `perm-…` keeps what it says.
fn number(value: &mut Value, rule: &str, known: &mut HashMap<String, String>) {
    match value {
        Value::String(text) => {
            let (prefix, id) = match text.as_str() {
                text if text.starts_with("batch-direct-") => ("batch-direct", &text[13..]),
                text if text.starts_with("batch-") => return,
                text if text.starts_with("external-tool-") => {
                    *value = "external-tool-".into();
                    return;
                }
                text if text.starts_with("perm-") => ("perm-", &text[5..]),
                text => ("", text),
            };
            if rule == "turn_id" {
                *value = prefix.into();
                return;
            }
            let kind = rule.trim_end_matches("_ids").trim_end_matches("_id");
            let kind = kind.rsplit('_').next().unwrap_or_default();
            let of_kind = known.values().filter(|name| name.starts_with(kind)).count();
            let name = known.entry(id.to_owned()).or_insert_with(|| format!("{kind}#{of_kind}"));
            *value = format!("{prefix}{name}").into();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| number(item, rule, known)),
        _ => {}
    }
}

/// Whether the server has chosen a request id: of a permission, or of a tool call.
fn is_servers(id: &Value) -> bool {
    id.as_str().is_some_and(|id| id.starts_with("perm-") || id.starts_with("external-tool-"))
}

fn is_response(kind: &str) -> bool {
    kind.ends_with("_response") || kind == "input_accepted"
}

/// The kind of a frame, and what of it is looked at.
fn shape(frame: &Value) -> (String, Value) {
    let kind = frame["type"].as_str().unwrap();
    if kind == "stream_delta" {
        let mut delta = frame["delta"].clone();
        delta["subagent"] = json!(!frame["subagent_id"].is_null());
        let mut of = delta["message_type"].as_str().unwrap_or_default().to_owned();
        if delta["id"].as_str().is_some_and(|id| id.contains("tool-return-stream")) {
            "tool_return_preview".clone_into(&mut of);
        }
        return (format!("stream_delta:{of}"), delta);
    }
    (kind.to_owned(), frame.clone())
}

/// Takes a field out; whether it was there.
fn remove(value: &mut Value, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    match (value, rest) {
        (Value::Array(items), _) => {
            items.iter_mut().fold(false, |found, item| remove(item, path) | found)
        }
        (Value::Object(fields), None) => fields.remove(step).is_some(),
        (Value::Object(fields), Some(rest)) => {
            fields.get_mut(step).is_some_and(|value| remove(value, rest))
        }
        _ => false,
    }
}
