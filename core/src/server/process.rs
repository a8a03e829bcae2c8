//! The server's process, and what makes it end with its owner.

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
#[cfg(not(unix))]
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ending::{self, ServerWatch};
use super::output::OnLine;
use super::patience::Patience;
#[cfg(not(unix))]
use super::resolve::resolve;
use super::{Output, ServerOptions};
use crate::background;
use crate::error::{Error, ErrorKind};

/// How long an orderly end may take before the server is killed, and then that.
pub(crate) const END_WAIT: Duration = Duration::from_secs(5);

/// How long the one sign of an end may come after the other: that the process has ended, and that its output has.
pub(crate) const NOTE_WAIT: Duration = Duration::from_secs(1);

/// What a shell ends with that has not found the program.
const NOT_FOUND: i32 = 127;

const IS_IT_INSTALLED: &str = "is it installed, and in PATH?";

/// How often a server is asked whether it is ready, and a process whether it has ended.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Runs the server and, beside it, a watchman who reads from the owner. When that read ends, because
/// the owner lets go or is no more, he ends everything in this process group, which lives as long as
/// he does: no number of a process is used that could mean another one by then.
///
/// What was forked from the owner holds the pipe too, and the read does not end with the owner alone.
/// So a second watchman looks every other second whether the owner is still the parent of this shell:
/// the system changes that when the owner ends. (A signal at the parent's death would need unsafe
/// code, and comes when the thread ends that started the shell.) Where the system does not show a
/// process' parent he asks whether there is a process of the owner's number, which at worst is
/// another one by then; the read decides in that case.
///
/// The program is run by `exec`, which looks for programs alone: a name may also be one of the shell's own commands.
#[cfg(unix)]
const GUARD: &str = r#"
trap : TERM HUP INT
exec 3<&0 </dev/null
owner=$PPID
exec "$@" 3<&- &
server=$!
finish() { kill -TERM 0; sleep 3; kill -KILL 0; }
owned() {
  if read -r stat 2>/dev/null <"/proc/$$/stat"; then
    set -- ${stat##*) }
    [ "$2" = "$owner" ]
  else
    kill -0 "$owner" 2>/dev/null
  fi
}
{ trap : TERM HUP INT; read -r _; finish; } <&3 >/dev/null 2>&1 &
{ trap : TERM HUP INT; while owned; do sleep 2; done; finish; } 3<&- >/dev/null 2>&1 &
exec 3<&-
while :; do
  wait "$server"
  code=$?
  kill -0 "$server" 2>/dev/null || exit "$code"
done
"#;

/// A running server.
pub(super) struct Process {
    /// For its end from here. The thread that waits for the end has it otherwise.
    #[cfg(not(unix))]
    child: Arc<Mutex<Child>>,
    watch: ServerWatch,
    /// The watchman reads from it.
    hold: Option<ChildStdin>,
    /// The process that started it. What is forked from that has a copy of this, and owns nothing.
    owner: u32,
    output: Output,
}

#[cfg(unix)]
fn guarded(program: &str, arguments: &[String]) -> Command {
    use std::os::unix::process::CommandExt;

    let mut command = Command::new("/bin/sh");
    // A group of its own: what is typed at the owner's terminal does not reach it.
    command.args(["-c", GUARD, "letta-app-server", program]).args(arguments).process_group(0);
    command
}

/// Without a watchman: what Windows offers for that needs unsafe code.
#[cfg(not(unix))]
fn guarded(program: &str, arguments: &[String]) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let endings = std::env::var("PATHEXT").ok();
    let mut command = Command::new(resolve(program, &path, endings.as_deref()));
    command.args(arguments);
    command
}

impl Process {
    pub(super) fn start(
        program: &str,
        arguments: &[String],
        options: &ServerOptions,
        on_line: Option<OnLine>,
        at_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            let message = format!("{program:?} cannot be started: {error}");
            Error::new(ErrorKind::ServerStart, message)
                .with_hint(IS_IT_INSTALLED)
                .with_command(&options.command)
                .with_source(error)
        };
        let mut command = guarded(program, arguments);
        command.envs(options.env.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = &options.cwd {
            command.current_dir(cwd);
        }
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().map_err(failed)?;
        let output = Output::default();
        if let Some(stream) = child.stdout.take() {
            output.read(Box::new(stream), on_line.clone()).map_err(failed)?;
        }
        if let Some(stream) = child.stderr.take() {
            output.read(Box::new(stream), on_line).map_err(failed)?;
        }
        let hold = child.stdin.take();
        let (teller, watch) = ending::pair();
        let printed = output.clone();
        #[cfg(not(unix))]
        let child = Arc::new(Mutex::new(child));
        #[cfg(not(unix))]
        let process = Arc::clone(&child);
        #[cfg(unix)]
        let process = child;
        // One that nobody takes note of stays in the system's list, and nobody would learn of its end.
        let note = move || {
            let status = wait(process);
            at_end();
            teller.ended(status);
            printed.wait_over(NOTE_WAIT);
            drop(teller);
        };
        background::thread("letta-app-server-end", Box::new(note)).map_err(failed)?;
        Ok(Self {
            #[cfg(not(unix))]
            child,
            watch,
            hold,
            owner: std::process::id(),
            output,
        })
    }

    /// What tells of its end.
    pub(super) const fn watch(&self) -> &ServerWatch {
        &self.watch
    }

    pub(super) fn output(&self) -> Output {
        self.output.clone()
    }

    /// Waits until the server says where it listens.
    pub(super) fn listening(&mut self, patience: &Patience) -> Result<String, String> {
        let url = self.output.url(patience);
        url.ok_or_else(|| {
            unless_stopped(patience, "it did not say where it is listening".to_owned())
        })
    }

    /// Waits until it answers there.
    pub(super) fn answers(&mut self, url: &str, patience: &Patience) -> Result<(), String> {
        let place = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
        let place =
            place.ok_or_else(|| format!("it listens on {url:?}, which is not an address"))?;
        while !ready(place, patience) {
            if patience.left().is_none() || self.has_ended() {
                return Err(unless_stopped(patience, format!("it does not answer on {place}")));
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    /// The error of a server that did not come up. It is ended.
    pub(super) fn failed(&mut self, why: &str, command: &[String]) -> Error {
        // Read to its end, its output says that the process ends too, by itself.
        let deadline = Instant::now() + NOTE_WAIT;
        while self.output.is_over() && !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(ASK_EVERY);
        }
        let status = self.watch.status().flatten();
        // Before it is told to end: what comes of that is not why.
        let tail = self.output.tail();
        self.release();
        let ended = status.map(|status| format!("; {status}")).unwrap_or_default();
        let mut message = format!("{} did not start: {why}{ended}", command.join(" "));
        if !tail.is_empty() {
            message.push_str("\nIts output ended with:\n");
            message.push_str(&tail.join("\n"));
        }
        let code = status.and_then(|status| status.code());
        let error = Error::new(ErrorKind::ServerStart, message).with_command(command);
        let error = error.with_end(code, tail);
        if code == Some(NOT_FOUND) { error.with_hint(IS_IT_INSTALLED) } else { error }
    }

    /// Ends the server and waits for it, and until its last lines are read.
    pub(super) fn end(mut self) {
        let deadline = Instant::now() + END_WAIT;
        self.release();
        while Instant::now() < deadline && !self.has_ended() {
            std::thread::sleep(ASK_EVERY);
        }
        // A program that the server has left behind may keep its output open for as long as it likes.
        let deadline = deadline.min(Instant::now() + NOTE_WAIT);
        self.output.wait_over(deadline.saturating_duration_since(Instant::now()));
    }

    fn has_ended(&self) -> bool {
        self.watch.status().is_some()
    }

    /// Whether this process is the one that started it.
    pub(super) fn is_owned(&self) -> bool {
        self.owner == std::process::id()
    }

    /// Lets go: the watchman ends the server.
    fn release(&mut self) {
        let owned = self.is_owned();
        if let Some(mut hold) = self.hold.take().filter(|_| owned) {
            // A forked process keeps its copy of the pipe open; a line ends the wait as well.
            hold.write_all(b"\n").unwrap_or_default();
        }
        #[cfg(not(unix))]
        self.child.lock().unwrap_or_else(PoisonError::into_inner).kill().unwrap_or_default();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The thread that was started with it takes note of its end.
        self.release();
    }
}

/// Waits for the end of a process.
#[cfg(unix)]
fn wait(mut process: Child) -> Option<ExitStatus> {
    process.wait().ok()
}

/// The same with looks at it: whoever waits in the system keeps others from ending it.
#[cfg(not(unix))]
fn wait(process: Arc<Mutex<Child>>) -> Option<ExitStatus> {
    loop {
        let looked = process.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
        match looked {
            Ok(None) => std::thread::sleep(ASK_EVERY),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}

/// Why a start failed that its caller has stopped.
pub(super) const UNWANTED: &str = "nobody is waiting for it any more";

/// Why a start failed, where that was not its caller's wish.
fn unless_stopped(patience: &Patience, why: String) -> String {
    if patience.is_stopped() { UNWANTED.to_owned() } else { why }
}

/// Whether a server answers `/readyz`, which needs no token.
fn ready(place: &str, patience: &Patience) -> bool {
    answer(place, "/readyz", None, patience).is_some_and(|line| line.starts_with("HTTP/1.1 200"))
}

/// The first line of what a server answers to a plain request; `None` when it does not.
pub(super) fn answer(
    place: &str,
    path: &str,
    token: Option<&str>,
    patience: &Patience,
) -> Option<String> {
    /// Of one question; a server that has not come up yet may lose one.
    const LONG_ENOUGH: Duration = Duration::from_secs(2);

    let patience = patience.at_most(LONG_ENOUGH);
    let address = place.parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, patience.left()?).ok()?;
    stream.set_write_timeout(Some(patience.left()?)).ok()?;
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n{}\r\n",
        bearer.unwrap_or_default()
    );
    stream.write_all(head.as_bytes()).ok()?;
    first_line(&mut stream, patience)
}

/// Reads until the patience is over, however slowly what is read comes. Once the line is there the
/// rest has a moment: a server that is cut off while it speaks would complain.
fn first_line(stream: &mut TcpStream, mut patience: Patience) -> Option<String> {
    const MOMENT: Duration = Duration::from_millis(200);
    const ENOUGH: usize = 64 * 1024;

    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    let mut line = None;
    while answer.len() < ENOUGH {
        let Some(wait) = patience.look() else { break };
        stream.set_read_timeout(Some(wait)).ok()?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if is_early(error.kind()) => continue,
            Err(_) => break,
        }
        if line.is_none() {
            line = answer.iter().position(|byte| *byte == b'\n');
            if line.is_some() {
                patience = patience.at_most(MOMENT);
            }
        }
    }
    line.map(|end| String::from_utf8_lossy(&answer[..end]).into_owned())
}

/// Whether a read has only not come to its end yet.
const fn is_early(kind: IoErrorKind) -> bool {
    matches!(kind, IoErrorKind::WouldBlock | IoErrorKind::TimedOut | IoErrorKind::Interrupted)
}
