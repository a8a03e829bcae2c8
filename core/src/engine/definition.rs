//! What a tool has to be like for a model to call it (PROTOCOL.md section 14).
//!
//! This is no rule of the server: it registers a tool of any name and with any schema, and hands it on. Models refuse
//! the whole request then, so that each turn fails. A tool that a program makes is checked when it is made; a registration
//! that is written by hand is sent as the server would take it, since not every model is as strict.

use serde_json::{Map, Value};

use super::schema::{Place, Schema};

/// The longest name that all models take.
const LONGEST: usize = 64;

/// Checks the name of a tool.
///
/// # Errors
///
/// Says what a name looks like, and which one came.
pub fn check_tool_name(name: &str) -> Result<(), String> {
    let is_usable = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(is_usable) {
        return Ok(());
    }
    Err(format!(
        "expected a tool name of 1 to {LONGEST} characters from A-Z, a-z, 0-9, _ and -, got {name:?}"
    ))
}

/// Checks the JSON schema of a tool's arguments, which are always an object.
///
/// # Errors
///
/// Says what was expected, and what came.
pub fn check_tool_parameters(schema: &Value) -> Result<(), String> {
    match schema.as_object().map(|fields| fields.get("type")) {
        None => Err(format!("expected the JSON schema of an object, got {schema}")),
        Some(Some(kind)) if kind != "object" => {
            Err(format!("expected the JSON schema of an object, got one of type {kind}"))
        }
        Some(_) => Ok(()),
    }
}

/// Checks the arguments of a call by the JSON schema of its tool; what no library has checked, and no type.
///
/// Types, the values of an `enum` and the `required` names are looked at, of what is inside as well; other keywords
/// are not. The arguments are always an object, whatever the schema says, and a call without any has an empty one.
///
/// # Errors
///
/// Says what does not fit, each line beginning with its field: so many as help a model, and how many more there are.
pub fn check_tool_arguments(schema: &Value, arguments: &Value) -> Result<(), Vec<String>> {
    let whole = Place::Whole("arguments");
    let none = Value::Object(Map::new());
    let arguments = if arguments.is_null() { &none } else { arguments };
    let object = Value::Object(Map::from_iter([("type".to_owned(), "object".into())]));
    let schema = if arguments.is_object() { schema } else { &object };
    let problems = Schema::new(schema).problems(arguments, whole);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The required parameters of a tool whose value may be `null`.
///
/// The server itself refuses a call in which a required parameter is missing, and takes one that is `null` for
/// missing: such a call never comes. So they are registered as what may be left out ([`registered_parameters`]), and
/// are `null` in a call that leaves them out.
#[must_use]
pub fn nullable_parameters(schema: &Value) -> Vec<String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let names_null = |name: &&str| Schema::new(schema).field(name).is_some_and(Schema::names_null);
    required.filter_map(Value::as_str).filter(names_null).map(str::to_owned).collect()
}

/// The JSON schema of a tool's arguments as it is registered: what may be `null` is not required
/// ([`nullable_parameters`]).
#[must_use]
pub fn registered_parameters(schema: &Value) -> Value {
    let nullable = nullable_parameters(schema);
    let mut schema = schema.clone();
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !nullable.iter().any(|nullable| name == nullable));
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_that_all_models_take() {
        for name in ["a", "look_up-2", &"A".repeat(64)] {
            assert_eq!(check_tool_name(name), Ok(()));
        }
        for name in ["", "a b", "é", "a.b", &"a".repeat(65)] {
            let expected = format!(
                "expected a tool name of 1 to 64 characters from A-Z, a-z, 0-9, _ and -, got {name:?}"
            );
            assert_eq!(check_tool_name(name), Err(expected));
        }
    }

    #[test]
    fn what_may_be_null_is_registered_as_what_may_be_left_out() {
        let nothing = json!({ "type": "null" });
        let schema = json!({
            "type": "object",
            "properties": {
                "text": { "type": "string" },
                "kinds": { "type": ["string", "null"] },
                "either": { "anyOf": [{ "type": "string" }, nothing] },
                "neither": { "anyOf": [{ "type": "string" }, { "type": "object" }] },
                "one": { "oneOf": [{ "const": 1 }, { "const": null }] },
                "all": { "allOf": [{ "enum": [1, null] }, nothing] },
                "listed": { "enum": ["a", "b"] },
                "any": {},
                "never": false,
                "defined": { "$ref": "#/$defs/D" },
                "circle": { "$ref": "#/$defs/C" },
                "optional": nothing,
            },
            "required": [
                "text", "kinds", "either", "neither", "one", "all", "listed", "any", "never", "defined", "circle",
                "unknown",
            ],
            "$defs": { "D": nothing, "C": { "anyOf": [{ "$ref": "#/$defs/C" }] } },
        });
        let nullable = ["kinds", "either", "one", "all", "defined"];
        assert_eq!(nullable_parameters(&schema), nullable);
        let mut expected = schema.clone();
        expected["required"] =
            json!(["text", "neither", "listed", "any", "never", "circle", "unknown"]);
        assert_eq!(registered_parameters(&schema), expected);
        assert_eq!(registered_parameters(&json!({})), json!({}));
    }

    #[test]
    fn parameters_are_those_of_an_object() {
        for schema in [json!({}), json!({ "type": "object" }), json!({ "properties": {} })] {
            assert_eq!(check_tool_parameters(&schema), Ok(()));
        }
        let told = check_tool_parameters(&json!([])).unwrap_err();
        assert_eq!(told, "expected the JSON schema of an object, got []");
        let told = check_tool_parameters(&json!({ "type": "array" })).unwrap_err();
        assert_eq!(told, "expected the JSON schema of an object, got one of type \"array\"");
    }

    #[test]
    fn arguments_are_those_of_the_schema() {
        let schema = json!({
            "type": "object", "properties": { "n": { "type": "number" } }, "required": ["n"],
        });
        assert_eq!(check_tool_arguments(&schema, &json!({ "n": 1, "more": [] })), Ok(()));
        for (arguments, problem) in [
            (json!({ "n": "1" }), r#"n: expected a number, got "1""#),
            (json!({}), "n: expected a number, but it is missing"),
            (json!(null), "n: expected a number, but it is missing"),
            (json!([1]), "arguments: expected an object, got [1]"),
        ] {
            let problem = Err(vec![problem.to_owned()]);
            assert_eq!(check_tool_arguments(&schema, &arguments), problem, "{arguments}");
        }
        // Also where the schema does not say so.
        let problem = Err(vec!["arguments: expected an object, got 5".to_owned()]);
        assert_eq!(check_tool_arguments(&json!({}), &json!(5)), problem);
        assert_eq!(check_tool_arguments(&json!({}), &json!(null)), Ok(()));
    }
}
