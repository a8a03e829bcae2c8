//! Checks commands before they are sent.
//!
//! The server does not answer a command it cannot read (protocol reference, section 5.1), so that
//! a misspelt field would only show as a timeout. These checks name the field instead. They know
//! what the server demands, not what it would make of the values: an unknown agent id passes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde_json::{Map, Value, json};

use super::generated::{COMMANDS, MESSAGES};
use super::node::{Json, Node};
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
/// than this library. Methods for one command look for slips among them besides ([`Check`](crate::Check)).
///
/// # Errors
///
/// The first thing found that the server would not accept.
pub fn validate(command: &Map<String, Value>) -> Result<(), Violation> {
    validate_node(&command.into())
}

/// Checks the content of a user's message, as an `input` with it is checked.
pub(crate) fn validate_content(content: &Value) -> Result<(), Violation> {
    let messages = json!([{ "role": "user", "content": content }]);
    let input = json!({
        "type": "input",
        "runtime": { "agent_id": "any", "conversation_id": "any" },
        "payload": { "kind": "create_message", "messages": messages },
    });
    validate_node(&Node::from(&input))
}

/// As [`validate`].
pub(crate) fn validate_node(command: &Node<'_>) -> Result<(), Violation> {
    let kind = command.get("type");
    let Some(name) = kind.and_then(Node::as_str) else {
        return Err(Path::Root.key("type").mismatch(Shape::Text, kind));
    };
    spec(name).map_or(Ok(()), |spec| validate_as(spec, command))
}

/// As [`validate`], for one whose type is known.
pub(crate) fn validate_as(spec: &CommandSpec, command: &Node<'_>) -> Result<(), Violation> {
    let root = Path::Root;
    let payload = command.get("payload");
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
            no_empty_id(command, "agent_id", &root)?;
            no_empty_id(command, "conversation_id", &root)?;
            exactly_one(command, "agent_id", "create_agent", &root)?;
            at_most_one(command, "conversation_id", "create_conversation", &root)
        }
        "external_tool_call_response" => exactly_one(command, "result", "error", &root),
        "input" => decision_or_error(payload),
        "runtime_external_tools_update" => each_runtime_once(command),
        _ => Ok(()),
    }
}

fn check(shape: &Shape, value: &Node<'_>, at: &Path<'_>) -> Result<(), Violation> {
    let fits = match (shape, &value.json) {
        (Shape::Named(named), json) if shape.fits_kind(json) => {
            return check(&named.shape, value, at);
        }
        (Shape::AnyOf(shapes), _) => return check_any(shape, shapes, value, at),
        (Shape::Object(fields), Json::Object(_)) => return check_fields(fields, value, at),
        (Shape::Map(item), Json::Object(entries)) => {
            // The last one counts where a key repeats.
            let entries: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key, value)).collect();
            let mut entries = entries.into_iter();
            return entries.try_for_each(|(key, value)| check(item, value, &at.entry(key)));
        }
        (Shape::Array(item), Json::Array(items)) => {
            let mut items = items.iter().enumerate();
            return items.try_for_each(|(index, value)| check(item, value, &at.index(index)));
        }
        (Shape::Tuple(shapes), Json::Array(items)) if shapes.len() == items.len() => {
            let mut pairs = shapes.iter().zip(items).enumerate();
            return pairs
                .try_for_each(|(index, (shape, value))| check(shape, value, &at.index(index)));
        }
        (Shape::Tuple(_), _) => false,
        (Shape::Flag(wanted), Json::Bool(found)) => wanted == found,
        (Shape::NonEmptyText, Json::Text(text)) => !text.is_empty(),
        (Shape::OneOf(words), Json::Text(text)) => words.contains(&&**text),
        (_, json) => shape.fits_kind(json),
    };
    if fits { Ok(()) } else { Err(at.mismatch(shape, Some(value))) }
}

fn required(shape: &Shape, value: Option<&Node<'_>>, at: &Path<'_>) -> Result<(), Violation> {
    match value {
        Some(value) => check(shape, value, at),
        None => Err(at.mismatch(shape, None)),
    }
}

fn check_fields(fields: &[FieldSpec], object: &Node<'_>, at: &Path<'_>) -> Result<(), Violation> {
    fields.iter().try_for_each(|field| match object.get(field.name) {
        None if !field.required => Ok(()),
        value => required(&field.shape, value, &at.key(field.name)),
    })
}

/// Checks a union so that the message is about the member the sender had in mind, if that shows.
fn check_any(
    whole: &Shape,
    shapes: &'static [Shape],
    value: &Node<'_>,
    at: &Path<'_>,
) -> Result<(), Violation> {
    let fitting: Vec<&Shape> = shapes.iter().filter(|shape| shape.fits_kind(&value.json)).collect();
    if let [only] = fitting[..] {
        return check(only, value, at);
    }
    if let (Json::Object(_), Some(tag)) = (&value.json, tag_of(&fitting)) {
        return check_tagged(&fitting, tag, value, at);
    }
    if fitting.iter().any(|shape| check(shape, value, at).is_ok()) {
        return Ok(());
    }
    Err(at.mismatch(whole, Some(value)))
}

/// Checks an object by the member whose tag it has, or by the one that stands for tags that are not known here.
fn check_tagged(
    shapes: &[&Shape],
    tag: &'static str,
    value: &Node<'_>,
    at: &Path<'_>,
) -> Result<(), Violation> {
    let word = value.text(tag);
    let says = |shape: &&&Shape| word.is_some_and(|word| tag_words(shape, tag).contains(&word));
    let open = || shapes.iter().find(|shape| tag_words(shape, tag).is_empty());
    if let Some(shape) = shapes.iter().find(says).or_else(open) {
        return check(shape, value, at);
    }
    let words = shapes.iter().flat_map(|shape| tag_words(shape, tag));
    let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    Err(at.key(tag).mismatch(either(&words), value.get(tag)))
}

/// The field whose literal tells the members of a union apart. One of them may stand for all other texts.
pub(super) fn tag_of(shapes: &[&Shape]) -> Option<&'static str> {
    let (first, others) = shapes.split_first()?;
    let mut names = first.fields()?.iter().map(|field| field.name);
    names.find(|name| {
        !tag_words(first, name).is_empty()
            && others.iter().all(|shape| {
                let field = shape.fields().into_iter().flatten().find(|field| field.name == *name);
                let tags = |field: &FieldSpec| matches!(field.shape, Shape::OneOf(_) | Shape::Text);
                field.is_some_and(|field| field.required && tags(field))
            })
    })
}

/// The literals of a member's tag; none where it is any text.
pub(super) fn tag_words(shape: &Shape, tag: &str) -> &'static [&'static str] {
    let field = shape.fields().into_iter().flatten().find(|field| field.name == tag);
    match field {
        Some(FieldSpec { required: true, shape: Shape::OneOf(words), .. }) => words,
        _ => &[],
    }
}

/// An empty id names nothing; a `runtime` that has one is ignored by the server (section 5.1).
fn no_empty_id(command: &Node<'_>, field: &str, at: &Path<'_>) -> Result<(), Violation> {
    match command.get(field) {
        Some(id) => check(&Shape::NonEmptyText, id, &at.key(field)),
        None => Ok(()),
    }
}

fn no_approval_among_messages(payload: Option<&Node<'_>>) -> Result<(), Violation> {
    let Some(payload) = of_kind(payload, "create_message") else { return Ok(()) };
    let root = Path::Root;
    let payload_at = root.key("payload");
    let messages = payload_at.key("messages");
    for (index, message) in items(payload.get("messages")).iter().enumerate() {
        let kind = message.get("type");
        if kind.and_then(Node::as_str) == Some("approval") {
            let at = messages.index(index);
            return Err(at.key("type").mismatch("a message, not an approval", kind));
        }
    }
    Ok(())
}

fn decision_or_error(payload: Option<&Node<'_>>) -> Result<(), Violation> {
    let Some(answer) = of_kind(payload, "approval_response") else { return Ok(()) };
    exactly_one(answer, "decision", "error", &Path::Root.key("payload"))
}

fn of_kind<'a>(payload: Option<&'a Node<'a>>, kind: &str) -> Option<&'a Node<'a>> {
    payload.filter(|payload| payload.text("kind") == Some(kind))
}

/// An update names runtimes, and none that another one names.
fn each_runtime_once(command: &Node<'_>) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    let root = Path::Root;
    let all = root.key("updates");
    for (number, update) in items(command.get("updates")).iter().enumerate() {
        let group = all.index(number);
        let runtimes = group.key("runtimes");
        if items(update.get("runtimes")).is_empty() {
            return Err(runtimes.violation("at least one runtime", "none".to_owned()));
        }
        for (index, runtime) in items(update.get("runtimes")).iter().enumerate() {
            if !seen.insert((runtime.text("agent_id"), runtime.text("conversation_id"))) {
                let at = runtimes.index(index);
                return Err(at.violation("each runtime once", "a runtime named before".to_owned()));
            }
        }
    }
    Ok(())
}

fn items<'a>(value: Option<&'a Node<'a>>) -> &'a [Node<'a>] {
    if let Some(Json::Array(items)) = value.map(|value| &value.json) { items } else { &[] }
}

fn exactly_one(object: &Node<'_>, one: &str, other: &str, at: &Path<'_>) -> Result<(), Violation> {
    if object.get(one).is_some() || object.get(other).is_some() {
        return at_most_one(object, one, other, at);
    }
    let expected = format!("exactly one of `{one}` and `{other}`");
    Err(at.key(one).violation(expected, "neither".to_owned()))
}

fn at_most_one(object: &Node<'_>, one: &str, other: &str, at: &Path<'_>) -> Result<(), Violation> {
    if object.get(one).is_some() && object.get(other).is_some() {
        let expected = format!("only one of `{one}` and `{other}`");
        return Err(at.key(one).violation(expected, "both".to_owned()));
    }
    Ok(())
}

/// Where in the command a value is. Borrows from the path of the parent, so that nothing is
/// allocated for a command that is in order.
pub(super) enum Path<'a> {
    Root,
    /// A field that the protocol names.
    Key(&'a Path<'a>, &'a str),
    /// An entry of an object whose keys the sender chooses.
    Entry(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub(super) fn key<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Key(self, name)
    }

    fn entry<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Entry(self, name)
    }

    pub(super) fn index(&self, index: usize) -> Path<'_> {
        Path::Index(self, index)
    }

    fn mismatch(&self, expected: impl fmt::Display, got: Option<&Node<'_>>) -> Violation {
        let got =
            got.map_or_else(|| "nothing".to_owned(), |got| short(&got.json, self.is_secret()));
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
fn short(value: &Json<'_>, is_secret: bool) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Object(_) => "object".to_owned(),
        Json::Array(items) => format!("array of {}", items.len()),
        Json::Bool(_) if is_secret => "boolean (not shown)".to_owned(),
        Json::Number(_) if is_secret => "number (not shown)".to_owned(),
        Json::Text(_) if is_secret => "string (not shown)".to_owned(),
        Json::Bool(value) => format!("boolean {value}"),
        Json::Number(number) => format!("number {number}"),
        Json::Text(text) => format!("string {:?}", clipped(text)),
    }
}

/// At most 40 characters of a text.
fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
