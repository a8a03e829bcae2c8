//! Who reads too slowly is disconnected (protocol reference, section 2).

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

/// What a real server bears from a client that reads slowly or not at all. Above it, it drops the TCP
/// connection without a close frame.
///
/// By default the limits of the real one. Only what the operating system has not taken counts, which takes
/// some megabytes first. Unlike the real one, the double replaces no status that waits by a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlowReaderLimits {
    /// Above so many unsent bytes frames are queued; 512 KiB.
    pub pause_bytes: usize,
    /// The most frames that are queued; 512.
    pub max_queued_frames: usize,
    /// The connection ends at so many unsent bytes; 16 MiB.
    pub max_unsent_bytes: usize,
    /// The connection ends when the last pong, or its beginning, is so many milliseconds ago; 90,000.
    pub pong_timeout_ms: u64,
}

impl Default for SlowReaderLimits {
    fn default() -> Self {
        Self {
            pause_bytes: 512 * 1024,
            max_queued_frames: 512,
            max_unsent_bytes: 16 * 1024 * 1024,
            pong_timeout_ms: 90_000,
        }
    }
}

/// A connection that was ended because of [`SlowReaderLimits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminated {
    /// How long it had been open.
    pub after: Duration,
    /// Which limit it was: `512 frames queued`, `16777216 bytes unsent` or `no pong for 90 s`.
    pub reason: String,
}

/// The frames that wait behind too many unsent bytes.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: Option<SlowReaderLimits>,
    queued: VecDeque<String>,
}

impl Outbox {
    /// Without limits nothing ever waits.
    pub(super) fn new(limits: Option<SlowReaderLimits>) -> Self {
        Self { limits, queued: VecDeque::new() }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limits.is_some()
    }

    /// Takes a frame: it can be written at once, or it waits. The error says why the connection ends.
    pub(super) fn offer(&mut self, text: String, unsent: usize) -> Result<Option<String>, String> {
        let Some(limits) = &self.limits else { return Ok(Some(text)) };
        if self.queued.is_empty() && unsent <= limits.pause_bytes {
            return Ok(Some(text));
        }
        if self.queued.len() >= limits.max_queued_frames {
            return Err(format!("{} frames queued", self.queued.len()));
        }
        self.queued.push_back(text);
        Ok(None)
    }

    /// Whether [`Self::next`] has one.
    pub(super) fn has_room(&self, unsent: usize) -> bool {
        let room = |limits: SlowReaderLimits| unsent <= limits.pause_bytes;
        !self.queued.is_empty() && self.limits.is_none_or(room)
    }

    /// The next frame that can be written by now.
    pub(super) fn next(&mut self, unsent: usize) -> Option<String> {
        if self.has_room(unsent) { self.queued.pop_front() } else { None }
    }

    /// Everything that waits, because the connection is about to be closed.
    pub(super) fn rest(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.queued)
    }

    /// The error says why a connection with so many unsent bytes ends.
    pub(super) fn check(&self, unsent: usize) -> Result<(), String> {
        match &self.limits {
            Some(limits) if unsent >= limits.max_unsent_bytes => {
                Err(format!("{unsent} bytes unsent"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn pong_timeout(&self) -> Option<Duration> {
        self.limits.map(|limits| Duration::from_millis(limits.pong_timeout_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::{Outbox, SlowReaderLimits};

    #[test]
    fn frames_wait_in_order_above_the_first_limit() {
        let limits = SlowReaderLimits {
            pause_bytes: 10,
            max_queued_frames: 2,
            max_unsent_bytes: 20,
            pong_timeout_ms: 1,
        };
        let mut outbox = Outbox::new(Some(limits));
        assert_eq!(outbox.offer("a".into(), 10), Ok(Some("a".into())));
        assert_eq!(outbox.offer("b".into(), 11), Ok(None));
        assert_eq!(outbox.offer("c".into(), 0), Ok(None), "behind another");
        assert_eq!(outbox.offer("d".into(), 0), Err("2 frames queued".into()));
        assert_eq!((outbox.has_room(11), outbox.next(11)), (false, None));
        assert_eq!((outbox.has_room(10), outbox.next(10)), (true, Some("b".into())));
        assert_eq!(outbox.rest(), ["c"]);
        assert_eq!((outbox.has_room(0), outbox.next(0)), (false, None));
        assert_eq!(outbox.check(19), Ok(()));
        assert_eq!(outbox.check(20), Err("20 bytes unsent".into()));
    }

    #[test]
    fn without_limits_nothing_waits() {
        let mut outbox = Outbox::new(None);
        assert_eq!(outbox.offer("a".into(), usize::MAX), Ok(Some("a".into())));
        assert_eq!(outbox.check(usize::MAX), Ok(()));
        assert_eq!(outbox.pong_timeout(), None);
    }
}
