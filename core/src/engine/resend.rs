//! Whether an input that was lost is sent again.

use crate::error::{Error, ErrorKind};

/// Whether an input that was lost with its connection is sent again (PROTOCOL.md section 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resend {
    /// Never: the turn fails with [`ErrorKind::TurnInterrupted`].
    Never,
    /// Once the stored conversation of the next connection proves that it had not arrived.
    IfUncommitted,
}

impl Resend {
    /// The names in all three languages.
    pub const NAMES: [(&'static str, Self); 2] =
        [("never", Self::Never), ("if_uncommitted", Self::IfUncommitted)];

    /// The rule of a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when there is none of that name.
    pub fn named(name: &str) -> Result<Self, Error> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, rule)| *rule).ok_or_else(|| {
            let message = format!("resend: expected \"if_uncommitted\" or \"never\", got {name:?}");
            Error::new(ErrorKind::InvalidOption, message)
        })
    }
}
