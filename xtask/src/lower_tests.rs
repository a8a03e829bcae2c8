//! Shapes of expressions, with the names of the real catalog.

use super::Names;
use crate::shape::{Field, Shape};
use crate::{catalog, root, types};

fn lower(expression: &str) -> Shape {
    let catalog = catalog::read(&root()).expect("the catalog is readable");
    let names = Names::of(&catalog).expect("its types are readable");
    let expr = types::parse(expression).expect(expression);
    names.lower(&expr).expect(expression)
}

fn words(all: &[&str]) -> Shape {
    Shape::OneOf(all.iter().map(|&word| word.to_owned()).collect())
}

#[test]
fn null_goes_last_and_literals_are_gathered() {
    assert_eq!(lower("null | string"), Shape::AnyOf(vec![Shape::Text, Shape::Null]));
    let expected = Shape::AnyOf(vec![words(&["a", "b"]), Shape::Null]);
    assert_eq!(lower(r#""a" | null | "b""#), expected);
}

#[test]
fn members_that_say_nothing_new_are_dropped() {
    assert_eq!(lower(r#"string | "running""#), Shape::Text);
    assert_eq!(lower("null | number | number"), Shape::AnyOf(vec![Shape::Number, Shape::Null]));
    assert_eq!(lower("boolean | undefined"), Shape::Boolean);
    assert_eq!(lower("number | false"), Shape::AnyOf(vec![Shape::Number, Shape::Flag(false)]));
}

#[test]
fn rest_bodies_are_objects_and_make_a_union_free() {
    assert_eq!(lower("AgentCreateParams"), Shape::AnyObject);
    assert_eq!(lower(r#"Omit<ConversationCreateParams, "agent_id">"#), Shape::AnyObject);
    assert_eq!(lower("(ToolReturn | ApprovalReturn)[]"), Shape::Array(Box::new(Shape::Any)));
}

#[test]
fn omit_and_intersection_know_the_fields_of_named_types() {
    let Shape::Object(fields) = lower(r#"Omit<RuntimeScope, "acting_user_id"> & { x: number }"#)
    else {
        unreachable!("an intersection is an object")
    };
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["agent_id", "conversation_id", "x"]);
    assert_eq!(fields[0].shape, Shape::NonEmptyText);
}

#[test]
fn messages_of_an_input_are_checked_although_the_catalog_only_names_them() {
    let parts = ["TextPart", "ImagePart", "MessagePart"].map(|name| Shape::Named(name.to_owned()));
    let content = Shape::Array(Box::new(Shape::AnyOf(parts.into())));
    let field = |name: &str, required: bool, shape: Shape| Field {
        name: name.to_owned(),
        required,
        shape,
        generations: Vec::new(),
    };
    let expected = Shape::Object(vec![
        field("role", true, words(&["user", "system", "assistant"])),
        field("content", true, Shape::AnyOf(vec![Shape::Text, content])),
        field("client_message_id", false, Shape::Text),
    ]);
    let expression = "MessageCreate & { client_message_id?: string | undefined; }";
    assert_eq!(lower(expression), expected);
}

#[test]
fn every_expression_of_the_catalog_has_a_shape() {
    let catalog = catalog::read(&root()).expect("the catalog is readable");
    let names = Names::of(&catalog).expect("its types are readable");
    for name in catalog.types.keys().chain(catalog.enums.keys()) {
        names.define(name).expect(name);
    }
    for message in catalog.messages.iter().filter(|message| message.name != "stream_delta") {
        names.fields(&message.fields).expect(&message.name);
    }
}
