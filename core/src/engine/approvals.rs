//! Permissions: which questions are open, who is asked, and what is answered (PROTOCOL.md section 13).

use std::collections::{HashMap, VecDeque};

use serde_json::json;
use serde_json::value::RawValue;

use super::context::Context;
use super::decider::Decider;
use super::decision::{ANSWER, AnswerFrame, OwnAnswer};
use super::delivery::{Delivery, Token};
use super::event::TurnEvent;
use super::result::{CompletedBy, InputDelivery, TurnStatus};
use super::runtime::{IDLE, Runtime};
use super::turn::{Approvals, End};
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::frames::{ControlRequestFrame, InputAcceptedFrame};
use crate::protocol::raw::{RawObject, quoted};

/// What the agent is told where nobody is available to decide.
const NOBODY: &str = "nobody is available to give this permission, so it is denied";

/// What it is told where a turn's own handler has gone.
const NOT_TAKEN: &str = "the program has not taken the question";

/// How many answers of which the server has not spoken are remembered. A split server never does.
const UNCONFIRMED: usize = 64;

/// A permission question that the server waits with.
#[derive(Debug)]
pub(crate) struct Approval {
    pub(crate) request_id: String,
    /// The tool that wants to run.
    pub(crate) tool: String,
    pub(crate) call_id: Option<String>,
    /// The `control_request`.
    frame: Text,
    /// Who was asked, and under which number.
    asked: Option<Asked>,
    /// What was answered: `allow` or `deny`.
    answered: Option<&'static str>,
    /// What an input of the program's own has answered: the id of the input, and `allow` or `deny`.
    said: Option<(Option<String>, &'static str)>,
    /// Nobody knows whether that has arrived: the connection was lost meanwhile.
    unsure: bool,
    /// The call of its turn has ended with it, and whoever made that may answer.
    pub(crate) is_with_caller: bool,
    /// The turns behind it that were told of it as of one of their own.
    told: Vec<Token>,
}

impl Approval {
    /// Whether nobody has answered it.
    pub(crate) fn is_open(&self) -> bool {
        self.answered.is_none() && self.said.is_none()
    }

    /// Whether a handler works on it, and may take time.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_open() && self.asked.is_some()
    }

    /// Nobody is asked any more, and what whoever was still answers reaches nobody.
    pub(crate) fn withdraw(&mut self, ctx: &mut Context) {
        if let Some(asked) = self.asked.take() {
            ctx.approvers.take(asked.ask);
            ctx.deliveries.push_back(asked.over(None));
        }
    }
}

/// A question that a handler works on.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// A turn's handler, or one of the client.
    token: Token,
    ask: u64,
}

impl Asked {
    fn over(self, refused: Option<String>) -> Delivery {
        Delivery::ApprovalOver { token: self.token, ask: self.ask, refused }
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The `request_id` of the `input` that carries it.
    input: String,
    pub(crate) runtime: (String, String),
    request_id: String,
    asked: Option<Asked>,
}

/// Who is asked, apart from turns, and what they said.
#[derive(Debug, Default)]
pub(crate) struct Approvers {
    /// Handlers for one runtime or for all, in the order of registration.
    handlers: Vec<(Token, Option<(String, String)>)>,
    /// The questions that handlers work on: runtime and `request_id`.
    asks: HashMap<u64, (String, String, String)>,
    asked: u64,
    unconfirmed: VecDeque<Answer>,
}

impl Approvers {
    pub(crate) fn add(&mut self, token: Token, runtime: Option<(String, String)>) {
        self.handlers.push((token, runtime));
    }

    pub(crate) fn remove(&mut self, token: Token) {
        self.handlers.retain(|(other, _)| *other != token);
    }

    /// Whether there is any handler.
    pub(crate) fn any(&self) -> bool {
        !self.handlers.is_empty()
    }

    /// The handler of a runtime: one for it before one for all, the latest first. One for all means
    /// those that the client has to do with.
    pub(crate) fn of(&self, runtime: &Runtime) -> Option<Token> {
        let own = |(agent, conversation): &(String, String)| {
            *agent == runtime.agent_id && *conversation == runtime.conversation_id
        };
        let fits = |scope: &Option<(String, String)>| match scope {
            Some(scope) => own(scope),
            None => runtime.joined,
        };
        let fitting = self.handlers.iter().filter(|(_, scope)| fits(scope));
        fitting.max_by_key(|(_, scope)| scope.is_some()).map(|(token, _)| *token)
    }

    /// A number for a question of a runtime.
    fn number(&mut self, runtime: &Runtime, request_id: &str) -> u64 {
        self.asked += 1;
        let (agent, conversation) = (runtime.agent_id.clone(), runtime.conversation_id.clone());
        self.asks.insert(self.asked, (agent, conversation, request_id.to_owned()));
        self.asked
    }

    /// The question of a number, once.
    pub(crate) fn take(&mut self, ask: u64) -> Option<(String, String, String)> {
        self.asks.remove(&ask)
    }

    fn sent(&mut self, answer: Answer) {
        if self.unconfirmed.len() == UNCONFIRMED {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.push_back(answer);
    }

    /// The answer that an `input_accepted` speaks of.
    pub(crate) fn confirmed(&mut self, input: &str) -> Option<Answer> {
        let index = self.unconfirmed.iter().position(|answer| answer.input == input)?;
        self.unconfirmed.remove(index)
    }

    /// Another connection takes the place of the lost one: nobody will say whether answers have arrived.
    pub(crate) fn forget_answers(&mut self) {
        self.unconfirmed.clear();
    }

    /// The connection is gone and with it every answer.
    pub(crate) fn clear(&mut self) {
        self.asks.clear();
        self.unconfirmed.clear();
    }
}

impl Runtime {
    /// A permission is wanted: by `control_request`, or by an entry of `pending_control_requests`.
    /// Each is told once.
    pub(crate) fn approval_wanted(
        &mut self,
        request: ControlRequestFrame,
        frame: &Text,
        ctx: &mut Context,
    ) {
        let same = |open: &Approval| open.request_id == request.request_id;
        if let Some(index) = self.approvals.iter().position(same) {
            let known = &mut self.approvals[index];
            if std::mem::take(&mut known.unsure) {
                // The answer was lost with its connection.
                (known.asked, known.answered, known.said) = (None, None, None);
                self.ask_next(ctx);
            }
            return;
        }
        let ControlRequestFrame { request_id, request } = request;
        let event =
            TurnEvent::ApprovalRequested { request_id: request_id.clone(), frame: frame.clone() };
        self.tell_ours(&event, ctx);
        self.note_lost_runtime(request.tool_call_id.as_deref());
        self.fail_detached(ctx);
        let approval = Approval {
            request_id,
            tool: request.tool_name.unwrap_or_default(),
            call_id: request.tool_call_id,
            // A copy: it may be open for days, and a frame keeps the memory of those that came with it.
            frame: Text::from(&**frame),
            asked: None,
            answered: None,
            said: None,
            unsure: false,
            is_with_caller: false,
            told: Vec::new(),
        };
        self.approvals.push(approval);
        self.ask_next(ctx);
    }

    /// What the device status lists as open.
    pub(crate) fn approvals_listed(
        &mut self,
        listed: &[Box<RawValue>],
        ctx: &mut Context,
    ) -> Result<(), serde_json::Error> {
        let mut requests = Vec::with_capacity(listed.len());
        for entry in listed {
            requests.push(serde_json::from_str::<ControlRequestFrame>(entry.get())?);
        }
        let open: Vec<_> = requests.iter().map(|request| request.request_id.clone()).collect();
        self.approvals_open(&open, ctx);
        for (request, entry) in requests.into_iter().zip(listed) {
            let frame = self.as_control_request(entry.get())?;
            self.approval_wanted(request, &frame, ctx);
        }
        Ok(())
    }

    /// An entry of `pending_control_requests` in the form of the frame that others get.
    fn as_control_request(&self, entry: &str) -> Result<Text, serde_json::Error> {
        let mut frame = RawObject::parse(entry)?;
        frame.set_str("type", "control_request")?;
        if frame.get("runtime").is_none() {
            frame.set("runtime", self.scope().to_string())?;
        }
        Ok(Text::from(frame.to_text()))
    }

    /// The questions that are still open; all others are decided, or not asked any more.
    pub(crate) fn approvals_open(&mut self, open: &[String], ctx: &mut Context) {
        if self.approvals.is_empty() {
            return;
        }
        let (still, over): (Vec<_>, Vec<_>) = std::mem::take(&mut self.approvals)
            .into_iter()
            .partition(|approval| open.contains(&approval.request_id));
        self.approvals = still;
        for approval in over {
            if let Some(asked) = approval.asked.filter(|_| approval.is_open()) {
                ctx.approvers.take(asked.ask);
                ctx.deliveries.push_back(asked.over(None));
            }
            let said = approval.said.map(|(_, said)| said);
            let decision = approval.answered.or(said).map(str::to_owned);
            let request_id = approval.request_id;
            let event = TurnEvent::ApprovalDecided { request_id, decision };
            self.tell_all(&approval.told, &event, ctx);
        }
        self.ask_next(ctx);
    }

    /// Asks for the next permission, once the one before is answered. Turns whose question nobody decides end
    /// where they were not to wait: also when their handler has gone, or when they were found again on another
    /// connection.
    pub(crate) fn ask_next(&mut self, ctx: &mut Context) {
        if self.approvals.is_empty() {
            return;
        }
        self.tell_those_behind(ctx);
        self.ask(ctx);
        let undecided = |open: &Approval| {
            open.is_open() && open.asked.is_none() && self.decider(open, ctx).is_none()
        };
        let undecided: Vec<_> =
            (0..self.approvals.len()).filter(|index| undecided(&self.approvals[*index])).collect();
        for index in undecided {
            self.end_undecided(index, ctx);
        }
    }

    /// Tells what became of a question: turns that run, and those that were told of it.
    fn tell_all(&self, told: &[Token], event: &TurnEvent, ctx: &mut Context) {
        self.tell_those(|turn| turn.is_ours() || told.contains(&turn.token), event, ctx);
    }

    /// Tells turns of what they wait behind, where that is theirs to decide on.
    fn tell_those_behind(&mut self, ctx: &mut Context) {
        for index in 0..self.approvals.len() {
            let open = &self.approvals[index];
            if !open.is_open() {
                continue;
            }
            let mut behind = self.concerned_behind(open, ctx);
            behind.retain(|token| !open.told.contains(token));
            if behind.is_empty() {
                continue;
            }
            let (request_id, frame) = (open.request_id.clone(), open.frame.clone());
            let event = TurnEvent::ApprovalRequested { request_id, frame };
            self.tell_those(|turn| behind.contains(&turn.token), &event, ctx);
            self.approvals[index].told.append(&mut behind);
        }
    }

    fn ask(&mut self, ctx: &mut Context) {
        while !self.approvals.iter().any(Approval::is_asked) {
            let decider = |open: &Approval| self.decider(open, ctx).filter(|_| open.is_open());
            let mut next = self.approvals.iter().enumerate();
            let Some((index, decider)) =
                next.find_map(|(index, open)| decider(open).map(|decider| (index, decider)))
            else {
                return;
            };
            match decider {
                Decider::Handler(token) => {
                    let ask = ctx.approvers.number(self, &self.approvals[index].request_id);
                    self.approvals[index].asked = Some(Asked { token, ask });
                    let text = self.approvals[index].frame.clone();
                    ctx.deliveries.push_back(Delivery::Approval { token, ask, text });
                }
                Decider::Allowed => {
                    let decision = json!({ "behavior": "allow" });
                    self.answer(index, Ok(decision.to_string()), ctx);
                }
                Decider::Denied => {
                    let decision = json!({ "behavior": "deny", "message": NOBODY });
                    self.answer(index, Ok(decision.to_string()), ctx);
                }
            }
        }
    }

    /// A handler's answer: a decision as JSON text, or the text of an error, which denies as well. One
    /// that comes too late reaches nobody.
    pub(crate) fn answer_approval(
        &mut self,
        request_id: &str,
        answer: Result<String, String>,
        ctx: &mut Context,
    ) {
        let open = |one: &Approval| one.request_id == request_id && one.is_open();
        if let Some(index) = self.approvals.iter().position(open) {
            self.answer(index, answer, ctx);
            self.ask_next(ctx);
        }
    }

    /// A handler was asked, and has gone without having taken the question: it is asked of others. One that a turn's
    /// handler leaves is denied, for nobody else decides there.
    pub(crate) fn return_approval(&mut self, request_id: &str, ctx: &mut Context) {
        let open = |one: &Approval| one.request_id == request_id && one.is_open();
        let Some(index) = self.approvals.iter().position(open) else { return };
        let Some(asked) = self.approvals[index].asked else { return };
        if self.turn_index(asked.token).is_some() {
            self.answer(index, Err(NOT_TAKEN.to_owned()), ctx);
        } else {
            self.approvals[index].asked = None;
            ctx.approvers.remove(asked.token);
            ctx.deliveries.push_back(asked.over(None));
        }
        self.ask_next(ctx);
    }

    /// Sends an answer. To an invalid one the server would react with an error that names nobody, and
    /// the turn would wait on; so it becomes a denial.
    fn answer(&mut self, index: usize, answer: Result<String, String>, ctx: &mut Context) {
        let input = ctx.ids.next(ANSWER);
        let runtime = (self.agent_id.clone(), self.conversation_id.clone());
        let scope = self.scope();
        let approval = &mut self.approvals[index];
        let (request_id, asked) = (approval.request_id.clone(), approval.asked);
        let frame = AnswerFrame { input: &input, runtime: &scope, request_id: &request_id };
        let denied = |error: &str| (frame.with("error", &quoted(error)), "deny");
        let (text, behavior) = match answer {
            Err(error) => {
                let reason = ctx.fits("the reason", denied(&error).0);
                reason.map_or_else(|error| denied(&error), |text| (text, "deny"))
            }
            Ok(decision) => frame
                .decided(decision)
                .and_then(|(text, behavior)| Ok((ctx.fits("the decision", text)?, behavior)))
                .unwrap_or_else(|error| {
                    ctx.deliveries.extend(asked.map(|asked| asked.over(Some(error.clone()))));
                    denied(&error)
                }),
        };
        approval.answered = Some(behavior);
        ctx.send_own(text);
        ctx.approvers.sent(Answer { input, runtime, request_id, asked });
    }

    /// A command of the program may be the answer to a question: then it is this client that decides. Whether the
    /// server takes it is for whoever sends it to see.
    pub(crate) fn note_own_answer(&mut self, command: &str, ctx: &mut Context) {
        if self.approvals.is_empty() {
            return;
        }
        if let Some(OwnAnswer { input, request_id, behavior, is_valid: true }) =
            OwnAnswer::read(command)
            && let Some(open) =
                self.approvals.iter_mut().find(|it| it.request_id == request_id && it.is_open())
        {
            open.said = Some((input, behavior));
            // Nobody else has to.
            open.withdraw(ctx);
            self.ask_next(ctx);
        }
    }

    /// The server speaks of an input of the program's own. An answer that it does not take has come too late, as one of
    /// a handler has: the question is gone, and whoever is asked now could not answer it either.
    pub(crate) fn own_answer_accepted(
        &mut self,
        input: &str,
        text: &Text,
        ctx: &mut Context,
    ) -> Result<(), serde_json::Error> {
        let is_its = |(id, _): &(Option<String>, _)| id.as_deref() == Some(input);
        let said = self.approvals.iter_mut().find(|it| it.said.as_ref().is_some_and(is_its));
        if let Some(approval) = said {
            let frame: InputAcceptedFrame = serde_json::from_str(text)?;
            if !frame.accepted {
                let request_id = approval.request_id.clone();
                self.refused(request_id, None, frame.reason(), ctx);
            }
        }
        Ok(())
    }

    /// The server did not take an answer: somebody else was first, or the question is gone.
    pub(crate) fn answer_refused(&mut self, answer: Answer, reason: &str, ctx: &mut Context) {
        let Answer { request_id, asked, .. } = answer;
        self.refused(request_id, asked, reason, ctx);
    }

    fn refused(
        &mut self,
        request_id: String,
        asked: Option<Asked>,
        reason: &str,
        ctx: &mut Context,
    ) {
        let refused = self.approvals.iter().position(|open| open.request_id == request_id);
        let told = refused.map(|index| self.approvals.remove(index).told).unwrap_or_default();
        let reason = reason.to_owned();
        let event = TurnEvent::ApprovalRefused { request_id, reason: reason.clone() };
        self.tell_all(&told, &event, ctx);
        ctx.deliveries.extend(asked.map(|asked| asked.over(Some(reason))));
        self.ask_next(ctx);
    }

    /// The connection is gone; answers that were sent on it may not have arrived.
    pub(crate) fn doubt_answers(&mut self) {
        for approval in &mut self.approvals {
            approval.unsure = !approval.is_open();
        }
    }

    /// A handler has gone with its turn: what it was asked may be asked of others.
    pub(crate) fn approver_gone(&mut self, token: Token, ctx: &mut Context) {
        let its =
            |open: &Approval| open.is_open() && open.asked.is_some_and(|it| it.token == token);
        for approval in self.approvals.iter_mut().filter(|approval| its(approval)) {
            approval.withdraw(ctx);
        }
    }

    /// Nobody here decides on a question: ends the calls that were not to wait for others.
    fn end_undecided(&mut self, index: usize, ctx: &mut Context) {
        let frame = self.approvals[index].frame.clone();
        let concerned = self.concerned(&self.approvals[index], ctx);
        let end = End {
            by: Some(CompletedBy::Approval),
            stop_reason: Some("requires_approval".to_owned()),
            frame: Some(frame),
            ..End::default()
        };
        let mut pausing = Vec::new();
        for token in concerned {
            let Some(turn) = self.turn_index(token) else { continue };
            let approvals = self.turns[turn].options.approvals();
            // One that is to stop gets the end that its stop has.
            if self.turns[turn].stop.is_some()
                || !matches!(approvals, Approvals::Pause | Approvals::Raise)
            {
                continue;
            }
            if self.take_back(token) {
                self.turns[turn].delivery = InputDelivery::Undelivered;
            } else {
                self.approvals[index].is_with_caller |= self.turns[turn].is_ours();
                self.leave_asking(turn);
            }
            match approvals {
                Approvals::Pause => pausing.push(token),
                Approvals::Raise => {
                    let status = TurnStatus::RequiresApproval;
                    if let Some(error) = status.error(None) {
                        self.fail_turn(turn, error, &end, status, ctx);
                    }
                }
                Approvals::Wait | Approvals::Ask | Approvals::Deny | Approvals::AskOrDeny => {}
            }
        }
        self.finish_together(&pausing, &end, ctx);
    }

    /// A permission is wanted while the runtime is said to be idle: the turn is on a lost one, also where the statuses
    /// that would have shown it were left out (sections 2 and 18).
    fn note_lost_runtime(&mut self, call_id: Option<&str>) {
        if self.status != IDLE {
            return;
        }
        let Some(run) = call_id.and_then(|id| self.runs.caller_of(id)).map(str::to_owned) else {
            return;
        };
        for turn in self.turns.iter_mut().filter(|turn| turn.is_ours() && turn.owns_run(&run)) {
            turn.detached = true;
        }
    }

    /// A permission wanted by a turn on a lost runtime can never be given, and neither does an abort
    /// reach that turn (section 18).
    fn fail_detached(&mut self, ctx: &mut Context) {
        while let Some(index) = self.turns.iter().position(|turn| turn.detached && turn.is_ours()) {
            let message = "the turn began before the server had finished cleaning up after the \
                           previous one, and now needs a permission that can no longer reach it";
            let error = Error::new(ErrorKind::TurnInterrupted, message)
                .with_hint("a longer `settle_pause` avoids this");
            self.fail_turn(index, error, &End::default(), TurnStatus::Disconnected, ctx);
        }
    }
}
