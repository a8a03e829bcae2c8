//! Frames as a server reads them.

use serde_json::Value;

use crate::protocol::node::Node;

/// A frame's value; nothing where it is no JSON. Half a surrogate pair, which JavaScript's parser takes and which no
/// text can hold here, becomes a replacement character.
pub(super) fn parsed(text: &str) -> Option<Value> {
    Node::value(text).map(|node| node.to_value())
}
