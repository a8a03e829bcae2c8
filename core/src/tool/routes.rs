//! Who answers a call of an external tool (PROTOCOL.md section 14): a reader for one runtime before the
//! reader for all, the latest first.

use std::collections::HashSet;

use tokio::sync::mpsc;

use super::Called;
use crate::engine::Token;

/// What leads to a reader.
pub(crate) type Calls = mpsc::UnboundedSender<Called>;

/// A runtime's agent and conversation, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) agent: Option<String>,
    pub(crate) conversation: Option<String>,
}

impl Scope {
    fn is_known(&self) -> bool {
        self.agent.is_some() && self.conversation.is_some()
    }

    /// Whether a call may come from here. A call does not always say where it comes from.
    fn fits(&self, from: &Self) -> bool {
        let same = |mine: &Option<String>, theirs: &Option<String>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        same(&self.agent, &from.agent) && same(&self.conversation, &from.conversation)
    }
}

/// Where the calls of one reader go.
struct Route {
    token: Token,
    scope: Scope,
    /// Its tools; `None` for every tool.
    names: Option<HashSet<String>>,
    to: Calls,
}

impl Route {
    fn takes(&self, from: &Scope, name: &str) -> bool {
        self.scope.fits(from) && self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

/// See the module's text.
#[derive(Default)]
pub(crate) struct ToolRoutes {
    /// The reader for all.
    all: Option<(Token, Calls)>,
    own: Vec<Route>,
    /// There was a reader for one runtime: a call that nobody is for is answered with an error, since the
    /// server calls only what this connection has registered, and nobody else can answer.
    answers: bool,
}

impl ToolRoutes {
    /// Registers a reader for all, in the place of the one before, which is returned.
    pub(crate) fn add_for_all(&mut self, token: Token, to: Calls) -> Option<Calls> {
        self.all.replace((token, to)).map(|(_, to)| to)
    }

    /// Registers a reader for one runtime.
    pub(crate) fn add(
        &mut self,
        token: Token,
        scope: Scope,
        names: Option<HashSet<String>>,
        to: Calls,
    ) {
        self.answers = true;
        self.own.push(Route { token, scope, names, to });
    }

    /// A reader's runtime is known by now.
    pub(crate) fn settle(&mut self, token: Token, scope: &Scope) {
        for route in self.own.iter_mut().filter(|route| route.token == token) {
            route.scope = scope.clone();
        }
    }

    /// A reader has gone; what leads to it is returned.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Calls> {
        if let Some(index) = self.own.iter().position(|route| route.token == token) {
            return Some(self.own.remove(index).to);
        }
        self.all.take_if(|(all, _)| *all == token).map(|(_, to)| to)
    }

    /// Whether calls are answered here at all.
    pub(crate) fn handled(&self) -> bool {
        self.answers || self.all.is_some()
    }

    /// Whose call it is. One whose runtime is not known yet comes after those whose is.
    pub(crate) fn find(&self, from: &Scope, name: &str) -> Option<&Calls> {
        // Of several with the same key, the last one is taken.
        let own = self.own.iter().filter(|route| route.takes(from, name));
        let own = own.max_by_key(|route| route.scope.is_known()).map(|route| &route.to);
        own.or_else(|| self.all.as_ref().map(|(_, to)| to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(agent: &str, conversation: &str) -> Scope {
        Scope { agent: Some(agent.to_owned()), conversation: Some(conversation.to_owned()) }
    }

    /// Readers by number, so that a sender can be told by the reader it belongs to.
    #[derive(Default)]
    struct Readers {
        routes: ToolRoutes,
        ends: Vec<(Token, Calls)>,
    }

    impl Readers {
        fn add(&mut self, token: Token, scope: Option<Scope>, names: &[&str]) {
            let (to, _) = mpsc::unbounded_channel();
            self.ends.push((token, to.clone()));
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            match scope {
                Some(scope) => self.routes.add(token, scope, Some(names), to),
                None => drop(self.routes.add_for_all(token, to)),
            }
        }

        fn find(&self, from: &Scope, name: &str) -> Option<Token> {
            let found = self.routes.find(from, name)?;
            self.ends.iter().find(|(_, to)| to.same_channel(found)).map(|(token, _)| *token)
        }
    }

    #[test]
    fn a_call_goes_to_its_runtime_and_the_rest_to_the_reader_for_all() {
        let mut readers = Readers::default();
        readers.add(1, None, &[]);
        readers.add(2, Some(scope("a", "c")), &["lookup"]);
        readers.add(3, Some(scope("a", "d")), &["lookup"]);
        assert_eq!(readers.find(&scope("a", "c"), "lookup"), Some(2));
        assert_eq!(readers.find(&scope("a", "d"), "lookup"), Some(3));
        assert_eq!(readers.find(&scope("a", "c"), "other"), Some(1));
        assert_eq!(readers.find(&scope("b", "c"), "lookup"), Some(1));
        readers.routes.remove(1);
        assert_eq!(readers.find(&scope("b", "c"), "lookup"), None);
    }

    #[test]
    fn the_latest_reader_of_a_runtime_is_asked() {
        let mut readers = Readers::default();
        readers.add(1, Some(scope("a", "c")), &["lookup", "other"]);
        readers.add(2, Some(scope("a", "c")), &["lookup"]);
        assert_eq!(readers.find(&scope("a", "c"), "lookup"), Some(2));
        assert_eq!(readers.find(&scope("a", "c"), "other"), Some(1));
        readers.routes.remove(2);
        assert_eq!(readers.find(&scope("a", "c"), "lookup"), Some(1));
    }

    #[test]
    fn a_runtime_that_is_not_known_yet_takes_what_no_other_does() {
        let mut readers = Readers::default();
        readers.add(1, Some(scope("a", "c")), &["lookup"]);
        let opening = Scope { agent: Some("a".to_owned()), conversation: None };
        readers.add(2, Some(opening), &["lookup"]);
        assert_eq!(readers.find(&scope("a", "c"), "lookup"), Some(1));
        assert_eq!(readers.find(&scope("a", "d"), "lookup"), Some(2));
        assert_eq!(readers.find(&scope("b", "d"), "lookup"), None);
        readers.routes.settle(2, &scope("a", "e"));
        assert_eq!(readers.find(&scope("a", "d"), "lookup"), None);
        assert_eq!(readers.find(&scope("a", "e"), "lookup"), Some(2));
        assert_eq!(readers.find(&Scope::default(), "lookup"), Some(2), "the server did not say");
    }

    #[test]
    fn calls_are_answered_for_ever_once_a_runtime_had_a_reader() {
        let mut readers = Readers::default();
        readers.add(1, None, &[]);
        readers.routes.remove(1);
        assert!(!readers.routes.handled(), "they are left to whoever answers them raw");
        readers.add(2, Some(scope("a", "c")), &[]);
        readers.routes.remove(2);
        assert!(readers.routes.handled());
    }
}
