//! How deeply the values of a frame are nested.

/// So many levels of arrays and objects may a frame have, itself included; one with more counts as malformed.
/// Every parser that may look at a frame later copes with these, also those that recurse.
pub const MAX_DEPTH: usize = 127;

/// Whether a JSON text is nested too deeply. The text need not be valid.
pub(crate) fn is_too_deep(text: &str) -> bool {
    // A text cannot be deeper than it has brackets, and counting them is quicker than all else here.
    let bytes = text.as_bytes();
    let brackets = bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    brackets > MAX_DEPTH && deepest(bytes) > MAX_DEPTH
}

/// The deepest level, without what stands in strings.
fn deepest(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn nested(levels: usize) -> String {
        format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    #[test]
    fn the_limit_is_what_a_parser_copes_with() {
        assert!(!is_too_deep(&nested(MAX_DEPTH)));
        assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH)).is_ok());
        assert!(is_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn many_brackets_are_not_deep() {
        let flat = format!("[{}{{}}]", "[],".repeat(1000));
        assert!(!is_too_deep(&flat));
        let quoted = format!(r#"{{"a":"\"{}\\","b":"{}"}}"#, "[".repeat(500), "{".repeat(500));
        assert!(serde_json::from_str::<Value>(&quoted).is_ok());
        assert!(!is_too_deep(&quoted));
        assert!(is_too_deep(&format!(r#"["\\",{}"#, "[".repeat(500))), "the string has ended");
    }
}
