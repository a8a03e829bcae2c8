//! All runtimes of a connection, found with borrowed ids.

use std::collections::{HashMap, HashSet};

use super::runtime::Runtime;

/// How many runtimes are remembered that have nothing open. Each keeps a little of what its last runs
/// said, and a connection may see a new conversation at every firing of a schedule.
const IDLE_RUNTIMES: usize = 1024;

/// How many names are remembered of runtimes that this client has to do with; of one that is forgotten then, the client
/// has to name it again before its questions are the client's.
pub(crate) const NAMES: usize = 65_536;

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
    /// How many these are, and were when they were looked through.
    names: usize,
    names_left: usize,
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
        let is_joined = &mut self.get(agent, conversation).joined;
        if !std::mem::replace(is_joined, true) {
            self.note_name(agent.to_owned(), conversation.to_owned());
            self.forget_names();
        }
        self.get(agent, conversation)
    }

    fn note_name(&mut self, agent: String, conversation: String) {
        let is_new = self.joined.entry(agent).or_default().insert(conversation);
        self.names += usize::from(is_new);
    }

    /// Forgets the names of what is forgotten already once there are too many.
    fn forget_names(&mut self) {
        if self.names < self.names_left + NAMES {
            return;
        }
        (self.joined, self.names) = (HashMap::new(), 0);
        let joined = self.list.iter().filter(|runtime| runtime.joined);
        let names = joined.map(|it| (it.agent_id.clone(), it.conversation_id.clone()));
        for (agent, conversation) in names.collect::<Vec<_>>() {
            self.note_name(agent, conversation);
        }
        self.names_left = self.names;
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
        (self.names, self.names_left) = (0, 0);
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
        // Of those of which nothing was heard, the ones that were seen last stay.
        let places = self.list.iter().enumerate().filter(|(_, runtime)| runtime.at_rest());
        let mut heard: Vec<_> = places.map(|(place, runtime)| (runtime.heard, place)).collect();
        if heard.len() >= IDLE_RUNTIMES {
            let middle = heard.len() / 2;
            let (_, median, _) = heard.select_nth_unstable(middle);
            let (median, mut places) = (*median, 0..);
            self.list.retain(|runtime| {
                let place = places.next().unwrap_or_default();
                !runtime.at_rest() || (runtime.heard, place) >= median
            });
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
    fn idle_runtimes_do_not_pile_up_where_nothing_is_heard_of_them() {
        let mut runtimes = Runtimes::default();
        for n in 0..10_000 {
            runtimes.join("a", &n.to_string());
        }
        assert!(runtimes.list.len() <= 2 * IDLE_RUNTIMES, "{}", runtimes.list.len());
        assert!(runtimes.find("a", "9999").is_some() && runtimes.find("a", "0").is_none());
    }

    #[test]
    fn names_do_not_pile_up_and_those_of_runtimes_that_are_there_stay() {
        let mut runtimes = Runtimes::default();
        for n in 0..=NAMES {
            runtimes.join("a", &n.to_string());
            let last = n.saturating_sub(IDLE_RUNTIMES / 2).to_string();
            assert!(runtimes.joined["a"].contains(&last));
        }
        assert_eq!(runtimes.names, runtimes.joined["a"].len());
        assert!(runtimes.names <= 2 * IDLE_RUNTIMES, "{}", runtimes.names);
        assert!(!runtimes.get("a", "0").joined);
    }

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
