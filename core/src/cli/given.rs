//! An option as it was given, and its value.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// No time that is given is longer: clocks cannot count to any.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// An option of a command line. Its value stands behind a `=`, or is the next word.
pub(super) struct Given<'a> {
    name: String,
    inline: Option<OsString>,
    rest: &'a mut dyn Iterator<Item = OsString>,
}

impl<'a> Given<'a> {
    /// The option that a word is; `None` for another word, which may be a `-` alone but not begin with one.
    pub(super) fn of(word: &OsStr, rest: &'a mut dyn Iterator<Item = OsString>) -> Option<Self> {
        let (name, inline) = match word.to_string_lossy().as_ref() {
            "-h" => ("--help".to_owned(), None),
            "-V" => ("--version".to_owned(), None),
            "-" => return None,
            text if !text.starts_with('-') => return None,
            _ => parted(word),
        };
        Some(Self { name, inline, rest })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It takes no value.
    pub(super) fn nothing(self) -> Result<(), String> {
        match self.inline {
            None => Ok(()),
            Some(_) => Err(format!("{} takes no value", self.name)),
        }
    }

    fn value(&mut self) -> Result<OsString, String> {
        let value = self.inline.take().or_else(|| self.rest.next());
        value.ok_or_else(|| format!("{} needs a value", self.name))
    }

    pub(super) fn path(mut self) -> Result<PathBuf, String> {
        Ok(self.value()?.into())
    }

    /// A text. It may be a token, and is not shown.
    pub(super) fn text(mut self) -> Result<String, String> {
        self.take_text()
    }

    fn take_text(&mut self) -> Result<String, String> {
        let text = self.value()?.into_string();
        text.map_err(|_| format!("{}: the value is not valid UTF-8", self.name))
    }

    /// The id or the name of something.
    pub(super) fn name_of_one(mut self) -> Result<String, String> {
        let text = self.take_text()?;
        if text.is_empty() {
            return Err(format!("{}: expected a name, got an empty string", self.name));
        }
        Ok(text)
    }

    /// Names, with commas between them.
    pub(super) fn names(mut self) -> Result<Vec<String>, String> {
        let text = self.take_text()?;
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err(format!("{}: expected names separated by commas, got {text:?}", self.name));
        }
        Ok(names)
    }

    pub(super) fn number<T: FromStr>(mut self) -> Result<T, String> {
        self.parsed("a number")
    }

    /// How many of something.
    pub(super) fn count(mut self) -> Result<usize, String> {
        let count: std::num::NonZeroUsize = self.parsed("a whole number above 0")?;
        Ok(count.get())
    }

    pub(super) fn seconds(mut self) -> Result<Duration, String> {
        let text = self.take_text()?;
        let seconds: Option<f64> = text.parse().ok();
        if seconds.is_some_and(|seconds| seconds > LONGEST.as_secs_f64()) {
            let most = LONGEST.as_secs();
            return Err(format!("{}: expected at most {most} seconds, got {text:?}", self.name));
        }
        let usable = seconds.and_then(|time| Duration::try_from_secs_f64(time).ok());
        let usable = usable.filter(|time| !time.is_zero());
        usable.ok_or_else(|| format!("{}: expected seconds above 0, got {text:?}", self.name))
    }

    fn parsed<T: FromStr>(&mut self, expected: &str) -> Result<T, String> {
        let text = self.take_text()?;
        text.parse().map_err(|_| format!("{}: expected {expected}, got {text:?}", self.name))
    }
}

/// The name, and what stands behind the first `=`, which may be no text.
fn parted(word: &OsStr) -> (String, Option<OsString>) {
    if let Some(text) = word.to_str() {
        return match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.into())),
            None => (text.to_owned(), None),
        };
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;

        let bytes = word.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
            let name = String::from_utf8_lossy(&bytes[..at]).into_owned();
            return (name, Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned()));
        }
    }
    (word.to_string_lossy().into_owned(), None)
}
