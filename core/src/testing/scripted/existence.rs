//! What there is: an agent or a conversation that nobody has made exists because somebody says so, but one that was
//! deleted does not, nor one that an agent would know of (protocol reference, sections 8, 9.4 and 19).

use super::world::{Scope, State};

/// The agent that a real server looks for when none is named.
const UNNAMED: &str = "agent-local-default";

pub(super) fn no_agent(id: Option<&str>) -> String {
    format!("Agent {} not found", id.unwrap_or(UNNAMED))
}

pub(super) fn no_conversation(id: &str) -> String {
    format!("Conversation {id} not found")
}

impl State {
    /// Why an agent cannot be used.
    pub(super) fn missing_agent(&self, id: &str) -> Option<String> {
        self.deleted.contains(id).then(|| no_agent(Some(id)))
    }

    /// Whose a conversation is, where that is known.
    fn owner(&self, conversation_id: &str) -> Option<&str> {
        let mut known = self.conversations.keys();
        known.find(|it| it.conversation_id == conversation_id).map(|it| it.agent_id.as_str())
    }

    /// Why an input for a runtime cannot be answered.
    pub(super) fn missing(&self, scope: &Scope) -> Option<String> {
        let Scope { agent_id, conversation_id } = scope;
        let is_known = conversation_id == "default" || self.owner(conversation_id).is_some();
        let is_missing = self.made.contains(agent_id) && !is_known;
        let unknown = || is_missing.then(|| no_conversation(conversation_id));
        self.missing_agent(agent_id).or_else(unknown)
    }

    /// Why a conversation cannot be joined with an agent.
    pub(super) fn foreign(&self, scope: &Scope) -> Option<String> {
        let Scope { agent_id, conversation_id } = scope;
        match self.owner(conversation_id).filter(|_| conversation_id != "default") {
            Some(owner) if owner != agent_id => {
                Some(format!("Conversation {conversation_id} belongs to {owner}, not {agent_id}"))
            }
            _ => self.missing(scope),
        }
    }

    /// Deletes an agent with its conversations.
    pub(super) fn delete_agent(&mut self, id: &str) {
        self.agents.remove(id);
        self.deleted.insert(id.to_owned());
        self.conversations.retain(|scope, _| scope.agent_id != id);
        self.runtimes.retain(|scope, runtime| scope.agent_id != id || runtime.turn.is_some());
    }
}
