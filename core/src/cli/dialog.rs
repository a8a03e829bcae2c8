//! One question on the terminal, and what is typed for it.

use serde_json::{Map, Value};

use super::out::Out;
use super::words::visible;
use crate::approvals::Decision;
use crate::policy::Question;

/// What is asked for.
enum Form {
    /// Whether a tool may run; with the id of what else may be allowed.
    Permission { always: Option<String> },
    /// The answers to the questions of an interactive tool, so many of them.
    Answers { answers: Map<String, Value>, count: usize },
}

/// A question until it is answered. Whoever allows something has seen all of it: nothing is cut.
pub(super) struct Dialog {
    question: Question,
    form: Form,
}

impl Dialog {
    /// Asks.
    pub(super) fn open(question: Question, out: &mut Out) -> Self {
        let form = if question.input()["questions"].get(0).is_some() {
            Form::Answers { answers: Map::new(), count: 0 }
        } else {
            Form::Permission { always: permission(&question, out) }
        };
        let dialog = Self { question, form };
        dialog.prompt(out);
        dialog
    }

    /// Takes a line; `None` is the end of the input. Gives the decision, or asks on.
    pub(super) fn take(&mut self, line: Option<String>, out: &mut Out) -> Option<Decision> {
        let Some(line) = line else { return Some(Decision::deny("the terminal was closed")) };
        let decision = match &self.form {
            Form::Permission { always } => decision(&line, always.as_deref()),
            Form::Answers { .. } => self.answer(line),
        };
        if decision.is_none() {
            self.prompt(out);
        }
        decision
    }

    fn prompt(&self, out: &mut Out) {
        match &self.form {
            Form::Permission { always: Some(_) } => out.ask("Allow it? [y/n/a] "),
            Form::Permission { always: None } => out.ask("Allow it? [y/n] "),
            Form::Answers { .. } => {
                if let Some(question) = self.current() {
                    let text = question["question"].as_str().unwrap_or_default();
                    out.ask(&format!("{}\n", visible(text)));
                    for (number, label) in labels(question).iter().enumerate() {
                        out.ask(&format!("  {}: {}\n", number + 1, visible(label)));
                    }
                }
                out.ask("> ");
            }
        }
    }

    /// The question that is to be answered now.
    fn current(&self) -> Option<&Value> {
        let Form::Answers { count, .. } = &self.form else { return None };
        self.question.input()["questions"].get(count)
    }

    fn answer(&mut self, line: String) -> Option<Decision> {
        let question = self.current().cloned().unwrap_or_default();
        let picked = line.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let picked = picked.and_then(|at| labels(&question).get(at).map(|it| (*it).to_owned()));
        let text = question["question"].as_str().unwrap_or_default().to_owned();
        let Form::Answers { answers, count } = &mut self.form else { return None };
        answers.insert(text, picked.unwrap_or(line).into());
        *count += 1;
        let answers = answers.clone();
        if self.current().is_some() {
            return None;
        }
        let mut input = self.question.input().clone();
        input["answers"] = answers.into();
        Some(Decision::allow().updated_input(input))
    }
}

/// Says what is to be allowed, and gives the id of what the server suggests to allow from now on.
fn permission(question: &Question, out: &mut Out) -> Option<String> {
    let (tool, input) = (visible(question.tool_name()), question.input().to_string());
    out.ask(&format!("{tool} wants to run: {}\n", visible(&input)));
    let suggestion = &question.json()["request"]["permission_suggestions"][0];
    let (text, id) = suggestion["text"].as_str().zip(suggestion["id"].as_str())?;
    out.ask(&format!("  a: {}\n", visible(text)));
    Some(id.to_owned())
}

fn decision(line: &str, always: Option<&str>) -> Option<Decision> {
    match (line.to_lowercase().as_str(), always) {
        ("y" | "yes", _) => Some(Decision::allow()),
        ("n" | "no", _) => Some(Decision::deny("the user denied it")),
        ("a" | "always", Some(id)) => Some(Decision::allow().suggestions([id])),
        _ => None,
    }
}

fn labels(question: &Value) -> Vec<&str> {
    let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    options.iter().filter_map(|option| option["label"].as_str()).collect()
}
