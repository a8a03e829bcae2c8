//! [`MockServer`]: the thread, the listener and what a test asks of it.

use std::future::{Future, pending};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::accept::accept;
use super::connection::{Command, Context, Event};
use super::folder::Folder;
use super::http::Gate;
use super::options::{Generation, PlayOptions, ScriptOptions};
use super::outbox::{SlowReaderLimits, Terminated};
use super::parse::parsed;
use super::player;
use super::received;
use super::scripted;
use super::shared::Shared;
use super::trace::{Channel, Trace};
use crate::background;

/// How long [`MockServer::close`] and [`MockServer::stop`] wait for the thread.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How often a real server pings; used where its limits are.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long [`MockServer::unexpected`] waits for the script or the player.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// An App Server double on a loopback port.
///
/// It runs on a thread of its own. All methods may be called from any thread; those that wait block the caller.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    stop: Arc<Notify>,
    /// Where it is to listen from now on; `None` for nowhere.
    listeners: UnboundedSender<Option<TcpListener>>,
    folder: Mutex<Option<Folder>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl MockServer {
    /// Plays a recording to the clients that connect.
    ///
    /// The lines are taken strictly in file order. Where the recorded client sent something, the player waits until
    /// the connected one sends a command of the same `type` (and, for `input`, the same `payload.kind`); request ids
    /// and client message ids may differ and are translated in what follows. Frames of the server are sent at the
    /// pace that [`PlayOptions::speed`] says, by default without the recorded pauses. After the last line all sockets are closed and the port refuses connections.
    ///
    /// # Errors
    ///
    /// When no port or no thread is available.
    pub fn play(trace: Trace, generation: Generation, options: PlayOptions) -> io::Result<Self> {
        let gate = Gate { generation, token: None };
        Self::start(gate, None, None, None, move |events, shared| {
            player::play(trace, generation, options, events, shared)
        })
    }

    /// Answers commands by itself, with turns from a script.
    ///
    /// # Errors
    ///
    /// When no port or no thread is available; for options that cannot be used ([`ScriptOptions::check`]).
    pub fn scripted(options: ScriptOptions) -> io::Result<Self> {
        options.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let gate = Gate { generation: options.generation, token: options.token.clone() };
        let limits = options.slow_reader_limits;
        let ping_interval = options.ping_interval_ms.map(Duration::from_millis);
        let ping_interval = ping_interval.or(limits.map(|_| PING_INTERVAL));
        let folder = options.files.then(Folder::new).transpose()?;
        let place = folder.as_ref().map(|folder| folder.path().to_owned());
        Self::start(gate, ping_interval, limits, folder, move |events, shared| {
            scripted::direct(options, events, place, shared)
        })
    }

    fn start<D, F>(
        gate: Gate,
        ping_interval: Option<Duration>,
        limits: Option<SlowReaderLimits>,
        folder: Option<Folder>,
        director: D,
    ) -> io::Result<Self>
    where
        D: FnOnce(UnboundedReceiver<Event>, Arc<Shared>) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let listener = listening((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared::default());
        shared.update(|state| state.listening = true);
        let (listeners, places) = unbounded_channel();
        let stop = Arc::new(Notify::new());
        let (events, inbox) = unbounded_channel();
        let gate = Arc::new(gate);
        let context = Context { gate, ping_interval, limits, events, shared: Arc::clone(&shared) };
        let (seen, stopped) = (Arc::clone(&shared), Arc::clone(&stop));
        let run = move || {
            runtime.block_on(async {
                let directed = async {
                    tokio::select! {
                        () = accept(context, listener, places) => {}
                        () = director(inbox, Arc::clone(&seen)) => {}
                    }
                    seen.update(|state| state.listening = false);
                    // Connections may still have something to write after the last line of a recording.
                    pending::<()>().await;
                };
                tokio::select! {
                    () = directed => {}
                    () = stopped.notified() => {}
                }
            });
            drop(runtime);
            seen.update(|state| {
                state.done = true;
                state.ended = true;
                state.listening = false;
            });
        };
        let thread = background::thread("mock-app-server", Box::new(run))?;
        let (folder, thread) = (Mutex::new(folder), Mutex::new(Some(thread)));
        Ok(Self { address, shared, stop, listeners, folder, thread })
    }

    /// The folder for [`ScriptOptions::files`], until the server is closed.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.as_ref().map(|folder| folder.path().to_owned())
    }

    /// The address for clients: `ws://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The texts of all data frames that clients have sent so far, in the order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<String> {
        self.shared.lock().received.clone()
    }

    /// Frames that had no effect. For a recording: those it did not wait for, as far as it has been played.
    /// For a script: those that a real server answers with silence because they are malformed or unknown. Every
    /// frame that was received by now is looked at first.
    #[must_use]
    pub fn unexpected(&self) -> Vec<String> {
        self.shared.wait(LOOK_LIMIT, |state| state.waiting == 0 || state.done);
        self.shared.lock().unexpected.clone()
    }

    /// What the player was waiting for when it gave up; `None` for a recording that has not failed and for a script.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }

    /// How many WebSocket connections were ever opened, closed ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().opened
    }

    /// How many WebSocket connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.lock().sockets.values().filter(|socket| socket.link.is_some()).count()
    }

    /// The connections that were dropped because of [`ScriptOptions::slow_reader_limits`], in the order in which
    /// they were.
    #[must_use]
    pub fn terminated(&self) -> Vec<Terminated> {
        self.shared.lock().terminated.clone()
    }

    /// Blocks until the recording has been played to its end, given up, or the server is closed; `false` when the
    /// time is up first. A script is done only when the server is closed.
    #[must_use]
    pub fn wait_done(&self, timeout: Duration) -> bool {
        self.shared.wait(timeout, |state| state.done)
    }

    /// Blocks until clients have sent at least `times` frames of this `type`; `false` when the time is up first.
    #[must_use]
    pub fn wait_received(&self, kind: &str, times: usize, timeout: Duration) -> bool {
        self.shared.wait(timeout, |state| {
            let count = state.received.iter().filter(|text| is_of_type(text, kind)).count();
            count >= times
        })
    }

    /// Says how what clients have sent differs from what is expected: this many frames of a `type` (at least one, for
    /// `None`) that have these fields, and perhaps more. `None` if it does not differ.
    #[must_use]
    pub fn complaint(
        &self,
        kind: &str,
        times: Option<usize>,
        fields: &Map<String, Value>,
    ) -> Option<String> {
        received::complaint(&self.received(), kind, times, fields)
    }

    /// Asserts that clients have sent this many frames of a `type` (at least one, for `None`) that have these fields,
    /// and perhaps more.
    ///
    /// # Panics
    ///
    /// When they have not; the message says where the frames that came differ.
    #[track_caller]
    #[expect(clippy::panic, reason = "that is what an assertion is for")]
    pub fn assert_received(&self, kind: &str, times: Option<usize>, fields: &Value) {
        let fields = fields.as_object().cloned().unwrap_or_default();
        if let Some(complaint) = self.complaint(kind, times, &fields) {
            panic!("{complaint}");
        }
    }

    /// Sends a text to all clients as it is, on the control socket where there are two. Use it for frames that no
    /// script can produce.
    pub fn push(&self, text: &str) {
        for socket in self.shared.lock().sockets.values() {
            if let Some((Channel::Socket | Channel::Control, commands)) = &socket.link {
                let _ = commands.send(Command::Text(text.to_owned()));
            }
        }
    }

    /// Drops all TCP connections now, without a close frame. The port stays open.
    pub fn cut_connections(&self) {
        for socket in self.shared.lock().sockets.values() {
            socket.task.abort();
        }
    }

    /// Cuts one of the open connections, counted from 0 in the order in which they were opened, as
    /// [`cut_connections`](Self::cut_connections) does. There may be none of that number.
    pub fn cut_connection(&self, index: usize) {
        if let Some(socket) = self.shared.lock().sockets.values().nth(index) {
            socket.task.abort();
        }
    }

    /// Stops listening and drops all connections, as a server that ends does: until
    /// [`start_again`](Self::start_again), connections are refused. The script goes on where it is: what is stored, what
    /// was received and the turns to come stay, and turns that run are cancelled with their connections. Waits for two
    /// seconds at most. A server that has stopped is left as it is.
    pub fn stop(&self) {
        if self.shared.lock().listening && self.listeners.send(None).is_ok() {
            self.shared.wait(CLOSE_LIMIT, |state| !state.listening || state.done);
        }
    }

    /// Listens again at the same address, after [`stop`](Self::stop). A server that listens is left as it is.
    ///
    /// # Errors
    ///
    /// When another program has taken the port in the meantime; when the server is closed, or has played its recording.
    pub fn start_again(&self) -> io::Result<()> {
        if self.shared.lock().listening {
            return Ok(());
        }
        let listener = listening(self.address)?;
        let over = |_| io::Error::new(io::ErrorKind::NotConnected, "the server is closed for good");
        self.listeners.send(Some(listener)).map_err(over)?;
        self.shared.update(|state| state.listening = true);
        Ok(())
    }

    /// Drops all connections, frees the port and ends the thread, waiting for it for at most two seconds. Further
    /// calls do nothing. Dropping the server does the same.
    pub fn close(&self) {
        self.stop.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && self.shared.wait(CLOSE_LIMIT, |state| state.ended)
        {
            // A panic of the thread has been reported on standard error already.
            let _ = thread.join();
        }
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.close();
    }
}

fn is_of_type(text: &str, kind: &str) -> bool {
    parsed(text).is_some_and(|frame| frame["type"] == kind)
}

/// A listener for the server's thread.
fn listening(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
