//! Permissions that a program is asked for (PROTOCOL.md section 13).

use std::sync::Weak;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::connection::Connection;
use crate::engine::Token;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::router::Router;

/// What is answered to a permission question: `ApprovalResponseDecision` (section 21).
#[derive(Debug, Clone, PartialEq)]
pub struct Decision(Map<String, Value>);

impl Decision {
    /// The tool may run as the model called it.
    #[must_use]
    pub fn allow() -> Self {
        Self(Map::from_iter([("behavior".to_owned(), "allow".into())]))
    }

    /// The tool may not run; the model is told why.
    #[must_use]
    pub fn deny(message: impl Into<String>) -> Self {
        let fields = [("behavior".to_owned(), "deny".into())];
        Self(Map::from_iter(fields)).with("message", message.into().into())
    }

    /// Replaces the tool's arguments, an object.
    #[must_use]
    pub fn updated_input(self, input: Value) -> Self {
        self.with("updated_input", input)
    }

    /// Chooses suggestions by their ids (see [`ApprovalRequest::json`]); the server stores them as rules.
    #[must_use]
    pub fn suggestions<I: Into<String>>(self, ids: impl IntoIterator<Item = I>) -> Self {
        let ids: Vec<Value> = ids.into_iter().map(|id| Value::from(id.into())).collect();
        self.with("selected_permission_suggestion_ids", ids.into())
    }

    /// Whether it allows the tool to run.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.0.get("behavior").is_some_and(|behavior| behavior == "allow")
    }

    /// What goes over the wire.
    #[must_use]
    pub fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.0.insert(field.to_owned(), value);
        self
    }
}

/// The permission questions of a client's runtimes, each once, one after the other for each runtime.
///
/// Made by [`crate::Client::approval_requests`]. Dropping it leaves the questions to others, except for those that it
/// has given: they are for whoever has them.
#[derive(Debug)]
#[must_use = "dropping it leaves the questions to others"]
pub struct ApprovalRequests {
    pub(crate) requests: mpsc::UnboundedReceiver<ApprovalRequest>,
    pub(crate) token: Token,
    pub(crate) router: Router,
    pub(crate) connection: Weak<Connection>,
}

impl ApprovalRequests {
    /// The next question; `None` once the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ApprovalRequest> {
        self.requests.recv().await
    }
}

impl Drop for ApprovalRequests {
    fn drop(&mut self) {
        self.router.forget_approver(self.token);
        if let Some(connection) = self.connection.upgrade() {
            connection.handle_approvals(self.token, None, false);
        }
        // What was not taken is asked of others; what comes behind this does not reach it any more.
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            request.give_back();
        }
    }
}

/// One permission question that waits for its answer. Dropped without one, it is denied: the turn
/// would wait for ever.
#[derive(Debug)]
#[must_use = "dropping a question without an answer denies it"]
pub struct ApprovalRequest {
    text: Text,
    ask: u64,
    /// There until it has told.
    over: Option<oneshot::Receiver<()>>,
    router: Router,
    answered: bool,
}

impl ApprovalRequest {
    pub(crate) fn new(text: Text, ask: u64, over: oneshot::Receiver<()>, router: Router) -> Self {
        Self { text, ask, over: Some(over), router, answered: false }
    }

    /// The `control_request` as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The `control_request`: `request.tool_name`, `request.input`, `request.permission_suggestions`, …
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The tool that wants to run.
    #[must_use]
    pub fn tool_name(&self) -> String {
        self.json()["request"]["tool_name"].as_str().unwrap_or_default().to_owned()
    }

    /// Its arguments.
    #[must_use]
    pub fn input(&self) -> Value {
        self.json()["request"]["input"].take()
    }

    /// Resolves when no answer is wanted any more: somebody else decided, or the turn is over. From then on
    /// it resolves at once.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped and asked for again.
    pub async fn over(&mut self) {
        if let Some(over) = &mut self.over {
            // An error means the same: nobody is left who could want one.
            let _ = over.await;
        }
        self.over = None;
    }

    /// The decision, unless it could not be sent and would be denied.
    pub(crate) fn checked(&self, decision: Decision) -> Result<Decision, String> {
        self.router.check_decision(&self.text, &decision.json().to_string())?;
        Ok(decision)
    }

    /// Answers. An answer of a form that the server would not understand denies, and so does one that is too large.
    pub fn answer(mut self, decision: Decision) {
        self.send(Ok(Value::Object(decision.0).to_string()));
    }

    /// Allows the tool to run.
    pub fn allow(self) {
        self.answer(Decision::allow());
    }

    /// Denies it, with a reason for the model.
    pub fn deny(self, message: impl Into<String>) {
        self.answer(Decision::deny(message));
    }

    /// Answers that there is no decision, which denies; the model is told the error.
    pub fn fail(mut self, error: impl Into<String>) {
        self.send(Err(error.into()));
    }

    /// Answers an `AskUserQuestion`: the chosen label, or any text, for each question.
    pub fn answer_questions<Q, A>(self, answers: impl IntoIterator<Item = (Q, A)>)
    where
        Q: Into<String>,
        A: Into<String>,
    {
        let answers: Map<String, Value> =
            answers.into_iter().map(|(q, a)| (q.into(), Value::from(a.into()))).collect();
        let input = with_answers(self.input(), answers);
        self.answer(Decision::allow().updated_input(input));
    }

    /// Nobody has taken it.
    pub(crate) fn give_back(mut self) {
        self.answered = true;
        self.router.return_approval(self.ask);
    }

    fn send(&mut self, answer: Result<String, String>) {
        self.answered = true;
        self.router.answer_approval(self.ask, answer);
    }
}

impl Drop for ApprovalRequest {
    fn drop(&mut self) {
        if !self.answered {
            self.send(Err("the program dropped the question without answering it".to_owned()));
        }
    }
}

/// The arguments of an `AskUserQuestion` with its answers; they alone, where a model has called it with something else
/// than an object.
pub(crate) fn with_answers(input: Value, answers: Map<String, Value>) -> Value {
    let mut fields = match input {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert("answers".to_owned(), answers.into());
    fields.into()
}

/// The error of a turn that asks, where nobody follows it.
pub(crate) fn nobody_to_ask(hint: &str) -> Error {
    let message = "approvals: `Ask` only works where the turn's questions can be read and answered";
    Error::new(ErrorKind::InvalidOption, message).with_hint(hint)
}
