//! All runtimes of a connection, found with borrowed ids.

use std::collections::{HashMap, HashSet};

use super::runtime::Runtime;

/// How many runtimes are remembered that have nothing open. Each keeps a little of what its last runs
/// said, and a connection may see a new conversation at every firing of a schedule.
const IDLE_RUNTIMES: usize = 1024;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Runtimes {
    /// By agent, then by conversation.
    index: HashMap<String, HashMap<String, usize>>,
    list: Vec<Runtime>,
    /// The place of the one that was asked for last: frames of one come in a row.
    last: usize,
    /// The runtimes this client has to do with, by agent: also those that were forgotten since.
    joined: HashMap<String, HashSet<String>>,
    /// Above this number it is worth looking for runtimes to forget.
    look_at: usize,
}

impl Runtimes {
    /// The runtime of an agent and conversation, made on first sight.
    pub(crate) fn get(&mut self, agent: &str, conversation: &str) -> &mut Runtime {
        let is_it = |it: &Runtime| it.agent_id == agent && it.conversation_id == conversation;
        let last = Some(self.last).filter(|last| self.list.get(*last).is_some_and(is_it));
        let indexed = || self.index.get(agent).and_then(|inner| inner.get(conversation)).copied();
        let known = last.or_else(indexed);
        let place = known.unwrap_or_else(|| {
            self.forget_idle();
            let place = self.list.len();
            let mut runtime = Runtime::new(agent, conversation);
            runtime.joined =
                self.joined.get(agent).is_some_and(|inner| inner.contains(conversation));
            self.list.push(runtime);
            self.note(place);
            place
        });
        self.last = place;
        &mut self.list[place]
    }

    /// The runtime of an agent and conversation, if it was seen.
    pub(crate) fn find(&self, agent: &str, conversation: &str) -> Option<&Runtime> {
        self.list.get(*self.index.get(agent)?.get(conversation)?)
    }

    /// This client has to do with the runtime: it has named it in a command, or started it. A server
    /// also tells of questions of runtimes that are none of this client's business (section 7).
    pub(crate) fn join(&mut self, agent: &str, conversation: &str) -> &mut Runtime {
        if !self.get(agent, conversation).joined {
            let inner = self.joined.entry(agent.to_owned()).or_default();
            inner.insert(conversation.to_owned());
        }
        let runtime = self.get(agent, conversation);
        runtime.joined = true;
        runtime
    }

    /// All runtimes, to be looked at.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Runtime> {
        self.list.iter()
    }

    /// All runtimes, in the order in which they were first seen.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Runtime> {
        self.list.iter_mut()
    }

    /// Takes all runtimes out, in the order in which they were first seen.
    pub(crate) fn take(&mut self) -> Vec<Runtime> {
        self.index.clear();
        self.joined.clear();
        std::mem::take(&mut self.list)
    }

    fn note(&mut self, place: usize) {
        let runtime = &self.list[place];
        let inner = self.index.entry(runtime.agent_id.clone()).or_default();
        inner.insert(runtime.conversation_id.clone(), place);
    }

    /// Forgets the longer silent half of the idle runtimes once there are too many.
    fn forget_idle(&mut self) {
        if self.list.len() < self.look_at.max(IDLE_RUNTIMES) {
            return;
        }
        let mut heard: Vec<_> =
            self.list.iter().filter(|runtime| runtime.at_rest()).map(|r| r.heard).collect();
        if heard.len() >= IDLE_RUNTIMES {
            let middle = heard.len() / 2;
            let (_, median, _) = heard.select_nth_unstable(middle);
            let median = *median;
            self.list.retain(|runtime| !runtime.at_rest() || runtime.heard >= median);
            self.index.clear();
            (0..self.list.len()).for_each(|place| self.note(place));
        }
        // Many that are busy are not looked through again for every new one.
        self.look_at = self.list.len() + IDLE_RUNTIMES / 2;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn idle_runtimes_do_not_pile_up_and_those_heard_last_stay() {
        let mut runtimes = Runtimes::default();
        for n in 0..10_000_u64 {
            runtimes.get("a", &n.to_string()).heard = Duration::from_secs(n);
        }
        assert!(runtimes.list.len() <= 2 * IDLE_RUNTIMES, "{}", runtimes.list.len());
        assert_eq!(runtimes.get("a", "9999").heard, Duration::from_secs(9999));
        assert_eq!(runtimes.get("a", "0").heard, Duration::ZERO, "forgotten");
    }
}
