//! What a tool has to be like for a model to call it (PROTOCOL.md section 14).
//!
//! This is no rule of the server: it registers a tool of any name and with any schema, and hands it on. Models refuse
//! the whole request then, so that each turn fails. A tool that a program makes is checked when it is made; a registration
//! that is written by hand is sent as the server would take it, since not every model is as strict.

use serde_json::Value;

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
    Err(format!("a tool is called by 1 to {LONGEST} of A-Z, a-z, 0-9, _ and -, not {name:?}"))
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
            let expected =
                format!("a tool is called by 1 to 64 of A-Z, a-z, 0-9, _ and -, not {name:?}");
            assert_eq!(check_tool_name(name), Err(expected));
        }
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
}
