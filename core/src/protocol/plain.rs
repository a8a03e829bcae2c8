//! Where the plain part of a JSON string ends: what the scanner spends most of its time on.

use wide::u8x16;

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

/// One bit for each byte, which is set where it is special.
#[inline]
fn special(block: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*block);
    let is_quote = bytes.simd_eq(u8x16::splat(b'"'));
    let is_backslash = bytes.simd_eq(u8x16::splat(b'\\'));
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (is_quote | is_backslash | is_control).to_bitmask()
}
