//! What a user passes in: the `TypedDict`s of commands in `protocol/_commands.py`.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{all, dict_name, generations, head, is_name, is_object, literal, sent, ticked};
use crate::Outcome;
use crate::catalog::RequestId;
use crate::model::{Command, Model};
use crate::shape::{Field, Shape};

/// The commands and what they are made of.
pub fn commands(model: &Model) -> Outcome<String> {
    let mut names = BTreeSet::new();
    let mut text = String::new();
    for name in sent(model) {
        let title = format!("``{name}`` of the protocol (section 21).");
        let name = dict_name(model, &name);
        let fields = &model.types[name.strip_suffix("Dict").unwrap_or(&name)];
        text += &dict(model, &name, &title, fields)?;
        names.insert(name);
    }
    for command in &model.commands {
        let name = fields_name(command);
        let tag = &command.message.tag;
        let title = format!("The fields of ``{tag}``, without ``type`` and ``request_id``.");
        text += &dict(model, &name, &title, &command.message.fields)?;
        text += &whole(command);
        names.extend([name, command.message.name.clone()]);
    }
    let mut file = head(
        "Commands and the objects they are made of (sections 20 and 21).",
        "from collections.abc import Mapping, Sequence\n\
         from typing import Any, Literal, TypedDict\n\n\
         from ..messages import Fields\nfrom ._words import *",
    );
    file += &all(&names);
    file += "class _WithId(TypedDict, total=False):\n    request_id: str\n\n\n";
    file += text.trim_end();
    file += "\n";
    Ok(file)
}

/// `ListModelsCommand` has the fields `ListModelsFields`.
pub fn fields_name(command: &Command) -> String {
    let name = &command.message.name;
    name.strip_suffix("Command").unwrap_or(name).to_owned() + "Fields"
}

/// Whether the id of a command is that of something the server has asked.
pub fn is_answer(command: &Command) -> bool {
    command.message.tag.ends_with("_response")
}

fn whole(command: &Command) -> String {
    let (name, tag) = (&command.message.name, &command.message.tag);
    let mut bases = vec![fields_name(command)];
    let mut body = format!("    type: Literal[{tag:?}]\n");
    match command.request_id {
        _ if is_answer(command) => body += "    request_id: str\n",
        RequestId::None => {}
        RequestId::Optional | RequestId::Required => bases.push("_WithId".to_owned()),
    }
    format!(
        "class {name}({}):\n    \"\"\"{} {}\"\"\"\n\n{body}\n\n",
        bases.join(", "),
        ticked(&command.summary),
        ticked(&command.message.doc),
    )
}

/// A `TypedDict`; before Python 3.11 one of a kind of fields takes a class.
fn dict(model: &Model, name: &str, title: &str, fields: &[Field]) -> Outcome<String> {
    let mut text = String::new();
    let mut bases = Vec::new();
    // Keywords are keys that only the other notation can write.
    let (plain, odd): (Vec<_>, Vec<_>) = fields.iter().partition(|field| is_name(&field.name));
    for (suffix, total) in [("Required", "True"), ("Optional", "False")] {
        let odd = odd.iter().filter(|field| field.required == (suffix == "Required"));
        let mut entries = String::new();
        for field in odd {
            writeln!(entries, "    {:?}: {:?},", field.name, given(model, &field.shape)?).ok();
        }
        if !entries.is_empty() {
            let base = format!("_{name}Odd{suffix}");
            write!(text, "{base} = TypedDict({base:?}, {{\n{entries}}}, total={total})\n\n\n").ok();
            bases.push(base);
        }
    }
    let (required, optional): (Vec<_>, Vec<_>) =
        plain.into_iter().partition(|field| field.required);
    let doc = format!("    \"\"\"{title}{}\"\"\"\n", generations(fields));
    if !required.is_empty() && !optional.is_empty() {
        let lines = lines(model, &required)?;
        write!(text, "class _{name}Required(TypedDict):\n{lines}\n\n").ok();
        bases.push(format!("_{name}Required"));
    }
    let (own, total) =
        if optional.is_empty() { (required, "") } else { (optional, ", total=False") };
    let bases = if bases.is_empty() { "TypedDict".to_owned() } else { bases.join(", ") };
    let lines = lines(model, &own)?;
    let gap = if lines.is_empty() { "" } else { "\n" };
    write!(text, "class {name}({bases}{total}):\n{doc}{gap}{lines}\n\n").ok();
    Ok(text)
}

fn lines(model: &Model, fields: &[&Field]) -> Outcome<String> {
    let line =
        |field: &&Field| Ok(format!("    {}: {}\n", field.name, given(model, &field.shape)?));
    fields.iter().map(line).collect()
}

/// The type of what may be given. Attribute objects are taken wherever an object is.
pub fn given(model: &Model, shape: &Shape) -> Outcome<String> {
    Ok(match shape {
        Shape::Boolean => "bool".to_owned(),
        Shape::Flag(true) => "Literal[True]".to_owned(),
        Shape::Flag(false) => "Literal[False]".to_owned(),
        Shape::Number => "float".to_owned(),
        Shape::Text | Shape::NonEmptyText => "str".to_owned(),
        Shape::OneOf(words) => literal(model, words),
        Shape::AnyObject => "Mapping[str, Any]".to_owned(),
        Shape::Map(item) => format!("Mapping[str, {}]", given(model, item)?),
        Shape::Array(item) => format!("Sequence[{}]", given(model, item)?),
        Shape::Tuple(_) => "Sequence[Any]".to_owned(),
        Shape::Named(name) if is_object(model, name) => {
            format!("{} | Fields", dict_name(model, name))
        }
        Shape::Named(name) => name.clone(),
        Shape::AnyOf(parts) => {
            let mut joined: Vec<String> = Vec::new();
            for part in parts {
                let part = given(model, part)?;
                for one in part.split(" | ") {
                    if !joined.iter().any(|known| known == one) {
                        joined.push(one.to_owned());
                    }
                }
            }
            joined.join(" | ")
        }
        Shape::Any => "Any".to_owned(),
        Shape::Null => "None".to_owned(),
        Shape::Object(_) => return Err("an inline object without a name".to_owned()),
    })
}
