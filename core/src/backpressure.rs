//! What becomes of what a subscriber does not read in time.

use crate::error::{Error, ErrorKind};
use crate::mailbox::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ITEMS};

/// What happens to a subscriber whose queue is full. The reader of the socket never waits for one, and no
/// subscriber for another.
///
/// Where the oldest go, what ends a turn, a permission that is wanted and a tool call stay. A subscription that has
/// ended ([`Overflow::Raise`]) gets nothing more, these neither: subscribe again, and ask the server how things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Neighbouring pieces of one text, or of one call's arguments or output, become one event; only when
    /// that is not enough, the oldest events go, and are counted. Frames are never merged: for them it is
    /// the same as [`Overflow::DropOldest`].
    #[default]
    Merge,
    /// The oldest go, and are counted.
    DropOldest,
    /// The subscription ends: what had come is still read, then [`crate::ErrorKind::Lagged`] says how many
    /// are missing.
    Raise,
}

/// How much may wait for a subscriber who does not keep up, and what happens above that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backpressure {
    /// The most items that wait; at least one.
    pub max_items: usize,
    /// The most bytes that wait; at least one. A single item that is larger is kept all the same.
    pub max_bytes: usize,
    /// What happens above one of these limits.
    pub policy: Overflow,
}

impl Backpressure {
    /// Refuses a queue in which nothing could wait.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (name, limit) in [("max_items", self.max_items), ("max_bytes", self.max_bytes)] {
            if limit == 0 {
                let message = format!("{name}: expected a number above zero, got 0");
                return Err(Error::new(ErrorKind::InvalidOption, message));
            }
        }
        Ok(())
    }
}

impl Default for Backpressure {
    /// 65,536 items and 64 MiB, merged.
    fn default() -> Self {
        let (max_items, max_bytes) = (DEFAULT_MAX_ITEMS, DEFAULT_MAX_BYTES);
        Self { max_items, max_bytes, policy: Overflow::default() }
    }
}
