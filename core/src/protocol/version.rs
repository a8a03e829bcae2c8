//! Versions of the server, as far as they decide what it understands (PROTOCOL.md section 1).

use std::fmt;

/// `0.30.28`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

/// The last version that has two sockets.
pub const LAST_SPLIT: Version = Version(0, 29, 6);

/// The last version that does not know `GET /app-server-info`.
pub const LAST_SILENT: Version = Version(0, 29, 1);

impl Version {
    /// Reads a version; what follows the three numbers, such as `-beta.1`, is left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |part: &str| {
            let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        };
        let mut parts = text.split('.').map(digits);
        Some(Self(parts.next()??, parts.next()??, parts.next()??))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(Version::parse("0.30.28"), Some(Version(0, 30, 28)));
        assert_eq!(Version::parse("1.2.3-beta.1"), Some(Version(1, 2, 3)));
        assert_eq!(Version::parse("0.30"), None);
        assert_eq!(Version::parse("next"), None);
        assert!(Version(0, 29, 10) > Version(0, 29, 7));
        assert_eq!(Version(0, 29, 7).to_string(), "0.29.7");
    }
}
