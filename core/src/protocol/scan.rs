//! Goes through a JSON text once, without building anything: finds values, borrows strings, and refuses what is
//! no JSON, also in what it passes over.
//!
//! What serde reads is never in doubt: `core/tests/scanner.rs` and the fuzz target `scanner` compare the two.

use std::borrow::Cow;

use super::depth::MAX_DEPTH;
use super::escapes::{unescaped, unescaped_to_quote};
use super::plain::{Specials, plain};

/// The text is not a JSON object, or nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object: it cannot be read past byte {at}")]
pub struct Malformed {
    /// Where it was noticed.
    pub at: usize,
}

/// Where so much is left, a string with escapes is unescaped while it is looked for its end, into room for all that is
/// left: large outputs do not stay in the processor's cache until they are looked at once more.
const LARGE: usize = 64 * 1024;

type Scan<T> = Result<T, Malformed>;

/// Whether a text is a JSON value, also one that no parser can hold: half a surrogate pair, a number without end.
pub(crate) fn is_json(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.skip().and_then(|()| scanner.end()).is_ok()
}

/// The same for an object.
pub(crate) fn is_object(text: &str) -> bool {
    Scanner::new(text).peek() == Some(b'{') && is_json(text)
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// How far it has come.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(super) fn malformed<T>(&self) -> Scan<T> {
        Err(Malformed { at: self.at })
    }

    /// The next byte that is no white space, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.peek() != Some(byte) {
            return self.malformed();
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Scan<()> {
        self.peek().map_or(Ok(()), |_| self.malformed())
    }

    /// Reads an object; `field` gets each key and has to read its value.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Scan<()>,
    ) -> Scan<()> {
        self.fields(|scanner, key| field(scanner, &key))
    }

    /// As [`Self::object`], for those who keep keys.
    pub(super) fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Scan<()>,
    ) -> Scan<()> {
        self.expect(b'{')?;
        self.deeper()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            field(self, key)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                _ => return self.malformed(),
            }
        }
    }

    fn deeper(&mut self) -> Scan<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.malformed() } else { Ok(()) }
    }

    /// Reads a string; borrowed unless it holds escapes.
    pub(super) fn string(&mut self) -> Scan<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        self.at += plain(rest.as_bytes());
        if self.bytes().first() == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(self.text.get(start..self.at - 1).unwrap_or_default()));
        }
        let malformed = Malformed { at: start - 1 };
        if rest.len() >= LARGE {
            let Some((mut text, Some(behind))) = unescaped_to_quote(rest) else {
                return Err(malformed);
            };
            if text.len() < text.capacity() / 2 {
                text.shrink_to_fit();
            }
            self.at = self.text.len() - behind.len();
            return Ok(Cow::Owned(text));
        }
        self.escapes()?;
        let inside = self.text.get(start..self.at - 1).unwrap_or_default();
        unescaped(inside).map(Cow::Owned).ok_or(malformed)
    }

    /// Reads a list; `item` has to read each of its values.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Scan<()>) -> Scan<()> {
        self.expect(b'[')?;
        self.deeper()?;
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                _ => return self.malformed(),
            }
        }
    }

    /// Passes over a text that follows, if it does: a value that was valid before.
    pub(super) fn same(&mut self, json: &str) -> Option<&'a str> {
        self.peek();
        let same = self.text.get(self.at..)?.get(..json.len()).filter(|same| *same == json)?;
        self.at += json.len();
        Some(same)
    }

    /// What a reader makes of a value, if it can read it, and the value's text.
    pub(super) fn tried<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Scan<T>,
    ) -> Scan<(Option<T>, &'a str)> {
        self.peek();
        let (start, depth) = (self.at, self.depth);
        let value = read(self).ok();
        if value.is_none() {
            (self.at, self.depth) = (start, depth);
            self.skip()?;
        }
        Ok((value, self.text.get(start..self.at).unwrap_or_default()))
    }

    /// The text of a value, whatever it is.
    pub(super) fn raw(&mut self) -> Scan<&'a str> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// A string, or nothing for `null`; all else is refused.
    pub(super) fn text(&mut self) -> Scan<Option<Cow<'a, str>>> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            Some(b'n') => self.skip().map(|()| None),
            _ => self.malformed(),
        }
    }

    /// A value, if it is a string; passed over otherwise.
    pub(super) fn string_or_other(&mut self) -> Scan<Option<Cow<'a, str>>> {
        if self.peek() == Some(b'"') {
            return self.string().map(Some);
        }
        self.skip()?;
        Ok(None)
    }

    /// A value, if it is a whole number from zero; passed over otherwise.
    pub(super) fn number_or_other(&mut self) -> Scan<Option<u64>> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(self.text.get(start..self.at).and_then(|digits| digits.parse().ok()))
    }

    /// Behind the first quote.
    #[inline]
    fn rest_of_string(&mut self) -> Scan<()> {
        self.at += plain(self.bytes());
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(());
        }
        self.escapes()
    }

    /// What follows the inside of a string of a text; `rest` begins with an escape in it.
    #[inline(never)]
    pub(super) fn behind_escapes(text: &'a str, rest: &[u8]) -> Option<&'a [u8]> {
        let mut scanner = Self { text, at: text.len() - rest.len(), depth: 0 };
        scanner.escapes().ok()?;
        text.as_bytes().get(scanner.at - 1..)
    }

    /// The rest of a string, from an escape on.
    #[inline(never)]
    fn escapes(&mut self) -> Scan<()> {
        let (bytes, start) = (self.bytes(), self.at);
        for place in Specials::new(bytes) {
            // The second half of an escape is nothing by itself.
            if start + place < self.at {
                continue;
            }
            self.at = start + place;
            match &bytes[place..] {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', digits @ ..]
                    if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) =>
                {
                    self.at += 6;
                }
                _ => break,
            }
        }
        self.malformed()
    }

    /// Passes over a value, which has to be one.
    pub(super) fn skip(&mut self) -> Scan<()> {
        // One bit for each open level, the innermost last: whether it is an object.
        let (mut objects, outside) = (0_u128, self.depth);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.rest_of_string()?;
                }
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.deeper()?;
                    let is_object = open == b'{';
                    objects = (objects << 1) | u128::from(is_object);
                    let close = if is_object { b'}' } else { b']' };
                    if self.peek() != Some(close) {
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                    self.depth -= 1;
                    objects >>= 1;
                }
                _ => self.scalar()?,
            }
            // A value is complete: so may be those around it.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if is_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(close) if close == if is_object { b'}' } else { b']' } => {
                        self.at += 1;
                        self.depth -= 1;
                        objects >>= 1;
                    }
                    _ => return self.malformed(),
                }
            }
        }
    }

    fn key(&mut self) -> Scan<()> {
        self.expect(b'"')?;
        self.rest_of_string()?;
        self.expect(b':')
    }

    /// A number or a word.
    fn scalar(&mut self) -> Scan<()> {
        for word in ["true", "false", "null"] {
            if self.bytes().starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        if self.bytes().first() == Some(&b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.text.as_bytes()[self.at - whole] == b'0') {
            return self.malformed();
        }
        if self.bytes().first() == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let [b'e' | b'E', rest @ ..] = self.bytes() {
            self.at += if matches!(rest, [b'+' | b'-', ..]) { 2 } else { 1 };
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Scan<()> {
        if self.digits() == 0 { self.malformed() } else { Ok(()) }
    }

    fn digits(&mut self) -> usize {
        let count = self.bytes().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }
}
