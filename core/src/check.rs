//! How closely a command is looked at before it is sent.

use crate::error::{Error, ErrorKind};

/// How closely a command is looked at before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// As [`Check::Catalog`], and none of its fields is a slip away from one that there is: for methods
    /// that take the fields of one command. Besides, the options of the method, which a field may have
    /// been meant for.
    Documented(&'static [&'static str]),
    /// As [`Check::Documented`], for the `runtime_start` of a session. It gets the mode and the external tools of the
    /// runtime there is, where it does not say them, and its answer is to be followed by
    /// [`crate::connection::Connection::hold_runtime`].
    Opening(&'static [&'static str]),
    /// As [`Check::Catalog`], for a command that registers external tools besides those of the runtime's sessions.
    Offer,
    /// Against the catalog: the server would answer a bad frame with silence.
    Catalog,
    /// Only that it is an object with a `type`.
    Shape,
}

impl Check {
    /// The check of this name, with the options of a method.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when there is none.
    pub fn named(name: &str, options: &'static [&'static str]) -> Result<Self, Error> {
        match name {
            "documented" => Ok(Self::Documented(options)),
            "opening" => Ok(Self::Opening(options)),
            "offer" => Ok(Self::Offer),
            "catalog" => Ok(Self::Catalog),
            "shape" => Ok(Self::Shape),
            other => {
                let expected = "\"documented\", \"catalog\" or \"shape\"";
                let message = format!("check: expected {expected}, got {other:?}");
                Err(Error::new(ErrorKind::InvalidOption, message))
            }
        }
    }
}
