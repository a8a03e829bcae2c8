//! One rule of a policy.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::question::{IntoDecision, Question};
use crate::approvals::Decision;

type Deciding = Pin<Box<dyn Future<Output = Result<Decision, String>> + Send>>;
type Predicate = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

pub(super) type Ask = Arc<dyn Fn(Question) -> Deciding + Send + Sync>;

/// What a rule does.
#[derive(Clone)]
pub(super) enum Decide {
    Allow,
    /// With what the model is told.
    Deny(String),
    Ask(Ask),
}

/// Decides on the permission requests that match it.
#[derive(Clone)]
pub struct Rule {
    decide: Decide,
    /// `None` for every tool.
    tools: Option<Vec<String>>,
    arguments: Vec<(String, Predicate)>,
    name: Option<String>,
}

impl Rule {
    fn new(decide: Decide, tools: Option<Vec<String>>) -> Self {
        Self { decide, tools, arguments: Vec::new(), name: None }
    }

    /// These tools may run. An empty list means no tool; see [`Rule::allow_all`].
    #[must_use]
    pub fn allow<N: Into<String>>(tools: impl IntoIterator<Item = N>) -> Self {
        Self::new(Decide::Allow, Some(owned(tools)))
    }

    /// Every tool may run, even one that nobody has thought of.
    #[must_use]
    pub fn allow_all() -> Self {
        Self::new(Decide::Allow, None)
    }

    /// These tools must not run; `message` becomes the result of the call. An empty list means no tool.
    ///
    /// A rule that denies by an argument is a convenience, not a protection: there are many ways to write a
    /// command. If something must not run at all, deny it without [`Rule::when`], or let no rule allow it.
    #[must_use]
    pub fn deny<N: Into<String>>(
        tools: impl IntoIterator<Item = N>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Decide::Deny(message.into()), Some(owned(tools)))
    }

    /// Nothing that reaches this rule may run; for a message of your own.
    #[must_use]
    pub fn deny_all(message: impl Into<String>) -> Self {
        Self::new(Decide::Deny(message.into()), None)
    }

    /// An async function decides, on every tool unless [`Rule::only`] says of which. There is no time limit
    /// on it, but it is dropped when no answer is needed any more. An error or a panic denies the call.
    #[must_use]
    pub fn ask<F, R>(decide: F) -> Self
    where
        F: Fn(Question) -> R + Send + Sync + 'static,
        R: Future<Output: IntoDecision> + Send + 'static,
    {
        let decide = move |question| -> Deciding {
            let deciding = decide(question);
            Box::pin(async move { deciding.await.into_decision() })
        };
        Self::new(Decide::Ask(Arc::new(decide)), None)
    }

    /// Limits the rule to these tools.
    #[must_use]
    pub fn only<N: Into<String>>(mut self, tools: impl IntoIterator<Item = N>) -> Self {
        self.tools = Some(owned(tools));
        self
    }

    /// Limits the rule to calls with an argument for which a function returns `true`. A call without that argument
    /// does not match. If there are several such limits, all have to hold. A panic denies the call.
    /// The function runs on one thread for the rules of all sessions, so it must not block.
    #[must_use]
    pub fn when(
        mut self,
        argument: impl Into<String>,
        holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.arguments.push((argument.into(), Arc::new(holds)));
        self
    }

    /// What the rule is called in the record of what was decided; by default what it does and on which
    /// tools and arguments.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it decides on a question.
    pub(super) fn matches(&self, question: &Question) -> bool {
        let name = question.tool_name();
        let of_tool = self.tools.as_ref().is_none_or(|tools| tools.iter().any(|tool| tool == name));
        let given = |argument: &str| question.input().as_object()?.get(argument);
        let mut limits = self.arguments.iter();
        of_tool && limits.all(|(argument, holds)| given(argument).is_some_and(|value| holds(value)))
    }

    pub(super) fn decide(&self) -> &Decide {
        &self.decide
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            return f.write_str(name);
        }
        f.write_str(match (&self.decide, &self.tools) {
            (Decide::Allow, Some(_)) => "allow",
            (Decide::Allow, None) => "allow_all",
            (Decide::Deny(_), Some(_)) => "deny",
            (Decide::Deny(_), None) => "deny_all",
            (Decide::Ask(_), _) => "ask",
        })?;
        let arguments: BTreeSet<&str> = self.arguments.iter().map(|(name, _)| &**name).collect();
        let tools = self.tools.iter().flatten().map(String::as_str);
        let limits: Vec<&str> = tools.chain(arguments).collect();
        if limits.is_empty() { Ok(()) } else { write!(f, "({})", limits.join(", ")) }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}

fn owned<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}
