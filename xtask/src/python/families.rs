//! A method for every command: `_families.py`.

use std::fmt::Write;

use super::given::{given, is_answer};
use super::{head, is_name, ticked};
use crate::Outcome;
use crate::catalog::RequestId;
use crate::model::{Command, Model, pascal};
use crate::shape::Field;

/// Arguments that methods have besides the fields.
const ARGUMENTS: &[&str] = &["given", "request_id", "self", "timeout"];

/// The families and the attributes under which a client has them.
pub fn families(model: &Model) -> Outcome<String> {
    let mut text = head(
        "A method for every command of the protocol, by family (section 20).",
        "from collections.abc import Mapping, Sequence\n\
         from typing import Any, Literal\n\n\
         from ._family import UNSET, Family\n\
         from ._limits import Timeout\n\
         from .messages import Fields\n\
         from .protocol import *",
    );
    let groups = model.groups();
    let mut names: Vec<_> =
        groups.keys().map(|group| format!("    \"{}\",\n", pascal(group))).collect();
    names.sort();
    write!(text, "__all__ = [\n{}]\n\n\n", names.concat()).ok();
    for (group, commands) in groups {
        let family = pascal(group);
        write!(
            text,
            "class {family}(Family):\n    \"\"\"The commands of the family ``{group}``: ``client.{group}``; see ``Family``.\"\"\"\n\n    __slots__ = ()\n\n"
        )
        .ok();
        for command in commands {
            text += &method(model, command)?;
        }
        text += "\n";
    }
    Ok(text.trim_end().to_owned() + "\n")
}

/// The attributes under which a client has the families. Those are imported when one is looked at.
pub fn attributes(model: &Model) -> String {
    let mut text = head(
        "The families of commands as attributes.",
        "from functools import cached_property\n\n\
         # Finds what is imported later, also for those who read type hints while a program runs.\n\
         import letta_app_client as letta\n\n\
         from ._link import Link",
    );
    text += "__all__ = [\"HasFamilies\"]\n\n\nclass HasFamilies:\n    \
        \"\"\"The families as attributes.\"\"\"\n\n    _link: Link\n";
    for group in model.groups().keys() {
        let family = pascal(group);
        write!(
            text,
            "\n    @cached_property\n    def {group}(self) -> letta._families.{family}:\n        \
             \"\"\"The commands of the family ``{group}``.\"\"\"\n        \
             from . import _families\n\n        return _families.{family}(self._link)\n"
        )
        .ok();
    }
    text
}

fn is_argument(field: &Field) -> bool {
    is_name(&field.name) && !ARGUMENTS.contains(&field.name.as_str())
}

fn method(model: &Model, command: &Command) -> Outcome<String> {
    let Command { message, method, response, .. } = command;
    let tag = &message.tag;
    let (fields, left): (Vec<_>, Vec<_>) =
        message.fields.iter().partition(|field| is_argument(field));
    let mut arguments = String::new();
    let mut passed = String::new();
    for required in [true, false] {
        for field in fields.iter().filter(|field| field.required == required) {
            let (name, hint) = (&field.name, given(model, &field.shape)?);
            let default = if required { "" } else { " = UNSET" };
            writeln!(arguments, "        {name}: {hint}{default},").ok();
            writeln!(passed, "            {name:?}: {name},").ok();
        }
    }
    let id = match command.request_id {
        _ if is_answer(command) => {
            arguments += "        request_id: str,\n";
            "request_id"
        }
        RequestId::None => "None",
        RequestId::Optional | RequestId::Required => {
            arguments += "        request_id: str | None = None,\n";
            "request_id"
        }
    };
    let passed =
        if passed.is_empty() { "{}".to_owned() } else { format!("{{\n{passed}        }}") };
    let (prefix, result, end) = match response {
        Some((_, response)) => {
            arguments += "        timeout: Timeout = \"default\",\n";
            let end = format!("return await self._call({response}, {tag:?}, given, {id}, timeout)");
            ("async ", response.as_str(), end)
        }
        None => ("", "None", format!("self._tell({tag:?}, given, {id})")),
    };
    let arguments =
        if arguments.is_empty() { String::new() } else { format!("\n        *,\n{arguments}    ") };
    let arguments = if arguments.is_empty() {
        "self".to_owned()
    } else {
        format!("\n        self,{arguments}")
    };
    let doc = doc(command, &left);
    Ok(format!(
        "    {prefix}def {method}({arguments}) -> {result}:\n        \"\"\"{doc}\"\"\"\n        \
         given: dict[str, Any] = {passed}\n        {end}\n\n"
    ))
}

fn doc(command: &Command, left: &[&Field]) -> String {
    let tag = &command.message.tag;
    let mut text = format!("{}\n\n        ", ticked(&command.summary));
    match &command.response {
        Some((response, _)) => {
            write!(text, "Sends ``{tag}`` and resolves with ``{response}`` (section 20).").ok();
        }
        None => {
            write!(text, "Sends ``{tag}``, which has no response (section 20).").ok();
        }
    }
    if is_answer(command) {
        text += " ``request_id`` is that of the server's request.";
    }
    if let Some(note) = &command.note {
        write!(text, "\n        Remark: {}.", ticked(note)).ok();
    }
    if let Some(since) = &command.since {
        write!(text, "\n        Servers before {since} do not know it: ``UnsupportedByServer``.")
            .ok();
    }
    let some: Vec<_> = command
        .message
        .fields
        .iter()
        .filter(|field| !field.generations.is_empty())
        .map(|field| format!("``{}`` ({})", field.name, field.generations.join(" and ")))
        .collect();
    if !some.is_empty() {
        write!(text, "\n        Only known to some servers: {}.", some.join(", ")).ok();
    }
    if !left.is_empty() {
        let left: Vec<_> = left.iter().map(|field| format!("``{}``", field.name)).collect();
        write!(
            text,
            "\n        Only in a whole command, given to ``request``: {}.",
            left.join(", ")
        )
        .ok();
    }
    text += match command.response {
        Some(_) => {
            "\n        Cancelling drops the response only. Raises as ``Family`` says: ``InvalidCommand``,\n        \
             ``UnsupportedByServer``, ``RequestError``, ``RequestTimeout`` and others."
        }
        None => {
            "\n        Returns at once. Raises as ``Family`` says: ``InvalidCommand`` and others."
        }
    };
    text + "\n        "
}
