//! What the model of the server answers: it is written in the prompt.

use std::fmt::Write;
use std::time::Duration;

use super::dice::Dice;

/// The words of a prompt such as `p7 N=3 MS=20 TOOL ASK FAIL=1`. The first one names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub tag: String,
    /// Words of each run's text.
    pub words: u32,
    /// The time of a word.
    pub pace: Duration,
    /// A tool call before the last run.
    pub tool: Option<Tool>,
    /// Whether the tool wants a permission.
    pub asks: bool,
    /// So many runs fail and are tried again.
    pub failures: u32,
    /// The last of them is not.
    pub fatal: bool,
    /// The input says which tools its turn has.
    pub own_tools: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The server runs it.
    Own,
    /// The client does.
    External,
}

impl Plan {
    pub fn any(tag: String, dice: &mut Dice) -> Self {
        let tool = match dice.below(6) {
            0 => Some(Tool::Own),
            1 => Some(Tool::External),
            _ => None,
        };
        let failures = u32::from(dice.once_in(8));
        Self {
            tag,
            words: u32::try_from(dice.between(0, 5)).unwrap_or_default(),
            pace: dice.millis(0, 400),
            tool,
            asks: tool.is_some() && dice.once_in(2),
            failures,
            fatal: failures > 0 && dice.once_in(3),
            own_tools: dice.once_in(6),
        }
    }

    pub fn prompt(&self) -> String {
        let mut text = format!("{} N={} MS={}", self.tag, self.words, self.pace.as_millis());
        match self.tool {
            Some(Tool::Own) => text.push_str(" OWN"),
            Some(Tool::External) => text.push_str(" TOOL"),
            None => {}
        }
        for (word, wanted) in
            [(" ASK", self.asks), (" FATAL", self.fatal), (" SCOPE", self.own_tools)]
        {
            text.push_str(if wanted { word } else { "" });
        }
        if self.failures > 0 {
            // Writing to a string cannot fail.
            write!(text, " FAIL={}", self.failures).unwrap_or_default();
        }
        text
    }

    pub fn read(prompt: &str) -> Self {
        let number = |name: &str| {
            let value = prompt.split(' ').find_map(|word| word.strip_prefix(name));
            value.and_then(|value| value.parse::<u32>().ok()).unwrap_or_default()
        };
        let has = |name: &str| prompt.split(' ').any(|word| word == name);
        let external = has("TOOL").then_some(Tool::External);
        Self {
            tag: tag_of(prompt).to_owned(),
            words: number("N="),
            pace: Duration::from_millis(number("MS=").into()),
            tool: external.or(has("OWN").then_some(Tool::Own)),
            asks: has("ASK"),
            failures: number("FAIL="),
            fatal: has("FATAL"),
            own_tools: has("SCOPE"),
        }
    }
}

/// The name of a prompt.
pub fn tag_of(prompt: &str) -> &str {
    prompt.split(' ').next().unwrap_or_default()
}
