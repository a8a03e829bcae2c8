//! The words of a command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const HELP: &str = "\
letta-app: look at a Letta Code App Server, and use it

  letta-app doctor              is there a server, which one, and if not, why not
  letta-app run PROMPT          one turn: its text as it comes, its tools, its questions
  letta-app tail                the frames of a server, or of one conversation, as they come
  letta-app replay FILE         what happened in a recording
  letta-app record FILE         writes a recording until Ctrl-C
  letta-app bench               times of connecting and of requests

options of all:
  --url URL           the server; LETTA_URL, else ws://127.0.0.1:4500
  --token TOKEN       its token; better in LETTA_TOKEN, where no list of processes shows it
  --ca FILE           certificates to trust for wss://
  --timeout SECONDS   the limit of connecting and of a request (10), for run the limit of the turn (none)
  --json              one JSON object per line
  --color WHEN        auto (on terminals), always or never
  --record FILE       also writes a recording

run, tail, record:
  --agent ID          the agent; run makes a new one where none is named
  --conversation ID   the conversation; run makes a new one where none is named
run:
  --model HANDLE      the model of a new agent; LETTA_MODEL
  --mode MODE         standard, acceptEdits, unrestricted or strict
  --cwd DIR           the directory, this one by default
  --allow TOOL        a tool that is allowed unasked; may be repeated
  --quiet             only the text
  PROMPT              - reads it from standard input
tail, record:
  --types A,B         only frames of these types
  --count N           ends after so many frames
  --seconds N         ends after so many seconds
replay:
  --speed N           1 is the recorded pace; 0, the default, as fast as it goes
bench:
  --count N           so many requests (100)

exit codes: 0 done, 1 failed, 2 wrong usage, 3 no connection, 4 credentials refused, 130 interrupted";

const DEFAULT_URL: &str = "ws://127.0.0.1:4500";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Version,
    Doctor,
    Run { prompt: String },
    Tail,
    Replay { file: PathBuf },
    Record { file: PathBuf },
    Bench,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// A command and its options.
#[derive(Clone)]
pub(super) struct Args {
    pub(super) command: Command,
    pub(super) url: String,
    pub(super) token: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) color: Color,
    pub(super) record: Option<PathBuf>,
    pub(super) agent: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) model: Option<String>,
    pub(super) mode: String,
    pub(super) cwd: PathBuf,
    pub(super) allow: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) count: Option<usize>,
    pub(super) seconds: Option<Duration>,
    pub(super) speed: f64,
}

impl Args {
    fn new() -> Self {
        let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            command: Command::Help,
            url: given("LETTA_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()),
            token: given("LETTA_TOKEN"),
            ca: None,
            timeout: None,
            json: false,
            quiet: false,
            color: Color::Auto,
            record: None,
            agent: None,
            conversation: None,
            model: given("LETTA_MODEL"),
            mode: "standard".to_owned(),
            cwd: PathBuf::from("."),
            allow: Vec::new(),
            types: Vec::new(),
            count: None,
            seconds: None,
            speed: 0.0,
        }
    }

    /// Reads the arguments; the error says what is wrong with them.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut args = Self::new();
        let mut words = Vec::new();
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            match word.split_once('=') {
                _ if !word.starts_with("--") => words.push(word.clone()),
                _ if word == "--" => words.extend(rest.by_ref().cloned()),
                Some((name, value)) => args.set(name, &mut || Some(value.to_owned()))?,
                None => args.set(word, &mut || rest.next().cloned())?,
            }
        }
        args.command = args.command_of(&words)?;
        Ok(args)
    }

    fn set(&mut self, name: &str, value: &mut dyn FnMut() -> Option<String>) -> Result<(), String> {
        let mut text = || value().ok_or_else(|| format!("{name}: a value is missing"));
        match name {
            "--help" => self.command = Command::Version,
            "--json" => self.json = true,
            "--quiet" => self.quiet = true,
            "--url" => self.url = text()?,
            "--token" => self.token = Some(text()?),
            "--ca" => self.ca = Some(text()?),
            "--timeout" => self.timeout = Some(seconds(name, &text()?)?),
            "--seconds" => self.seconds = Some(seconds(name, &text()?)?),
            "--record" => self.record = Some(text()?.into()),
            "--agent" => self.agent = Some(text()?),
            "--conversation" => self.conversation = Some(text()?),
            "--model" => self.model = Some(text()?),
            "--mode" => self.mode = text()?,
            "--cwd" => self.cwd = text()?.into(),
            "--allow" => self.allow.push(text()?),
            "--types" => self.types = text()?.split(',').map(str::to_owned).collect(),
            "--count" => self.count = Some(number(name, &text()?)?),
            "--speed" => self.speed = number(name, &text()?)?,
            "--color" => {
                self.color = match text()?.as_str() {
                    "auto" => Color::Auto,
                    "always" => Color::Always,
                    "never" => Color::Never,
                    other => return Err(format!("--color: auto, always or never, not {other}")),
                };
            }
            _ => return Err(format!("there is no option {name}")),
        }
        Ok(())
    }

    fn command_of(&self, words: &[String]) -> Result<Command, String> {
        // `--help` stands with any command.
        if self.command == Command::Version {
            return Ok(Command::Help);
        }
        let Some((name, words)) = words.split_first() else { return Ok(Command::Help) };
        let none = |command| match words {
            [] => Ok(command),
            [word, ..] => Err(format!("{name}: what is {word:?}?")),
        };
        let file = || match words {
            [file] => Ok(PathBuf::from(file)),
            _ => Err(format!("{name}: name one file")),
        };
        match name.as_str() {
            "help" => Ok(Command::Help),
            "version" => none(Command::Version),
            "doctor" => none(Command::Doctor),
            "tail" => none(Command::Tail),
            "bench" => none(Command::Bench),
            "replay" => Ok(Command::Replay { file: file()? }),
            "record" => Ok(Command::Record { file: file()? }),
            "run" if words.is_empty() => {
                Err("run: what is to be said? (- for standard input)".to_owned())
            }
            "run" => Ok(Command::Run { prompt: words.join(" ") }),
            other => Err(format!("there is no command {other:?}")),
        }
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: a number, not {text:?}"))
}

fn seconds(name: &str, text: &str) -> Result<Duration, String> {
    let seconds = number(name, text)?;
    let usable = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    usable.ok_or_else(|| format!("{name}: seconds above 0, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::{Args, Command};

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere_and_take_their_value_either_way() {
        let args =
            parse("--json run --agent=a-1 say --timeout 2.5 hello -- --not-an-option").unwrap();
        assert_eq!(args.command, Command::Run { prompt: "say hello --not-an-option".to_owned() });
        assert_eq!((args.agent.as_deref(), args.json), (Some("a-1"), true));
        assert_eq!(args.timeout.unwrap().as_millis(), 2500);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, wrong) in [
            ("dance", "there is no command \"dance\""),
            ("tail --fast", "there is no option --fast"),
            ("tail --count many", "--count: a number, not \"many\""),
            ("tail --count", "--count: a value is missing"),
            ("replay", "replay: name one file"),
            ("doctor please", "doctor: what is \"please\"?"),
            ("bench --timeout 0", "--timeout: seconds above 0, not \"0\""),
        ] {
            assert_eq!(parse(line).err().as_deref(), Some(wrong));
        }
    }
}
