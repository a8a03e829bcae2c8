//! The record of what was decided on permission requests, when and by whom.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::question::Question;
use crate::approvals::Decision;

/// One decision, of those that [`crate::Session::approvals`] lists.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditEntry {
    /// When it was made.
    pub time: SystemTime,
    /// What was asked.
    pub question: Question,
    /// What was decided; `None` where the function failed or decided what cannot be sent, which denies, or where no
    /// answer was wanted any more. Whether the server took it is told by the events of the turn.
    pub decision: Option<Decision>,
    /// Who decided: the rule, or `no rule`.
    pub by: String,
    /// Why there is no decision.
    pub error: Option<String>,
}

/// A list of decisions that grows with every question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit(Arc<Mutex<Vec<AuditEntry>>>);

impl Audit {
    pub(crate) fn entries(&self) -> Vec<AuditEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep(&self, question: Question, by: String, outcome: &Result<Decision, String>) {
        let (decision, error) = match outcome {
            Ok(decision) => (Some(decision.clone()), None),
            Err(error) => (None, Some(error.clone())),
        };
        let entry = AuditEntry { time: SystemTime::now(), question, decision, by, error };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}
