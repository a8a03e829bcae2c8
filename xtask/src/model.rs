//! The catalog as the generators of the three languages see it: every type resolved, every inline object
//! with a name of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::Outcome;
use crate::catalog::{Catalog, Fields, Kind, Message, RequestId};
use crate::lower::Names;
use crate::shape::{Field, Shape};

/// Where the established name of a type does not follow from its `type`.
const ESTABLISHED: &[(&str, &str)] = &[
    ("control_request", "ControlRequestMessage"),
    ("input_accepted", "InputAcceptedResponseMessage"),
    ("update_device_status", "DeviceStatusUpdateMessage"),
    ("update_loop_status", "LoopStatusUpdateMessage"),
    ("update_queue", "QueueUpdateMessage"),
    ("update_subagent_state", "SubagentStateUpdateMessage"),
];

/// The union of all deltas.
pub const DELTAS: &str = "StreamDelta";

/// Everything that is generated.
pub struct Model {
    /// Sets of words, by name.
    pub enums: BTreeMap<String, Vec<String>>,
    /// Objects that messages are made of, by name; inline ones included.
    pub types: BTreeMap<String, Vec<Field>>,
    /// What a `stream_delta` carries, by `message_type`, which is no field of theirs.
    pub deltas: Vec<Tagged>,
    /// In the order of the catalog.
    pub commands: Vec<Command>,
    /// Responses and events, in the order of the catalog.
    pub received: Vec<Tagged>,
}

/// An object that is told from others by a tag.
pub struct Tagged {
    /// The tag: `type` of a message, `message_type` of a delta.
    pub tag: String,
    /// The name of the type in all three languages.
    pub name: String,
    /// What it is, as one sentence.
    pub doc: String,
    /// Without the tag.
    pub fields: Vec<Field>,
}

/// A command with its method.
pub struct Command {
    /// `type` and fields, without `request_id`.
    pub message: Tagged,
    /// The family its method belongs to: `agents`.
    pub group: String,
    /// The name of the method in snake case: `create`.
    pub method: String,
    /// What it does, as one sentence.
    pub summary: String,
    /// Remarks of the catalog.
    pub note: Option<String>,
    /// Whether it carries a `request_id`.
    #[allow(dead_code, reason = "not every generator needs it")]
    pub request_id: RequestId,
    /// The tag and the name of its response.
    pub response: Option<(String, String)>,
    /// The first version of the server that knows it; all where it is missing.
    pub since: Option<String>,
}

/// `list_models` becomes `ListModels`.
pub fn pascal(name: &str) -> String {
    let upper = |part: &str| {
        let mut letters = part.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(upper).collect()
}

/// The name of a message's type.
fn name_of(tag: &str, kind: Kind) -> String {
    let established = ESTABLISHED.iter().find(|(known, _)| *known == tag);
    established.map_or_else(
        || pascal(tag) + if kind == Kind::Command { "Command" } else { "Message" },
        |(_, name)| (*name).to_owned(),
    )
}

/// What the catalog says.
pub fn of(catalog: &Catalog) -> Outcome<Model> {
    let names = Names::of(catalog)?;
    let mut hoist = Hoist { names: &names, types: BTreeMap::new() };
    let mut commands = Vec::new();
    let mut received = Vec::new();
    for message in &catalog.messages {
        let tagged = hoist.message(message)?;
        if message.kind == Kind::Command {
            commands.push(command(catalog, message, tagged)?);
        } else {
            received.push(tagged);
        }
    }
    let mut deltas = Vec::new();
    for (tag, delta) in &catalog.stream_delta_message_types {
        let name = pascal(tag) + "Delta";
        let fields = hoist.fields(&name, &delta.fields)?;
        let fields = fields.into_iter().filter(|field| field.name != "message_type").collect();
        let doc = format!("A delta of `{tag}` (section 11).");
        deltas.push(Tagged { tag: tag.clone(), name, doc, fields });
    }
    for name in catalog.types.keys() {
        hoist.named(name)?;
    }
    let mut enums = catalog.enums.clone();
    enums.retain(|name, _| !hoist.types.contains_key(name));
    Ok(Model { enums, types: hoist.types, deltas, commands, received })
}

/// Gives inline objects names.
struct Hoist<'a> {
    names: &'a Names,
    types: BTreeMap<String, Vec<Field>>,
}

impl Hoist<'_> {
    fn message(&mut self, message: &Message) -> Outcome<Tagged> {
        let name = name_of(&message.name, message.kind);
        let mut fields = self
            .fields(&name, &message.fields)
            .map_err(|why| format!("{}: {why}", message.name))?;
        fields.retain(|field| field.name != "type");
        if message.kind == Kind::Command {
            fields.retain(|field| field.name != "request_id");
        }
        Ok(Tagged { tag: message.name.clone(), name, doc: doc_of(message), fields })
    }

    fn fields(&mut self, owner: &str, fields: &Fields) -> Outcome<Vec<Field>> {
        let fields = self.names.fields(fields)?;
        fields.into_iter().map(|field| self.field(owner, field)).collect()
    }

    /// A field that only some servers know may be missing, whatever those say of it.
    fn field(&mut self, owner: &str, field: Field) -> Outcome<Field> {
        let shape = self.shape(&(owner.to_owned() + &pascal(&field.name)), field.shape)?;
        let required = field.required && field.generations.is_empty();
        Ok(Field { required, shape, ..field })
    }

    /// A shape without objects in it; `name` is what an object found here is called.
    fn shape(&mut self, name: &str, shape: Shape) -> Outcome<Shape> {
        let mut each = |shapes: Vec<Shape>| -> Outcome<Vec<Shape>> {
            shapes.into_iter().map(|shape| self.shape(name, shape)).collect()
        };
        Ok(match shape {
            Shape::Tuple(parts) => Shape::Tuple(each(parts)?),
            Shape::AnyOf(parts) => Shape::AnyOf(each(parts)?),
            Shape::Map(item) => Shape::Map(Box::new(self.shape(name, *item)?)),
            Shape::Array(item) => Shape::Array(Box::new(self.shape(name, *item)?)),
            Shape::Object(fields) => {
                let fields = fields.into_iter().map(|field| self.field(name, field));
                let fields = fields.collect::<Outcome<Vec<_>>>()?;
                if self.types.get(name).is_some_and(|known| *known != fields) {
                    return Err(format!("two inline objects would be called `{name}`"));
                }
                self.types.insert(name.to_owned(), fields);
                Shape::Named(name.to_owned())
            }
            Shape::Named(other) => {
                self.named(&other)?;
                Shape::Named(other)
            }
            other => other,
        })
    }

    /// Takes a named type in, once. A set of words is one of the catalog's enums.
    fn named(&mut self, name: &str) -> Outcome<()> {
        if name == DELTAS || self.types.contains_key(name) {
            return Ok(());
        }
        if let Shape::Object(fields) = self.names.define(name)? {
            // Known before its fields are looked at, for a type that contains itself.
            self.types.insert(name.to_owned(), Vec::new());
            let fields = fields.into_iter().map(|field| self.field(name, field));
            let fields = fields.collect::<Outcome<Vec<_>>>()?;
            self.types.insert(name.to_owned(), fields);
        }
        Ok(())
    }
}

fn command(catalog: &Catalog, message: &Message, tagged: Tagged) -> Outcome<Command> {
    let missing = |what: &str| format!("command {}: `{what}` is missing", message.name);
    let response = message.response_type.as_ref().map(|tag| {
        let known = catalog.messages.iter().find(|other| other.name == *tag);
        let kind = known.ok_or_else(|| missing(tag))?.kind;
        Ok::<_, String>((tag.clone(), name_of(tag, kind)))
    });
    Ok(Command {
        message: tagged,
        group: message.group.clone().ok_or_else(|| missing("group"))?,
        method: message.method.clone().ok_or_else(|| missing("method"))?,
        summary: message.summary.clone().ok_or_else(|| missing("summary"))?,
        note: message.note.clone(),
        request_id: message.request_id,
        response: response.transpose()?,
        since: message.since.clone(),
    })
}

fn doc_of(message: &Message) -> String {
    let what = match (message.kind, &message.response_type, &message.response_to) {
        (Kind::Command, Some(response), _) => format!("Command, answered by `{response}`"),
        (Kind::Command, None, _) => "Command without a response".to_owned(),
        (Kind::Response, _, Some(command)) => format!("Response to `{command}`"),
        (Kind::Response, ..) => "Response".to_owned(),
        (Kind::Event, ..) => "Event".to_owned(),
    };
    match &message.note {
        Some(note) => format!("{what} ({note})."),
        None => format!("{what}."),
    }
}

impl Model {
    /// The families of commands with their members, sorted.
    pub fn groups(&self) -> BTreeMap<&str, Vec<&Command>> {
        let mut groups: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
        for command in &self.commands {
            groups.entry(&command.group).or_default().push(command);
        }
        groups
    }

    /// The name of the enum that has exactly these words.
    pub fn enum_of(&self, words: &[String]) -> Option<&str> {
        let wanted: BTreeSet<_> = words.iter().collect();
        let same = |known: &Vec<String>| known.iter().collect::<BTreeSet<_>>() == wanted;
        // The first one that was not meant for something narrower.
        let found = self.enums.iter().find(|(_, known)| same(known));
        found.map(|(name, _)| name.as_str())
    }
}
