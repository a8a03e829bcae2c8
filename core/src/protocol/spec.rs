//! The vocabulary of the generated tables: what a command and its fields look like.

use std::fmt;

use super::node::Json;
use super::version::Version;

/// A command that the protocol defines.
#[derive(Debug)]
pub struct CommandSpec {
    /// Value of the command's `type` field.
    pub name: &'static str,
    /// Type of the message that answers it, if one does.
    pub response: Option<&'static str>,
    /// Whether the command carries a `request_id`.
    pub request_id: RequestId,
    /// The first version of the server that knows it; `None` for all.
    pub since: Option<Version>,
    /// The first version that answers it; `None` for all.
    pub answered_since: Option<Version>,
    /// Words of its fields that only later versions know: field, word, version.
    pub words_since: &'static [(&'static str, &'static str, Version)],
    /// What a person may want to know when nobody answers.
    pub timeout_hint: Option<&'static str>,
    /// Its fields without `type` and `request_id`.
    pub fields: &'static [FieldSpec],
}

/// Whether a command carries a `request_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestId {
    /// The server ignores the command without one.
    Required,
    /// The server answers only when there is one.
    Optional,
    /// The command is never answered by id.
    None,
}

/// One field of a command or of an object inside it.
#[derive(Debug)]
pub struct FieldSpec {
    /// Its key in the JSON object.
    pub name: &'static str,
    /// Whether it has to be there.
    pub required: bool,
    /// What its value has to look like when it is there.
    pub shape: Shape,
}

impl FieldSpec {
    /// A field that has to be there.
    #[must_use]
    pub const fn required(name: &'static str, shape: Shape) -> FieldSpec {
        FieldSpec { name, required: true, shape }
    }

    /// A field that may be left out, which is not the same as being `null`.
    #[must_use]
    pub const fn optional(name: &'static str, shape: Shape) -> FieldSpec {
        FieldSpec { name, required: false, shape }
    }
}

/// A type that the protocol gives a name.
#[derive(Debug)]
pub struct TypeSpec {
    /// Name in the protocol reference.
    pub name: &'static str,
    /// What its values look like.
    pub shape: Shape,
}

/// What a JSON value has to look like.
#[derive(Debug)]
pub enum Shape {
    /// Any value.
    Any,
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// Only this one of `true` and `false`.
    Flag(bool),
    /// Any number.
    Number,
    /// Any string.
    Text,
    /// Any string but the empty one.
    NonEmptyText,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// Any object: a body of the Letta REST API, which is passed through.
    AnyObject,
    /// An object with these fields, and maybe others.
    Object(&'static [FieldSpec]),
    /// An object whose keys are chosen by the sender.
    Map(&'static Shape),
    /// An array of such values.
    Array(&'static Shape),
    /// An array of exactly these values.
    Tuple(&'static [Shape]),
    /// What the named type looks like.
    Named(&'static TypeSpec),
    /// Any of these shapes.
    AnyOf(&'static [Shape]),
}

impl Shape {
    /// Whether a value is of the right JSON kind, whatever is inside it.
    pub(super) fn fits_kind(&self, value: &Json<'_>) -> bool {
        match self {
            Shape::Any => true,
            Shape::Null => matches!(value, Json::Null),
            Shape::Boolean | Shape::Flag(_) => matches!(value, Json::Bool(_)),
            Shape::Number => matches!(value, Json::Number(_)),
            Shape::Text | Shape::NonEmptyText | Shape::OneOf(_) => matches!(value, Json::Text(_)),
            Shape::AnyObject | Shape::Object(_) | Shape::Map(_) => matches!(value, Json::Object(_)),
            Shape::Array(_) | Shape::Tuple(_) => matches!(value, Json::Array(_)),
            Shape::Named(named) => named.shape.fits_kind(value),
            Shape::AnyOf(shapes) => shapes.iter().any(|shape| shape.fits_kind(value)),
        }
    }

    /// The fields that are known of an object.
    #[must_use]
    pub fn fields(&self) -> Option<&'static [FieldSpec]> {
        match self {
            Shape::Object(fields) => Some(fields),
            Shape::Named(named) => named.shape.fields(),
            _ => None,
        }
    }

    fn describe(&self, into: &mut Vec<String>) {
        into.push(match self {
            Shape::OneOf(words) => {
                into.extend(words.iter().map(|word| format!("{word:?}")));
                return;
            }
            Shape::AnyOf(shapes) => {
                shapes.iter().for_each(|shape| shape.describe(into));
                return;
            }
            Shape::Named(named) if named.shape.fields().is_none() => {
                named.shape.describe(into);
                return;
            }
            Shape::Any => "any value".to_owned(),
            Shape::Null => "null".to_owned(),
            Shape::Boolean => "boolean".to_owned(),
            Shape::Flag(value) => value.to_string(),
            Shape::Number => "number".to_owned(),
            Shape::Text => "string".to_owned(),
            Shape::NonEmptyText => "non-empty string".to_owned(),
            Shape::AnyObject | Shape::Object(_) | Shape::Map(_) => "object".to_owned(),
            Shape::Array(_) => "array".to_owned(),
            Shape::Tuple(items) => format!("array of {}", items.len()),
            Shape::Named(named) => format!("{} object", named.name),
        });
    }
}

/// The words of an error message: `string or null`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        self.describe(&mut words);
        f.write_str(&either(&words))
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn either(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
