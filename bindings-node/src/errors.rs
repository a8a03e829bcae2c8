//! Errors on their way into JavaScript, where each kind becomes a class of its own (`ts/errors.ts`).

use letta_app_client::{Error, ErrorKind, TurnStatus};
use napi_derive::napi;

/// Marks the exceptions whose message is the JSON of one of our errors.
const MARK: &str = "LettaAppError";

/// An exception with a status text of our own.
pub(crate) type Thrown = napi::Error<&'static str>;

/// Turns an error of the engine into an exception whose message is the error as JSON.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
pub(crate) fn thrown(error: Error) -> Thrown {
    Thrown::new(MARK, error.to_json())
}

/// An option that cannot be used, by its name in JavaScript.
pub(crate) fn bad_option(
    name: &str,
    expected: impl std::fmt::Display,
    got: impl std::fmt::Display,
) -> Thrown {
    let message = format!("{name}: expected {expected}, got {got}");
    thrown(Error::new(ErrorKind::InvalidOption, message))
}

/// The codes of all error kinds, in the order of the documentation.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn error_codes() -> Vec<&'static str> {
    ErrorKind::ALL.iter().map(|kind| kind.code()).collect()
}

/// What is said of an answer that refuses, given as JSON.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn refusal(answer: String) -> String {
    letta_app_client::engine::refusal(&answer).message().to_owned()
}

/// The error, as JSON, of a turn that ended with a status, with the server's words for it; `null` where the
/// agent ended it itself.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn outcome_error(status: String, reason: Option<String>) -> Option<String> {
    let status = TurnStatus::ALL.iter().find(|known| known.as_str() == status)?;
    Some(status.error(reason.as_deref())?.to_json())
}
