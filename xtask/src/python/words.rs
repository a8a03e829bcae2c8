//! The sets of words: `protocol/_words.py`.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{all, head};
use crate::model::Model;

/// An alias of a `Literal` for every set of words.
pub fn words(model: &Model) -> String {
    let mut text = head(
        "The sets of words of the protocol (section 21).",
        "from typing import Literal, TypeAlias",
    );
    text += &all(&model.enums.keys().cloned().collect::<BTreeSet<_>>());
    for (name, words) in &model.enums {
        let lines: String =
            words.iter().map(|word| format!("    {word:?},\n")).collect::<Vec<_>>().concat();
        write!(
            text,
            "{name}: TypeAlias = Literal[\n{lines}]\n\"\"\"The values of ``{name}``; a newer server may send others.\"\"\"\n\n"
        )
        .ok();
    }
    text.trim_end().to_owned() + "\n"
}
