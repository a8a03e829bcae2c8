//! Structured output: a tool through which the agent hands in the result of a turn.
//!
//! The protocol has no output schemas, so the schema becomes the parameters of an external tool
//! (PROTOCOL.md section 14). An agent that ends its turn without a valid result is asked once more.

use serde_json::{Map, Value, json};

use super::definition::{nullable_parameters, registered_parameters};
use super::result::TurnResult;
use super::schema::{Place, Schema};
use crate::error::{Error, ErrorKind};
use crate::protocol::node::Node;
use crate::protocol::raw::RawObject;
use crate::protocol::validate::validate_content;

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
    scope: String,
    parameters: Value,
    wrapped: bool,
    accepted: bool,
    repaired: bool,
    problems: Vec<String>,
    /// What was said to the last call that had a result which does not fit.
    told: Option<String>,
    /// Why the last call did not come here.
    refusal: Option<String>,
}

impl Submission {
    /// The name of the tool.
    pub const TOOL: &'static str = "submit_result";

    /// Waits for what a JSON schema describes.
    ///
    /// # Arguments
    ///
    /// * `scope` - In which the tool is registered, so that other turns do not see it: an id of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when the schema is no object.
    pub fn new(schema: &Value, scope: impl Into<String>) -> Result<Self, Error> {
        let Value::Object(fields) = schema else {
            let message = format!("output schema: expected a JSON schema, got {schema}");
            return Err(Error::new(ErrorKind::InvalidOption, message));
        };
        let wrapped = !describes_object(fields);
        let parameters = if wrapped { wrap(fields.clone()) } else { schema.clone() };
        let (scope, problems) = (scope.into(), Vec::new());
        let (accepted, repaired, told, refusal) = (false, false, None, None);
        Ok(Self { scope, parameters, wrapped, accepted, repaired, problems, told, refusal })
    }

    /// The `scope_id` of the tool's group.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The tool's definition, an entry of `external_tools[].tools`.
    #[must_use]
    pub fn tool(&self) -> Value {
        json!({
            "name": Self::TOOL,
            "description": "Submits the result of the task as data. Call it when the task is done; \
                            a later call replaces an earlier one.",
            "parameters": registered_parameters(&self.parameters),
        })
    }

    /// What is said to the agent: the content of the user's message, and how to hand the result in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCommand`] when that is no content, in the words of an `input` with it.
    pub fn content(&self, content: &Value) -> Result<Value, Error> {
        validate_content(content).map_err(|violation| {
            Error::new(ErrorKind::InvalidCommand, format!("`input`: {violation}"))
        })?;
        let mut parts = match content {
            Value::Array(parts) => parts.clone(),
            text => vec![json!({ "type": "text", "text": text })],
        };
        let note = format!("Submit the result with the tool `{}` before you finish.", Self::TOOL);
        parts.push(json!({ "type": "text", "text": note }));
        Ok(Value::Array(parts))
    }

    /// What is answered to a call that another turn's tool was meant for, which the server has kept: its result
    /// must not count here. Nothing where the call is one of this wait.
    ///
    /// # Arguments
    ///
    /// * `scope` - The call's `scope_id`; older servers do not say it.
    #[must_use]
    pub fn late(&self, scope: Option<&str>) -> Option<Value> {
        let is_late = scope.is_some_and(|scope| scope != self.scope);
        is_late.then(|| answer("nobody is waiting for the result any more", true))
    }

    /// The result within the arguments of a call.
    ///
    /// # Errors
    ///
    /// Says what does not fit the schema, each line beginning with its field. What is checked are the types, the
    /// values of an `enum` and the `required` names, of what is inside as well; other keywords are not.
    pub fn output(&self, arguments: &Value) -> Result<Value, Vec<String>> {
        let (output, problems) = self.output_text(&arguments.to_string());
        let output = output.and_then(|output| serde_json::from_str(&output).ok());
        output.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// The same as it stands in the arguments' text, with all digits of its numbers and its keys in their order, and
    /// what is wrong with it. There is a result also where it does not fit: others may have more to say of it.
    #[must_use]
    pub fn output_text(&self, arguments: &str) -> (Option<String>, Vec<String>) {
        let mut fields = RawObject::parse(arguments).ok();
        let completed = fields.as_mut().and_then(|fields| self.completed(fields));
        let arguments = completed.as_deref().unwrap_or(arguments);
        // What is no value here, a number too large for a float, is left to whoever reads the result.
        let value = Node::value(arguments).map(|node| node.to_value());
        let mut problems = value.map(|value| self.misfits(&value)).unwrap_or_default();
        if !self.wrapped {
            return (Some(arguments.to_owned()), problems);
        }
        let output = fields.as_ref().and_then(|fields| fields.get(WRAPPER)).map(str::to_owned);
        if output.is_none() && problems.is_empty() {
            problems.push(format!("{WRAPPER}: is missing"));
        }
        (output, problems)
    }

    /// Sets to `null` what was left out because it may be, and gives the text if there was anything.
    fn completed(&self, fields: &mut RawObject) -> Option<String> {
        let mut is_whole = true;
        for name in nullable_parameters(&self.parameters) {
            if fields.get(&name).is_none() {
                fields.set(&name, "null".to_owned()).ok()?;
                is_whole = false;
            }
        }
        (!is_whole).then(|| fields.to_text())
    }

    fn misfits(&self, arguments: &Value) -> Vec<String> {
        let schema = Schema::new(&self.parameters);
        if !self.wrapped {
            return schema.problems(arguments, Place::Whole(WRAPPER));
        }
        let field = schema.field(WRAPPER).unwrap_or(schema);
        match arguments.get(WRAPPER) {
            Some(output) => field.problems(output, Place::Named(WRAPPER)),
            None => vec![field.missing(&Place::Named(WRAPPER))],
        }
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
            "The result was accepted.".to_owned()
        };
        self.accepted |= !refused;
        self.problems = problems;
        let answer = answer(&text, refused);
        self.told = refused.then_some(text);
        answer
    }

    /// What to do now that a turn has come to its end.
    ///
    /// # Arguments
    ///
    /// * `failed` - The outputs of the turn's calls of the tool that ended with an error, in their order. The server
    ///   refuses calls by itself, as one without a required field, and they are seen nowhere else.
    pub fn turn_ended(&mut self, failed: &[&str]) -> NextStep {
        if self.accepted {
            return NextStep::Done;
        }
        let told = self.told.take();
        let last = failed.last().filter(|output| told.as_ref().is_none_or(|told| told != *output));
        // What is known of the last call stands, also where a turn without one has followed.
        if last.is_some() || told.is_some() {
            self.refusal = last.map(|output| (*output).to_owned());
        }
        if self.repaired {
            return NextStep::GiveUp;
        }
        self.repaired = true;
        let what = if let Some(refusal) = &self.refusal {
            format!("The result you submitted was refused: {refusal}")
        } else if self.problems.is_empty() {
            "You have not submitted a result.".to_owned()
        } else {
            format!("The result you submitted was not valid:\n{}", listed(&self.problems))
        };
        NextStep::Repair(format!("{what}\nCall the tool `{}` with it now.", Self::TOOL))
    }

    /// The error of a wait that was given up, with what the last turn came to.
    #[must_use]
    pub fn error(&self, result: TurnResult) -> Error {
        let (message, problems) = if let Some(refusal) = &self.refusal {
            (format!("the result was refused: {refusal}"), vec![refusal.clone()])
        } else if self.problems.is_empty() {
            ("the agent submitted no result".to_owned(), Vec::new())
        } else {
            let problems = self.problems.join("; ");
            (format!("the result does not fit its schema: {problems}"), self.problems.clone())
        };
        Error::new(ErrorKind::StructuredOutput, message).with_problems(problems).with_result(result)
    }
}

/// The `result` of a call.
fn answer(text: &str, is_error: bool) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "is_error": is_error })
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

    fn waits(schema: &Value) -> Submission {
        Submission::new(schema, "scope-1").unwrap()
    }

    #[test]
    fn an_object_is_the_parameters_of_the_tool() {
        let submission = waits(&object());
        assert_eq!(submission.tool()["name"], "submit_result");
        assert_eq!(submission.tool()["parameters"], object());
        assert_eq!(submission.output(&json!({ "file": "a" })), Ok(json!({ "file": "a" })));
        assert_eq!(submission.field(), None);
    }

    #[test]
    fn anything_else_is_a_field_of_them() {
        let schema = json!({ "$ref": "#/$defs/F", "$defs": { "F": { "type": "string" } } });
        let submission = waits(&schema);
        let expected = json!({
            "type": "object",
            "properties": { "result": { "$ref": "#/$defs/F" } },
            "required": ["result"],
            "$defs": { "F": { "type": "string" } },
        });
        assert_eq!(submission.tool()["parameters"], expected);
        assert_eq!(submission.output(&json!({ "result": "a" })), Ok(json!("a")));
        assert_eq!(submission.field(), Some("result"));
        let missing = vec!["result: expected text, but it is missing".to_owned()];
        for arguments in ["{}", "7"] {
            let value = serde_json::from_str(arguments).unwrap();
            assert_eq!(submission.output(&value), Err(missing.clone()));
            assert_eq!(submission.output_text(arguments), (None, missing.clone()));
        }
        let wrong = vec!["result: expected text, got 7".to_owned()];
        let arguments = json!({ "result": 7 });
        assert_eq!(submission.output(&arguments), Err(wrong.clone()));
        assert_eq!(submission.output_text(&arguments.to_string()), (Some("7".to_owned()), wrong));
    }

    #[test]
    fn a_text_is_given_as_it_stands() {
        let given =
            r#"{"z":1e400,"a":123456789.12345679,"b":"\ud83d","c":100000000000000000000000001}"#;
        let of = |kind| waits(&json!({ "type": kind }));
        let as_given = (Some(given.to_owned()), Vec::new());
        assert_eq!(of("object").output_text(given), as_given);
        let wrapped = format!(r#"{{"other":1,"result":{given}}}"#);
        assert_eq!(of("array").output_text(&wrapped), as_given);
    }

    #[test]
    fn a_schema_is_an_object() {
        let error = Submission::new(&json!(true), "scope-1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }

    #[test]
    fn the_prompt_keeps_its_parts() {
        let submission = waits(&object());
        let content = submission.content(&json!("find it")).unwrap();
        assert_eq!(content[0], json!({ "type": "text", "text": "find it" }));
        assert!(content[1]["text"].as_str().unwrap().contains("submit_result"));
        let image = json!({ "type": "image", "source": { "type": "url", "url": "a" } });
        assert_eq!(submission.content(&json!([image])).unwrap()[0], image);
    }

    #[test]
    fn what_is_no_content_is_refused_as_in_an_input() {
        for (content, got) in [(json!(5), "number 5"), (json!(null), "null"), (json!({}), "object")]
        {
            let error = waits(&object()).content(&content).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCommand);
            let expected = format!(
                "`input`: field `payload.messages[0].content`: expected string or array, got {got}"
            );
            assert_eq!(error.message(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_the_schema_is_no_result() {
        let schema = json!({
            "properties": { "file": { "type": "string" }, "line": { "type": "integer" } },
            "required": ["file", "line"],
        });
        let given = json!({ "line": "1" });
        let problems = vec![
            r#"line: expected an integer, got "1""#.to_owned(),
            "file: expected text, but it is missing".to_owned(),
        ];
        assert_eq!(waits(&schema).output(&given), Err(problems.clone()));
        let text = given.to_string();
        assert_eq!(waits(&schema).output_text(&text), (Some(text), problems));
    }

    #[test]
    fn a_call_of_another_turn_is_late() {
        let submission = waits(&object());
        assert_eq!(submission.late(Some("scope-1")), None);
        assert_eq!(submission.late(None), None, "the server did not say");
        let answer = submission.late(Some("scope-0")).unwrap();
        assert_eq!(answer["content"][0]["text"], "nobody is waiting for the result any more");
        assert_eq!(answer["is_error"], true);
    }

    #[test]
    fn a_valid_result_ends_the_wait() {
        let mut submission = waits(&object());
        let answer = submission.submitted(vec!["file: is missing".to_owned()]);
        assert_eq!(answer["is_error"], true);
        assert!(answer["content"][0]["text"].as_str().unwrap().contains("- file: is missing"));
        assert_eq!(submission.submitted(Vec::new())["is_error"], false);
        assert_eq!(submission.turn_ended(&["Denied."]), NextStep::Done);
    }

    #[test]
    fn there_is_one_more_chance() {
        let mut submission = waits(&object());
        let NextStep::Repair(prompt) = submission.turn_ended(&[]) else { panic!("no repair") };
        assert!(prompt.contains("have not submitted"));
        let answer = submission.submitted(vec!["file: is missing".to_owned()]);
        let told = answer["content"][0]["text"].as_str().unwrap();
        assert_eq!(submission.turn_ended(&["Denied.", told]), NextStep::GiveUp);
        let error = submission.error(TurnResult::default());
        assert_eq!(error.kind(), ErrorKind::StructuredOutput);
        assert_eq!(error.problems(), ["file: is missing"]);
    }

    #[test]
    fn what_the_server_refuses_is_told_and_is_the_error() {
        let refusal = "submit_result tool missing required parameter: file. Received parameters: x";
        let mut submission = waits(&object());
        submission.submitted(vec!["file: expected text, got 1".to_owned()]);
        let NextStep::Repair(prompt) = submission.turn_ended(&[refusal]) else {
            panic!("no repair")
        };
        let expected = format!(
            "The result you submitted was refused: {refusal}\nCall the tool `submit_result` with it now."
        );
        assert_eq!(prompt, expected);
        assert_eq!(submission.turn_ended(&[refusal]), NextStep::GiveUp);
        let error = submission.error(TurnResult::default());
        assert_eq!(error.message(), format!("the result was refused: {refusal}"));
        assert_eq!(error.problems(), [refusal]);
    }

    #[test]
    fn the_error_is_of_the_last_call_there_was() {
        let refusal = "submit_result tool missing required parameter: file. Received parameters: x";
        let mut silent = waits(&object());
        assert!(matches!(silent.turn_ended(&[refusal]), NextStep::Repair(_)));
        assert_eq!(silent.turn_ended(&[]), NextStep::GiveUp);
        assert_eq!(silent.error(TurnResult::default()).problems(), [refusal]);
        let mut misfit = waits(&object());
        assert!(matches!(misfit.turn_ended(&[refusal]), NextStep::Repair(_)));
        let answer = misfit.submitted(vec!["file: expected text, got 1".to_owned()]);
        let told = answer["content"][0]["text"].as_str().unwrap();
        assert_eq!(misfit.turn_ended(&[told]), NextStep::GiveUp);
        assert_eq!(misfit.error(TurnResult::default()).problems(), ["file: expected text, got 1"]);
    }

    #[test]
    fn what_may_be_null_may_be_left_out() {
        let schema = json!({
            "type": "object",
            "properties": { "a": { "type": "string" }, "n": { "type": ["integer", "null"] } },
            "required": ["a", "n"],
        });
        let submission = waits(&schema);
        assert_eq!(submission.tool()["parameters"]["required"], json!(["a"]));
        let whole = (Some(r#"{"a":"x","n":null}"#.to_owned()), Vec::new());
        assert_eq!(submission.output_text(r#"{"a":"x"}"#), whole);
        assert_eq!(submission.output(&json!({ "a": "x" })), Ok(json!({ "a": "x", "n": null })));
        let wrapped = waits(&json!({ "type": ["integer", "null"] }));
        assert_eq!(wrapped.tool()["parameters"]["required"], json!([]));
        for arguments in ["{}", r#"{"result":null}"#] {
            assert_eq!(wrapped.output_text(arguments), (Some("null".to_owned()), Vec::new()));
        }
        assert_eq!(wrapped.output(&json!({})), Ok(Value::Null));
    }
}
