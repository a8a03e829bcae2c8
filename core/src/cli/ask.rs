//! Permissions, put to whoever sits at the terminal.

use std::io::{self, IsTerminal};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::out::{Out, short};
use crate::approvals::Decision;
use crate::policy::{Policy, Question, Rule};

/// A question and the way back for its answer.
pub(super) struct Asked {
    question: Question,
    answer: oneshot::Sender<Decision>,
}

/// Allows the named tools; everything else is to be answered by whoever reads the questions.
pub(super) fn policy(allowed: &[String]) -> (Policy, mpsc::UnboundedReceiver<Asked>) {
    let (asked, questions) = mpsc::unbounded_channel();
    let ask = move |question: Question| {
        let asked = asked.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            asked.send(Asked { question, answer }).map_err(|_| "nobody can be asked any more")?;
            answered.await.map_err(|_| "the question was not answered")
        }
    };
    let rules = [Rule::allow(allowed.iter().cloned()), Rule::ask(ask).named("the terminal")];
    (Policy::first_match(rules), questions)
}

impl Asked {
    /// Asks, and passes the answer on.
    pub(super) async fn put(self, out: &mut Out) {
        let decision = if io::stdin().is_terminal() {
            decide(&self.question, out).await
        } else {
            let tool = self.question.tool_name();
            out.note(&format!("{tool} is denied: standard input is no terminal (--allow {tool})"));
            Decision::deny("nobody is there to give permissions")
        };
        // The turn may be over meanwhile.
        self.answer.send(decision).unwrap_or_default();
    }
}

async fn decide(question: &Question, out: &mut Out) -> Decision {
    if let Some(questions) = question.input()["questions"].as_array() {
        return answers(question.input(), questions, out).await;
    }
    let tool = short(question.tool_name(), 80);
    out.ask(&format!("{tool} wants to run: {}\n", short(&question.input().to_string(), 400)));
    let suggestion = &question.json()["request"]["permission_suggestions"][0];
    let always = suggestion["text"].as_str().zip(suggestion["id"].as_str());
    if let Some((text, _)) = always {
        out.ask(&format!("  a: {}\n", short(text, 120)));
    }
    let choices = if always.is_some() { "[y/n/a]" } else { "[y/n]" };
    loop {
        out.ask(&format!("Allow it? {choices} "));
        let Some(answer) = line().await else { return Decision::deny("the terminal was closed") };
        match (answer.to_lowercase().as_str(), always) {
            ("y" | "yes", _) => return Decision::allow(),
            ("n" | "no", _) => return Decision::deny("the user says no"),
            ("a" | "always", Some((_, id))) => return Decision::allow().suggestions([id]),
            _ => {}
        }
    }
}

/// The answers to the questions of an interactive tool.
async fn answers(input: &Value, questions: &[Value], out: &mut Out) -> Decision {
    let mut answers = Map::new();
    for question in questions {
        let text = question["question"].as_str().unwrap_or_default();
        out.ask(&format!("{}\n", short(text, 400)));
        let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let labels: Vec<&str> = options.iter().filter_map(|it| it["label"].as_str()).collect();
        for (number, label) in labels.iter().enumerate() {
            out.ask(&format!("  {}: {}\n", number + 1, short(label, 120)));
        }
        out.ask("> ");
        let Some(answer) = line().await else { return Decision::deny("the terminal was closed") };
        let picked =
            answer.parse::<usize>().ok().and_then(|number| labels.get(number.wrapping_sub(1)));
        let answer = picked.map_or(answer.clone(), |label| (*label).to_owned());
        answers.insert(text.to_owned(), answer.into());
    }
    let mut input = input.clone();
    input["answers"] = answers.into();
    Decision::allow().updated_input(input)
}

/// What is typed, in a thread of its own; `None` at the end of the input.
async fn line() -> Option<String> {
    let read = tokio::task::spawn_blocking(|| io::stdin().lines().next());
    Some(read.await.ok()??.ok()?.trim().to_owned())
}
