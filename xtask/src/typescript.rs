//! Writes the wire types and the families of commands for TypeScript: `bindings-node/ts/protocol.ts`
//! and `bindings-node/ts/families.ts`. Types are written from the catalog's own expressions, which are
//! TypeScript already and say more than the shapes that are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::Outcome;
use crate::catalog::{Catalog, Field, Fields, Kind, RequestId};
use crate::model::{Command, DELTAS, Model, Tagged, pascal};
use crate::types::{Expr, Member, parse};

const TYPES_HEADER: &str = include_str!("typescript/protocol.ts.in");
const FAMILIES_HEADER: &str = include_str!("typescript/families.ts.in");

/// REST bodies that the header of the types describes; all others are `JsonObject`.
const DESCRIBED: &[&str] = &["TextContent", "ImageContent", "MessageCreate"];

/// What answers a command besides its response.
const ALSO: &[(&str, &str)] = &[("terminal_spawn", "TerminalExitedMessage")];

/// The widest line that is written without a break.
const WIDTH: usize = 100;

/// The wire types.
pub fn types(catalog: &Catalog, model: &Model) -> Outcome<String> {
    let received_types = types_received(catalog)?;
    let mut writer = Writer { model, hoisted: BTreeMap::new(), only_sent: false };
    let mut text = String::new();
    for (name, words) in &model.enums {
        let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
        text += &union(
            &format!("The values of `{name}` (section 21). A newer server may say others."),
            name,
            &words,
        );
    }
    for (name, named) in &catalog.types {
        let doc = format!("`{name}` of the protocol (section 21).");
        writer.only_sent = !received_types.contains(name);
        text += &writer.interface(&doc, name, &[], &named.fields)?;
    }
    writer.only_sent = false;
    for Tagged { tag, name, doc, .. } in &model.deltas {
        let fields = &catalog.stream_delta_message_types[tag].fields;
        text += &writer.interface(doc, name, &[("message_type", tag)], fields)?;
    }
    text += &union(
        "What a `stream_delta` carries, by `message_type` (section 11).",
        DELTAS,
        &names(&model.deltas),
    );
    // Both lists have the order of the catalog.
    let (mut commands, mut received) = (model.commands.iter(), model.received.iter());
    for message in &catalog.messages {
        let (tagged, summary) = if message.kind == Kind::Command {
            let command = commands.next();
            (command.map(|command| &command.message), command.map(|command| &*command.summary))
        } else {
            (received.next(), None)
        };
        let tagged = tagged.ok_or_else(|| format!("{} is not in the model", message.name))?;
        let doc = summary.map_or_else(String::new, |summary| format!("{summary} ")) + &tagged.doc;
        let tag = [("type", &tagged.tag)];
        writer.only_sent = message.kind == Kind::Command;
        text += &writer.interface(&doc, &tagged.name, &tag, &message.fields)?;
    }
    for definition in writer.hoisted.values() {
        text += definition;
    }
    let commands: Vec<_> =
        model.commands.iter().map(|command| command.message.name.clone()).collect();
    text += &union("Every known command.", "WsProtocolCommand", &commands);
    text +=
        "/** Every known message of the server, by its `type`. */\nexport interface MessageMap {\n";
    for Tagged { tag, name, .. } in &model.received {
        writeln!(text, "  {tag}: {name};").ok();
    }
    text += "}\n\n";
    text +=
        &union("Every known message of the server.", "WsProtocolMessage", &names(&model.received));
    Ok(format!("{TYPES_HEADER}\n{}\n", text.trim_end()))
}

/// The named types that responses, events and deltas are made of.
fn types_received(catalog: &Catalog) -> Outcome<BTreeSet<String>> {
    let messages = catalog.messages.iter().filter(|message| message.kind != Kind::Command);
    let deltas = catalog.stream_delta_message_types.values().map(|delta| &delta.fields);
    let mut open: Vec<&Fields> = messages.map(|message| &message.fields).chain(deltas).collect();
    let mut found = BTreeSet::new();
    while let Some(fields) = open.pop() {
        for field in fields.values() {
            for name in parse(&field.expression)?.names() {
                if found.insert(name.to_owned()) {
                    open.extend(catalog.types.get(name).map(|named| &named.fields));
                }
            }
        }
    }
    Ok(found)
}

/// The families of methods.
pub fn families(model: &Model) -> String {
    let mut text = FAMILIES_HEADER.to_owned();
    text += "\n/**\n * Every command by its `type`: its fields, and its response, `undefined` where there is none.\n */\n\
        export interface CommandMap {\n";
    for command in &model.commands {
        let Tagged { tag, name, .. } = &command.message;
        let response = response_of(command).unwrap_or_else(|| "undefined".to_owned());
        let line = format!("  {tag}: {{ command: wire.{name}; response: {response} }};");
        if line.len() <= WIDTH {
            text += &line;
            text += "\n";
        } else {
            writeln!(
                text,
                "  {tag}: {{\n    command: wire.{name};\n    response: {response};\n  }};"
            )
            .ok();
        }
    }
    text += "}\n";
    for (group, commands) in model.groups() {
        let family = pascal(group);
        write!(
            text,
            "\n/** The commands of the family `{group}` (section 20); see {{@link Family}}. */\n\
             export class {family}Family extends Family {{\n"
        )
        .ok();
        let methods: Vec<_> = commands.iter().map(|command| method(command)).collect();
        text += &methods.join("\n");
        text += "}\n";
    }
    text
}

fn names(members: &[Tagged]) -> Vec<String> {
    members.iter().map(|member| member.name.clone()).collect()
}

/// The type of what a command resolves with.
fn response_of(command: &Command) -> Option<String> {
    let (_, response) = command.response.as_ref()?;
    let also = ALSO.iter().find(|(tag, _)| *tag == command.message.tag);
    let also = also.map_or_else(String::new, |(_, name)| format!(" | wire.{name}"));
    Some(format!("wire.{response}{also}"))
}

fn method(command: &Command) -> String {
    let Command { message, method, request_id, .. } = command;
    let Tagged { tag, name, fields, .. } = message;
    let body = if *request_id == RequestId::None { "Fields" } else { "Body" };
    let none = if fields.iter().any(|field| field.required) { "" } else { " = {}" };
    let (doc, method) = (method_doc(command), camel(method));
    let body = format!("command: {body}<wire.{name}>{none}");
    match response_of(command) {
        Some(response) => {
            let one = format!(
                "  {method}({body}, options: RequestOptions = {{}}): Promise<{response}> {{"
            );
            let head = if one.len() <= WIDTH {
                one
            } else {
                format!(
                    "  {method}(\n    {body},\n    options: RequestOptions = {{}},\n  ): Promise<{response}> {{"
                )
            };
            format!("{doc}{head}\n    return this.caller.ask({tag:?}, command, options);\n  }}\n")
        }
        None => format!(
            "{doc}  {method}({body}): void {{\n    this.caller.tell({tag:?}, command);\n  }}\n"
        ),
    }
}

fn method_doc(command: &Command) -> String {
    let tag = &command.message.tag;
    let mut doc = match &command.response {
        Some((response, _)) => format!("Sends `{tag}`; resolves with its `{response}`."),
        None => format!("Sends `{tag}`, which is not answered."),
    };
    if let Some(note) = &command.note {
        write!(doc, " Note: {note}.").ok();
    }
    if let Some(version) = &command.since {
        write!(doc, " Servers know it from {version} on.").ok();
    }
    format!("  /**\n   * {}\n   *\n   * {doc} Section 20.\n   */\n", command.summary)
}

/// `list_accounts` becomes `listAccounts`.
fn camel(name: &str) -> String {
    let name = pascal(name);
    name.chars()
        .take(1)
        .map(|first| first.to_ascii_lowercase())
        .chain(name.chars().skip(1))
        .collect()
}

fn union(doc: &str, name: &str, members: &[String]) -> String {
    let one = format!("export type {name} = {};", members.join(" | "));
    let text = if one.len() <= WIDTH {
        one
    } else {
        format!("export type {name} =\n  | {};", members.join("\n  | "))
    };
    format!("/** {doc} */\n{text}\n\n")
}

/// Writes types, and gives inline objects the names that the model has for them.
struct Writer<'a> {
    model: &'a Model,
    hoisted: BTreeMap<String, String>,
    /// Whether what is written is only sent: its lists may be constants of the program, and are not changed.
    only_sent: bool,
}

impl Writer<'_> {
    fn interface(
        &mut self,
        doc: &str,
        name: &str,
        tag: &[(&str, &String)],
        fields: &Fields,
    ) -> Outcome<String> {
        let mut members = String::new();
        for (key, value) in tag {
            writeln!(members, "  {key}: {value:?};").ok();
        }
        let told = |key: &str| tag.iter().any(|(known, _)| *known == key);
        let known = |(key, field): &(&String, &Field)| field.observed_only.is_none() && !told(key);
        let fields: Vec<_> = fields.iter().filter(known).collect();
        for required in [true, false] {
            for (key, field) in &fields {
                if (field.required && field.generations.is_empty()) == required {
                    let only = field.generations.join(" and ");
                    let value = parse(&field.expression).map_err(|why| format!("{name}: {why}"))?;
                    members += &self.member(name, key, !required, &only, &value)?;
                }
            }
        }
        Ok(format!("/** {doc} */\nexport interface {name} {{\n{members}}}\n\n"))
    }

    fn member(
        &mut self,
        owner: &str,
        key: &str,
        optional: bool,
        only: &str,
        value: &Expr,
    ) -> Outcome<String> {
        let mut text = String::new();
        if !only.is_empty() {
            writeln!(text, "  /** Only on {only} servers. */").ok();
        }
        let mark = if optional { "?" } else { "" };
        let value = self.render(&(owner.to_owned() + &pascal(key)), value)?;
        let one = format!("  {key}{mark}: {value};");
        if one.len() <= WIDTH || !value.contains(" | ") {
            writeln!(text, "{one}").ok();
        } else {
            writeln!(text, "  {key}{mark}:\n    | {};", value.replace(" | ", "\n    | ")).ok();
        }
        Ok(text)
    }

    /// A type; `name` is what an object found here is called.
    fn render(&mut self, name: &str, expr: &Expr) -> Outcome<String> {
        let is_object = match expr {
            Expr::Object(_) | Expr::Intersection(_) => true,
            Expr::Generic(generic, _) => generic == "Omit",
            _ => false,
        };
        if is_object && self.model.types.contains_key(name) {
            self.hoist(name, expr)?;
            return Ok(name.to_owned());
        }
        self.inline(name, expr)
    }

    fn hoist(&mut self, name: &str, expr: &Expr) -> Outcome<()> {
        let doc = format!("/** `{name}` of the protocol (section 21). */");
        let definition = match expr {
            Expr::Object(members) => {
                let members = members.iter().map(|member| self.object_member(name, member));
                let members = members.collect::<Outcome<String>>()?;
                format!("{doc}\nexport interface {name} {{\n{members}}}\n\n")
            }
            other => format!("{doc}\nexport type {name} = {};\n\n", self.inline(name, other)?),
        };
        self.hoisted.insert(name.to_owned(), definition);
        Ok(())
    }

    fn object_member(&mut self, owner: &str, member: &Member) -> Outcome<String> {
        let only = member.generations.join(" and ");
        self.member(owner, &member.name, member.optional || !only.is_empty(), &only, &member.value)
    }

    fn inline(&mut self, name: &str, expr: &Expr) -> Outcome<String> {
        Ok(match expr {
            Expr::Name(word) => self.named(word),
            Expr::Literal(word) => format!("{word:?}"),
            Expr::Union(members) => self.union(name, members)?,
            Expr::Intersection(parts) => {
                let parts = parts.iter().map(|part| self.inline(name, part));
                parts.collect::<Outcome<Vec<_>>>()?.join(" & ")
            }
            Expr::Array(item) => {
                let item = self.render(name, item)?;
                let plain = item.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
                let list = if plain { format!("{item}[]") } else { format!("({item})[]") };
                self.constant(list)
            }
            Expr::Tuple(items) => {
                let items = items.iter().map(|item| self.render(name, item));
                let list = format!("[{}]", items.collect::<Outcome<Vec<_>>>()?.join(", "));
                self.constant(list)
            }
            Expr::Object(members) => {
                let mut parts = Vec::new();
                for Member { name: key, optional, value, .. } in members {
                    let mark = if *optional { "?" } else { "" };
                    let value = self.render(&(name.to_owned() + &pascal(key)), value)?;
                    parts.push(format!("{key}{mark}: {value}"));
                }
                format!("{{ {} }}", parts.join("; "))
            }
            Expr::Generic(generic, arguments) => match (generic.as_str(), arguments.as_slice()) {
                ("map", [_, value]) => format!("Record<string, {}>", self.render(name, value)?),
                ("Omit", [from, Expr::Literal(key)]) => match self.inline(name, from)? {
                    from if from == "JsonObject" => from,
                    from => format!("Omit<{from}, {key:?}>"),
                },
                _ => return Err(format!("{name}: cannot write `{generic}<…>`")),
            },
        })
    }

    fn constant(&self, list: String) -> String {
        if self.only_sent { format!("readonly {list}") } else { list }
    }

    /// Words of a known set go by its name. `undefined` stays where the catalog allows it: programs may be
    /// compiled with exact optional fields.
    fn union(&mut self, name: &str, members: &[Expr]) -> Outcome<String> {
        let literals: Vec<String> = members
            .iter()
            .filter_map(|member| match member {
                Expr::Literal(word) => Some(word.clone()),
                _ => None,
            })
            .collect();
        let known = self.model.enum_of(&literals).map(str::to_owned);
        let mut parts: Vec<String> = Vec::new();
        for member in members {
            let part = match (member, &known) {
                (Expr::Literal(_), Some(known)) => known.clone(),
                _ => self.render(name, member)?,
            };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        // Where it reads best.
        parts.sort_by_key(|part| (part == "undefined", part == "null"));
        Ok(parts.join(" | "))
    }

    fn named(&self, word: &str) -> String {
        let known = self.model.types.contains_key(word) || self.model.enums.contains_key(word);
        let keyword = !word.starts_with(|first: char| first.is_ascii_uppercase());
        if known || keyword || word == DELTAS || DESCRIBED.contains(&word) {
            word.to_owned()
        } else {
            "JsonObject".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Writer, camel, union};
    use crate::model::Model;
    use crate::types::parse;

    fn rendered(expression: &str) -> String {
        written(expression, false)
    }

    fn written(expression: &str, only_sent: bool) -> String {
        let enums = BTreeMap::from([("Mode".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        let types = BTreeMap::from([("OwnerField".to_owned(), Vec::new())]);
        let model = Model { enums, types, deltas: vec![], commands: vec![], received: vec![] };
        let mut writer = Writer { model: &model, hoisted: BTreeMap::new(), only_sent };
        let expr = parse(expression).expect(expression);
        let text = writer.render("OwnerField", &expr).expect(expression);
        text + &writer.hoisted.into_values().collect::<String>()
    }

    #[test]
    fn types_are_written_as_the_catalog_has_them() {
        assert_eq!(rendered("null | string"), "string | null");
        assert_eq!(rendered("undefined | null | number"), "number | null | undefined");
        assert_eq!(rendered("(\"b\" | \"a\")[]"), "Mode[]");
        assert_eq!(rendered("(\"a\" | \"c\")[]"), "(\"a\" | \"c\")[]");
        assert_eq!(rendered("AgentState | Conversation"), "JsonObject");
        assert_eq!(rendered("map<string, [string, number]>"), "Record<string, [string, number]>");
    }

    #[test]
    fn inline_objects_get_names() {
        let text = rendered("{ a: string; b?: null | Mode }[]");
        assert!(text.starts_with("OwnerField[]/** `OwnerField`"), "{text}");
        assert!(
            text.contains("interface OwnerField {\n  a: string;\n  b?: Mode | null;\n}"),
            "{text}"
        );
        let text = rendered("map<string, { a: string }>");
        assert!(text.starts_with("Record<string, OwnerField>/** `OwnerField`"), "{text}");
        let text = rendered("MessageCreate & { id: string }");
        assert!(text.contains("type OwnerField = MessageCreate & { id: string };"), "{text}");
    }

    #[test]
    fn lists_that_are_only_sent_may_be_constants() {
        let write = |expression| written(expression, true);
        assert_eq!(write("null | string[]"), "readonly string[] | null");
        assert_eq!(write("(\"a\" | \"c\")[]"), "readonly (\"a\" | \"c\")[]");
        assert_eq!(write("string[][]"), "readonly (readonly string[])[]");
        assert_eq!(write("[string, number]"), "readonly [string, number]");
        let text = write("{ a: string[] }[]");
        assert!(text.starts_with("readonly OwnerField[]/** `OwnerField`"), "{text}");
        assert!(text.contains("{\n  a: readonly string[];\n}"), "{text}");
    }

    #[test]
    fn names_and_long_unions() {
        assert_eq!(camel("list_accounts"), "listAccounts");
        let words = vec!["\"a long word\"".to_owned(); 9];
        assert!(union("Words.", "Words", &words).contains("type Words =\n  | \"a long word\"\n"));
    }
}
