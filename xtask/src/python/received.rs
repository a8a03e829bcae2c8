//! What the server sends: the attribute classes in `protocol/_messages.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{all, generations, got, head, is_name, is_object, literal, ticked};
use crate::Outcome;
use crate::model::{DELTAS, Model, Tagged};
use crate::shape::{Field, Shape};

/// Names that the base classes have for themselves.
const TAKEN: &[&str] = &["get", "items", "keys", "raw", "raw_text", "to_dict", "values"];

/// What every message of a kind has, and nobody looks for by position.
const COMMON: &[&str] = &[
    "date",
    "emitted_at",
    "event_seq",
    "id",
    "idempotency_key",
    "request_id",
    "runtime",
    "success",
    "type",
];

/// Fields of responses that are `null` only in refusals, which are raised: whoever has the response has
/// them.
const SURE: &[(&str, &str)] = &[("RuntimeStartResponseMessage", "runtime")];

/// The classes and the tables that say which is whose.
pub fn messages(model: &Model) -> Outcome<String> {
    let mut writer =
        Writer { model, text: String::new(), names: BTreeSet::new(), nested: BTreeMap::new() };
    for name in got(model) {
        let doc = format!("``{name}`` of the protocol (section 21).");
        writer.class(&name, "Fields", &doc, None, &model.types[&name])?;
    }
    for delta in &model.deltas {
        writer.tagged("message_type", "Fields", delta)?;
    }
    for message in &model.received {
        writer.tagged("type", "Message", message)?;
    }
    let Writer { text, mut names, nested, .. } = writer;
    names.extend(["DELTAS", "MESSAGES", "MessageType", "ServerMessage", DELTAS].map(str::to_owned));
    names.extend(["UnknownDelta", "UnknownMessage"].map(str::to_owned));
    let mut file = head(
        "What the server sends, with an attribute for every field (sections 11, 20 and 21).",
        "from collections.abc import Mapping\nfrom typing import TYPE_CHECKING, Any, Literal, TypeAlias\n\n\
         from ..messages import Fields, Message, by_tag, nest\nfrom ._words import *\n\n\
         # A message of a class says its own ``type`` where the base has a property for it.\n\
         # pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false",
    );
    file += &all(&names);
    file += &text;
    file += &tables(model);
    file += "nest(\n    {\n";
    for (name, fields) in nested {
        let fields: Vec<_> =
            fields.iter().map(|(field, class)| format!("{field:?}: {class}")).collect();
        writeln!(file, "        {name}: {{{}}},", fields.join(", ")).ok();
    }
    file += "    }\n)\n";
    Ok(file)
}

/// What stands in the unions for kinds that the protocol has not got yet. The base class of the others
/// would swallow them, and a tag that may be any text would never be told from theirs.
const UNKNOWN: &str = r#"if TYPE_CHECKING:

    class UnknownDelta(Fields):
        """A delta of a kind that this version does not know; when it runs, plain ``Fields``.

        No comparison of ``message_type`` with a known word holds for it, which is what type
        checkers go by. Compare ``delta["message_type"]`` with words that they do not know.
        """

        message_type: Literal[""]

    class UnknownMessage(Message):
        """A frame of a type that this version does not know; when it runs, a plain ``Message``.

        No comparison of ``type`` with a known word holds for it, which is what type checkers go by.
        Compare ``message["type"]`` with words that they do not know.
        """

        type: Literal[""]

else:
    UnknownDelta = Fields
    UnknownMessage = Message

"#;

fn union(name: &str, members: &[Tagged], unknown: &str, doc: &str) -> String {
    let members: Vec<_> = members.iter().map(|one| one.name.as_str()).collect();
    let members = members.join(" | ");
    format!("{name}: TypeAlias = (\n    \"{members} | {unknown}\"\n)\n\"\"\"{doc}\"\"\"\n\n")
}

fn tables(model: &Model) -> String {
    let mut text = UNKNOWN.to_owned();
    text += &union(
        DELTAS,
        &model.deltas,
        "UnknownDelta",
        "What a ``stream_delta`` carries, told apart by ``message_type``.",
    );
    text += &union(
        "ServerMessage",
        &model.received,
        "UnknownMessage",
        "What a server sends, told apart by ``type``.",
    );
    let tags: String = model
        .received
        .iter()
        .map(|message| format!("    {:?},\n", message.tag))
        .collect::<Vec<_>>()
        .concat();
    write!(
        text,
        "MessageType: TypeAlias = Literal[\n{tags}]\n\"\"\"The types of everything a server sends.\"\"\"\n\n"
    )
    .ok();
    let table = |name: &str, base: &str, doc: &str, members: &[Tagged]| {
        let lines: String = members
            .iter()
            .map(|one| format!("    {:?}: {},\n", one.tag, one.name))
            .collect::<Vec<_>>()
            .concat();
        format!("{name}: Mapping[str, type[{base}]] = {{\n{lines}}}\n\"\"\"{doc}\"\"\"\n\n")
    };
    text +=
        &table("DELTAS", "Fields", "The classes of deltas, by ``message_type``.", &model.deltas);
    text += &table("MESSAGES", "Message", "The classes of messages, by ``type``.", &model.received);
    text + "_delta = by_tag(\"message_type\", DELTAS)\n\n"
}

struct Writer<'a> {
    model: &'a Model,
    text: String,
    names: BTreeSet<String>,
    /// By class and field, the class of what is inside.
    nested: BTreeMap<String, BTreeMap<String, String>>,
}

impl Writer<'_> {
    fn tagged(&mut self, key: &str, base: &str, one: &Tagged) -> Outcome<()> {
        let doc = match key {
            "type" => format!("``{}`` (section 20). {}", one.tag, ticked(&one.doc)),
            _ => ticked(&one.doc),
        };
        self.class(&one.name, base, &doc, Some((key, &one.tag)), &one.fields)
    }

    fn class(
        &mut self,
        name: &str,
        base: &str,
        doc: &str,
        tag: Option<(&str, &str)>,
        fields: &[Field],
    ) -> Outcome<()> {
        let doc = format!("{doc}{}", generations(fields));
        write!(self.text, "class {name}({base}):\n    \"\"\"{doc}\"\"\"\n\n    __slots__ = ()\n")
            .ok();
        let own: Vec<_> = fields
            .iter()
            .filter(|field| field.required && !COMMON.contains(&field.name.as_str()))
            .collect();
        if let [only] = own.as_slice()
            && is_name(&only.name)
        {
            writeln!(self.text, "    __match_args__ = ({:?},)", only.name).ok();
        }
        let optional: Vec<_> = fields.iter().filter(|field| !field.required).collect();
        if !optional.is_empty() {
            let names: Vec<_> = optional.iter().map(|field| format!("{:?}", field.name)).collect();
            writeln!(self.text, "    _optional = frozenset({{{}}})", names.join(", ")).ok();
        }
        if let Some((key, tag)) = tag {
            writeln!(self.text, "    {key}: Literal[{tag:?}]").ok();
        }
        for field in fields {
            if let Some(class) = self.inside(&field.shape)? {
                self.nested.entry(name.to_owned()).or_default().insert(field.name.clone(), class);
            }
            if is_name(&field.name) && !TAKEN.contains(&field.name.as_str()) {
                let hint = self.hint(&field.shape)?;
                let is_sure = SURE.contains(&(name, field.name.as_str()));
                let hint =
                    hint.strip_suffix(" | None").filter(|_| is_sure).unwrap_or(&hint).to_owned();
                let may_miss =
                    !field.required && !is_sure && hint != "Any" && !hint.ends_with("| None");
                let hint = if may_miss { hint + " | None" } else { hint };
                writeln!(self.text, "    {}: {hint}", field.name).ok();
            }
        }
        self.text += "\n\n";
        self.names.insert(name.to_owned());
        Ok(())
    }

    fn hint(&self, shape: &Shape) -> Outcome<String> {
        Ok(match shape {
            Shape::Boolean => "bool".to_owned(),
            Shape::Flag(true) => "Literal[True]".to_owned(),
            Shape::Flag(false) => "Literal[False]".to_owned(),
            Shape::Number => "float".to_owned(),
            Shape::Text | Shape::NonEmptyText => "str".to_owned(),
            Shape::OneOf(words) => literal(self.model, words),
            Shape::AnyObject => "Fields".to_owned(),
            Shape::Map(item) if **item == Shape::Any => "Fields".to_owned(),
            Shape::Map(item) => format!("Mapping[str, {}]", self.hint(item)?),
            Shape::Array(item) => format!("list[{}]", self.hint(item)?),
            Shape::Tuple(_) => "list[Any]".to_owned(),
            Shape::Named(name) => name.clone(),
            Shape::AnyOf(parts) => {
                let parts: Outcome<Vec<_>> = parts.iter().map(|part| self.hint(part)).collect();
                parts?.join(" | ")
            }
            Shape::Any => "Any".to_owned(),
            Shape::Null => "None".to_owned(),
            Shape::Object(_) => return Err("an inline object without a name".to_owned()),
        })
    }

    /// The class of the objects in a field, which may be in arrays.
    fn inside(&self, shape: &Shape) -> Outcome<Option<String>> {
        match shape {
            Shape::Named(name) if name == DELTAS => Ok(Some("_delta".to_owned())),
            Shape::Named(name) if is_object(self.model, name) => Ok(Some(name.clone())),
            Shape::Array(item) => self.inside(item),
            Shape::Map(item) if self.inside(item)?.is_some() => {
                Err("a map of objects: which are its own is not known at run time".to_owned())
            }
            Shape::AnyOf(parts) => {
                let mut found = None;
                for part in parts {
                    let other = self.inside(part)?;
                    if found.is_some() && other.is_some() {
                        return Err("a choice of objects without a tag".to_owned());
                    }
                    found = found.or(other);
                }
                Ok(found)
            }
            _ => Ok(None),
        }
    }
}
