//! Frames that look like one before are not read again, but laid over it: most that a server sends are deltas, and of
//! these what differs is a few values. Of the device statuses that come again, what differs is around them.
//!
//! What is read this way is what [`Envelope`] and [`Delta`] read: `core/tests/shapes.rs` and the fuzz target `shapes`
//! compare the two.

use super::delta::Delta;
use super::envelope::{Envelope, Malformed};
use super::shape::Shape;
use super::statuses::Statuses;

/// So many looks are kept.
const MAX_SHAPES: usize = 6;
/// Of longer frames none is kept.
const MAX_BYTES: usize = 2048;
/// A frame is looked at more closely when so many others were known since, so that frames that are all different cost
/// hardly more than without.
const USES_EACH: u64 = 16;

/// The looks that frames of one connection have had lately.
#[derive(Debug, Default)]
pub struct Shapes {
    known: Vec<Shape>,
    used: u64,
    learned: u64,
    statuses: Statuses,
}

impl Shapes {
    /// Reads the routing fields of a frame as [`Envelope::read`] does; where the turn is followed, also its delta, as
    /// [`Delta::read`] does, if it has one that can be read.
    ///
    /// # Errors
    ///
    /// [`Malformed`] as [`Envelope::read`].
    pub fn read<'a>(
        &mut self,
        text: &'a str,
        is_followed: bool,
        delta: &mut Option<Delta<'a>>,
    ) -> Result<Envelope<'a>, Malformed> {
        for at in 0..self.known.len() {
            let wanted = is_followed.then_some(&mut *delta);
            if let Ok(envelope) = self.known[at].read(text, wanted) {
                self.used += 1;
                self.known.swap(0, at);
                return Ok(envelope);
            }
        }
        let wanted = is_followed.then_some(delta);
        let envelope = Envelope::read_with(text, wanted, Some(&mut self.statuses))?;
        let may_learn = self.learned <= self.used / USES_EACH + MAX_SHAPES as u64;
        if may_learn && text.len() <= MAX_BYTES && envelope.delta.is_some_and(is_piece) {
            self.learn(text);
        }
        Ok(envelope)
    }

    /// Keeps the look of a frame.
    fn learn(&mut self, text: &str) {
        self.learned += 1;
        if let Some(shape) = Shape::of(text) {
            self.known.truncate(MAX_SHAPES - 1);
            self.known.push(shape);
        }
    }
}

/// Whether it might be a piece of a message: what comes again and again.
fn is_piece(delta: &str) -> bool {
    ["\"assistant_message\"", "\"reasoning_message\""].iter().any(|kind| delta.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(kind: &str, text: &str, seq: u32) -> String {
        format!(
            r#"{{"type":"stream_delta","delta":{{"message_type":"{kind}","content":"{text}","run_id":"r"}},
            "runtime":{{"agent_id":"a","conversation_id":"c"}},"event_seq":{seq}}}"#
        )
    }

    fn used(shapes: &mut Shapes, frame: &str) -> bool {
        let before = shapes.used;
        assert_eq!(shapes.read(frame, false, &mut None), Envelope::read(frame));
        shapes.used > before
    }

    #[test]
    fn the_second_piece_is_known_by_the_first() {
        let mut shapes = Shapes::default();
        assert!(!used(&mut shapes, &piece("assistant_message", "a \\\"b\\\"", 7)));
        assert!(used(&mut shapes, &piece("assistant_message", "other", 42)));
        assert!(!used(&mut shapes, &piece("reasoning_message", "other", 43)));
        assert!(used(&mut shapes, &piece("reasoning_message", "", 44)));
        assert!(used(&mut shapes, &piece("assistant_message", "\\u00e9", 45)));
    }

    #[test]
    fn what_seldom_comes_and_what_is_long_is_not_kept() {
        let mut shapes = Shapes::default();
        let long = "x".repeat(MAX_BYTES);
        for (kind, text) in [("usage_statistics", ""), ("assistant_message", &*long)] {
            assert!(!used(&mut shapes, &piece(kind, text, 1)));
            assert!(!used(&mut shapes, &piece(kind, text, 2)));
        }
        assert!(!used(&mut shapes, &piece("assistant_message", "short", 3)));
        assert!(used(&mut shapes, &piece("assistant_message", &long, 4)));
    }

    #[test]
    fn frames_that_all_look_otherwise_are_soon_left_alone() {
        let mut shapes = Shapes::default();
        for key in 0..1000 {
            let frame = piece("assistant_message", "a", 1).replace("event_seq", &format!("k{key}"));
            assert!(!used(&mut shapes, &frame));
        }
        assert!(shapes.learned <= MAX_SHAPES as u64 + 1, "{}", shapes.learned);
        assert_eq!(shapes.known.len(), MAX_SHAPES);
    }
}
