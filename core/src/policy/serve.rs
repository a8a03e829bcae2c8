//! Answers the permission requests of a session by its policy.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::audit::Audit;
use super::rule::{Ask, Decide};
use super::{Policy, Question};
use crate::approvals::{ApprovalRequest, Decision};
use crate::engine::{allowed_by_no_rule, approver_failed};
use crate::tasks::Tasks;
use crate::tool::panic_text;

/// Answers requests, one after the other, until nobody can ask any more. The engine asks of a runtime only
/// when the question before was answered, so that none waits for another here.
pub(crate) async fn serve(
    policy: Policy,
    audit: Audit,
    mut requests: mpsc::UnboundedReceiver<ApprovalRequest>,
    tasks: Tasks,
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
            match picked {
                Ok(Some(rule)) => match rule.decide() {
                    Decide::Allow => Ok(Decision::allow()),
                    Decide::Deny(message) => Ok(Decision::deny(message)),
                    Decide::Ask(ask) => asked(Arc::clone(ask), question.clone(), &tasks).await,
                },
                Ok(None) => Ok(Decision::deny(allowed_by_no_rule(question.tool_name()))),
                Err(panic) => Err(panic_text(&*panic).to_owned()),
            }
        };
        let outcome = tokio::select! {
            biased;
            decided = deciding => decided,
            () = request.over() => Err("no answer was wanted any more".to_owned()),
        };
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

/// What a program's function decides, where those run.
async fn asked(ask: Ask, question: Question, tasks: &Tasks) -> Result<Decision, String> {
    // It may panic before it has made its future.
    let asking = AssertUnwindSafe(async move { ask(question).await }).catch_unwind();
    match tasks.run(asking).await {
        Some(decided) => decided.unwrap_or_else(|panic| Err(panic_text(&*panic).to_owned())),
        None => Err("the tokio runtime on which the function ran has ended".to_owned()),
    }
}
