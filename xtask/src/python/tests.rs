//! What the catalog has not got yet, and the generator has to cope with.

use super::{families, given, is_name, received, ticked};
use crate::catalog::RequestId;
use crate::model::{Command, Model, Tagged};
use crate::shape::{Field, Shape};

fn field(name: &str, required: bool, shape: Shape) -> Field {
    Field { name: name.to_owned(), required, shape, generations: Vec::new() }
}

fn tagged(tag: &str, name: &str, fields: Vec<Field>) -> Tagged {
    Tagged { tag: tag.to_owned(), name: name.to_owned(), doc: "Doc.".to_owned(), fields }
}

/// One command and one response, both with fields that are no names in Python.
fn model() -> Model {
    let fields = vec![
        field("from", true, Shape::Text),
        field("plain", true, Shape::Number),
        field("timeout", false, Shape::Number),
    ];
    let command = Command {
        message: tagged("move_it", "MoveItCommand", fields.clone()),
        group: "files".to_owned(),
        method: "move".to_owned(),
        summary: "Moves it.".to_owned(),
        note: None,
        request_id: RequestId::Required,
        response: Some(("move_it_response".to_owned(), "MoveItResponseMessage".to_owned())),
        since: Some("1.2.3".to_owned()),
    };
    Model {
        enums: [].into(),
        types: [].into(),
        deltas: Vec::new(),
        commands: vec![command],
        received: vec![tagged("move_it_response", "MoveItResponseMessage", fields)],
    }
}

#[test]
fn keywords_are_keys_of_the_typed_dict() {
    let text = given::commands(&model()).expect("it can be written");
    let odd = "_MoveItFieldsOddRequired = TypedDict(\"_MoveItFieldsOddRequired\", {\n    \
               \"from\": \"str\",\n}, total=True)";
    assert!(text.contains(odd), "{text}");
    assert!(text.contains("class _MoveItFieldsRequired(TypedDict):\n    plain: float\n"), "{text}");
    let whole = "class MoveItFields(_MoveItFieldsOddRequired, _MoveItFieldsRequired, total=False):";
    assert!(text.contains(whole), "{text}");
}

#[test]
fn what_cannot_be_an_argument_is_left_to_the_whole_command() {
    let text = families::families(&model()).expect("it can be written");
    assert!(
        text.contains("        plain: float,\n        request_id: str | None = None,\n"),
        "{text}"
    );
    assert!(text.contains("given to ``request``: ``from``, ``timeout``."), "{text}");
    assert!(text.contains("Servers before 1.2.3 do not know it"), "{text}");
}

#[test]
fn keywords_are_no_attributes() {
    let text = received::messages(&model()).expect("it can be written");
    assert!(text.contains("    plain: float\n    timeout: float | None\n"), "{text}");
    assert!(!text.contains("    from: "), "{text}");
    assert!(text.contains("_optional = frozenset({\"timeout\"})"), "{text}");
}

#[test]
fn a_choice_between_objects_without_a_tag_is_refused() {
    let mut model = model();
    let object = vec![field("x", true, Shape::Text)];
    model.types = [("A".to_owned(), object.clone()), ("B".to_owned(), object)].into();
    let choice = ["A", "B"].map(|name| Shape::Named(name.to_owned())).to_vec();
    model.received[0].fields.push(field("either", true, Shape::AnyOf(choice)));
    assert!(received::messages(&model).is_err());
}

#[test]
fn keywords_and_odd_names_are_no_names() {
    assert!(is_name("agent_id") && is_name("exitCode") && is_name("set"));
    assert!(!is_name("from") && !is_name("a-b") && !is_name("1a") && !is_name(""));
}

#[test]
fn names_of_the_protocol_stand_as_code() {
    assert_eq!(ticked("matched by teleport_id, not"), "matched by ``teleport_id``, not");
    assert_eq!(ticked("the `a_b` c"), "the ``a_b`` c");
}
