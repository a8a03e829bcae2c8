//! The ways in which a secret is written: a server, or a program behind it, seldom repeats it as it was given.

use std::fmt::Write as _;

/// Shorter texts are no secrets, and would make holes everywhere.
pub(crate) const SHORTEST_SECRET: usize = 4;

/// A value that is longer may be a secret whatever its name is.
const LONG: usize = 8;

/// What stands in the name of a query's part that carries credentials.
const CREDENTIALS: [&str; 13] = [
    "token", "key", "secret", "auth", "pass", "pwd", "sig", "cred", "jwt", "bearer", "ticket",
    "code", "session",
];

/// Whether a text may be one of a protocol's own words or numbers by chance: one word in lower case, or a short text.
pub(crate) fn is_word(text: &str) -> bool {
    text.len() < LONG || text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether a part of a URL's query may be a secret: by its name, or as it is no plain word.
pub(crate) fn may_be_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_credential = CREDENTIALS.iter().any(|word| name.contains(word));
    // A query that has no names is often nothing but a token.
    let has_no_name = name.is_empty() && value.bytes().any(|byte| !byte.is_ascii_lowercase());
    value.len() >= SHORTEST_SECRET && (is_credential || has_no_name || !is_word(value))
}

/// A secret as it is, as a URL has it, and as it is where it was taken from a URL.
pub(crate) fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), encoded(secret)];
    all.extend(decoded(secret));
    all.extend(decoded(&secret.replace('+', " ")));
    all.retain(|text| text.len() >= SHORTEST_SECRET);
    all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    all
}

/// With `%` and two digits for everything that has a meaning in a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // A string takes all that is written.
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}

/// Without these; nothing where they are no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escape = behind.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = escape.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            // A sign would be read as well.
            let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            all.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
        });
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_as_it_is_and_as_it_stands_in_a_url() {
        assert_eq!(spellings("plain-1"), ["plain-1"]);
        assert_eq!(spellings("s3cret%2Bpw"), ["s3cret%252Bpw", "s3cret%2Bpw", "s3cret+pw"]);
        assert_eq!(spellings("a+b/c="), ["a%2Bb%2Fc%3D", "a b/c=", "a+b/c="]);
        assert_eq!(spellings("100%"), ["100%25", "100%"]);
        assert_eq!(spellings("%ff%+1%"), ["%25ff%25%2B1%25", "%ff%+1%"]);
    }

    #[test]
    fn a_part_of_a_query_is_a_secret_by_its_name_or_its_length() {
        for (name, value, secret) in [
            ("token", "abcd", true),
            ("api_key", "word", true),
            ("Access-Token", "x1y2", true),
            ("token", "abc", false),
            ("debug", "true", false),
            ("client", "agent", false),
            ("v", "1000", false),
            ("feature", "something", false),
            ("client", "eyJhbGciOi", true),
            ("", "s3cret", true),
            ("", "debug", false),
        ] {
            assert_eq!(may_be_secret(name, value), secret, "{name}={value}");
        }
    }
}
