//! The text that a JSON string stands for, in one pass and one allocation: outputs of tools may be large.

use super::plain::Specials;

/// The text of a JSON string's inside; nothing where half of a surrogate pair stands in it, or what is no escape.
pub(super) fn unescaped(inside: &str) -> Option<String> {
    let (text, behind) = unescaped_to_quote(inside)?;
    behind.is_none().then_some(text)
}

/// The same up to a quote, and what is behind that, if there is one.
pub(super) fn unescaped_to_quote(json: &str) -> Option<(String, Option<&str>)> {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    for place in Specials::new(json.as_bytes()) {
        // Where what is special belongs to the escape before, this is nothing.
        let Some(length) = place.checked_sub(json.len() - rest.len()) else { continue };
        let (plain, escape) = rest.split_at_checked(length)?;
        text.push_str(plain);
        if let Some(behind) = escape.strip_prefix('"') {
            return Some((text, Some(behind)));
        }
        let (kind, behind) = escape.strip_prefix('\\')?.split_at_checked(1)?;
        rest = behind;
        text.push(match kind {
            "n" => '\n',
            "\"" => '"',
            "\\" => '\\',
            "t" => '\t',
            "r" => '\r',
            "/" => '/',
            "b" => '\u{8}',
            "f" => '\u{c}',
            "u" => character(&mut rest)?,
            _ => return None,
        });
    }
    text.push_str(rest);
    Some((text, None))
}

/// The character behind `\u`, which may take a second escape.
fn character(rest: &mut &str) -> Option<char> {
    let unit = unit(rest)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit);
    }
    *rest = rest.strip_prefix("\\u")?;
    let low = self::unit(rest)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)
}

fn unit(rest: &mut &str) -> Option<u32> {
    let (digits, behind) = rest.split_at_checked(4)?;
    *rest = behind;
    // A sign would be read as well.
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_serde(json: &str) {
        let inside = &json[1..json.len() - 1];
        let expected = serde_json::from_str::<String>(json).ok();
        assert_eq!(unescaped(inside), expected, "{json}");
        let more = format!("{inside}\",\"\\");
        let read = unescaped_to_quote(&more);
        assert_eq!(read, expected.map(|text| (text, Some(",\"\\"))), "{json}");
    }

    proptest! {
        #[test]
        fn texts_are_what_they_were(text in any::<String>()) {
            as_serde(&serde_json::to_string(&text).expect("JSON"));
        }

        #[test]
        fn all_escapes_are_read_as_serde_reads_them(
            pieces in prop::collection::vec(prop_oneof![
                Just("\\n"), Just("\\\\"), Just("\\\""), Just("\\/"), Just("\\b"), Just("\\f"), Just("\\r"),
                Just("\\t"), Just("\\u00e9"), Just("\\uD83D"), Just("\\ude00"), Just("\\uDBFF"), Just("\\udfff"),
                Just("\\u+123"), Just("\\u12"), Just("\\x"), Just("u"), Just("é"), Just("dddd"),
            ], 0..12),
        ) {
            as_serde(&format!("\"{}\"", pieces.concat()));
        }
    }
}
