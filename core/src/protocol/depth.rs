//! How deeply the values of a frame are nested.

/// So many levels of arrays and objects may a frame have, itself included; one with more counts as malformed.
/// Every parser that may look at a frame later copes with these, also those that recurse.
pub const MAX_DEPTH: usize = 127;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::protocol::envelope::Envelope;

    fn nested(levels: usize) -> String {
        format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    #[test]
    fn the_limit_is_what_a_parser_copes_with() {
        assert!(Envelope::read(&nested(MAX_DEPTH)).is_ok());
        assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH)).is_ok());
        assert!(Envelope::read(&nested(MAX_DEPTH + 1)).is_err());
        assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn many_brackets_are_not_deep() {
        let flat = format!(r#"{{"a":[{}{{}}]}}"#, "[],".repeat(1000));
        assert!(Envelope::read(&flat).is_ok());
        let quoted = format!(r#"{{"a":"\"{}\\","b":"{}"}}"#, "[".repeat(500), "{".repeat(500));
        assert!(Envelope::read(&quoted).is_ok());
    }
}
