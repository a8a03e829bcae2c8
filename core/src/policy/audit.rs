//! The record of what was decided on permission requests, when and by whom.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// What was decided; `None` if the function failed or its decision cannot be sent, which denies the request, or if
    /// no answer was needed any more. The events of the turn say whether the server accepted it.
    pub decision: Option<Decision>,
    /// Who decided: the rule, or `no rule`.
    pub by: String,
    /// Why there is no decision.
    pub error: Option<String>,
}

/// How many decisions a session keeps.
pub(crate) const KEPT_DECISIONS: usize = 4096;

/// How many bytes their questions may have together. The last one is kept in any case.
pub(crate) const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// The latest decisions, of all handles of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// With the bytes of each.
    entries: VecDeque<(AuditEntry, usize)>,
    bytes: usize,
    dropped: u64,
}

impl Audit {
    pub(crate) fn entries(&self) -> Vec<AuditEntry> {
        self.kept().entries.iter().map(|(entry, _)| entry.clone()).collect()
    }

    /// How many were kept and are no longer.
    pub(crate) fn dropped(&self) -> u64 {
        self.kept().dropped
    }

    pub(super) fn keep(&self, question: Question, by: String, outcome: &Result<Decision, String>) {
        let (decision, error) = match outcome {
            Ok(decision) => (Some(decision.clone()), None),
            Err(error) => (None, Some(error.clone())),
        };
        let bytes = question.json().to_string().len();
        let entry = AuditEntry { time: SystemTime::now(), question, decision, by, error };
        self.kept().push(entry, bytes);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn push(&mut self, entry: AuditEntry, bytes: usize) {
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        while self.entries.len() > KEPT_DECISIONS
            || (self.bytes > KEPT_BYTES && self.entries.len() > 1)
        {
            let Some((_, bytes)) = self.entries.pop_front() else { return };
            self.bytes -= bytes;
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keep(audit: &Audit, id: usize, input: &str) {
        let question = json!({ "request_id": id.to_string(), "request": { "input": input } });
        audit.keep(Question::new(question), "a rule".to_owned(), &Ok(Decision::allow()));
    }

    fn ids(audit: &Audit) -> Vec<usize> {
        let entries = audit.entries().into_iter();
        entries.map(|entry| entry.question.request_id().parse().expect("a number")).collect()
    }

    #[test]
    fn the_latest_are_kept_and_the_others_counted() {
        let audit = Audit::default();
        for id in 0..KEPT_DECISIONS + 3 {
            keep(&audit, id, "");
        }
        assert_eq!(ids(&audit), (3..KEPT_DECISIONS + 3).collect::<Vec<_>>());
        assert_eq!(audit.dropped(), 3);
    }

    #[test]
    fn long_questions_go_sooner_but_the_last_one_stays() {
        let audit = Audit::default();
        let half = "x".repeat(KEPT_BYTES / 2);
        for id in 0..3 {
            keep(&audit, id, &half);
        }
        assert_eq!((ids(&audit), audit.dropped()), (vec![2], 2));
        keep(&audit, 3, "");
        assert_eq!((ids(&audit), audit.dropped()), (vec![2, 3], 2));
        keep(&audit, 4, &"x".repeat(KEPT_BYTES + 1));
        assert_eq!((ids(&audit), audit.dropped()), (vec![4], 4));
    }
}
