//! Names from the catalog: none of them is a slip, and what is a slip of one is told.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::protocol::generated::COMMANDS;
use crate::protocol::validate::spec;

fn look(command: &Value, options: &[&'static str]) -> Option<String> {
    let name = command["type"].as_str().unwrap_or_default();
    let spec = spec(name).expect("the catalog has it");
    look_for_slips(spec, &command.into(), options).err().map(|slip| slip.to_string())
}

/// The objects in a command: where they are, and the names that are known there.
type Objects = Vec<(Vec<Step>, BTreeSet<&'static str>)>;

/// An object with all fields there are, and the objects in it whose fields are known. The fields of a
/// union are those of all its members.
fn whole(fields: &[&'static [FieldSpec]], at: &[Step], objects: &mut Objects) -> Value {
    let all = || fields.iter().flat_map(|fields| fields.iter());
    objects.push((at.to_vec(), all().map(|field| field.name).collect()));
    let inside = |field: &'static FieldSpec, objects: &mut Vec<_>| {
        let at = [at, &[Step::Key(field.name)]].concat();
        (field.name.to_owned(), of_shape(&field.shape, &at, objects))
    };
    Value::Object(all().map(|field| inside(field, objects)).collect())
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Key(&'static str),
    First,
}

fn of_shape(shape: &'static Shape, at: &[Step], objects: &mut Objects) -> Value {
    match shape {
        Shape::Named(named) => of_shape(&named.shape, at, objects),
        Shape::Object(fields) => whole(&[fields], at, objects),
        Shape::Array(item) => json!([of_shape(item, &[at, &[Step::First]].concat(), objects)]),
        Shape::AnyOf(shapes) => {
            let members = members(shapes);
            if members.is_empty() { json!({ "free": 1 }) } else { whole(&members, at, objects) }
        }
        Shape::AnyObject | Shape::Map(_) => json!({ "free": 1 }),
        _ => Value::Null,
    }
}

fn inner<'a>(command: &'a mut Value, at: &[Step]) -> &'a mut Map<String, Value> {
    let value = at.iter().fold(command, |value, step| match step {
        Step::Key(name) => &mut value[*name],
        Step::First => &mut value[0],
    });
    value.as_object_mut().expect("an object is there")
}

/// Every command with all of its fields, and the objects in it.
fn commands() -> Vec<(Value, Objects)> {
    let of = |spec: &'static CommandSpec| {
        let mut objects = Vec::new();
        let mut command = whole(&[spec.fields], &[], &mut objects);
        objects[0].1.extend(EVERYWHERE);
        command["type"] = json!(spec.name);
        command["request_id"] = json!("r");
        (command, objects)
    };
    COMMANDS.iter().map(of).collect()
}

#[test]
fn no_field_of_the_catalog_is_a_slip() {
    for (command, objects) in commands() {
        assert_eq!(look(&command, &["timeout", "timeoutMs"]), None, "{command}");
        // Nor beside the other fields of its own object, where it is left out itself.
        for (at, names) in objects {
            for name in names {
                let mut alone = command.clone();
                inner(&mut alone, &at).retain(|key, _| key == name || key == "type");
                assert_eq!(look(&alone, &[]), None, "{alone}");
            }
        }
    }
}

/// Every name of a field in the catalog, wherever that is.
fn names_of(catalog: &Value, names: &mut BTreeSet<String>) {
    match catalog {
        Value::Object(entries) => {
            if let Some(Value::Object(fields)) = entries.get("fields") {
                names.extend(fields.keys().cloned());
            }
            entries.values().for_each(|value| names_of(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| names_of(item, names)),
        _ => {}
    }
}

#[test]
fn no_name_of_the_catalog_is_a_slip_of_the_fields_that_are_looked_at_with_care() {
    let catalog = include_str!("../../../../protocol/catalog.json");
    let mut names = BTreeSet::new();
    names_of(&serde_json::from_str(catalog).expect("JSON"), &mut names);
    assert!(names.len() > 300 && names.contains("model"), "{}", names.len());
    for name in names {
        for known in ["mode", "cwd"].into_iter().filter(|known| *known != name) {
            assert_eq!(meant(&name, std::iter::once(known)), None);
        }
    }
}

/// What becomes of a name by one slip.
fn slips(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let plain = letters.iter().filter(|letter| **letter != '_').count();
    let text = |letters: Vec<char>| letters.into_iter().collect::<String>();
    let mut all = vec![name.to_uppercase(), name.replace('_', "-"), format!("{name}_")];
    for at in 0..letters.len() {
        if let Some(next) = letters.get(at + 1)
            && !matches!((letters[at], next), ('_', _) | (_, '_'))
        {
            let mut swapped = letters.clone();
            swapped.swap(at, at + 1);
            all.push(text(swapped));
        }
        if letters[at] == '_' || plain < SHORT {
            continue;
        }
        if plain >= LONG || at > 0 {
            let mut other = letters.clone();
            other[at] = 'q';
            all.push(text(other));
        }
        if plain < LONG {
            continue;
        }
        let mut more = letters.clone();
        more.insert(at, 'q');
        all.push(text(more));
        if plain > LONG {
            let mut fewer = letters.clone();
            fewer.remove(at);
            all.push(text(fewer));
        }
    }
    all
}

#[test]
fn each_slip_of_each_field_is_told_with_its_place() {
    let mut told = 0;
    for (command, objects) in commands() {
        for (at, names) in objects {
            for name in &names {
                for slip in slips(name) {
                    if names.contains(&*slip) {
                        continue;
                    }
                    let mut slipped = command.clone();
                    inner(&mut slipped, &at).insert(slip.clone(), json!(1));
                    let Some(text) = look(&slipped, &[]) else {
                        panic!("{slip} passes in {command}")
                    };
                    assert!(
                        text.contains(&format!("{slip}`: is no field of this command; ")),
                        "{text}"
                    );
                    // One letter may be wrong in two ways.
                    let near = names.iter().any(|name| text.ends_with(&format!("`{name}`?")));
                    assert!(near, "{text}");
                    told += 1;
                }
            }
        }
    }
    assert!(told > 5_000, "{told}");
}

#[test]
fn what_is_a_slip_and_what_may_be_a_field_of_a_later_server() {
    for (name, known, is_meant) in [
        ("agent-id", "agent_id", true),
        ("agentId", "agent_id", true),
        ("mdoe", "mode", true),
        ("mode_", "mode", true),
        ("model", "mode", false),
        ("code", "mode", false),
        ("modle", "mode", true),
        ("mod", "mode", true),
        ("ode", "mode", true),
        ("moed", "mode", true),
        ("more", "mode", true),
        ("modes", "mode", true),
        ("nodes", "mode", false),
        ("mo", "mode", false),
        ("cwdd", "cwd", true),
        ("cwf", "cwd", true),
        ("cdw", "cwd", true),
        ("cw", "cwd", true),
        ("ccwdd", "cwd", false),
        ("nodee", "node", false),
        ("tod", "todo", false),
        ("errors", "error", false),
        ("forse", "force", true),
        ("forcc", "force", true),
        ("torce", "force", false),
        ("forc", "force", false),
        ("fores", "force", false),
        ("client_tools", "client_toolset", false),
        ("requezt_id", "request_id", true),
        ("reqquest_id", "request_id", true),
        ("reqest_di", "request_id", false),
        ("", "mode", false),
        ("größe", "mode", false),
    ] {
        let found = meant(name, std::iter::once(known));
        assert_eq!(found, is_meant.then_some(known), "{name}");
    }
}

#[test]
fn the_objects_of_an_input_are_looked_at_and_its_parts_are_not() {
    let input = |payload: Value| json!({ "type": "input", "runtime": {}, "payload": payload });
    let message = json!({ "role": "user", "content": [{ "type": "citation", "sources": [] }] });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    assert_eq!(look(&input(payload.clone()), &[]), None);
    let mut slipped = payload.clone();
    slipped["image_failure_mod"] = json!("drop");
    assert_eq!(
        look(&input(slipped), &[]).as_deref(),
        Some(
            "field `payload.image_failure_mod`: is no field of this command; did you mean `image_failure_mode`?"
        )
    );
    let mut slipped = payload;
    slipped["messages"][0]["clientMessageId"] = json!("m");
    assert_eq!(
        look(&input(slipped), &[]).as_deref(),
        Some(
            "field `payload.messages[0].clientMessageId`: is no field of this command; did you mean `client_message_id`?"
        )
    );
}

#[test]
fn options_of_a_method_are_no_fields_and_may_be_meant() {
    let sync = |name: &str| json!({ "type": "sync", "runtime": {}, name: 5 });
    assert_eq!(look(&sync("timout"), &[]), None);
    assert_eq!(
        look(&sync("timout"), &["timeout"]).as_deref(),
        Some("field `timout`: is no field of this command; did you mean `timeout`?")
    );
    assert_eq!(
        look(&sync("timeoutMs"), &["timeoutMs"]).as_deref(),
        Some("field `timeoutMs`: is no field of this command; it is an option of the method")
    );
}

proptest! {
    #[test]
    fn any_names_are_looked_at(name in "\\PC{0,12}", known in "[a-z_]{0,12}") {
        let known: &'static str = Box::leak(known.into_boxed_str());
        let near = meant(&name, std::iter::once(known));
        prop_assume!(![&*name, known].iter().any(|one| CAREFUL.contains(one)));
        // Whichever of the two is known.
        let name: &'static str = Box::leak(name.into_boxed_str());
        prop_assert_eq!(near.is_some(), meant(known, std::iter::once(name)).is_some());
    }
}
