//! Where the fields of a JSON object stand in its text: for readers who want a few of them, and for whom parsing
//! all would cost more than all the rest of a frame.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::Scanner;

/// The places of an object's fields; the text stays with whoever has it.
///
/// It says nothing of what a parser may see otherwise: where a key has escapes, where the text is no JSON object, or is
/// nested more deeply than frames are, there is no outline.
#[derive(Debug)]
pub struct Outline(Box<[Field]>);

/// Places in the text, which are no longer than texts of frames are.
#[derive(Debug)]
struct Field {
    key: Range<u32>,
    value: Range<u32>,
}

impl Outline {
    /// Goes through the text once, and validates all of it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let mut fields = Vec::with_capacity(12);
        let mut scanner = Scanner::new(text);
        let read = scanner.object(|scanner, key| {
            let value = scanner.raw()?;
            // A key with escapes stands elsewhere.
            let Some((key, value)) = place(text, key).zip(place(text, value)) else {
                return scanner.malformed();
            };
            fields.push(Field { key, value });
            Ok(())
        });
        read.and_then(|()| scanner.end()).ok()?;
        Some(Self(fields.into()))
    }

    /// The text of a field's value; of the last one, where several have its name, as parsers have it.
    ///
    /// `text` must be the one that the outline was made of.
    #[must_use]
    pub fn value<'a>(&self, text: &'a str, name: &str) -> Option<&'a str> {
        let named = |field: &&Field| part(text, &field.key) == Some(name);
        self.0.iter().rev().find(named).and_then(|field| part(text, &field.value))
    }
}

/// The texts of a list's values; nothing where it is no list.
#[must_use]
pub fn items(text: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let mut scanner = Scanner::new(text);
    let read = scanner.list(|scanner| {
        items.push(scanner.raw()?);
        Ok(())
    });
    read.and_then(|()| scanner.end()).ok()?;
    Some(items)
}

/// What a JSON string stands for; nothing where it is no string, or half of a surrogate pair stands in it.
#[must_use]
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(text);
    let string = scanner.string().ok()?;
    scanner.end().ok()?;
    Some(string)
}

/// Where a part of a text stands in it.
pub(super) fn place(text: &str, part: &str) -> Option<Range<u32>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len()).filter(|end| *end <= text.len())?;
    Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
}

fn part<'a>(text: &'a str, place: &Range<u32>) -> Option<&'a str> {
    text.get(usize::try_from(place.start).ok()?..usize::try_from(place.end).ok()?)
}
