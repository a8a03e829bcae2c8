//! Texts on their way into JavaScript.

use napi::{Env, JsString};

/// Above so many bytes a text is not copied once more to save time.
const LARGE: usize = 4 * 1024 * 1024;

/// The same text for JavaScript, in the way that costs V8 least. It copies what it is told to have one or two bytes per
/// character, and makes one of what needs only one; UTF-8 it decodes byte by byte, twice.
pub(crate) fn js_text<'env>(env: &'env Env, text: &str) -> napi::Result<JsString<'env>> {
    if text.is_ascii() {
        env.create_string_latin1(text)
    } else if text.len() <= LARGE {
        env.create_string_utf16(units(text))
    } else {
        env.create_string(text)
    }
}

/// The text in UTF-16. Stretches of ASCII, which most texts are made of, are copied as such.
fn units(text: &str) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let (plain, behind) = rest.split_at(ascii);
        units.extend(plain.bytes().map(u16::from));
        let other = behind.find(|char: char| char.is_ascii()).unwrap_or(behind.len());
        let (other, behind) = behind.split_at(other);
        units.extend(other.encode_utf16());
        rest = behind;
    }
    units
}
