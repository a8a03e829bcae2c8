//! Lines, out of the pieces in which a stream comes.

/// How long a line may be; what is longer comes in pieces of this size. A server that never ends a
/// line would fill the memory.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// What has come of a line that has not ended.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// The last line ended with a carriage return, to which a line feed may belong.
    after_return: bool,
}

impl Lines {
    /// Takes a piece, and hands on each line that ends in it. A carriage return ends a line too, as
    /// programs that show their progress print it; one in front of everything else does not.
    pub(super) fn take(&mut self, piece: &[u8], on_line: &mut impl FnMut(&str)) {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.append(&rest[..at], on_line);
            let is_feed = rest[at] == b'\n';
            let is_pair = is_feed && self.line.is_empty() && self.after_return;
            if is_feed && !is_pair || !self.line.is_empty() {
                self.hand_on(self.line.len(), on_line);
                self.after_return = !is_feed;
            } else if is_pair {
                self.after_return = false;
            }
            rest = &rest[at + 1..];
        }
        self.append(rest, on_line);
    }

    /// The last line, which nothing has ended.
    pub(super) fn end(&mut self, on_line: &mut impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.hand_on(self.line.len(), on_line);
        }
    }

    fn append(&mut self, mut text: &[u8], on_line: &mut impl FnMut(&str)) {
        if !text.is_empty() {
            self.after_return = false;
        }
        while self.line.len() + text.len() > MAX_LINE {
            let (fits, rest) = text.split_at(MAX_LINE - self.line.len());
            self.line.extend_from_slice(fits);
            self.hand_on(whole(&self.line), on_line);
            text = rest;
        }
        self.line.extend_from_slice(text);
    }

    fn hand_on(&mut self, length: usize, on_line: &mut impl FnMut(&str)) {
        on_line(String::from_utf8_lossy(&self.line[..length]).trim_end());
        self.line.drain(..length);
    }
}

/// How much of a text is whole characters: a cut may have gone through one.
fn whole(text: &[u8]) -> usize {
    let last = (1..=4.min(text.len())).find(|back| text[text.len() - back] & 0xC0 != 0x80);
    match last {
        // The first byte of a character says how many there are.
        Some(back) if (text[text.len() - back].leading_ones() as usize) > back => text.len() - back,
        _ => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, MAX_LINE};

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut on_line = |line: &str| found.push(line.to_owned());
        let mut lines = Lines::default();
        for piece in pieces {
            lines.take(piece, &mut on_line);
        }
        lines.end(&mut on_line);
        found
    }

    #[test]
    fn lines_end_with_a_feed_a_return_or_both() {
        assert_eq!(lines(&[b"a\nb\r\nc\rd"]), ["a", "b", "c", "d"]);
        assert_eq!(lines(&[b"a\r", b"\nb\n"]), ["a", "b"], "also where the pieces part them");
        assert_eq!(lines(&[b"\n\r\n\na\n\nb"]), ["", "", "", "a", "", "b"], "empty ones are told");
        assert_eq!(
            lines(&[b"\r 1 %\r 2 %", b"\r"]),
            [" 1 %", " 2 %"],
            "progress is not an empty line"
        );
    }

    #[test]
    fn a_line_that_does_not_end_comes_in_pieces() {
        let long = vec![b'x'; 2 * MAX_LINE + 5];
        let found = lines(&[&long[..MAX_LINE], &long[MAX_LINE..]]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE, 5]);
    }

    #[test]
    fn no_character_is_cut() {
        for ahead in 0..4 {
            let text = "x".repeat(ahead) + &"🙂".repeat(MAX_LINE / 4);
            let found = lines(&[text.as_bytes(), b"\n"]);
            assert_eq!(found.concat(), text);
            assert!(found.iter().all(|line| line.len() <= MAX_LINE));
        }
        assert_eq!(
            lines(&[&[0xFF; 3], b"\n"]),
            ["\u{FFFD}".repeat(3)],
            "what is no text is shown so"
        );
    }
}
