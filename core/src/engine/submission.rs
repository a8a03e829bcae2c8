//! Structured output: a tool through which the agent hands in the result of a turn.
//!
//! The protocol has no output schemas, so the schema becomes the parameters of an external tool
//! (PROTOCOL.md section 14). An agent that ends its turn without a valid result is asked once more.

use serde_json::{Map, Value, json};

use super::result::TurnResult;
use crate::error::{Error, ErrorKind};
use crate::protocol::raw::RawObject;

/// The field that holds a result which is no object: parameters of tools always are.
const WRAPPER: &str = "result";

/// What to do at the end of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// A valid result has come.
    Done,
    /// Send this as the next input: the agent is to hand in a result after all.
    Repair(String),
    /// The agent had its second chance; see [`Submission::error`].
    GiveUp,
}

/// The wait for one result.
#[derive(Debug, Clone)]
pub struct Submission {
    parameters: Value,
    wrapped: bool,
    accepted: bool,
    repaired: bool,
    problems: Vec<String>,
}

impl Submission {
    /// The name of the tool.
    pub const TOOL: &'static str = "submit_result";

    /// Waits for what a JSON schema describes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when the schema is no object.
    pub fn new(schema: &Value) -> Result<Self, Error> {
        let Value::Object(fields) = schema else {
            let message = format!("output schema: expected a JSON schema, got {schema}");
            return Err(Error::new(ErrorKind::InvalidOption, message));
        };
        let wrapped = !describes_object(fields);
        let parameters = if wrapped { wrap(fields.clone()) } else { schema.clone() };
        Ok(Self { parameters, wrapped, accepted: false, repaired: false, problems: Vec::new() })
    }

    /// The tool's definition, an entry of `external_tools[].tools`.
    #[must_use]
    pub fn tool(&self) -> Value {
        json!({
            "name": Self::TOOL,
            "description": "Hands in the result of the task as data. Call it when the task is done; \
                a later call replaces an earlier one.",
            "parameters": self.parameters,
        })
    }

    /// What is said to the agent: the content of the user's message, and how to hand the result in.
    #[must_use]
    pub fn content(&self, content: &Value) -> Value {
        let mut parts = match content {
            Value::Array(parts) => parts.clone(),
            text => vec![json!({ "type": "text", "text": text })],
        };
        let note = format!("Hand in the result with the tool `{}` before you finish.", Self::TOOL);
        parts.push(json!({ "type": "text", "text": note }));
        Value::Array(parts)
    }

    /// The result within the arguments of a call, which is still to be validated.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    pub fn output(&self, arguments: &Value) -> Result<Value, String> {
        if !self.wrapped {
            return Ok(arguments.clone());
        }
        arguments.get(WRAPPER).cloned().ok_or_else(|| format!("{WRAPPER}: is missing"))
    }

    /// The same as it stands in the arguments' text, with all digits of its numbers and its keys in their order.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    pub fn output_text(&self, arguments: &str) -> Result<String, String> {
        if !self.wrapped {
            return Ok(arguments.to_owned());
        }
        let fields = RawObject::parse(arguments).ok();
        let output = fields.as_ref().and_then(|fields| fields.get(WRAPPER));
        output.map(str::to_owned).ok_or_else(|| format!("{WRAPPER}: is missing"))
    }

    /// The field of the arguments that holds the result; none where they are the result.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.wrapped.then_some(WRAPPER)
    }

    /// Takes note of a call and says what is answered to it.
    ///
    /// # Arguments
    ///
    /// * `problems` - What is wrong with the result, each naming its field; none for a valid one.
    pub fn submitted(&mut self, problems: Vec<String>) -> Value {
        let refused = !problems.is_empty();
        let text = if refused {
            format!("The result is not valid. Call the tool again.\n{}", listed(&problems))
        } else {
            "The result was taken.".to_owned()
        };
        self.accepted |= !refused;
        self.problems = problems;
        json!({ "content": [{ "type": "text", "text": text }], "is_error": refused })
    }

    /// What to do now that a turn has come to its end.
    pub fn turn_ended(&mut self) -> NextStep {
        if self.accepted {
            return NextStep::Done;
        }
        if self.repaired {
            return NextStep::GiveUp;
        }
        self.repaired = true;
        let what = if self.problems.is_empty() {
            "You have not handed in a result.".to_owned()
        } else {
            format!("The result you handed in was not valid:\n{}", listed(&self.problems))
        };
        NextStep::Repair(format!("{what}\nCall the tool `{}` with it now.", Self::TOOL))
    }

    /// The error of a wait that was given up, with what the last turn came to.
    #[must_use]
    pub fn error(&self, result: TurnResult) -> Error {
        let message = if self.problems.is_empty() {
            "the agent handed in no result".to_owned()
        } else {
            format!("the result does not fit its schema: {}", self.problems.join("; "))
        };
        Error::new(ErrorKind::StructuredOutput, message)
            .with_problems(self.problems.clone())
            .with_result(result)
    }
}

fn listed(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n")
}

/// Whether the values of a schema are objects, as parameters have to be.
fn describes_object(schema: &Map<String, Value>) -> bool {
    let kind = schema.get("type").and_then(Value::as_str);
    kind == Some("object") || (kind.is_none() && schema.contains_key("properties"))
}

/// An object with the value as its only field. Definitions stay where references look for them.
fn wrap(mut schema: Map<String, Value>) -> Value {
    let definitions: Vec<_> =
        ["$defs", "definitions"].into_iter().filter_map(|name| schema.remove_entry(name)).collect();
    let mut parameters = Map::new();
    parameters.insert("type".to_owned(), "object".into());
    parameters.insert("properties".to_owned(), json!({ WRAPPER: schema }));
    parameters.insert("required".to_owned(), json!([WRAPPER]));
    parameters.extend(definitions);
    Value::Object(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Value {
        json!({ "type": "object", "properties": { "file": { "type": "string" } } })
    }

    #[test]
    fn an_object_is_the_parameters_of_the_tool() {
        let submission = Submission::new(&object()).unwrap();
        assert_eq!(submission.tool()["name"], "submit_result");
        assert_eq!(submission.tool()["parameters"], object());
        assert_eq!(submission.output(&json!({ "file": "a" })), Ok(json!({ "file": "a" })));
        assert_eq!(submission.field(), None);
    }

    #[test]
    fn anything_else_is_a_field_of_them() {
        let schema = json!({ "$ref": "#/$defs/F", "$defs": { "F": { "type": "string" } } });
        let submission = Submission::new(&schema).unwrap();
        let expected = json!({
            "type": "object",
            "properties": { "result": { "$ref": "#/$defs/F" } },
            "required": ["result"],
            "$defs": { "F": { "type": "string" } },
        });
        assert_eq!(submission.tool()["parameters"], expected);
        assert_eq!(submission.output(&json!({ "result": 7 })), Ok(json!(7)));
        assert_eq!(submission.field(), Some("result"));
        assert_eq!(submission.output(&json!({})), Err("result: is missing".to_owned()));
        for arguments in ["{}", "7"] {
            let missing = Err("result: is missing".to_owned());
            assert_eq!(submission.output_text(arguments), missing);
        }
    }

    #[test]
    fn a_text_is_given_as_it_stands() {
        let given =
            r#"{"z":1e400,"a":123456789.12345679,"b":"\ud83d","c":100000000000000000000000001}"#;
        let of = |kind| Submission::new(&json!({ "type": kind })).unwrap();
        assert_eq!(of("object").output_text(given).as_deref(), Ok(given));
        let wrapped = format!(r#"{{"other":1,"result":{given}}}"#);
        assert_eq!(of("array").output_text(&wrapped).as_deref(), Ok(given));
    }

    #[test]
    fn a_schema_is_an_object() {
        let error = Submission::new(&json!(true)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }

    #[test]
    fn the_prompt_keeps_its_parts() {
        let submission = Submission::new(&object()).unwrap();
        let content = submission.content(&json!("find it"));
        assert_eq!(content[0], json!({ "type": "text", "text": "find it" }));
        assert!(content[1]["text"].as_str().unwrap().contains("submit_result"));
        let image = json!({ "type": "image", "source": {} });
        assert_eq!(submission.content(&json!([image]))[0], image);
    }

    #[test]
    fn a_valid_result_ends_the_wait() {
        let mut submission = Submission::new(&object()).unwrap();
        let answer = submission.submitted(vec!["file: is missing".to_owned()]);
        assert_eq!(answer["is_error"], true);
        assert!(answer["content"][0]["text"].as_str().unwrap().contains("- file: is missing"));
        assert_eq!(submission.submitted(Vec::new())["is_error"], false);
        assert_eq!(submission.turn_ended(), NextStep::Done);
    }

    #[test]
    fn there_is_one_more_chance() {
        let mut submission = Submission::new(&object()).unwrap();
        let NextStep::Repair(prompt) = submission.turn_ended() else { panic!("no repair") };
        assert!(prompt.contains("have not handed in"));
        submission.submitted(vec!["file: is missing".to_owned()]);
        assert_eq!(submission.turn_ended(), NextStep::GiveUp);
        let error = submission.error(TurnResult::default());
        assert_eq!(error.kind(), ErrorKind::StructuredOutput);
        assert_eq!(error.problems(), ["file: is missing"]);
    }
}
