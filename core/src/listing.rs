//! The lists of the REST API as a whole (PROTOCOL.md section 19).

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::Error;
use crate::families::{Agents, Conversations};
use crate::pages::{PAGE, page_limit};
use crate::protocol::types::{AgentListCommand, ConversationListCommand};

/// All agents or all conversations, newest first, from [`Agents::all`] and [`Conversations::all`].
#[derive(Debug)]
pub struct Listing {
    client: Client,
    of: Of,
    query: Map<String, Value>,
    page_size: u64,
    page: VecDeque<Map<String, Value>>,
    /// The last item of the page before; `None` before the first one.
    after: Option<String>,
    done: bool,
}

#[derive(Debug, Clone, Copy)]
enum Of {
    Agents,
    Conversations,
}

impl Agents<'_> {
    /// All agents, newest first, fetched page by page with `agent_list` as they are asked for;
    /// [`Agents::list`] gives one page.
    #[must_use]
    pub fn all(self) -> Listing {
        Listing::new(self.client(), Of::Agents)
    }
}

impl Conversations<'_> {
    /// All conversations, newest first, fetched page by page with `conversation_list` as they are asked for;
    /// [`Conversations::list`] gives one page.
    #[must_use]
    pub fn all(self) -> Listing {
        Listing::new(self.client(), Of::Conversations)
    }
}

impl Listing {
    fn new(client: &Client, of: Of) -> Self {
        Self {
            client: client.clone(),
            of,
            query: Map::new(),
            page_size: PAGE,
            page: VecDeque::new(),
            after: None,
            done: false,
        }
    }

    /// What the items have to be like: a field of the command's `query`, such as the `agent_id` of conversations.
    #[must_use]
    pub fn query(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.query.insert(field.to_owned(), value.into());
        self
    }

    /// How many items are asked for at once; 50 by default.
    #[must_use]
    pub fn page_size(mut self, items: u64) -> Self {
        self.page_size = items;
        self
    }

    /// The next one, a body of the REST API; `None` after the last.
    ///
    /// # Errors
    ///
    /// Those of [`Client::call`]; the next call tries the same page again.
    /// [`InvalidOption`](crate::ErrorKind::InvalidOption) for pages of no items.
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
        let mut query = self.query.clone();
        query.insert("limit".to_owned(), page_limit(self.page_size)?.into());
        if let Some(after) = &self.after {
            query.insert("after".to_owned(), after.as_str().into());
        }
        let page = self.ask(query).await?;
        let last = page.last().and_then(|item| Some(item.get("id")?.as_str()?.to_owned()));
        // A server that does not know `after` gives the same page again.
        self.done = last.is_none() || last == self.after;
        if !self.done {
            self.page = page.into();
            self.after = last;
        }
        Ok(())
    }

    async fn ask(&self, query: Map<String, Value>) -> Result<Vec<Map<String, Value>>, Error> {
        match self.of {
            Of::Agents => {
                let mut command = AgentListCommand::new();
                command.query = Some(query);
                Ok(self.client.call(command).await?.agents)
            }
            Of::Conversations => {
                let mut command = ConversationListCommand::new();
                command.query = Some(query);
                Ok(self.client.call(command).await?.conversations)
            }
        }
    }
}
