//! The fields of the commands that have a method of the client's own, which takes them by name: `_fields.py`.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::given::{fields_name, given};
use super::{all, head};
use crate::Outcome;
use crate::model::{Command, Model};
use crate::shape::Field;

/// The commands, and what their methods take as arguments of their own.
const METHODS: &[(&str, &[&str])] = &[
    ("abort_message", &["runtime"]),
    ("conversation_list", &[]),
    ("input", &["payload", "request_id", "runtime"]),
    ("runtime_external_tools_update", &[]),
    ("runtime_start", &[]),
    ("sync", &["runtime"]),
];

/// The types of the rest of the fields, for type checkers and whoever reads type hints.
pub fn fields(model: &Model) -> Outcome<String> {
    let mut classes = String::new();
    let mut names = BTreeSet::new();
    for (tag, own) in METHODS {
        let command = model.commands.iter().find(|command| command.message.tag == *tag);
        let command = command.ok_or_else(|| format!("there is no command {tag}"))?;
        names.insert(rest_name(command));
        classes += &rest(model, command, own)?;
    }
    let mut file = head(
        "The fields of the commands that have a method of the client's own.",
        "from typing import TypedDict\n\nfrom .protocol import *",
    );
    file += &all(&names);
    write!(file, "\n{}\n", classes.trim_end()).ok();
    Ok(file)
}

/// `SyncFields` without what is an argument is `SyncRest`.
fn rest_name(command: &Command) -> String {
    let name = fields_name(command);
    name.strip_suffix("Fields").unwrap_or(&name).to_owned() + "Rest"
}

fn rest(model: &Model, command: &Command, own: &[&str]) -> Outcome<String> {
    let is_rest = |field: &&Field| !own.contains(&field.name.as_str());
    let base = if own.is_empty() { fields_name(command) } else { "TypedDict".to_owned() };
    let mut lines = String::new();
    if !own.is_empty() {
        for field in command.message.fields.iter().filter(is_rest) {
            let hint = given(model, &field.shape)?;
            writeln!(lines, "    {}: {hint}", field.name).ok();
        }
    }
    if !own.contains(&"request_id") {
        lines += "    request_id: str\n";
    }
    let (name, tag) = (rest_name(command), &command.message.tag);
    let gap = if lines.is_empty() { "" } else { "\n" };
    Ok(format!(
        "class {name}({base}, total=False):\n    \
         \"\"\"What the method for ``{tag}`` takes besides its arguments.\"\"\"\n{gap}{lines}\n\n"
    ))
}
