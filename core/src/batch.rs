//! Many prompts at once, a few at a time.

use std::fmt;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::client::Client;
use crate::engine::{TurnResult, Usage};
use crate::error::{Error, ErrorKind};
use crate::session::{Prompt, SessionOptions};

/// How [`map`] goes about many prompts.
#[derive(Clone)]
pub struct MapOptions {
    agents: Vec<String>,
    limit: usize,
    open: Arc<dyn Fn(SessionOptions) -> SessionOptions + Send + Sync>,
    tell: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

impl fmt::Debug for MapOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapOptions")
            .field("agents", &self.agents)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl MapOptions {
    /// Distributes the prompts over these agents in turn, eight of them at a time.
    #[must_use]
    pub fn agents<A: Into<String>>(ids: impl IntoIterator<Item = A>) -> Self {
        let agents = ids.into_iter().map(Into::into).collect();
        Self { agents, limit: 8, open: Arc::new(|options| options), tell: Arc::new(|_| {}) }
    }

    /// How many turns run at once.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Changes the options of each conversation: mode, directory, tools, permissions, limits of its turn.
    #[must_use]
    pub fn sessions(
        mut self,
        open: impl Fn(SessionOptions) -> SessionOptions + Send + Sync + 'static,
    ) -> Self {
        self.open = Arc::new(open);
        self
    }

    /// Is told of each prompt that is done, in the order in which they are. It runs in the task of
    /// [`map`]; what takes long in it holds up the others.
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }
}

/// One prompt that is done.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Which of the prompts, counted from 0.
    pub index: usize,
    /// How many are done, this one included.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// What it came to.
    pub result: &'a Result<TurnResult, Error>,
}

/// What many prompts came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// For each prompt, in their order, what [`crate::Session::run`] came to.
    pub results: Vec<Result<TurnResult, Error>>,
    /// The token counts of all turns, those that failed included.
    pub usage: Usage,
}

/// Asks many prompts, each in a new conversation of its own, and resolves when all are done. For each it
/// sends `runtime_start` and `input`, as [`Client::session`] and [`crate::Session::run`] do; a prompt that
/// fails does not hold up the others.
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
/// for (prompt, result) in prompts.iter().zip(&batch.results) {
///     match result {
///         Ok(result) => println!("{prompt} {}", result.text),
///         Err(error) => println!("{prompt} {error}"),
///     }
/// }
/// # assert!(batch.results.iter().all(|result| result.as_ref().unwrap().text == "It is one."));
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidOption`] without agents, or with a limit of 0. The errors of prompts are in
/// [`Batch::results`].
///
/// # Cancel safety
///
/// Dropping the future stops the turns that run; prompts that have not begun are not sent.
pub async fn map<P: Into<Prompt>>(
    client: &Client,
    prompts: impl IntoIterator<Item = P>,
    options: MapOptions,
) -> Result<Batch, Error> {
    let MapOptions { agents, limit, open, tell } = options;
    let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidOption, message));
    if agents.is_empty() {
        return invalid("agents: expected at least one, got none");
    }
    if limit == 0 {
        return invalid("limit: expected a number above zero, got 0");
    }
    let prompts: Vec<Prompt> = prompts.into_iter().map(Into::into).collect();
    let total = prompts.len();
    let agents = agents.iter().cycle();
    let runs = prompts.into_iter().zip(agents).enumerate().map(|(index, (prompt, agent))| {
        let options = open(SessionOptions::agent(agent));
        async move { (index, ask(client, prompt, options).await) }
    });
    let mut running = stream::iter(runs).buffer_unordered(limit);
    let mut usage = Usage::default();
    let mut results = Vec::with_capacity(total);
    while let Some((index, result)) = running.next().await {
        if let Some(turn) = result.as_ref().ok().or_else(|| result.as_ref().err()?.result()) {
            usage.merge(&turn.usage);
        }
        results.push((index, result));
        if let Some((index, result)) = results.last() {
            tell(Progress { index: *index, done: results.len(), total, result });
        }
    }
    // They were pushed as they were done.
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(Batch { results: results.into_iter().map(|(_, result)| result).collect(), usage })
}

async fn ask(
    client: &Client,
    prompt: Prompt,
    options: SessionOptions,
) -> Result<TurnResult, Error> {
    client.session(options).await?.run(prompt).await
}
