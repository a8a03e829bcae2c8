//! The standard streams: what is asked for on one, everything about it on the other.

use std::env;
use std::io::{self, IsTerminal, Write};

use super::Stop;
use super::args::{Args, Color};
use super::words::harmless;
use crate::client::Client;
use crate::error::Error;

/// How a word looks on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Good,
    Warn,
    Bad,
    Faint,
    Bold,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Bold => "1",
        }
    }
}

pub(super) struct Out {
    /// Closed at the end of the command, whatever ends it.
    pub(super) clients: Vec<Client>,
    /// Whether standard output and standard error have colours.
    colors: (bool, bool),
    quiet: bool,
    /// Why recordings lack lines, as far as it was said.
    unrecorded: Vec<String>,
}

impl Out {
    pub(super) fn new(args: &Args) -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = |terminal: bool| match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        Self {
            clients: Vec::new(),
            colors: (color(io::stdout().is_terminal()), color(io::stderr().is_terminal())),
            quiet: args.quiet,
            unrecorded: Vec::new(),
        }
    }

    /// Text for standard output, as it is.
    #[expect(clippy::unused_self, reason = "whoever has this may write, and nobody else")]
    pub(super) fn text(&mut self, text: &str) -> Result<(), Stop> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// A line for standard output.
    pub(super) fn line(&mut self, line: impl AsRef<str>) -> Result<(), Stop> {
        self.text(&format!("{}\n", line.as_ref()))
    }

    /// A word of a line for standard output.
    pub(super) fn looking(&self, text: &str, look: Look) -> String {
        paint(text, look, self.colors.0)
    }

    /// Something about what happens, for standard error; it is not worth failing for.
    pub(super) fn note(&mut self, text: &str) {
        self.aside(text, Look::Faint);
    }

    /// The same in another look. Who wants quiet is told what goes wrong all the same.
    pub(super) fn aside(&mut self, text: &str, look: Look) {
        if !self.quiet || matches!(look, Look::Bad) {
            let text = paint(&harmless(text), look, self.colors.1);
            writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
        }
    }

    /// Why a recording lacks lines, said once.
    pub(super) fn unrecorded(&mut self, why: String) {
        if !self.unrecorded.contains(&why) {
            self.aside(&why, Look::Bad);
            self.unrecorded.push(why);
        }
    }

    /// A question to whoever sits at the terminal.
    pub(super) fn ask(&mut self, text: &str) {
        let mut stderr = io::stderr().lock();
        let text = paint(&harmless(text), Look::Bold, self.colors.1);
        write!(stderr, "{text}").unwrap_or_default();
        stderr.flush().unwrap_or_default();
    }

    /// What went wrong, and what to do about it.
    pub(super) fn problem(&mut self, error: &Error) {
        let mut stderr = io::stderr().lock();
        let head = paint("error:", Look::Bad, self.colors.1);
        writeln!(stderr, "{head} {}", harmless(error.message())).unwrap_or_default();
        if let Some(hint) = error.hint() {
            writeln!(stderr, "  {}", harmless(hint)).unwrap_or_default();
        }
    }
}

fn paint(text: &str, look: Look, wanted: bool) -> String {
    if wanted { format!("\x1b[{}m{text}\x1b[0m", look.code()) } else { text.to_owned() }
}
