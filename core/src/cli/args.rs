//! The words of a command line.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::given::Given;
use super::usage;

pub(super) const HELP: &str = "\
letta-app: look at a Letta Code App Server, and use it

  letta-app doctor              checks whether there is a server and which one; if not, says why
  letta-app run PROMPT          runs one turn: prints its text, tools and questions as they come
  letta-app tail                prints the frames of a server, or of one conversation, as they come
  letta-app replay FILE         prints what happened in a recording
  letta-app record FILE         writes a recording until Ctrl-C
  letta-app bench               measures how long connecting and requests take

options of all commands:
  --json              print one JSON object per line
  --color WHEN        auto (the default: on terminals), always or never
  --quiet             print only the output and what goes wrong
  -h, --help          print this help; --version prints the version
all but replay:
  --url URL           the server; by default LETTA_URL, or else ws://127.0.0.1:4500
  --token TOKEN       its token; better put into LETTA_TOKEN, where no list of processes shows it
  --ca FILE           certificates to trust for wss://
  --timeout SECONDS   limit for connecting and for each request (10); for run, limit for connecting (10),
                      for starting the session (30) and for the turn (none)
  --record FILE       also write a recording (not for record, which has its own FILE)

run, tail, record:
  --agent ID          the agent; without it, run makes a new one
  --conversation ID   a conversation of that agent; without it, run makes a new one
run:
  --model HANDLE      the model of a new agent, so not with --agent; by default LETTA_MODEL
  --mode MODE         standard (the default), acceptEdits, unrestricted or strict
  --cwd DIR           the working directory, which the server has to have; by default this one
  --allow TOOL        a tool that may run without asking; can be repeated
  PROMPT              - reads it from standard input; behind -- words may begin with a -
tail, record:
  --types A,B         only frames of these types
  --count N           stop after this many frames
  --seconds N         stop after this many seconds
replay:
  --speed N           1 is the recorded pace; 0, the default, is as fast as possible
bench:
  --count N           how many requests (100)

exit codes: 0 done, 1 failed, 2 wrong usage, 3 no connection, 4 credentials refused,
            129, 130, 143 ended by SIGHUP, Ctrl-C, SIGTERM";

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
    pub(super) cwd: Option<PathBuf>,
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
            cwd: None,
            allow: Vec::new(),
            types: Vec::new(),
            count: None,
            seconds: None,
            speed: 0.0,
        }
    }

    /// Reads the arguments; the error says what is wrong with them.
    pub(super) fn parse<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Self, String> {
        let mut args = Self::new();
        let (mut words, mut names) = (Vec::new(), Vec::new());
        let mut rest = arguments.iter().map(|word| word.as_ref().to_owned());
        while let Some(word) = rest.next() {
            if word == "--" {
                words.extend(rest.by_ref());
            } else if let Some(given) = Given::of(&word, &mut rest) {
                names.push(given.name().to_owned());
                args.set(given)?;
            } else {
                words.push(word);
            }
        }
        if names.iter().any(|name| name == "--help") {
            // It stands with any command.
            return Ok(args);
        }
        args.command = Self::command_of(words, &names)?;
        usage::check(&args, &names)?;
        Ok(args)
    }

    fn set(&mut self, given: Given<'_>) -> Result<(), String> {
        match given.name() {
            "--help" | "--version" => given.nothing()?,
            "--json" => self.json = given.nothing().map(|()| true)?,
            "--quiet" => self.quiet = given.nothing().map(|()| true)?,
            "--url" => self.url = given.text()?,
            "--token" => self.token = Some(given.text()?),
            "--ca" => self.ca = Some(given.text()?),
            "--timeout" => self.timeout = Some(given.seconds()?),
            "--seconds" => self.seconds = Some(given.seconds()?),
            "--record" => self.record = Some(given.path()?),
            "--agent" => self.agent = Some(given.name_of_one()?),
            "--conversation" => self.conversation = Some(given.name_of_one()?),
            "--model" => self.model = Some(given.name_of_one()?),
            "--mode" => self.mode = given.text()?,
            "--cwd" => self.cwd = Some(given.path()?),
            "--allow" => self.allow.push(given.name_of_one()?),
            "--types" => self.types = given.names()?,
            "--count" => self.count = Some(given.count()?),
            "--speed" => self.speed = given.number()?,
            "--color" => self.color = color(&given.text()?)?,
            other => return Err(usage::unknown(other)),
        }
        Ok(())
    }

    fn command_of(words: Vec<OsString>, names: &[String]) -> Result<Command, String> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else {
            let is_version = names.iter().any(|name| name == "--version");
            return Ok(if is_version { Command::Version } else { Command::Help });
        };
        let name = name.to_string_lossy();
        let words: Vec<OsString> = words.collect();
        let none = |command| match words.first() {
            None => Ok(command),
            Some(word) => Err(format!("{name}: unexpected argument {:?}", word.to_string_lossy())),
        };
        let file = || match &words[..] {
            [file] => Ok(PathBuf::from(file)),
            _ => Err(format!("{name}: name one file")),
        };
        match &*name {
            "help" => Ok(Command::Help),
            "version" => none(Command::Version),
            "doctor" => none(Command::Doctor),
            "tail" => none(Command::Tail),
            "bench" => none(Command::Bench),
            "replay" => Ok(Command::Replay { file: file()? }),
            "record" => Ok(Command::Record { file: file()? }),
            "run" => Ok(Command::Run { prompt: prompt(&words)? }),
            other => Err(format!("there is no command {other:?}")),
        }
    }
}

fn prompt(words: &[OsString]) -> Result<String, String> {
    if words.is_empty() {
        return Err("run: a prompt is missing (- reads it from standard input)".to_owned());
    }
    let texts: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let prompt = texts.ok_or("run: the prompt is not valid UTF-8")?.join(" ");
    if prompt.trim().is_empty() {
        // As from "$(command)" when the command has failed.
        return Err("run: expected a prompt, got nothing but white space".to_owned());
    }
    Ok(prompt)
}

fn color(word: &str) -> Result<Color, String> {
    match word {
        "auto" => Ok(Color::Auto),
        "always" => Ok(Color::Always),
        "never" => Ok(Color::Never),
        other => Err(format!("--color: expected auto, always or never, got {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Command};

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(&line.split(' ').collect::<Vec<_>>())
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
            ("run hi --timout 3", "there is no option --timout; did you mean --timeout?"),
            ("run hi -q", "there is no option -q; did you mean --quiet?"),
            ("run -5", "there is no option -5; behind -- words may begin with a -"),
            ("replay -f.jsonl", "there is no option -f.jsonl; behind -- words may begin with a -"),
            ("tail --count many", "--count: expected a whole number above 0, got \"many\""),
            ("replay f --speed fast", "--speed: expected a number, got \"fast\""),
            ("tail --count", "--count needs a value"),
            ("replay", "replay: name one file"),
            ("doctor please", "doctor: unexpected argument \"please\""),
            ("bench --timeout 0", "--timeout: expected seconds above 0, got \"0\""),
            (
                "tail --seconds 1.5e19",
                "--seconds: expected at most 31536000 seconds, got \"1.5e19\"",
            ),
            ("tail --seconds inf", "--seconds: expected at most 31536000 seconds, got \"inf\""),
            ("tail --timeout nan", "--timeout: expected seconds above 0, got \"nan\""),
            ("bench --count 0", "--count: expected a whole number above 0, got \"0\""),
            ("tail --types a,,b", "--types: expected names separated by commas, got \"a,,b\""),
            ("doctor --json=no", "--json takes no value"),
            ("run hi", "run: pass --agent ID, or --model HANDLE to make a new agent"),
            ("run hi --agent=", "--agent: expected a name, got an empty string"),
            (
                "run hi --agent a --mode all",
                "--mode: expected standard, acceptEdits, unrestricted or strict, got \"all\"",
            ),
            (
                "run hi --agent a --model m",
                "--model: it is for a new agent; leave out either this or --agent",
            ),
            ("run hi --model m --conversation c", "--conversation: pass its --agent as well"),
            ("tail --agent a", "tail: pass both --agent and --conversation, or neither"),
            ("record f --conversation c", "--conversation: pass its --agent as well"),
            ("record f --record g", "record has no option --record"),
            ("replay f --types x", "replay has no option --types"),
            ("replay f --url ws://h", "replay has no option --url"),
            ("replay f --speed -1", "--speed: expected a number from 0 to 1e6, got -1"),
            ("replay f --speed nan", "--speed: expected a number from 0 to 1e6, got NaN"),
            ("doctor --agent a", "doctor has no option --agent"),
            ("bench --types a", "bench has no option --types"),
        ] {
            assert_eq!(parse(line).err().as_deref(), Some(wrong), "{line}");
        }
    }

    #[test]
    fn an_empty_prompt_is_none() {
        let wrong = Some("run: expected a prompt, got nothing but white space");
        for words in [&["run", ""][..], &["run", " ", "\n\t"], &["run", "--", "  "]] {
            assert_eq!(Args::parse(words).err().as_deref(), wrong, "{words:?}");
        }
    }

    #[test]
    fn help_and_version_are_asked_for_in_any_way() {
        for line in ["-h", "--help", "help", "run --help", "tail -h --agent a"] {
            assert_eq!(parse(line).unwrap().command, Command::Help, "{line}");
        }
        for line in ["--version", "-V", "version"] {
            assert_eq!(parse(line).unwrap().command, Command::Version, "{line}");
        }
        let said = parse("run --agent a -- -h").unwrap().command;
        assert_eq!(said, Command::Run { prompt: "-h".to_owned() });
        let said = parse("run --agent a -").unwrap().command;
        assert_eq!(said, Command::Run { prompt: "-".to_owned() });
    }

    #[cfg(unix)]
    #[test]
    fn a_file_may_have_any_name_and_a_text_is_text() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let file = OsStr::from_bytes(b"a\xff.jsonl");
        let args = Args::parse(&[OsStr::new("replay"), file]).unwrap();
        assert_eq!(args.command, Command::Replay { file: file.into() });
        let args =
            Args::parse(&[OsStr::new("bench"), OsStr::from_bytes(b"--record=\xff")]).unwrap();
        assert_eq!(args.record.unwrap().as_os_str(), OsStr::from_bytes(b"\xff"));
        let token = [OsStr::new("bench"), OsStr::new("--token"), OsStr::from_bytes(b"secret\xff")];
        assert_eq!(
            Args::parse(&token).err().as_deref(),
            Some("--token: the value is not valid UTF-8")
        );
        let said = [OsStr::new("run"), OsStr::from_bytes(b"\xff")];
        assert_eq!(Args::parse(&said).err().as_deref(), Some("run: the prompt is not valid UTF-8"));
    }
}
