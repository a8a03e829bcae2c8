//! The checked form of a type expression; mirrors `protocol::spec::Shape` of the library.

/// What a JSON value has to look like.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Any,
    Null,
    Boolean,
    Flag(bool),
    Number,
    Text,
    NonEmptyText,
    OneOf(Vec<String>),
    AnyObject,
    Object(Vec<Field>),
    Map(Box<Shape>),
    Array(Box<Shape>),
    Tuple(Vec<Shape>),
    Named(String),
    AnyOf(Vec<Shape>),
}

/// One field of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub required: bool,
    pub shape: Shape,
    /// The server generations that know it; all where it is empty.
    pub generations: Vec<String>,
}

impl Shape {
    /// The shapes written inside this one; a name has none.
    pub fn parts(&self) -> Vec<&Shape> {
        match self {
            Shape::Map(item) | Shape::Array(item) => vec![item],
            Shape::Tuple(items) | Shape::AnyOf(items) => items.iter().collect(),
            Shape::Object(fields) => fields.iter().map(|field| &field.shape).collect(),
            _ => Vec::new(),
        }
    }

    /// Joins the members of a union: nested unions are flattened, literals gathered, members that a
    /// wider one covers are dropped, and `null` goes last, where it reads best in a message.
    pub fn any_of(members: Vec<Shape>) -> Shape {
        let mut flat = Vec::new();
        for member in members {
            match member {
                Shape::AnyOf(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.contains(&Shape::Any) {
            return Shape::Any;
        }
        let has_text = flat.contains(&Shape::Text);
        let mut literals: Vec<String> = Vec::new();
        let mut joined: Vec<Shape> = Vec::new();
        let mut has_null = false;
        for member in flat {
            match member {
                Shape::Null => has_null = true,
                Shape::OneOf(words) => literals.extend(words),
                other if joined.contains(&other) => {}
                other => joined.push(other),
            }
        }
        if !literals.is_empty() && !has_text {
            joined.insert(0, Shape::OneOf(literals));
        }
        if has_null {
            joined.push(Shape::Null);
        }
        match joined.pop() {
            Some(only) if joined.is_empty() => only,
            last => {
                joined.extend(last);
                Shape::AnyOf(joined)
            }
        }
    }
}
