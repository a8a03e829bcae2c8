//! Whether a value fits a JSON schema, by the few rules that a model breaks: `type`, `enum` and `required`, and the
//! same of what is inside (`properties`, `items`, and `$ref` to a definition).
//!
//! All other keywords are ignored, so something may pass here that a whole validator would refuse, but nothing is
//! refused that fits. A whole validator would be a dependency many times as large as this.

use serde_json::{Map, Value};

/// More would not help a model to mend its call.
const MOST: usize = 8;
/// How much of a value is shown, in characters.
const SHOWN: usize = 80;
/// References that lead to references; a circle has to end somewhere.
const HOPS: usize = 16;

/// A schema, with the definitions that its parts refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema<'a> {
    whole: &'a Value,
    /// The part in question.
    part: &'a Value,
}

impl<'a> Schema<'a> {
    pub(super) fn new(whole: &'a Value) -> Self {
        Self { whole, part: whole }
    }

    /// A field's schema.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        let part = self.followed().part.get("properties")?.get(name)?;
        Some(Self { part, ..self })
    }

    /// What is wrong with a value, each line beginning with its field: so many as help, and how many more there are.
    ///
    /// # Arguments
    ///
    /// * `at` - What the value is called; its fields are called by their own names alone where it is no field itself.
    pub(super) fn problems(self, value: &Value, at: Place<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        self.check(value, &at, &mut problems);
        let more = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        problems
    }

    /// What is said of a value that is not there.
    pub(super) fn missing(self, at: &Place<'_>) -> String {
        match self.expected() {
            Some(expected) => format!("{}: expected {expected}, but it is missing", at.text()),
            None => format!("{}: is missing", at.text()),
        }
    }

    fn check(self, value: &Value, at: &Place<'_>, problems: &mut Vec<String>) {
        let schema = self.followed();
        if !schema.allows(value) {
            let expected = schema.expected().unwrap_or_else(|| "another value".to_owned());
            problems.push(format!("{}: expected {expected}, got {}", at.text(), shown(value)));
            return;
        }
        match value {
            Value::Object(fields) => schema.check_fields(fields, at, problems),
            Value::Array(items) => schema.check_items(items, at, problems),
            _ => {}
        }
    }

    fn check_fields(self, fields: &Map<String, Value>, at: &Place<'_>, problems: &mut Vec<String>) {
        let properties = self.part.get("properties").and_then(Value::as_object);
        for (name, part) in properties.into_iter().flatten() {
            if let Some(value) = fields.get(name) {
                Self { part, ..self }.check(value, &Place::Field(at, name), problems);
            }
        }
        let required = self.part.get("required").and_then(Value::as_array);
        let names = required.into_iter().flatten().filter_map(Value::as_str);
        for name in names.filter(|name| !fields.contains_key(*name)) {
            let place = Place::Field(at, name);
            let missing = self.field(name).map(|field| field.missing(&place));
            problems.push(missing.unwrap_or_else(|| format!("{}: is missing", place.text())));
        }
    }

    fn check_items(self, items: &[Value], at: &Place<'_>, problems: &mut Vec<String>) {
        // With `prefixItems` it is said of the others. A list of schemas is an older form of those.
        let Some(part) = self.part.get("items").filter(|part| part.is_object()) else { return };
        let first = self.part.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
        for (index, value) in items.iter().enumerate().skip(first) {
            Self { part, ..self }.check(value, &Place::Item(at, index), problems);
        }
    }

    /// The schema that this one refers to. Only definitions are looked up: they are where they were, also where
    /// the schema has become that of a field.
    fn followed(mut self) -> Self {
        for _ in 0..HOPS {
            let reference = self.part.get("$ref").and_then(Value::as_str);
            let path = reference.and_then(|reference| reference.strip_prefix('#'));
            let known =
                |path: &&str| ["/$defs/", "/definitions/"].iter().any(|at| path.starts_with(at));
            let found = path.filter(known).and_then(|path| self.whole.pointer(path));
            let Some(part) = found else { break };
            self.part = part;
        }
        self
    }

    /// Whether a value is of the type, and one of those that are listed.
    fn allows(self, value: &Value) -> bool {
        let is_listed = match self.part.get("enum") {
            Some(Value::Array(values)) => values.iter().any(|listed| same(listed, value)),
            _ => true,
        };
        let is_of_type = match self.part.get("type") {
            Some(Value::String(kind)) => is_of(kind, value),
            Some(Value::Array(kinds)) => {
                kinds.iter().any(|kind| kind.as_str().is_none_or(|kind| is_of(kind, value)))
            }
            _ => true,
        };
        is_listed && is_of_type
    }

    /// Whether it says that `null` is a value of it; one that says nothing of values does not.
    pub(super) fn names_null(self) -> bool {
        self.names_null_within(HOPS)
    }

    fn names_null_within(self, hops: usize) -> bool {
        let schema = self.followed();
        let Some(hops) = hops.checked_sub(1) else { return false };
        let part = schema.part;
        let names = |part| Self { part, ..schema }.names_null_within(hops);
        let parts = |keyword| part.get(keyword).and_then(Value::as_array);
        let one_does = |keyword| parts(keyword).is_some_and(|parts| parts.iter().any(names));
        let is_named = ["type", "enum"].iter().any(|keyword| part.get(keyword).is_some())
            || part.get("const").is_some_and(Value::is_null)
            || one_does("anyOf")
            || one_does("oneOf")
            || parts("allOf").is_some_and(|parts| parts.iter().all(names));
        is_named && schema.allows(&Value::Null)
    }

    /// What is asked for, in words; nothing where that is not known here.
    fn expected(self) -> Option<String> {
        let schema = self.followed().part;
        if let Some(Value::Array(values)) = schema.get("enum") {
            let values: Vec<_> = values.iter().map(shown).collect();
            return Some(format!("one of {}", values.join(", ")));
        }
        let kinds = match schema.get("type")? {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => vec![kind.as_str()?],
        };
        let words: Vec<_> = kinds.into_iter().map(words).collect();
        let format = schema.get("format").and_then(Value::as_str);
        let format = format.map(|format| format!(" ({format})")).unwrap_or_default();
        Some(words.join(" or ") + &format)
    }
}

/// Where a value is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// It is the whole, which has no name that its fields would begin with.
    Whole(&'a str),
    /// It is called so, and so are its parts.
    Named(&'a str),
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn text(&self) -> String {
        match self {
            Self::Whole(name) | Self::Named(name) | Self::Field(Self::Whole(_), name) => {
                (*name).to_owned()
            }
            Self::Field(parent, name) => format!("{}.{name}", parent.text()),
            Self::Item(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}

/// Whether a value is of a type. Of a type that is not known here it may be.
fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        // 5.0 is an integer, and some models write it so.
        "integer" => {
            let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
            value.is_i64() || value.is_u64() || whole
        }
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn words(kind: &str) -> &str {
    match kind {
        "array" => "an array",
        "boolean" => "true or false",
        "integer" => "an integer",
        "number" => "a number",
        "object" => "an object",
        "string" => "text",
        other => other,
    }
}

/// Whether two values are the same: 5 and 5.0 are.
fn same(one: &Value, other: &Value) -> bool {
    let numbers = one.as_f64().zip(other.as_f64());
    #[expect(clippy::float_cmp, reason = "the same number, written in another way")]
    let same_number = numbers.is_some_and(|(one, other)| one == other);
    one == other || same_number
}

/// A value as JSON, shortened: so a text cannot be taken for a number.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(schema: &Value, value: &Value) -> Vec<String> {
        Schema::new(schema).problems(value, Place::Whole("result"))
    }

    fn finding() -> Value {
        json!({
            "type": "object",
            "properties": {
                "file": { "type": "string" },
                "line": { "type": "integer", "minimum": 1 },
                "kind": { "enum": ["bug", "smell", 5, null] },
                "tags": { "type": "array", "items": { "type": "string" } },
                "at": { "type": ["string", "null"], "format": "date" },
                "anything": { "description": "no type" },
            },
            "required": ["file", "line", "anything", "unheard"],
        })
    }

    #[test]
    fn what_fits_has_no_problems() {
        let good = json!({ "file": "a", "line": 3, "anything": [1], "unheard": 1, "more": {} });
        assert_eq!(problems(&finding(), &good), [""; 0]);
        for (field, value) in [
            ("line", json!(3.0)),
            ("line", json!(u64::MAX)),
            ("line", json!(-1)),
            ("kind", json!(5.0)),
            ("kind", json!(null)),
            ("tags", json!([])),
            ("at", json!(null)),
        ] {
            let mut good = good.clone();
            good[field] = value;
            assert_eq!(problems(&finding(), &good), [""; 0], "{field}");
        }
    }

    #[test]
    fn each_problem_names_the_field_what_was_expected_and_what_came() {
        let wrong = json!({
            "file": 1, "line": "1", "kind": "odd", "tags": ["a", 2], "at": true, "anything": null,
        });
        let mut told = problems(&finding(), &wrong);
        told.sort();
        let expected = [
            "at: expected text or null (date), got true",
            "file: expected text, got 1",
            r#"kind: expected one of "bug", "smell", 5, null, got "odd""#,
            r#"line: expected an integer, got "1""#,
            "tags[1]: expected text, got 2",
            "unheard: is missing",
        ];
        assert_eq!(told, expected);
        let told = problems(&finding(), &json!({ "line": 1.5, "anything": 1, "unheard": 1 }));
        let expected =
            ["line: expected an integer, got 1.5", "file: expected text, but it is missing"];
        assert_eq!(told, expected);
        assert_eq!(problems(&finding(), &json!([])), ["result: expected an object, got []"]);
    }

    #[test]
    fn what_is_not_called_whole_begins_with_its_name() {
        let list = json!({ "type": "array", "items": finding() });
        let value = json!([{ "file": "a", "line": 1, "anything": 1, "unheard": 1 }, { "line": 1 }]);
        let told = Schema::new(&list).problems(&value, Place::Named("result"));
        let expected = [
            "result[1].file: expected text, but it is missing",
            "result[1].anything: is missing",
            "result[1].unheard: is missing",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn definitions_are_looked_up_and_circles_end() {
        let tree = json!({
            "$ref": "#/$defs/Tree",
            "$defs": {
                "Tree": {
                    "type": "object",
                    "properties": {
                        "name": { "$ref": "#/$defs/Name" },
                        "parts": { "type": "array", "items": { "$ref": "#/$defs/Tree" } },
                    },
                    "required": ["name"],
                },
                "Name": { "type": "string" },
                "Circle": { "$ref": "#/$defs/Circle" },
            },
        });
        let value =
            json!({ "name": "a", "parts": [{ "name": "b", "parts": [{ "name": 1 }, {}] }] });
        let expected = [
            "parts[0].parts[0].name: expected text, got 1",
            "parts[0].parts[1].name: expected text, but it is missing",
        ];
        assert_eq!(problems(&tree, &value), expected);
        for reference in ["#/$defs/Circle", "#/$defs/Unknown", "#", "other.json#/$defs/Name"] {
            let mut schema = tree.clone();
            schema["$ref"] = reference.into();
            assert_eq!(problems(&schema, &json!(1)), [""; 0], "{reference}");
        }
    }

    #[test]
    fn what_is_not_known_here_is_no_problem() {
        for schema in [
            json!({ "type": "date" }),
            json!({ "type": 7 }),
            json!({ "anyOf": [{ "type": "string" }] }),
            json!({ "items": [{ "type": "string" }] }),
            json!({ "prefixItems": [{ "type": "string" }], "items": { "type": "integer" } }),
            json!({ "items": false, "required": true, "properties": [], "enum": 1 }),
        ] {
            assert_eq!(problems(&schema, &json!([1, 2])), [""; 0], "{schema}");
        }
    }

    #[test]
    fn so_many_as_help() {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        let told = problems(&list, &json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        assert_eq!((told.len(), &*told[8]), (9, "and 2 more"));
        let long = problems(&json!({ "type": "integer" }), &json!("é".repeat(100)));
        let shown =
            format!("result: expected an integer, got \"{}… (102 characters)", "é".repeat(79));
        assert_eq!(long, [shown]);
    }
}
