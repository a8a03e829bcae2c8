//! All runtimes of a connection, found with borrowed ids.

use std::collections::HashMap;

use super::runtime::Runtime;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Runtimes {
    /// By agent, then by conversation.
    index: HashMap<String, HashMap<String, usize>>,
    list: Vec<Runtime>,
}

impl Runtimes {
    /// The runtime of an agent and conversation, made on first sight.
    pub(crate) fn get(&mut self, agent: &str, conversation: &str) -> &mut Runtime {
        let known = self.index.get(agent).and_then(|inner| inner.get(conversation)).copied();
        let place = known.unwrap_or_else(|| {
            let place = self.list.len();
            self.list.push(Runtime::new(agent, conversation));
            let inner = self.index.entry(agent.to_owned()).or_default();
            inner.insert(conversation.to_owned(), place);
            place
        });
        &mut self.list[place]
    }

    /// Takes all runtimes out, in the order in which they were first seen.
    pub(crate) fn take(&mut self) -> Vec<Runtime> {
        self.index.clear();
        std::mem::take(&mut self.list)
    }
}
