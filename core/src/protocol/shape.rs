//! One look that deltas have: the same keys in the same order around other values.
//!
//! A frame that equals a valid one but for its strings and whole numbers, and has such in the same places, is valid as
//! well, and each value means what the one in its place meant.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use super::delta::Delta;
use super::envelope::{Envelope, Malformed, Scope};
use super::escapes::unescaped;
use super::outline::{Outline, place};
use super::plain::plain;
use super::scan::Scanner;

/// So many parts may a frame have; one bit is kept for each.
const MAX_PARTS: usize = 48;

/// A frame looks otherwise, or has a value that others may understand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unlike;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Shape {
    /// What is the same, part by part, without what is in between.
    same: Box<str>,
    parts: Box<[Part]>,
    places: Places,
}

/// Something that is the same, and what follows it.
#[derive(Debug)]
struct Part {
    /// Its place in the frame that the look is of.
    start: u32,
    end: u32,
    next: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// The inside of a string.
    Text,
    /// Digits.
    Number,
    /// No more.
    None,
}

/// Where something stands in the text, and behind how many values.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: u32,
    end: u32,
    before_start: u8,
    before_end: u8,
}

/// Where what somebody wants to know stands.
#[derive(Debug)]
struct Places {
    kind: Place,
    delta: Place,
    message_type: Place,
    agent_id: Option<Place>,
    conversation_id: Option<Place>,
    event_seq: Option<Place>,
    run_id: Option<Place>,
    id: Option<Place>,
    otid: Option<Place>,
    content: Option<Place>,
    text: Option<Place>,
    reasoning: Option<Place>,
}

impl Shape {
    /// The look of a frame; nothing where what it says cannot be found by places alone.
    pub(super) fn of(text: &str) -> Option<Self> {
        // Values that all differ are found where they are; the frame's own might be the same by chance.
        let example = filled(text, &parts_of(text)?, "text")?;
        let parts = parts_of(&example)?;
        let places = Places::of(&example, &parts)?;
        let escaped = filled(&example, &parts, "\\n")?;
        let same = parts.iter().filter_map(|part| example.get(part.place())).collect();
        let shape = Self { same, parts, places };
        [&example, &escaped].into_iter().all(|text| shape.understands(text)).then_some(shape)
    }

    /// Whether it reads from a frame what others do.
    fn understands(&self, text: &str) -> bool {
        let (mut expected, mut found) = (None, None);
        let envelope = Envelope::read_with(text, Some(&mut expected), None).ok();
        self.read(text, Some(&mut found)).ok() == envelope && found == expected
    }

    /// Reads a frame that has it, the delta if it is asked for.
    pub(super) fn read<'a>(
        &self,
        text: &'a str,
        delta: Option<&mut Option<Delta<'a>>>,
    ) -> Result<Envelope<'a>, Unlike> {
        let mut frame = Frame { text, moved: [0; MAX_PARTS], escaped: 0 };
        self.find_values(&mut frame).ok_or(Unlike)?;
        let places = &self.places;
        let agent_id = frame.string_or_none(places.agent_id)?;
        let conversation_id = frame.string_or_none(places.conversation_id)?;
        let ids = agent_id.zip(conversation_id);
        let envelope = Envelope {
            kind: frame.string(places.kind)?,
            runtime: ids.map(|(agent_id, conversation_id)| Scope { agent_id, conversation_id }),
            event_seq: frame.json_or_none(places.event_seq)?.and_then(|digits| digits.parse().ok()),
            delta: Some(frame.json(places.delta)?),
            ..Envelope::default()
        };
        if let Some(delta) = delta {
            *delta = Some(Delta {
                message_type: frame.string(places.message_type)?,
                run_id: frame.string_or_none(places.run_id)?,
                id: frame.string_or_none(places.id)?,
                otid: frame.string_or_none(places.otid)?,
                content: frame.json_or_none(places.content)?,
                text: frame.string_or_none(places.text)?,
                reasoning: frame.string_or_none(places.reasoning)?,
                ..Delta::default()
            });
        }
        Ok(envelope)
    }

    /// Finds the values of a frame, if it has this look.
    fn find_values(&self, frame: &mut Frame<'_>) -> Option<()> {
        let (mut same, mut rest) = (self.same.as_bytes(), frame.text.as_bytes());
        for (number, (part, moved)) in self.parts.iter().zip(&mut frame.moved).enumerate() {
            let at = u32::try_from(frame.text.len() - rest.len()).ok()?;
            *moved = at.wrapping_sub(part.start);
            let (text, behind) = same.split_at_checked(part.place().len())?;
            (same, rest) = (behind, rest.strip_prefix(text)?);
            match part.next {
                Value::Text => {
                    rest = rest.get(plain(rest)..)?;
                    if rest.first() == Some(&b'\\') {
                        rest = Scanner::behind_escapes(frame.text, rest)?;
                        frame.escaped |= 1 << number;
                    }
                }
                Value::Number => rest = behind_digits(rest)?,
                Value::None => {}
            }
        }
        rest.is_empty().then_some(())
    }
}

impl Part {
    fn place(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What follows a number; nothing where it may not begin so.
fn behind_digits(rest: &[u8]) -> Option<&[u8]> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at_checked(count)?;
    match digits {
        [] | [b'0', _, ..] => None,
        _ => Some(behind),
    }
}

/// A frame that has a look.
struct Frame<'a> {
    text: &'a str,
    /// By how much what stands behind so many values is farther behind than in the frame that is known; wraps.
    moved: [u32; MAX_PARTS],
    /// One bit for each value: whether there are escapes in it.
    escaped: u64,
}

impl<'a> Frame<'a> {
    fn json(&self, place: Place) -> Result<&'a str, Unlike> {
        let moved = |values: u8| self.moved.get(usize::from(values)).ok_or(Unlike);
        let start = place.start.wrapping_add(*moved(place.before_start)?);
        let end = place.end.wrapping_add(*moved(place.before_end)?);
        self.text.get(start as usize..end as usize).ok_or(Unlike)
    }

    fn string(&self, place: Place) -> Result<Cow<'a, str>, Unlike> {
        let inside = self.json(place)?;
        let is_value = place.before_start != place.before_end;
        if is_value && self.escaped >> place.before_start & 1 == 1 {
            return unescaped(inside).map(Cow::Owned).ok_or(Unlike);
        }
        Ok(Cow::Borrowed(inside))
    }

    fn json_or_none(&self, place: Option<Place>) -> Result<Option<&'a str>, Unlike> {
        place.map(|place| self.json(place)).transpose()
    }

    fn string_or_none(&self, place: Option<Place>) -> Result<Option<Cow<'a, str>>, Unlike> {
        place.map(|place| self.string(place)).transpose()
    }
}

impl Places {
    fn of(text: &str, parts: &[Part]) -> Option<Self> {
        let mut delta = None;
        let envelope = Envelope::read_with(text, Some(&mut delta), None).ok()?;
        let (delta, runtime) = (delta?, envelope.runtime.as_ref());
        let json = |part: Option<&str>| part.and_then(|part| Place::of(text, part, parts));
        let string = |part: Option<&Cow<'_, str>>| match part {
            Some(Cow::Borrowed(part)) => json(Some(part)),
            _ => None,
        };
        Some(Self {
            kind: string(Some(&envelope.kind))?,
            delta: json(envelope.delta)?,
            message_type: string(Some(&delta.message_type))?,
            agent_id: string(runtime.map(|runtime| &runtime.agent_id)),
            conversation_id: string(runtime.map(|runtime| &runtime.conversation_id)),
            event_seq: json(Outline::of(text)?.value(text, "event_seq")),
            run_id: string(delta.run_id.as_ref()),
            id: string(delta.id.as_ref()),
            otid: string(delta.otid.as_ref()),
            content: json(delta.content),
            text: string(delta.text.as_ref()),
            reasoning: string(delta.reasoning.as_ref()),
        })
    }
}

impl Place {
    fn of(text: &str, part: &str, parts: &[Part]) -> Option<Self> {
        let Range { start, end } = place(text, part)?;
        // A value's own place is in between: its start follows what is the same, and so does its end.
        let before_start = parts.iter().position(|part| start <= part.end)?;
        let before_end = parts.iter().rposition(|part| part.start <= end)?;
        Some(Self {
            start,
            end,
            before_start: u8::try_from(before_start).ok()?,
            before_end: u8::try_from(before_end).ok()?,
        })
    }
}

/// A frame with other values, each with a number of its own.
fn filled(text: &str, parts: &[Part], begin: &str) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    for (part, number) in parts.iter().zip(100..) {
        filled += text.get(part.place())?;
        let written = match part.next {
            Value::Text => write!(filled, "{begin}{number}"),
            Value::Number => write!(filled, "{number}"),
            Value::None => Ok(()),
        };
        written.ok()?;
    }
    Some(filled)
}

/// What a frame has around its values; nothing where these are too many.
fn parts_of(text: &str) -> Option<Box<[Part]>> {
    let mut parts = Vec::with_capacity(24);
    let mut start = 0;
    let mut scanner = Scanner::new(text);
    let read = values(&mut scanner, false, &mut |place, next| {
        parts.push(Part { start, end: place.0, next });
        start = place.1;
    });
    read.and_then(|()| scanner.end()).ok()?;
    parts.push(Part { start, end: u32::try_from(text.len()).ok()?, next: Value::None });
    (parts.len() <= MAX_PARTS).then(|| parts.into())
}

/// Names each value of a frame. What tells kinds of frames and of parts apart is none. A frame with the same key
/// twice in an object is refused: who reads it may look at both.
fn values<'a>(
    scanner: &mut Scanner<'a>,
    is_kind: bool,
    found: &mut impl FnMut((u32, u32), Value),
) -> Result<(), Malformed> {
    match scanner.peek() {
        Some(b'{') => {
            let mut keys: Vec<Cow<'a, str>> = Vec::with_capacity(12);
            scanner.fields(|scanner, key| {
                if keys.contains(&key) {
                    return scanner.malformed();
                }
                let is_kind = matches!(&*key, "type" | "message_type");
                keys.push(key);
                values(scanner, is_kind, found)
            })
        }
        Some(b'[') => scanner.list(|scanner| values(scanner, false, found)),
        first => {
            let json = scanner.raw()?;
            let end = u32::try_from(scanner.at()).or_else(|_| scanner.malformed())?;
            let start = end - u32::try_from(json.len()).or_else(|_| scanner.malformed())?;
            match first {
                Some(b'"') if !is_kind => found((start + 1, end - 1), Value::Text),
                _ if json.bytes().all(|byte| byte.is_ascii_digit()) => {
                    found((start, end), Value::Number);
                }
                _ => {}
            }
            Ok(())
        }
    }
}
