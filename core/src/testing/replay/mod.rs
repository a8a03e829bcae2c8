//! A recording in place of a server.

mod events;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub use events::events;

use super::options::PlayOptions;
use super::server::MockServer;
use super::trace::{Trace, TraceEvent, TraceLine};
use crate::background;
use crate::engine::Reconnect;
use crate::error::{Error, ErrorKind};
use crate::options::ConnectOptions;

/// How long a program may take to connect again where the recorded one did.
const WAIT: Duration = Duration::from_millis(1);

/// The label of connections that stood by, up to their number.
const STANDBY: &str = "standby";

/// A recording that a client plays with: see [`replay`].
#[derive(Clone, Debug)]
pub struct Replay {
    /// The file.
    pub path: PathBuf,
    /// 1.0 is as fast as it was recorded, 2.0 twice as fast; 0.0, the default, as fast as it goes.
    pub speed: f64,
    /// Whether the recording waits, where the recorded program sent a command, for this one to send such a
    /// command. On by default: the program under test is the one that was recorded, or does the same. Without,
    /// the frames come whatever the program sends, for one that only watches.
    pub wait_for_commands: bool,
    /// How long it waits for a command, or a connection; 30 s by default. Then the connection ends with code 4000
    /// and a reason that names the line of the file.
    pub step_timeout: Duration,
}

/// A recording in place of a server, for [`ConnectOptions::replay`]: the client has its usual engine and sockets, at whose
/// other end, on a loopback port of this process, the file is played.
///
/// Lines are taken in file order, from the first client in the file. What the server sent up to the recorded
/// program's next command comes at once, or at the recorded pace; the next command is awaited. Request ids and
/// client message ids may differ from the recorded ones. After the last line the connection ends. There is
/// no pause before inputs, and a lost connection is opened again only where the recorded one was.
#[must_use]
pub fn replay(path: impl Into<PathBuf>) -> Replay {
    Replay {
        path: path.into(),
        speed: 0.0,
        wait_for_commands: true,
        step_timeout: Duration::from_secs(30),
    }
}

/// Only the lines of the first client, and of those that stood by for it.
fn of_first_client(trace: &mut Trace) {
    let first = trace.lines.iter().find(|line| line.channel.is_some());
    let first = first.and_then(|line| line.client.clone());
    trace.lines.retain(|line| line.client == first || stands_by(line));
}

fn stands_by(line: &TraceLine) -> bool {
    line.client.as_deref().is_some_and(|label| label.starts_with(STANDBY))
}

/// The player of a recording, as long as its client needs it.
#[derive(Debug)]
pub(crate) struct Playing(Option<MockServer>);

impl Drop for Playing {
    fn drop(&mut self) {
        // Ending its thread may take a moment, which the thread of all connections does not have.
        if let Some(server) = self.0.take() {
            let end = background::thread("letta-app-replay", Box::new(move || drop(server)));
            end.map(drop).unwrap_or_default();
        }
    }
}

impl Replay {
    /// Starts the player and turns the options to it.
    pub(crate) fn start(&self, options: &mut ConnectOptions) -> Result<Playing, Error> {
        let unusable =
            |what: String| Error::new(ErrorKind::InvalidOption, format!("replay: {what}"));
        if !(0.0..=1e6).contains(&self.speed) {
            return Err(unusable(format!("expected a speed from 0 to 1e6, got {}", self.speed)));
        }
        let mut trace = Trace::read(&self.path).map_err(|error| unusable(error.to_string()))?;
        of_first_client(&mut trace);
        let opened = |line: &&TraceLine| matches!(line.event, TraceEvent::Open { .. });
        let sockets: Vec<_> = trace.lines.iter().filter(opened).collect();
        if sockets.is_empty() {
            return Err(unusable("no connection was opened in the recording".to_owned()));
        }
        let stands_by = sockets.iter().any(|line| stands_by(line));
        let channels: BTreeSet<_> =
            sockets.iter().map(|line| format!("{:?}", line.channel)).collect();
        let again = sockets.len() > channels.len();
        let play = PlayOptions {
            step_timeout: self.step_timeout,
            speed: self.speed,
            wait_for_commands: self.wait_for_commands,
            ..PlayOptions::default()
        };
        let generation = trace.generation();
        let server = MockServer::play(trace, generation, play);
        let server = server.map_err(|error| unusable(error.to_string()))?;
        options.url = server.url();
        options.token = None;
        options.settle_pause = Duration::ZERO;
        options.standby = stands_by;
        let rules = Reconnect { max_attempts: Some(3), base: WAIT, cap: WAIT };
        options.reconnect = (again || stands_by).then_some(rules);
        Ok(Playing(Some(server)))
    }
}
