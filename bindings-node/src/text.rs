//! Texts on their way into JavaScript.

use napi::Either;
use napi::bindgen_prelude::Latin1String;

/// A text whose way is chosen by what is in it: V8 copies one that it is told to have one byte per character,
/// and decodes any other byte by byte, twice.
pub(crate) type JsText = Either<Latin1String, String>;

/// The same text for JavaScript.
pub(crate) fn js_text(text: String) -> JsText {
    if text.is_ascii() { Either::A(text.into()) } else { Either::B(text) }
}
