//! Random ids and tokens.

use std::fmt::Write;

use crate::error::{Error, ErrorKind};

/// A random UUID (version 4).
pub(crate) fn uuid() -> Result<String, Error> {
    let mut bytes: [u8; 16] = random()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex(&bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// A random number.
pub(crate) fn number() -> Result<u64, Error> {
    random().map(u64::from_le_bytes)
}

/// Twelve random hexadecimal digits.
pub(crate) fn prefix() -> Result<String, Error> {
    Ok(hex(&random::<6>()?))
}

/// A random token of 256 bits.
pub(crate) fn token() -> Result<String, Error> {
    Ok(hex(&random::<32>()?))
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn sha256(text: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("no random numbers: {error}")))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_differs() {
        let (one, other) = (uuid().unwrap(), uuid().unwrap());
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert!("89ab".contains(&one[19..20]), "{one}");
        assert_ne!(one, other);
        assert_eq!(prefix().unwrap().len(), 12);
    }

    #[test]
    fn a_hash_is_the_known_one() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), known);
        assert_eq!(token().unwrap().len(), 64);
    }
}
