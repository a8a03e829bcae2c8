//! Where the plain part of a JSON string ends: what the scanner spends most of its time on.

use wide::u8x16;

/// How many bytes [`Specials`] looks at together: one bit for each.
const BLOCK: usize = 64;

/// How many bytes stand before a quote, a backslash or a control character.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    // Most strings are short: keys, words, numbers of all kinds.
    match bytes.first_chunk().map(special) {
        Some(special) if special != 0 => special.trailing_zeros() as usize,
        _ => plain_of_long(bytes),
    }
}

#[inline(never)]
fn plain_of_long(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks();
    for (number, block) in blocks.iter().enumerate() {
        let special = special(block);
        if special != 0 {
            return number * 16 + special.trailing_zeros() as usize;
        }
    }
    let in_rest = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)).count();
    blocks.len() * 16 + in_rest
}

/// The places of all quotes, backslashes and control characters, for strings that have many: a run between two
/// ends nearly always where nobody could have told, and each such surprise costs as much as 64 bytes.
pub(super) struct Specials<'a> {
    /// What was not looked at yet, and where it begins.
    rest: &'a [u8],
    at: usize,
    /// Those of the 64 bytes before that, which were not given out yet.
    found: u64,
}

impl<'a> Specials<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0, found: 0 }
    }
}

impl Iterator for Specials<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            let mut last = [b' '; BLOCK];
            let (block, rest) = match self.rest.split_first_chunk() {
                Some(split) => split,
                None if self.rest.is_empty() => return None,
                None => {
                    last[..self.rest.len()].copy_from_slice(self.rest);
                    (&last, &[][..])
                }
            };
            let (parts, _) = block.as_chunks();
            let parts = parts.iter().rev().map(special);
            self.found = parts.fold(0, |found, part| found << 16 | u64::from(part));
            self.rest = rest;
            self.at += BLOCK;
        }
        let place = self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(self.at - BLOCK + place)
    }
}

/// One bit for each byte, which is set where it is special.
#[inline]
fn special(block: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*block);
    let is_quote = bytes.simd_eq(u8x16::splat(b'"'));
    let is_backslash = bytes.simd_eq(u8x16::splat(b'\\'));
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (is_quote | is_backslash | is_control).to_bitmask()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_that_is_special_is_found_in_its_order(
            bytes in prop::collection::vec(
                prop_oneof![9 => 0x20..=0xff_u8, 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0..0x20_u8],
                0..300,
            ),
        ) {
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
            let expected: Vec<_> = (0..bytes.len()).filter(|at| is_special(&bytes[*at])).collect();
            prop_assert_eq!(plain(&bytes), expected.first().copied().unwrap_or(bytes.len()));
            prop_assert_eq!(Specials::new(&bytes).collect::<Vec<_>>(), expected);
        }
    }
}
