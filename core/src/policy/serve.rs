//! Answers the permission requests of a session by its policy.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::audit::Audit;
use super::{Policy, Question};
use crate::approvals::{ApprovalRequest, Decision};
use crate::engine::{allowed_by_no_rule, approver_failed};
use crate::tool::panic_text;

/// Answers requests, one after the other, until nobody can ask any more. The engine asks of a runtime only
/// when the question before was answered, so that none waits for another here.
pub(crate) async fn serve(
    policy: Policy,
    audit: Audit,
    mut requests: mpsc::UnboundedReceiver<ApprovalRequest>,
) {
    while let Some(mut request) = requests.recv().await {
        let question = Question::new(request.json());
        // What a program's functions panic with denies, here and below.
        let picked = std::panic::catch_unwind(AssertUnwindSafe(|| policy.pick(&question)));
        let by = match &picked {
            Ok(Some(rule)) => rule.to_string(),
            Ok(None) => "no rule".to_owned(),
            Err(_) => "a condition that panicked".to_owned(),
        };
        let deciding = async {
            // A function may panic before it has made its future.
            match picked {
                Ok(Some(rule)) => rule.decide(question.clone()).await,
                Ok(None) => Ok(Decision::deny(allowed_by_no_rule(question.tool_name()))),
                Err(panic) => Err(panic_text(&*panic).to_owned()),
            }
        };
        let decided = tokio::select! {
            biased;
            decided = AssertUnwindSafe(deciding).catch_unwind() => decided,
            () = request.over() => Ok(Err("no answer was wanted any more".to_owned())),
        };
        let outcome = decided.unwrap_or_else(|panic| Err(panic_text(&*panic).to_owned()));
        let failed = outcome.is_err();
        // One that the engine would not send denies, and is no decision.
        let outcome = outcome.and_then(|decision| request.checked(decision));
        // Before the answer: whoever sees the turn go on finds the decision in the record.
        audit.keep(question, by, &outcome);
        match outcome {
            Ok(decision) => request.answer(decision),
            Err(error) if failed => request.fail(approver_failed(&error)),
            Err(error) => request.fail(error),
        }
    }
}
