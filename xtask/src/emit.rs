//! Writes shapes as Rust source. Layout is left to rustfmt.

use crate::catalog::RequestId;
use crate::shape::{Field, Shape};

/// A command, ready to be written.
pub struct Command<'a> {
    pub name: &'a str,
    pub response: Option<&'a str>,
    pub request_id: RequestId,
    pub since: Option<&'a str>,
    pub answered_since: Option<&'a str>,
    pub timeout_hint: Option<&'a str>,
    /// Field, word and version.
    pub words_since: Vec<(&'a str, &'a str, &'a str)>,
    pub fields: Vec<Field>,
}

impl Command<'_> {
    pub fn emit(&self) -> String {
        format!(
            "CommandSpec {{ name: {:?}, response: {:?}, request_id: RequestId::{:?}, since: {}, \
             answered_since: {}, timeout_hint: {:?}, words_since: {}, fields: {} }}",
            self.name,
            self.response,
            self.request_id,
            version(self.since),
            version(self.answered_since),
            self.timeout_hint,
            slice(self.words_since.iter().map(|(field, word, since)| {
                format!("({field:?}, {word:?}, Version({}))", since.replace('.', ", "))
            })),
            fields(&self.fields),
        )
    }
}

fn version(text: Option<&str>) -> String {
    text.map_or("None".to_owned(), |text| format!("Some(Version({}))", text.replace('.', ", ")))
}

/// A public table of strings.
pub fn words(name: &str, doc: &str, mut words: Vec<&str>) -> String {
    words.sort_unstable();
    format!("/// {doc}\npub static {name}: &[&str] = &{words:?};\n")
}

/// The static that holds a named type.
pub fn named_type(name: &str, shape: &Shape) -> String {
    let constant = constant(name);
    let shape = expression(shape);
    format!("static {constant}: TypeSpec = TypeSpec {{ name: {name:?}, shape: {shape} }};\n")
}

/// `RuntimeScope` becomes `RUNTIME_SCOPE`.
pub fn constant(name: &str) -> String {
    let mut constant = String::new();
    let mut after_small = false;
    for letter in name.chars() {
        if after_small && letter.is_ascii_uppercase() {
            constant.push('_');
        }
        after_small = !letter.is_ascii_uppercase();
        constant.push(letter.to_ascii_uppercase());
    }
    constant
}

fn fields(all: &[Field]) -> String {
    let each = all.iter().map(|field| {
        let kind = if field.required { "required" } else { "optional" };
        format!("FieldSpec::{kind}({:?}, {})", field.name, expression(&field.shape))
    });
    slice(each)
}

fn expression(shape: &Shape) -> String {
    let arguments = match shape {
        Shape::Any
        | Shape::Null
        | Shape::Boolean
        | Shape::Number
        | Shape::Text
        | Shape::NonEmptyText
        | Shape::AnyObject => return format!("Shape::{shape:?}"),
        Shape::Flag(value) => value.to_string(),
        Shape::OneOf(words) => format!("&{words:?}"),
        Shape::Object(all) => fields(all),
        Shape::Map(item) | Shape::Array(item) => format!("&{}", expression(item)),
        Shape::Tuple(all) | Shape::AnyOf(all) => slice(all.iter().map(expression)),
        Shape::Named(name) => format!("&{}", constant(name)),
    };
    format!("Shape::{}({arguments})", variant(shape))
}

fn variant(shape: &Shape) -> String {
    let text = format!("{shape:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

fn slice(items: impl Iterator<Item = String>) -> String {
    format!("&[{}]", items.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::{constant, expression};
    use crate::shape::{Field, Shape};

    #[test]
    fn constants_are_named_after_their_types() {
        assert_eq!(constant("RuntimeScope"), "RUNTIME_SCOPE");
        assert_eq!(constant("DmPolicy"), "DM_POLICY");
    }

    #[test]
    fn shapes_are_written_as_constructor_calls() {
        let field = Field {
            name: "a".to_owned(),
            required: false,
            generations: Vec::new(),
            shape: Shape::Map(Box::new(Shape::OneOf(vec!["x".to_owned()]))),
        };
        let shape = Shape::AnyOf(vec![Shape::Object(vec![field]), Shape::Null]);
        let expected = "Shape::AnyOf(&[Shape::Object(&[FieldSpec::optional(\"a\", \
                        Shape::Map(&Shape::OneOf(&[\"x\"])))]), Shape::Null])";
        assert_eq!(expression(&shape), expected);
    }
}
