//! Prints every kind of error as JSON: `tests/errors.json`, which the tests of all three languages read.
//! `cargo run -q -p xtask -- gen` writes it there.

use letta_app_client::{Error, ErrorKind, TurnResult};
use serde_json::{Value, json};

fn main() -> serde_json::Result<()> {
    let kinds: Vec<Value> = ErrorKind::ALL.iter().copied().map(entry).collect::<Result<_, _>>()?;
    println!("{:#}", Value::Array(kinds));
    Ok(())
}

/// A kind, and two errors of it in the form in which they cross into other languages: one that says
/// nothing but its message, and one that carries everything an error can.
fn entry(kind: ErrorKind) -> serde_json::Result<Value> {
    let bare = Error::new(kind, "what went wrong");
    let full = bare
        .clone()
        .with_hint("what to do")
        .with_response(json!({ "success": false, "error": "no" }).to_string())
        .with_close_code(Some(1006))
        .with_will_reconnect(true)
        .with_result(TurnResult::default())
        .with_problems(vec!["file: is missing".to_owned()])
        .with_dropped_count(Some(7))
        .with_command(&["letta", "server"].map(str::to_owned))
        .with_end(Some(3), vec!["no such model".to_owned()]);
    Ok(json!({
        "code": kind.code(),
        "retryable": kind.retryable(),
        "ends_turn": kind.ends_turn(),
        "bare": parsed(&bare)?,
        "full": parsed(&full)?,
    }))
}

fn parsed(error: &Error) -> serde_json::Result<Value> {
    serde_json::from_str(&error.to_json())
}
