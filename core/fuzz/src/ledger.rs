//! What must hold for the deliveries of an engine, whatever it is fed with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use letta_app_client::TurnResult;
use letta_app_client::engine::{Delivery, Token, ToolLimits, TurnEvent};

/// A call that was made.
#[derive(Default)]
struct Call {
    ended: bool,
    /// The caller left: nothing may come any more once the engine has been told.
    left: bool,
    /// For a turn that is followed: its runs, in the order of their announcement.
    told: Vec<Told>,
}

/// A run as its follower knows it.
struct Told {
    run_id: Arc<str>,
    text: String,
    withdrawn: bool,
}

impl Call {
    /// The last announcement of a run.
    fn run(&mut self, run_id: &str) -> &mut Told {
        self.told.iter_mut().rfind(|run| *run.run_id == *run_id).expect("a run that was announced")
    }
}

/// Everything that was delivered.
#[derive(Default)]
pub struct Ledger {
    calls: HashMap<Token, Call>,
    /// Questions that are asked, with those that are over.
    asked: HashSet<u64>,
    over: HashSet<u64>,
    tools: HashSet<String>,
    /// Tools that were answered, also those the engine answered for.
    answered: HashSet<String>,
}

impl Ledger {
    pub fn called(&mut self, token: Token) {
        self.calls.insert(token, Call::default());
    }

    pub fn left(&mut self, token: Token) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.left = true;
        }
    }

    pub fn tool_answered(&mut self, id: &str) {
        if self.tools.remove(id) {
            assert!(self.answered.insert(id.to_owned()), "a tool is answered twice");
        }
    }

    /// Whether the call still waits.
    pub fn waits(&self, token: Token) -> bool {
        self.calls.get(&token).is_some_and(|call| !call.ended && !call.left)
    }

    pub fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Turn { token, result } => self.end(token, Some(&result)),
            Delivery::Failed { token, error } => self.end(token, error.result()),
            Delivery::Response { token, .. } => self.end(token, None),
            Delivery::TurnEvent { token, event, .. } => self.event(token, event),
            Delivery::Approval { ask, .. } => {
                assert!(self.asked.insert(ask), "question {ask} is asked twice");
            }
            Delivery::ApprovalOver { ask, refused, .. } => {
                assert!(self.asked.contains(&ask), "question {ask} was never asked");
                let first = self.over.insert(ask);
                assert!(first || refused.is_some(), "question {ask} is over twice");
            }
            Delivery::ToolCall { text } => {
                let frame: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let id = frame["request_id"].as_str().expect("an id").to_owned();
                assert!(self.tools.insert(id), "a tool is called twice");
                assert!(self.tools.len() <= ToolLimits::default().concurrency);
            }
            Delivery::ToolOver { request_id, .. } => {
                let known = self.tools.remove(&request_id) || self.answered.contains(&request_id);
                assert!(known, "a tool that never ran is over");
            }
            _ => {}
        }
    }

    fn event(&mut self, token: Token, event: TurnEvent) {
        let call = self.calls.get_mut(&token).expect("a call");
        assert!(!call.ended, "an event after the end: {event:?}");
        match event {
            TurnEvent::RunStarted { run_id } => {
                call.told.push(Told { run_id, text: String::new(), withdrawn: false });
            }
            TurnEvent::RunWithdrawn { run_id } => call.run(&run_id).withdrawn = true,
            TurnEvent::AssistantDelta { run_id, text, .. } => {
                call.run(&run_id).text.push_str(&text);
            }
            _ => {}
        }
    }

    fn end(&mut self, token: Token, result: Option<&TurnResult>) {
        let call = self.calls.get_mut(&token).expect("a call");
        assert!(!call.ended, "{token} ended twice");
        call.ended = true;
        let Some(result) = result.filter(|_| !call.told.is_empty()) else { return };
        // A run that was taken for the turn's own by mistake may have been told of and withdrawn
        // before the same run turned out to be its own after all. It is told of again, unless it is over by
        // then: runs that have ended are in the result as the server lists them, and in no event.
        for said in &result.runs {
            let told = call.told.iter().rfind(|run| *run.run_id == *said.run_id);
            if let Some(told) = told.filter(|told| said.withdrawn || !told.withdrawn) {
                assert_eq!(told.text, said.text, "{token}: run {}", said.run_id);
            }
        }
    }

    /// Everything is over: who still waits would wait for ever.
    pub fn close(&self) {
        for (token, call) in &self.calls {
            assert!(call.ended || call.left, "call {token} never ends");
        }
        assert!(self.tools.is_empty(), "tools that nobody takes back: {:?}", self.tools);
    }
}
