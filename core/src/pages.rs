//! Lists that come in pages (PROTOCOL.md section 19).

use std::collections::VecDeque;

use serde_json::{Map, Number, Value};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::families::{Conversations, Cron};
use crate::protocol::types::{ConversationMessagesListCommand, CronRunLogEntry, CronRunsCommand};

/// How many items are asked for at once where nothing else is said.
pub(crate) const PAGE: u64 = 50;

/// The `limit` of a page.
pub(crate) fn page_limit(items: u64) -> Result<Number, Error> {
    if items == 0 {
        let message = "page_size: expected a number above zero, got 0";
        return Err(Error::new(ErrorKind::InvalidOption, message));
    }
    Ok(items.into())
}

/// The stored messages of a conversation, newest first, from [`Conversations::messages`].
#[derive(Debug)]
pub struct StoredMessages {
    client: Client,
    conversation_id: String,
    agent_id: Option<String>,
    page_size: u64,
    page: VecDeque<Map<String, Value>>,
    /// The oldest message of the last page, or the one to begin behind.
    before: Option<String>,
    done: bool,
}

impl Conversations<'_> {
    /// The stored messages of a conversation, newest first, fetched page by page with
    /// `conversation_messages_list` as they are asked for.
    #[must_use]
    pub fn messages(self, conversation_id: impl Into<String>) -> StoredMessages {
        StoredMessages {
            client: self.client().clone(),
            conversation_id: conversation_id.into(),
            agent_id: None,
            page_size: PAGE,
            page: VecDeque::new(),
            before: None,
            done: false,
        }
    }
}

impl StoredMessages {
    /// Says whose conversation it is: an agent's `default` one has no id of its own.
    #[must_use]
    pub fn of_agent(mut self, agent_id: impl Into<String>) -> Self {
        self.agent_id = Some(agent_id.into());
        self
    }

    /// Begins with the messages that are older than the one with this id.
    #[must_use]
    pub fn before(mut self, message_id: impl Into<String>) -> Self {
        self.before = Some(message_id.into());
        self
    }

    /// How many messages are asked for at once; 50 by default.
    #[must_use]
    pub fn page_size(mut self, messages: u64) -> Self {
        self.page_size = messages;
        self
    }

    /// The next older message, a body of the REST API; `None` after the oldest.
    ///
    /// # Errors
    ///
    /// Those of [`Client::call`]; the next call tries the same page again.
    /// [`ErrorKind::InvalidOption`] for pages of no items.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Map<String, Value>>, Error> {
        while self.page.is_empty() && !self.done {
            self.fetch().await?;
        }
        Ok(self.page.pop_front())
    }

    async fn fetch(&mut self) -> Result<(), Error> {
        let mut query = Map::from_iter([("limit".to_owned(), page_limit(self.page_size)?.into())]);
        if let Some(before) = &self.before {
            query.insert("before".to_owned(), before.as_str().into());
        }
        if let Some(agent) = &self.agent_id {
            query.insert("agent_id".to_owned(), agent.as_str().into());
        }
        let mut command = ConversationMessagesListCommand::new(self.conversation_id.clone());
        command.query = Some(query);
        let response = self.client.call(command).await?;
        let id = |message: &Map<String, Value>| Some(message.get("id")?.as_str()?.to_owned());
        let messages = response.messages.into_iter().filter_map(|message| match message {
            Value::Object(message) => Some(message),
            _ => None,
        });
        let page: VecDeque<_> = messages.collect();
        let oldest = page.back().and_then(id);
        // Servers with two sockets do not say whether there is more: a page that brings nothing new is
        // the end there.
        self.done = response.has_more == Some(false) || oldest.is_none() || oldest == self.before;
        if oldest != self.before {
            self.page = page;
        }
        self.before = oldest;
        Ok(())
    }
}

/// The runs of a scheduled prompt, from [`Cron::all_runs`].
#[derive(Debug)]
pub struct CronRuns {
    client: Client,
    task_id: String,
    page_size: u64,
    page: VecDeque<CronRunLogEntry>,
    offset: Option<u64>,
}

impl Cron<'_> {
    /// All runs of a scheduled prompt, fetched page by page with `cron_runs` as they are asked for.
    #[must_use]
    pub fn all_runs(self, task_id: impl Into<String>) -> CronRuns {
        let (client, task_id) = (self.client().clone(), task_id.into());
        CronRuns { client, task_id, page_size: PAGE, page: VecDeque::new(), offset: Some(0) }
    }
}

impl CronRuns {
    /// How many runs are asked for at once; 50 by default.
    #[must_use]
    pub fn page_size(mut self, runs: u64) -> Self {
        self.page_size = runs;
        self
    }

    /// The next run; `None` after the last.
    ///
    /// # Errors
    ///
    /// Those of [`Client::call`]; the next call tries the same page again.
    /// [`ErrorKind::InvalidOption`] for pages of no items.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<CronRunLogEntry>, Error> {
        while self.page.is_empty() {
            let Some(offset) = self.offset else { return Ok(None) };
            let mut command = CronRunsCommand::new(self.task_id.clone());
            command.offset = Some(offset.into());
            command.limit = Some(page_limit(self.page_size)?);
            let Some(page) = self.client.call(command).await?.page else { return Ok(None) };
            let next = page.next_offset.and_then(|next| next.as_u64());
            // A page that leads to itself would never end.
            self.offset = next.filter(|next| page.has_more && *next > offset);
            self.page = page.entries.into();
        }
        Ok(self.page.pop_front())
    }
}
