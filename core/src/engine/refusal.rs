//! The error of an answer that refuses, in the same words for all languages.

use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::protocol::generated::COMMANDS;

/// The error of an answer that says `success: false` or `accepted: false`: which command was refused, and the server's
/// words for it.
#[must_use]
pub fn refusal(answer: &str) -> Error {
    let json: Value = serde_json::from_str(answer).unwrap_or_default();
    let what = match command_of(json["type"].as_str().unwrap_or_default()) {
        "" => "the request".to_owned(),
        command => format!("`{command}`"),
    };
    let message = format!("{what} was refused: {}", reason(&json["error"]));
    Error::new(ErrorKind::Request, message).with_response(answer)
}

/// The server's words for a refusal, given the `error` of the answer.
pub(crate) fn reason(error: &Value) -> String {
    match error {
        Value::Null => "no reason given".to_owned(),
        Value::String(words) if words.is_empty() => reason(&Value::Null),
        Value::String(words) => words.clone(),
        other => other["message"].as_str().map_or_else(|| other.to_string(), str::to_owned),
    }
}

/// The command that a message answers.
fn command_of(answer: &str) -> &str {
    // The end of a terminal is an answer only where it could not be started.
    if answer == "terminal_exited" {
        return "terminal_spawn";
    }
    let spec = COMMANDS.iter().find(|spec| spec.response == Some(answer));
    spec.map_or_else(|| answer.strip_suffix("_response").unwrap_or(answer), |spec| spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_named_and_the_reason_given() {
        for (answer, message) in [
            (
                r#"{"type":"runtime_start_response","success":false,"error":"Agent a not found"}"#,
                "`runtime_start` was refused: Agent a not found",
            ),
            (
                r#"{"type":"input_accepted","accepted":false,"error":""}"#,
                "`input` was refused: no reason given",
            ),
            (
                r#"{"type":"terminal_exited","error":"no such directory"}"#,
                "`terminal_spawn` was refused: no such directory",
            ),
            (
                r#"{"type":"a_response","error":{"message":"no quota"}}"#,
                "`a` was refused: no quota",
            ),
            (r#"{"type":"news","error":{"code":7}}"#, r#"`news` was refused: {"code":7}"#),
            ("", "the request was refused: no reason given"),
        ] {
            let error = refusal(answer);
            assert_eq!((error.message(), error.response()), (message, Some(answer)));
        }
    }
}
