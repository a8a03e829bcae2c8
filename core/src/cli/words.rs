//! Words of somebody else, for a terminal: nothing of them steers it, or turns the order of what is read.

use std::fmt::Write;

/// A text on one line, cut where it is long.
pub(super) fn short(text: &str, most: usize) -> String {
    let is_free = |c: char| !c.is_control() && !turns(c);
    let mut line: String = text.chars().map(|c| if is_free(c) { c } else { ' ' }).collect();
    if line.chars().count() > most {
        line = line.chars().take(most).chain(['…']).collect();
    }
    line
}

/// A text without what would steer the terminal.
pub(super) fn harmless(text: &str) -> String {
    text.chars().filter(|c| !steers(*c)).collect()
}

/// All of a text, also what would steer the terminal, as its number: for who has to know what is there.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            write!(shown, "\\u{:04x}", u32::from(c)).unwrap_or_default();
        } else {
            shown.push(c);
        }
    }
    shown
}

fn steers(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t') || turns(c)
}

/// Whether it changes the direction of the text around it: what is read would not be what is there.
const fn turns(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{harmless, short, visible};

    #[test]
    fn nothing_steers_the_terminal_or_turns_the_text() {
        let text = "a\x1b[2J\u{202e}b\u{9b}1m\n\tשלום 👩‍💻";
        assert_eq!(harmless(text), "a[2Jb1m\n\tשלום 👩‍💻");
        assert_eq!(short(text, 100), "a [2J b 1m  שלום 👩‍💻");
        assert_eq!(short(text, 3), "a […");
        assert_eq!(visible(text), "a\\u001b[2J\\u202eb\\u009b1m\n\tשלום 👩‍💻");
    }
}
