//! Many prompts at once, a few at a time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::background;
use crate::batch::{Batch, BatchItem, Progress, checked, collected};
use crate::check::Check;
use crate::client::{Client, command};
use crate::engine::TurnResult;
use crate::error::{Error, ErrorKind};
use crate::router::gone;
use crate::session::{DEFAULT, Prompt, SessionOptions};
use crate::state::State;

/// How many turns run at once unless you say otherwise.
pub(crate) const TURNS: usize = 8;

/// How [`map`] goes about many prompts.
#[derive(Clone)]
pub struct MapOptions {
    agents: Vec<String>,
    limit: usize,
    check: bool,
    open: Arc<dyn Fn(SessionOptions) -> SessionOptions + Send + Sync>,
    tell: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

impl fmt::Debug for MapOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapOptions")
            .field("agents", &self.agents)
            .field("limit", &self.limit)
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}

impl MapOptions {
    /// Distributes the prompts over these agents, which take turns, eight prompts at a time.
    #[must_use]
    pub fn agents<A: Into<String>>(ids: impl IntoIterator<Item = A>) -> Self {
        let agents = ids.into_iter().map(Into::into).collect();
        let (open, tell) = (Arc::new(|options| options), Arc::new(|_: Progress<'_>| {}));
        Self { agents, limit: TURNS, check: false, open, tell }
    }

    /// How many turns run at once.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Whether the first prompt that fails stops the others and makes [`map`] fail with its error. By default
    /// its item has the error, and the others go on.
    #[must_use]
    pub fn check(mut self, check: bool) -> Self {
        self.check = check;
        self
    }

    /// Changes the options of each conversation: mode, directory, tools, permissions, limits of its turn. The
    /// function is called once for each prompt, in order, before the first prompt is sent.
    #[must_use]
    pub fn sessions(
        mut self,
        open: impl Fn(SessionOptions) -> SessionOptions + Send + Sync + 'static,
    ) -> Self {
        self.open = Arc::new(open);
        self
    }

    /// Sets a function that is told of each prompt that is done, in the order in which they finish. It runs in
    /// the task of [`map`]; if it takes long, it holds up the others.
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }
}

/// Sends many prompts, each in a new conversation of its own, and resolves when all are done. For each it sends
/// `runtime_start` and `input`, as [`Client::session`] and [`crate::Session::run`] do; a prompt that fails does
/// not hold up the others, unless [`MapOptions::check`] says otherwise. While the client is reconnecting no
/// further prompts begin, for at most as long as a turn waits for the next connection
/// ([`TurnOptions::recover_timeout`](crate::TurnOptions)); a prompt that meets the loss of the connection before it
/// was sent waits as well.
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
/// # use letta_app_client::{Client, ConnectOptions};
/// use letta_app_client::{MapOptions, map};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let turns = vec![ScriptedTurn::text(["It is one."])];
/// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// let prompts = ["Describe one.", "Describe two.", "Describe three."];
/// let options = MapOptions::agents(["agent-1", "agent-2"])
///     .limit(2)
///     .sessions(|options| options.mode("acceptEdits"))
///     .progress(|progress| println!("{} of {}", progress.done, progress.total));
/// let batch = map(&client, prompts, options).await?;
/// for item in &batch.items {
///     match &item.result {
///         Ok(result) => println!("{} {}", item.prompt, result.text),
///         Err(error) => println!("{} {error}", item.prompt),
///     }
/// }
/// # assert!(batch.items.iter().all(|item| item.result.as_ref().unwrap().text == "It is one."));
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidOption`] if there are no agents, the limit is 0, or options of a conversation have
/// unusable values, [`ErrorKind::InvalidCommand`] for a mode or other fields with which none could be started,
/// and [`ErrorKind::Closed`] if the client is closed; nothing has been sent then. The errors of prompts are in
/// [`BatchItem::result`], also where the client is closed or gives up connecting meanwhile; with
/// [`MapOptions::check`] the first of them is returned. For a prompt that cannot be sent no conversation is
/// started.
///
/// # Cancel safety
///
/// Dropping the future stops the turns that run; prompts that have not begun are not sent.
pub async fn map<P: Into<Prompt>>(
    client: &Client,
    prompts: impl IntoIterator<Item = P>,
    options: MapOptions,
) -> Result<Batch, Error> {
    let MapOptions { agents, limit, check, open, tell } = options;
    let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidOption, message));
    if agents.is_empty() {
        return invalid("agents: expected at least one, got none");
    }
    if agents.iter().any(String::is_empty) {
        return invalid("agents: expected ids of agents, got an empty text");
    }
    if limit == 0 {
        return invalid("limit: expected a number above zero, got 0");
    }
    if client.state() == State::Closed {
        return Err(gone());
    }
    let prompts: Vec<Prompt> = prompts.into_iter().map(Into::into).collect();
    let total = prompts.len();
    let asked = asked(client, prompts, &agents, &*open)?;
    let outage = &Outage::default();
    let runs =
        asked.into_iter().enumerate().map(|(index, (prompt, agent_id, options))| async move {
            let result = match check_prompt(client, &agent_id, &prompt) {
                Ok(()) => ask(client, outage, prompt.clone(), options).await,
                Err(error) => Err(error),
            };
            (index, BatchItem { prompt, agent_id, result })
        });
    let running = stream::iter(runs).buffer_unordered(limit);
    let tell = |progress: Progress<'_>| tell(progress);
    if check {
        return checked(running, total, tell).await;
    }
    Ok(collected(running, total, tell).await)
}

/// Each prompt with its agent and its options, if all can be used: they are most likely the same for all.
fn asked(
    client: &Client,
    prompts: Vec<Prompt>,
    agents: &[String],
    open: &dyn Fn(SessionOptions) -> SessionOptions,
) -> Result<Vec<(Prompt, String, SessionOptions)>, Error> {
    // Cloned: with borrowed ones the whole future of `map` could not be spawned.
    let pairs = prompts.into_iter().zip(agents.iter().cloned().cycle());
    let asked = pairs.map(|(prompt, agent)| {
        let options = open(SessionOptions::agent(agent.as_str()));
        check_start(client, options.check_run()?)?;
        Ok((prompt, agent, options))
    });
    asked.collect()
}

/// Refuses what [`Client::runtime_start`] would, before it is sent.
fn check_start(client: &Client, fields: Value) -> Result<(), Error> {
    let connection = client.shared_connection();
    connection.check_command(&command("runtime_start", fields)?, Check::Documented(&[]))
}

/// Refuses what [`crate::Session::run`] would, before a conversation is started for it.
fn check_prompt(client: &Client, agent: &str, prompt: &Prompt) -> Result<(), Error> {
    // Every agent has a conversation of that name.
    let runtime = json!({ "agent_id": agent, "conversation_id": DEFAULT });
    let fields = json!({ "runtime": runtime, "payload": prompt.payload() });
    client.shared_connection().check_command(&command("input", fields)?, Check::Documented(&[]))
}

async fn ask(
    client: &Client,
    outage: &Outage,
    prompt: Prompt,
    options: SessionOptions,
) -> Result<TurnResult, Error> {
    let limit = options.patience();
    // Step by step: what was sent is not sent again because the next step was not.
    let begin = || client.started(options.clone());
    let (mut session, wanted) = outage.patiently(client, limit, is_before_prompt, begin).await?;
    if let Some(wanted) = wanted {
        let begin = || session.directory();
        let cwd = outage.patiently(client, limit, is_before_prompt, begin).await?;
        session.settle_in(cwd, &wanted);
    }
    outage.patiently(client, limit, is_unsent, || session.run(prompt.clone())).await
}

/// Whether what failed on the way to a session can be done again: the connection was lost, and there will be another. A
/// conversation that nobody uses harms nobody.
fn is_before_prompt(error: &Error) -> bool {
    error.kind() == ErrorKind::Disconnected && (error.retryable() || error.will_reconnect())
}

/// Whether nothing was sent, because the connection was lost just before, and there will be another.
fn is_unsent(error: &Error) -> bool {
    error.kind() == ErrorKind::Disconnected && error.retryable()
}

/// Since when there has been no connection, as far as the prompts of one `map` have seen.
#[derive(Debug, Default)]
struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// Begins once there is a connection, and again after errors that allow it: no longer than it would wait for one.
    async fn patiently<T, F: Future<Output = Result<T, Error>>>(
        &self,
        client: &Client,
        limit: Duration,
        may_again: fn(&Error) -> bool,
        begin: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut refused = None;
        loop {
            let is_over = self.wait(client, limit).await;
            match begin().await {
                Err(error)
                    if is_over
                        && may_again(&error)
                        && refused.get_or_insert_with(Instant::now).elapsed() < limit => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits while a lost connection is being opened again, but all prompts together no longer than a turn would: each
    /// would fail at once, and so would all behind it. Returns whether it is over.
    async fn wait(&self, client: &Client, limit: Duration) -> bool {
        let mut events = None;
        while client.state() == State::Reconnecting {
            let since = *self.since().get_or_insert_with(Instant::now);
            let left = limit.saturating_sub(since.elapsed());
            // First, so that no change is missed.
            let Some(events) = &mut events else {
                events = Some(client.events());
                continue;
            };
            if left.is_zero() {
                return false;
            }
            tokio::select! {
                event = events.next() => if event.is_none() { return false },
                _ = background::after(left) => return false,
            }
        }
        *self.since() = None;
        true
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
