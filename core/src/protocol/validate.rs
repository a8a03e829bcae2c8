//! Checks commands before they are sent.
//!
//! The server does not answer a command it cannot read (protocol reference, section 5.1), so that
//! a misspelt field would only show as a timeout. These checks name the field instead. They know
//! what the server demands, not what it would make of the values: an unknown agent id passes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};

use super::generated::{COMMANDS, MESSAGES};
use super::spec::{CommandSpec, FieldSpec, RequestId, Shape, either};

/// A command that the server would ignore or refuse, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field in question: `payload.messages[0].role`.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there, in short; the values of secrets are left out.
    pub got: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}`: expected {}, got {}", self.path, self.expected, self.got)
    }
}

impl std::error::Error for Violation {}

/// The definition of a command, or `None` if the protocol does not define this `type`.
#[must_use]
pub fn spec(command_type: &str) -> Option<&'static CommandSpec> {
    let found = COMMANDS.binary_search_by(|spec| spec.name.cmp(command_type));
    found.ok().map(|index| &COMMANDS[index])
}

/// The type of a response or an event, if the protocol defines it.
#[must_use]
pub fn known_message(message_type: &str) -> Option<&'static str> {
    // Nearly all that comes is of one type.
    const DELTA: &str = "stream_delta";
    if message_type == DELTA {
        return Some(DELTA);
    }
    MESSAGES.binary_search(&message_type).ok().map(|index| MESSAGES[index])
}

/// Checks a command. Unknown fields pass, as do commands of an unknown type: both may be newer
/// than this library.
///
/// # Errors
///
/// The first thing found that the server would not accept.
pub fn validate(command: &Map<String, Value>) -> Result<(), Violation> {
    let root = Path::Root;
    let kind = match command.get("type") {
        Some(Value::String(kind)) => kind,
        other => return Err(root.key("type").mismatch(Shape::Text, other)),
    };
    let Some(spec) = spec(kind) else {
        return Ok(());
    };
    let payload = command.get("payload").unwrap_or(&Value::Null);
    if spec.name == "input" {
        // Before the fields, because an approval among the messages also lacks those of a message.
        no_approval_among_messages(payload)?;
    }
    match (spec.request_id, command.get("request_id")) {
        (RequestId::None, _) | (RequestId::Optional, None) => {}
        (_, request_id) => required(&Shape::Text, request_id, &root.key("request_id"))?,
    }
    check_fields(spec.fields, command, &root)?;
    match spec.name {
        "runtime_start" => {
            exactly_one(command, "agent_id", "create_agent", &root)?;
            at_most_one(command, "conversation_id", "create_conversation", &root)
        }
        "external_tool_call_response" => exactly_one(command, "result", "error", &root),
        "input" => decision_or_error(payload),
        "runtime_external_tools_update" => no_runtime_twice(command),
        _ => Ok(()),
    }
}

fn check(shape: &Shape, value: &Value, at: &Path<'_>) -> Result<(), Violation> {
    let fits = match (shape, value) {
        (Shape::Named(named), _) if shape.fits_kind(value) => {
            return check(&named.shape, value, at);
        }
        (Shape::AnyOf(shapes), _) => return check_any(shape, shapes, value, at),
        (Shape::Object(fields), Value::Object(object)) => return check_fields(fields, object, at),
        (Shape::Map(item), Value::Object(object)) => {
            return object.iter().try_for_each(|(key, value)| check(item, value, &at.entry(key)));
        }
        (Shape::Array(item), Value::Array(items)) => {
            let mut items = items.iter().enumerate();
            return items.try_for_each(|(index, value)| check(item, value, &at.index(index)));
        }
        (Shape::Tuple(shapes), Value::Array(items)) if shapes.len() == items.len() => {
            let mut pairs = shapes.iter().zip(items).enumerate();
            return pairs
                .try_for_each(|(index, (shape, value))| check(shape, value, &at.index(index)));
        }
        (Shape::Tuple(_), _) => false,
        (Shape::Flag(wanted), Value::Bool(found)) => wanted == found,
        (Shape::NonEmptyText, Value::String(text)) => !text.is_empty(),
        (Shape::OneOf(words), Value::String(text)) => words.contains(&text.as_str()),
        _ => shape.fits_kind(value),
    };
    if fits { Ok(()) } else { Err(at.mismatch(shape, Some(value))) }
}

fn required(shape: &Shape, value: Option<&Value>, at: &Path<'_>) -> Result<(), Violation> {
    match value {
        Some(value) => check(shape, value, at),
        None => Err(at.mismatch(shape, None)),
    }
}

fn check_fields(
    fields: &[FieldSpec],
    object: &Map<String, Value>,
    at: &Path<'_>,
) -> Result<(), Violation> {
    fields.iter().try_for_each(|field| match object.get(field.name) {
        None if !field.required => Ok(()),
        value => required(&field.shape, value, &at.key(field.name)),
    })
}

/// Checks a union so that the message is about the member the sender had in mind, if that shows.
fn check_any(
    whole: &Shape,
    shapes: &'static [Shape],
    value: &Value,
    at: &Path<'_>,
) -> Result<(), Violation> {
    let fitting: Vec<&Shape> = shapes.iter().filter(|shape| shape.fits_kind(value)).collect();
    if let [only] = fitting[..] {
        return check(only, value, at);
    }
    if let (Value::Object(object), Some(tag)) = (value, tag_of(&fitting)) {
        let word = object.get(tag).and_then(Value::as_str);
        let meant = word.and_then(|word| {
            fitting
                .iter()
                .find(|shape| tag_words(shape, tag).is_some_and(|all| all.contains(&word)))
        });
        if let Some(shape) = meant {
            return check(shape, value, at);
        }
        let words = fitting.iter().filter_map(|shape| tag_words(shape, tag)).flatten();
        let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
        return Err(at.key(tag).mismatch(either(&words), object.get(tag)));
    }
    if fitting.iter().any(|shape| check(shape, value, at).is_ok()) {
        return Ok(());
    }
    Err(at.mismatch(whole, Some(value)))
}

/// The field whose literal tells the members of a union apart.
fn tag_of(shapes: &[&Shape]) -> Option<&'static str> {
    let (first, others) = shapes.split_first()?;
    let mut names = first.fields()?.iter().map(|field| field.name);
    names.find(|name| {
        tag_words(first, name).is_some()
            && others.iter().all(|shape| tag_words(shape, name).is_some())
    })
}

fn tag_words(shape: &Shape, tag: &str) -> Option<&'static [&'static str]> {
    let field = shape.fields()?.iter().find(|field| field.name == tag)?;
    match field.shape {
        Shape::OneOf(words) if field.required => Some(words),
        _ => None,
    }
}

fn no_approval_among_messages(payload: &Value) -> Result<(), Violation> {
    if !is_of_kind(payload, "create_message") {
        return Ok(());
    }
    let root = Path::Root;
    let payload_at = root.key("payload");
    let messages = payload_at.key("messages");
    for (index, message) in items(payload.get("messages")).enumerate() {
        let kind = message.get("type");
        if kind.is_some_and(|kind| kind == "approval") {
            let at = messages.index(index);
            return Err(at.key("type").mismatch("a message, not an approval", kind));
        }
    }
    Ok(())
}

fn decision_or_error(payload: &Value) -> Result<(), Violation> {
    match payload.as_object() {
        Some(answer) if is_of_kind(payload, "approval_response") => {
            exactly_one(answer, "decision", "error", &Path::Root.key("payload"))
        }
        _ => Ok(()),
    }
}

fn is_of_kind(payload: &Value, kind: &str) -> bool {
    payload.get("kind").and_then(Value::as_str) == Some(kind)
}

fn no_runtime_twice(command: &Map<String, Value>) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    let root = Path::Root;
    let all = root.key("updates");
    for (number, update) in items(command.get("updates")).enumerate() {
        let group = all.index(number);
        let runtimes = group.key("runtimes");
        for (index, runtime) in items(update.get("runtimes")).enumerate() {
            let text = |name| runtime.get(name).and_then(Value::as_str);
            if !seen.insert((text("agent_id"), text("conversation_id"))) {
                let at = runtimes.index(index);
                return Err(at.violation("each runtime once", "a runtime named before".to_owned()));
            }
        }
    }
    Ok(())
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn exactly_one(
    object: &Map<String, Value>,
    one: &str,
    other: &str,
    at: &Path<'_>,
) -> Result<(), Violation> {
    if object.contains_key(one) || object.contains_key(other) {
        return at_most_one(object, one, other, at);
    }
    let expected = format!("exactly one of `{one}` and `{other}`");
    Err(at.key(one).violation(expected, "neither".to_owned()))
}

fn at_most_one(
    object: &Map<String, Value>,
    one: &str,
    other: &str,
    at: &Path<'_>,
) -> Result<(), Violation> {
    if object.contains_key(one) && object.contains_key(other) {
        let expected = format!("only one of `{one}` and `{other}`");
        return Err(at.key(one).violation(expected, "both".to_owned()));
    }
    Ok(())
}

/// Where in the command a value is. Borrows from the path of the parent, so that nothing is
/// allocated for a command that is in order.
enum Path<'a> {
    Root,
    /// A field that the protocol names.
    Key(&'a Path<'a>, &'a str),
    /// An entry of an object whose keys the sender chooses.
    Entry(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn key<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Key(self, name)
    }

    fn entry<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Entry(self, name)
    }

    fn index(&self, index: usize) -> Path<'_> {
        Path::Index(self, index)
    }

    fn mismatch(&self, expected: impl fmt::Display, got: Option<&Value>) -> Violation {
        let got = got.map_or_else(|| "nothing".to_owned(), |got| short(got, self.is_secret()));
        self.violation(expected, got)
    }

    fn violation(&self, expected: impl fmt::Display, got: String) -> Violation {
        Violation { path: self.to_string(), expected: expected.to_string(), got }
    }

    /// Whether the value must not be shown. Entries are where environments and credentials are
    /// passed: nothing in their keys tells the harmless ones.
    fn is_secret(&self) -> bool {
        match self {
            Path::Root => false,
            Path::Key(parent, name) => names_a_secret(name) || parent.is_secret(),
            Path::Entry(..) => true,
            Path::Index(parent, _) => parent.is_secret(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, name) => f.write_str(name),
            Path::Key(parent, name) => write!(f, "{parent}.{name}"),
            Path::Entry(parent, name) => write!(f, "{parent}[{:?}]", clipped(name)),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn names_a_secret(field: &str) -> bool {
    let words = ["token", "secret", "password", "credential", "api_key"];
    field == "data" || field == "code" || words.iter().any(|word| field.contains(word))
}

/// A value in few words.
fn short(value: &Value, is_secret: bool) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Object(_) => "object".to_owned(),
        Value::Array(items) => format!("array of {}", items.len()),
        Value::Bool(_) if is_secret => "boolean (not shown)".to_owned(),
        Value::Number(_) if is_secret => "number (not shown)".to_owned(),
        Value::String(_) if is_secret => "string (not shown)".to_owned(),
        Value::Bool(value) => format!("boolean {value}"),
        Value::Number(number) => format!("number {number}"),
        Value::String(text) => format!("string {:?}", clipped(text)),
    }
}

/// At most 40 characters of a text.
fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
