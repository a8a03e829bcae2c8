//! An App Server of your own: started on loopback, ended with its owner.

mod backlog;
mod check;
mod ending;
mod lines;
mod output;
mod patience;
mod process;
#[cfg(any(not(unix), test))]
mod resolve;
mod reuse;
mod stop;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::background;
use crate::error::{Error, ErrorKind};
use crate::options::ConnectOptions;
use crate::random;
pub use backlog::LineBacklog;
use ending::Teller;
#[cfg(test)]
pub(crate) use ending::pair;
pub use ending::{ExitCall, ServerExit, ServerWatch};
#[cfg(test)]
pub(crate) use lines::MAX_LINE;
#[cfg(test)]
pub(crate) use output::KEPT_LINES;
use output::Output;
pub use output::{OnLine, Printed};
use patience::Patience;
use process::Process;
#[cfg(test)]
pub(crate) use process::{END_WAIT, NOTE_WAIT};
use reuse::{Found, Seat};
pub use stop::StopStart;

/// How to start a server.
#[derive(Clone)]
pub struct ServerOptions {
    /// The program and its arguments; `--listen` and the options for the token are added. `letta server` by
    /// default. It is found in `PATH`, and is never a shell's own command.
    pub command: Vec<String>,
    /// The directory that the server runs in, and in which conversations start that do not name one; by default
    /// this process's.
    pub cwd: Option<PathBuf>,
    /// Environment variables, in addition to those of this process; no name may be empty or contain a `=`.
    pub env: Vec<(String, String)>,
    /// Whether clients need a token, which is made for this server and kept in it. `true` by default: without a
    /// token, every program on the machine could use the server.
    pub auth: bool,
    /// How long the server may take until it answers. 30 s by default.
    pub ready_timeout: Duration,
    /// Whether to join a server that any program of the same user has started with this option, if there is
    /// one. While another program is starting it, that is waited for, for `ready_timeout` at most; then one is
    /// started that is not shared. A joined server goes on when this handle is dropped, and ends with its owner.
    /// Nothing is told of its end, and its clients try to connect again.
    pub reuse: bool,
}

/// Of the environment the names alone: a value may be a secret.
impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ServerOptions")
            .field("command", &self.command)
            .field("cwd", &self.cwd)
            .field("env", &env)
            .field("auth", &self.auth)
            .field("ready_timeout", &self.ready_timeout)
            .field("reuse", &self.reuse)
            .finish()
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            command: ["letta", "server"].map(str::to_owned).into(),
            cwd: None,
            env: Vec::new(),
            auth: true,
            ready_timeout: Duration::from_secs(30),
            reuse: false,
        }
    }
}

impl ServerOptions {
    /// Whether they can be used, as far as that can be said without starting anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`], which names the option.
    pub fn check(&self) -> Result<(), Error> {
        check::check(self)
    }
}

/// A running server. It ends when this is dropped, and with this process, however the process ends (on Windows
/// only when it exits normally).
#[must_use = "dropping a server ends it"]
pub struct Server {
    url: String,
    token: Option<String>,
    /// Not there for a server that was joined.
    process: Option<Process>,
    /// For as long as this is held other programs may join.
    seat: Seat,
    watch: ServerWatch,
    /// Of a server that was joined nothing is told, and the wait for its end is over with this.
    _untold: Option<Teller>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "[hidden]");
        let joined = self.process.is_none();
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("token", &token)
            .field("joined", &joined)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server and waits until it answers, for as long as `ready_timeout`. This blocks;
    /// [`spawn_server`] does the same without blocking.
    ///
    /// Runs the command with `--listen ws://127.0.0.1:0` (the server chooses a free port and reports it) and
    /// with the hash of the token (PROTOCOL.md section 4), and polls `/readyz` (section 3).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ServerStart`] with the end of the server's output; [`ErrorKind::InvalidOption`].
    pub fn start(options: &ServerOptions) -> Result<Self, Error> {
        Self::begin(options, None, &StopStart::default())
    }

    /// As [`start`](Self::start), with a function that gets each line the server prints.
    ///
    /// # Arguments
    ///
    /// * `on_line` - Is called by the threads that read the output, and should not take long. A line ends with a
    ///   line feed, a carriage return or both, and one of more than 64 KiB comes in pieces. It is let go of once the
    ///   server has ended and all was read; at once for a server that was joined. Its panics go to the panic hook
    ///   and no further.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_logged(
        options: &ServerOptions,
        on_line: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::begin(options, Some(Arc::new(on_line)), &StopStart::default())
    }

    /// As [`start_logged`](Self::start_logged), and another thread may break it off.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`ErrorKind::ServerStart`] also when it is broken off.
    pub fn start_stoppable(
        options: &ServerOptions,
        on_line: Option<OnLine>,
        stop: &StopStart,
    ) -> Result<Self, Error> {
        Self::begin(options, on_line, stop)
    }

    fn begin(
        options: &ServerOptions,
        on_line: Option<OnLine>,
        stop: &StopStart,
    ) -> Result<Self, Error> {
        options.check()?;
        let patience = || Patience::new(options.ready_timeout, stop);
        let found = options.reuse.then(|| reuse::find(options.auth, &patience()));
        let seat = match found {
            Some(Found::Server(url, token)) => {
                let (untold, watch) = ending::pair();
                let (process, seat) = (None, Seat::default());
                return Ok(Self { url, token, process, seat, watch, _untold: Some(untold) });
            }
            // Held while it starts, so that of several programs one starts a server. It is free again if that fails.
            Some(Found::Seat(seat)) => seat,
            None => Seat::default(),
        };
        if let Some(cwd) = options.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
            // The system would say that there is no such program.
            let message = format!("cwd: there is no directory {}", cwd.display());
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        let token = options.auth.then(random::token).transpose()?;
        let (program, mut arguments) = (&options.command[0], options.command[1..].to_vec());
        arguments.extend(["--listen", "ws://127.0.0.1:0"].map(str::to_owned));
        if let Some(token) = &token {
            arguments
                .extend(["--ws-auth", "capability-token", "--ws-token-sha256"].map(str::to_owned));
            arguments.push(random::sha256(token));
        }
        if stop.is_stopped() {
            let command = options.command.join(" ");
            let message = format!("{command} was not started: {}", process::UNWANTED);
            return Err(Error::new(ErrorKind::ServerStart, message).with_command(&options.command));
        }
        // Anew: the start of another program may have taken all of it.
        let patience = patience();
        let offered = seat.clone();
        let ended = move || offered.leave();
        let mut process = Process::start(program, &arguments, options, on_line, ended)?;
        let url = process.listening(&patience).and_then(|url| {
            process.answers(&url, &patience)?;
            Ok(url)
        });
        let url = url.map_err(|why| {
            // Now, and not when what was started has ended: others wait for it.
            seat.leave();
            process.failed(&why, &options.command)
        })?;
        seat.offer(&url, token.as_deref());
        let watch = process.watch().clone();
        Ok(Self { url, token, process: Some(process), seat, watch, _untold: None })
    }

    /// Where it listens: `ws://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token that clients need; `None` if they need none.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether this is another program's server.
    #[must_use]
    pub fn joined(&self) -> bool {
        self.process.is_none()
    }

    /// The last lines of its output, the oldest first; nothing of a server that was joined. See [`Server::printed`]
    /// for those that it prints when it is closed.
    #[must_use]
    pub fn output(&self) -> Vec<String> {
        self.printed().lines()
    }

    /// The same lines for somebody who outlives this, and wants to know what the server printed to its end.
    #[must_use]
    pub fn printed(&self) -> Printed {
        Printed::new(self.process.as_ref().map(Process::output))
    }

    /// How clients reach it.
    #[must_use]
    pub fn connect_options(&self) -> ConnectOptions {
        let options = ConnectOptions::new(self.url.as_str());
        ConnectOptions { token: self.token.clone(), server: Some(self.watch.clone()), ..options }
    }

    /// Resolves when the server has ended, and with how: see [`ServerWatch::exited`]. The future does not borrow the
    /// server, and goes on when that is closed.
    ///
    /// ```no_run
    /// # use letta_app_client::{ServerOptions, spawn_server};
    /// # async fn example() -> Result<(), letta_app_client::Error> {
    /// let server = spawn_server(ServerOptions::default()).await?;
    /// let exit = server.exited().await;
    /// eprintln!("the server has ended: {exit}"); // killed by signal 9
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the wait, and nothing else.
    pub fn exited(&self) -> impl Future<Output = ServerExit> + Send + use<> {
        self.watch.exited()
    }

    /// How the server has ended; `None` while it runs, and always of a server that was joined.
    #[must_use]
    pub fn try_exited(&self) -> Option<ServerExit> {
        self.watch.try_exited()
    }

    /// The same for somebody who outlives this, or must not keep the server running.
    #[must_use]
    pub fn watch(&self) -> ServerWatch {
        self.watch.clone()
    }

    /// Ends the server and waits for it and for its last lines, for 5 s at most. Blocks; see [`Server::shutdown`] for the
    /// same without. A server that was joined goes on.
    pub fn close(mut self) {
        self.seat.leave();
        if let Some(process) = self.process.take() {
            process.end();
        }
    }

    /// Ends the server, as [`Server::close`] does on a thread of its own, and resolves when it has ended.
    ///
    /// # Cancel safety
    ///
    /// The server ends also when the future is dropped.
    pub async fn shutdown(self) {
        let (to, from) = oneshot::channel::<()>();
        let work = move || {
            self.close();
            drop(to);
        };
        // Where no thread can be had the server is dropped, which ends it, and nobody waits for that.
        if background::thread("letta-app-server", Box::new(work)).is_ok() {
            // The sender is dropped when it has ended.
            drop(from.await);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seat.leave();
    }
}

/// Starts a server and resolves when it answers. See [`Server::start`].
///
/// ```no_run
/// use letta_app_client::{Client, ServerOptions, SessionOptions, spawn_server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = spawn_server(ServerOptions::default()).await?;
/// // The token that was made for this server is in the options.
/// let client = Client::new(server.connect_options())?;
/// client.connect().await?;
/// let session = client.session(SessionOptions::agent("agent-123").cwd(".")).await?;
/// println!("{}", session.run("List the TODOs").await?.text);
/// client.close().await;
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`Server::start`].
///
/// # Cancel safety
///
/// Dropping the future cancels the start, and whatever has been started is ended.
pub async fn spawn_server(options: ServerOptions) -> Result<Server, Error> {
    /// Stops the start when nobody is waiting for it any more.
    struct Waiting(StopStart);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.stop();
        }
    }

    let (to, from) = oneshot::channel();
    let waiting = Waiting(StopStart::default());
    let stop = waiting.0.clone();
    let work = move || drop(to.send(Server::start_stoppable(&options, None, &stop)));
    let failed = |what: String| Error::new(ErrorKind::ServerStart, what);
    background::thread("letta-app-server", Box::new(work))
        .map_err(|error| failed(format!("cannot start a thread: {error}")))?;
    from.await.unwrap_or_else(|_| Err(failed("the start was interrupted".to_owned())))
}
