//! Who decides on a permission (PROTOCOL.md section 13).

use super::approvals::Approval;
use super::context::Context;
use super::delivery::Token;
use super::runtime::{ASKING, Runtime};
use super::turn::{Approvals, Phase, Stop, Turn};
use crate::error::Error;

/// Who decides on a question.
pub(crate) enum Decider {
    /// A handler, of a turn or of the client.
    Handler(Token),
    /// Nobody: the turn said that it is to be denied then.
    Denied,
    /// Nobody: the turn said that this tool may run.
    Allowed,
}

impl Runtime {
    /// Who decides on a question: what a turn allows, its own handler, a turn that denies; then a handler of the
    /// client; then a turn that denies where there is none; then what waits behind it, where nobody else may ever
    /// answer.
    pub(crate) fn decider(&self, approval: &Approval, ctx: &Context) -> Option<Decider> {
        let owners = self.owners(approval);
        if self.is_stopped(&owners) {
            return None;
        }
        let handler = || ctx.approvers.of(self).map(Decider::Handler);
        let without =
            |tokens: &[Token]| self.first(tokens, Approvals::AskOrDeny).map(|_| Decider::Denied);
        let behind = || {
            let behind = self.behind(approval, &owners, ctx);
            self.said_by(&behind, approval).or_else(|| without(&behind))
        };
        let said = self.said_by(&owners, approval).or_else(handler);
        said.or_else(|| without(&owners)).or_else(behind)
    }

    /// A turn that is being stopped takes its questions with it.
    fn is_stopped(&self, owners: &[Token]) -> bool {
        self.those(owners).any(|turn| turn.stop.as_ref().is_some_and(Stop::is_meant))
    }

    /// Whoever works on such a question need not answer it any more: a permission that is given behind the abort might
    /// count all the same.
    pub(crate) fn withdraw_stopped(&mut self, ctx: &mut Context) {
        for index in 0..self.approvals.len() {
            let approval = &self.approvals[index];
            if approval.is_asked() && self.is_stopped(&self.owners(approval)) {
                self.approvals[index].withdraw(ctx);
            }
        }
    }

    /// The turns that a question keeps from their end.
    pub(crate) fn concerned(&self, approval: &Approval, ctx: &Context) -> Vec<Token> {
        let owners = self.owners(approval);
        let behind = self.behind(approval, &owners, ctx);
        [owners, behind].concat()
    }

    /// Those of them that wait behind it.
    pub(crate) fn concerned_behind(&self, approval: &Approval, ctx: &Context) -> Vec<Token> {
        self.behind(approval, &self.owners(approval), ctx)
    }

    /// The turns a question is about: those that own the run whose call waits.
    fn owners(&self, approval: &Approval) -> Vec<Token> {
        let caller = approval.call_id.as_deref().and_then(|id| self.runs.caller_of(id));
        self.tokens(|turn| turn.is_ours() && caller.is_none_or(|run| turn.owns_run(run)))
    }

    /// The turns whose inputs wait behind a question of these owners, where it is nobody's.
    fn behind(&self, approval: &Approval, owners: &[Token], ctx: &Context) -> Vec<Token> {
        let nobodys = if approval.is_with_caller {
            false
        } else if owners.is_empty() {
            self.is_asked_by_nobody(ctx)
        } else {
            self.those(owners).all(Turn::is_let_go)
        };
        let waits = |turn: &Turn| matches!(turn.phase, Phase::Held | Phase::Queued);
        if nobodys { self.tokens(|turn| waits(turn) && turn.stop.is_none()) } else { Vec::new() }
    }

    /// Whether what waits for a permission answers nobody's input: a schedule or the end of a background task has
    /// begun it (section 9.5), or the server has come up again. What another client has asked for is that client's
    /// to decide on.
    fn is_asked_by_nobody(&self, ctx: &Context) -> bool {
        let unasked = self.status == ASKING && ctx.features.correlation && !self.answering;
        unasked || self.is_left_with_questions()
    }

    fn tokens(&self, wanted: impl Fn(&Turn) -> bool) -> Vec<Token> {
        self.turns.iter().filter(|turn| wanted(turn)).map(|turn| turn.token).collect()
    }

    fn those<'a>(&'a self, tokens: &'a [Token]) -> impl Iterator<Item = &'a Turn> {
        self.turns.iter().filter(|turn| tokens.contains(&turn.token))
    }

    fn first<'a>(&'a self, tokens: &'a [Token], wanted: Approvals) -> Option<&'a Turn> {
        self.those(tokens).find(move |turn| turn.options.approvals() == wanted)
    }

    /// What turns say of a question, whether or not the client has a handler.
    fn said_by(&self, tokens: &[Token], approval: &Approval) -> Option<Decider> {
        if self.those(tokens).any(|turn| turn.options.allow.contains(&approval.tool)) {
            return Some(Decider::Allowed);
        }
        if let Some(turn) = self.first(tokens, Approvals::Ask) {
            return Some(Decider::Handler(turn.token));
        }
        self.first(tokens, Approvals::Deny).map(|_| Decider::Denied)
    }

    /// Whether somebody here is asked, and may take time.
    pub(crate) fn anybody_decides(&self) -> bool {
        self.approvals.iter().any(Approval::is_asked)
    }

    /// The error of a limit, with the question that has kept the turn waiting.
    pub(crate) fn with_blocker(&self, error: Error) -> Error {
        let Some(open) = self.approvals.iter().find(|open| open.is_open()) else { return error };
        let hint = format!("`{}` of {} is waiting for permission", open.request_id, open.tool);
        error.with_hint(hint)
    }
}
