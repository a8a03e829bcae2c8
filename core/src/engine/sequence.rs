//! Restores the order of a split server's frames: they come on two sockets, whose order between
//! each other is not guaranteed, and carry one counter (PROTOCOL.md sections 2.1 and 6).

use std::collections::BTreeMap;
use std::time::Duration;

use super::delivery::Channel;
use crate::protocol::Text;

/// How long a gap is waited for, from when it is the first one. One that stays open is passed over: it is a frame
/// that was malformed, or a server that counts differently.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// How many frames may wait.
pub(crate) const ROOM: usize = 1024;

/// How many of the last events are remembered, so that one that comes again is known.
const REMEMBERED: usize = 128;

/// How much of each end of an event counts where it is larger than both.
const ENDS: usize = 32 * 1024;

/// What tells an event from others with the same number: every byte of it counts, because a server may put new
/// fields anywhere. Only in the middle of a large one there are none: there is what a tool has put out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Print {
    seq: u64,
    length: usize,
    hash: u64,
}

impl Print {
    fn of(seq: u64, text: &str) -> Self {
        let (length, bytes) = (text.len(), text.as_bytes());
        let hash = if length > 2 * ENDS {
            Self::hash(&bytes[..ENDS]) ^ Self::hash(&bytes[length - ENDS..]).rotate_left(1)
        } else {
            Self::hash(bytes)
        };
        Self { seq, length, hash }
    }

    fn hash(bytes: &[u8]) -> u64 {
        // Four times eight bytes at a time, none of which waits for the one before: this is done for every event.
        let mix =
            |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        let (words, rest) = bytes.as_chunks::<8>();
        let (blocks, words) = words.as_chunks::<4>();
        let (mut a, mut b, mut c, mut d) = (0, 0, 0, 0);
        for block in blocks {
            a = mix(a, u64::from_le_bytes(block[0]));
            b = mix(b, u64::from_le_bytes(block[1]));
            c = mix(c, u64::from_le_bytes(block[2]));
            d = mix(d, u64::from_le_bytes(block[3]));
        }
        let hash = mix(mix(mix(a, b), c), d);
        let hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    active: bool,
    next: u64,
    waiting: BTreeMap<u64, (Channel, Text)>,
    /// The last events, each in the place of its number.
    seen: Vec<Print>,
    passed_over: bool,
    /// When to stop waiting for the first gap; none while nothing waits.
    pub(crate) deadline: Option<Duration>,
}

impl Sequence {
    /// A new connection: the counter starts at one.
    pub(crate) fn start(&mut self, split: bool) {
        *self = Self { active: split, next: 1, ..Self::default() };
    }

    /// Whether the same event came before on this connection, among the last ones. The server sends
    /// none again, but what is between may, and a piece of text must not count twice.
    pub(crate) fn is_again(&mut self, seq: u64, text: &str) -> bool {
        if self.seen.is_empty() {
            self.seen.resize(REMEMBERED, Print::default());
        }
        let place = usize::try_from(seq % REMEMBERED as u64).unwrap_or_default();
        let print = Print::of(seq, text);
        std::mem::replace(&mut self.seen[place], print) == print
    }

    /// Whether a frame's turn has come. If not, it is kept and comes out of [`Sequence::ready`].
    pub(crate) fn admit(&mut self, now: Duration, seq: u64, channel: Channel, text: &Text) -> bool {
        if !self.active || seq < self.next {
            return true;
        }
        if seq == self.next {
            self.next = self.next.saturating_add(1);
            return true;
        }
        self.waiting.insert(seq, (channel, text.clone()));
        let room = self.waiting.len() <= ROOM;
        self.deadline.get_or_insert(if room { now + PATIENCE } else { now });
        if !room {
            self.give_up();
        }
        false
    }

    /// The next frame that waited and whose turn has come.
    pub(crate) fn ready(&mut self, now: Duration) -> Option<(Channel, Text)> {
        let frame = self.waiting.remove(&self.next)?;
        self.next = self.next.saturating_add(1);
        // What still waits does so for another gap, which has a time of its own.
        self.deadline = (!self.waiting.is_empty()).then(|| now + PATIENCE);
        Some(frame)
    }

    /// Passes over the gap when its time is up.
    pub(crate) fn due(&mut self, now: Duration) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.give_up();
        }
        if !self.waiting.is_empty() {
            self.deadline.get_or_insert(now + PATIENCE);
        }
    }

    /// Whether a gap was passed over; said once.
    pub(crate) fn has_passed_over(&mut self) -> bool {
        std::mem::take(&mut self.passed_over)
    }

    /// Passes over the gap: what waits behind it comes out in order. `false` when nothing waits.
    pub(crate) fn give_up(&mut self) -> bool {
        self.deadline = None;
        let Some((first, _)) = self.waiting.first_key_value() else { return false };
        self.next = *first;
        self.passed_over = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(sequence: &mut Sequence, at: u64, seqs: &[u64]) -> Vec<u64> {
        let mut out = Vec::new();
        let now = Duration::from_millis(at);
        for seq in seqs {
            let text = Text::from(seq.to_string());
            if sequence.admit(now, *seq, Channel::Stream, &text) {
                out.push(*seq);
            }
            while let Some((_, text)) = sequence.ready(now) {
                out.extend(text.parse::<u64>());
            }
        }
        out
    }

    #[test]
    fn two_sockets_come_out_in_order() {
        let mut sequence = Sequence::default();
        sequence.start(true);
        assert_eq!(feed(&mut sequence, 0, &[1, 3, 4, 2, 5, 2]), [1, 2, 3, 4, 5, 2]);
        assert_eq!(sequence.deadline, None);
    }

    #[test]
    fn a_gap_is_passed_over_after_a_while() {
        let mut sequence = Sequence::default();
        sequence.start(true);
        assert_eq!(feed(&mut sequence, 0, &[1, 3, 5]), [1]);
        assert_eq!(sequence.deadline, Some(PATIENCE));
        sequence.due(PATIENCE / 2);
        assert!(!sequence.has_passed_over());
        sequence.due(PATIENCE);
        assert!(sequence.has_passed_over() && !sequence.has_passed_over());
        assert_eq!(feed(&mut sequence, 250, &[]), [0_u64; 0]);
        let ready = sequence.ready(PATIENCE).map(|(_, text)| text.to_string());
        assert_eq!(ready.as_deref(), Some("3"));
        assert!(sequence.ready(PATIENCE).is_none(), "5 still waits for 4");
        assert_eq!(sequence.deadline, Some(2 * PATIENCE), "and does so as long as 3 did");
        assert_eq!(feed(&mut sequence, 251, &[4]), [4, 5]);
    }

    #[test]
    fn an_event_that_comes_again_is_known_and_another_with_its_number_is_not_it() {
        let mut sequence = Sequence::default();
        for split in [false, true] {
            sequence.start(split);
            let frame = |seq: u64, key: &str| format!(r#"{{"event_seq":{seq},"key":"{key}"}}"#);
            assert!(!sequence.is_again(1, &frame(1, "aaaa")));
            assert!(!sequence.is_again(2, &frame(2, "bbbb")));
            assert!(sequence.is_again(1, &frame(1, "aaaa")));
            assert!(!sequence.is_again(1, &frame(1, "cccc")), "a server that counts differently");
            for seq in 3..1000 {
                assert!(!sequence.is_again(seq, &frame(seq, "dddd")));
            }
        }
    }

    #[test]
    fn a_large_event_is_known_by_its_ends_and_its_length() {
        let mut sequence = Sequence::default();
        sequence.start(false);
        let frame = |key: &str, output: usize| format!("{{{key}{}{key}}}", "x".repeat(output));
        assert!(!sequence.is_again(1, &frame("a", 3 * ENDS)));
        assert!(sequence.is_again(1, &frame("a", 3 * ENDS)));
        assert!(!sequence.is_again(1, &frame("b", 3 * ENDS)));
        assert!(!sequence.is_again(1, &frame("b", 3 * ENDS + 1)));
        assert!(sequence.is_again(1, &frame("b", 3 * ENDS + 1)));
    }

    #[test]
    fn one_socket_needs_no_order() {
        let mut sequence = Sequence::default();
        sequence.start(false);
        assert_eq!(feed(&mut sequence, 0, &[7, 2, 9]), [7, 2, 9]);
    }
}
