//! Whether what a client was told is true.

use std::collections::BTreeSet;

use letta_app_client::{Error, ErrorKind, TurnResult, TurnStatus};
use serde_json::Value;

use super::figures::Figures;
use super::ledger::{End, InputRecord, Ledger, TurnRecord};

/// How one call of the program ended.
#[derive(Debug)]
pub struct Outcome {
    pub tag: String,
    pub result: Result<Box<TurnResult>, Error>,
    /// The program wanted the turn to stop.
    pub stopped: bool,
    /// Connections were lost while it waited.
    pub losses: u32,
    /// What its events said, run by run, without runs that were withdrawn; for a turn that was followed.
    pub followed: Option<String>,
}

/// What calls are judged by.
pub struct Judge<'a> {
    pub ledger: &'a Ledger,
    /// Calls that the program, or a limit, wanted to stop.
    pub stopped: &'a BTreeSet<String>,
    /// What the agent has said in a conversation since a message, as it is stored.
    pub stored: &'a dyn Fn(&str, &str) -> Option<String>,
    /// A stream socket was lost alone, which nobody is told of but the turns of which something is missing.
    pub lost_streams: bool,
}

type Commit<'a> = Option<(&'a TurnRecord, &'a InputRecord)>;

impl Judge<'_> {
    /// Judges a call. The first thing that is not true is the error.
    pub fn call(&self, outcome: &Outcome, figures: &mut Figures) -> Result<(), String> {
        let tag = &outcome.tag;
        figures.calls += 1;
        self.truth_of(outcome, figures).map_err(|what| {
            let told = match &outcome.result {
                Ok(result) => format!("{:?}, text {:?}", result.status, result.text),
                Err(error) => format!("{:?}: {error}", error.kind()),
            };
            let commits = self.ledger.commits(tag);
            let commits: Vec<_> = commits.into_iter().map(|(turn, _)| turn).collect();
            format!("{tag}: {what}\n  told: {told}\n  true: {commits:#?}")
        })
    }

    /// Judges a call of a program that always had a connection: the turn came to its end, and the agent ended it.
    pub fn complete(outcome: &Outcome) -> Result<(), String> {
        if outcome.result.as_ref().is_ok_and(|r| r.status == Some(TurnStatus::Completed)) {
            return Ok(());
        }
        Err(format!("one connection was there all the time: {outcome:#?}"))
    }

    fn truth_of(&self, outcome: &Outcome, figures: &mut Figures) -> Result<(), String> {
        let tag = &outcome.tag;
        let commits = self.ledger.commits(tag);
        if commits.len() > 1 {
            return Err("committed more than once".to_owned());
        }
        let commit = commits.first().copied();
        if let Some((turn, input)) = commit.filter(|(_, input)| input.own_tools) {
            let ahead = turn.inputs.iter().take_while(|other| other.tag != input.tag);
            // Of one that was given up nobody knows whether it came to the server.
            if ahead.into_iter().any(|other| !self.stopped.contains(&other.tag)) {
                return Err("it got the tools of another turn".to_owned());
            }
        }
        let partial = match &outcome.result {
            Ok(result) => Some(&**result),
            Err(error) => error.result(),
        };
        let delivery = partial.map(|result| result.to_value()["delivery"].clone());
        let delivery = delivery.as_ref().and_then(Value::as_str).unwrap_or("sent");
        if delivery == "resent" {
            figures.resent += 1;
            if outcome.losses == 0 {
                return Err("sent again without a reason".to_owned());
            }
        }
        // What was stored does not name runs.
        if let Some(result) = partial.filter(|_| delivery == "sent") {
            said_so(self.ledger, tag, result)?;
        }
        match &outcome.result {
            Ok(result) => self.result(outcome, result, delivery, commit, figures),
            Err(error) => self.error(outcome, error, commit, figures),
        }
    }

    fn result(
        &self,
        outcome: &Outcome,
        result: &TurnResult,
        delivery: &str,
        commit: Commit<'_>,
        figures: &mut Figures,
    ) -> Result<(), String> {
        match result.status {
            Some(TurnStatus::Completed) => {
                figures.completed += 1;
                let (turn, input) = commit.ok_or("completed, but never committed")?;
                completed(turn, input, result)?;
                if delivery == "recovered" {
                    figures.recovered += 1;
                    // Of inputs that were merged only the first one's id is stored.
                    let ids = [&input.client_id, &turn.inputs[0].client_id];
                    let mut stored =
                        ids.iter().filter_map(|id| (self.stored)(&turn.conversation, id));
                    if !stored.next().is_some_and(|text| text.starts_with(&result.text)) {
                        return Err("the recovered text is not the stored one".to_owned());
                    }
                }
                let followed = outcome.followed.as_deref().filter(|_| delivery == "sent");
                if followed.is_some_and(|text| text != result.text) {
                    return Err(format!("the events said {followed:?}"));
                }
            }
            Some(TurnStatus::Aborted) => {
                figures.aborted += 1;
                let with = |turn: &TurnRecord| {
                    turn.inputs.iter().any(|input| self.stopped.contains(&input.tag))
                };
                match commit.filter(|(turn, _)| turn.end == End::Aborted) {
                    _ if outcome.stopped => {}
                    // It was answered together with one that was to stop.
                    Some((turn, _)) if with(turn) => {}
                    // An abort that was late has hit the next turn (section 17.2 step 12).
                    Some(_) if !self.stopped.is_empty() => figures.hit += 1,
                    _ => return Err("nobody wanted it to stop".to_owned()),
                }
            }
            Some(TurnStatus::Failed) => {
                figures.failed += 1;
                let failed = End::Finished { stop_reason: "llm_api_error".to_owned() };
                if commit.is_none_or(|(turn, _)| turn.end != failed) {
                    return Err("it did not fail".to_owned());
                }
            }
            Some(TurnStatus::RequiresApproval) => {
                figures.limits += 1;
                if commit.is_none_or(|(turn, _)| !turn.asked) {
                    return Err("no permission was wanted".to_owned());
                }
            }
            // It was to stop before the server had said where its input was.
            Some(TurnStatus::Disconnected) if outcome.stopped && delivery == "unknown" => {
                figures.aborted += 1;
            }
            _ => return Err("no outcome of a turn".to_owned()),
        }
        Ok(())
    }

    fn error(
        &self,
        outcome: &Outcome,
        error: &Error,
        commit: Commit<'_>,
        figures: &mut Figures,
    ) -> Result<(), String> {
        match error.kind() {
            ErrorKind::TurnInterrupted => {
                // The server was silent for too long, on a connection that is there.
                if error.message().contains("no sign of the input") {
                    figures.limits += 1;
                    return Ok(());
                }
                figures.interrupted += 1;
                // The client also gives up a turn that can neither be approved nor aborted (section 18).
                let lost =
                    commit.is_some_and(|(turn, _)| turn.orphan && (turn.asked || outcome.stopped));
                if outcome.losses == 0 && !lost && !self.lost_streams {
                    return Err("no connection was lost".to_owned());
                }
            }
            ErrorKind::Disconnected | ErrorKind::Closed => {
                figures.not_sent += 1;
                if commit.is_some() {
                    return Err("called not sent, but it was committed".to_owned());
                }
            }
            ErrorKind::TurnTimeout | ErrorKind::TurnIdleTimeout | ErrorKind::ApprovalRequired => {
                figures.limits += 1;
            }
            _ => return Err("an error for which there was no reason".to_owned()),
        }
        Ok(())
    }
}

/// A turn that completed says all that its runs said, and has ended so.
fn completed(turn: &TurnRecord, input: &InputRecord, result: &TurnResult) -> Result<(), String> {
    if turn.end != (End::Finished { stop_reason: "end_turn".to_owned() }) {
        return Err(format!("completed, but the turn ended as {:?}", turn.end));
    }
    let text = turn.text_for(input);
    if result.text != text {
        return Err(format!("the text should be {text:?}"));
    }
    Ok(())
}

/// Whatever the outcome: each run's text is the begin of what a run that answers the prompt has said.
fn said_so(ledger: &Ledger, tag: &str, result: &TurnResult) -> Result<(), String> {
    for said in &result.runs {
        let mut runs = ledger.commits(tag).into_iter().flat_map(|(turn, _)| &turn.runs);
        if !runs.any(|run| run.id == said.run_id && run.text.starts_with(&said.text)) {
            return Err(format!("no run {} of it has said {:?}", said.run_id, said.text));
        }
    }
    Ok(())
}
