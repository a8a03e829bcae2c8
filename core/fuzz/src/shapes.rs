//! Frames that are laid over ones before, and the same frames read for themselves: the two must agree.

use letta_app_client::protocol::envelope::Envelope;
use letta_app_client::protocol::frames::Delta;
use letta_app_client::protocol::shapes::Shapes;

/// Reads one frame more of a connection both ways.
pub fn compare(shapes: &mut Shapes, text: &str) {
    let expected = Envelope::read(text);
    let unfollowed = shapes.read(text, false, &mut None);
    assert_eq!(unfollowed, expected, "{text}");
    let mut delta = None;
    let followed = shapes.read(text, true, &mut delta);
    assert_eq!(followed, expected, "{text}");
    if let Ok(envelope) = expected {
        let expected = envelope.delta.and_then(|json| Delta::read(json).ok());
        assert_eq!(delta, expected, "{text}");
    }
}

/// A frame as servers send them, with these in its places, whatever they are.
pub fn frame(parts: &[&str]) -> String {
    let part = |number: usize, otherwise: &'static str| match parts.get(number) {
        Some(part) if !part.is_empty() => *part,
        _ => otherwise,
    };
    format!(
        r#"{{"type":"{}","delta":{{"id":"{}","message_type":"{}","content":{},{}"run_id":"r","seq_id":{}}},"runtime":{{"agent_id":"{}","conversation_id":"c"}},{}"event_seq":{}}}"#,
        part(0, "stream_delta"),
        part(1, "letta-msg-1"),
        part(2, "assistant_message"),
        part(3, r#"[{"type":"text","text":"a"}]"#),
        part(4, ""),
        part(5, "1"),
        part(6, "a"),
        part(7, ""),
        part(8, "7"),
    )
}
