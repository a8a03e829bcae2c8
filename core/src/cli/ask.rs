//! Permissions, put to whoever sits at the terminal.

use std::io::{self, IsTerminal};

use tokio::sync::{mpsc, oneshot};

use super::dialog::Dialog;
use super::out::{Look, Out};
use super::typed::Typed;
use crate::approvals::Decision;
use crate::policy::{Policy, Question, Rule};

/// A question and the way back for its answer.
struct Asked {
    question: Question,
    answer: oneshot::Sender<Decision>,
}

/// What happens where questions are asked.
pub(super) struct Step(Happened);

enum Happened {
    Asked(Asked),
    Typed(Option<String>),
    Withdrawn,
}

/// Where questions are asked, one after the other, beside whatever else goes on.
pub(super) struct Desk {
    questions: mpsc::UnboundedReceiver<Asked>,
    open: Option<(Dialog, oneshot::Sender<Decision>)>,
    typed: Typed,
}

/// Allows the named tools; everything else is asked at the desk.
pub(super) fn policy(allowed: &[String]) -> (Policy, Desk) {
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
    let desk = Desk { questions, open: None, typed: Typed::default() };
    (Policy::first_match(rules), desk)
}

impl Desk {
    /// Waits for what happens next. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Step {
        let Some((_, answer)) = &mut self.open else {
            return match self.questions.recv().await {
                Some(asked) => Step(Happened::Asked(asked)),
                None => std::future::pending().await,
            };
        };
        tokio::select! {
            biased;
            () = answer.closed() => Step(Happened::Withdrawn),
            line = self.typed.line() => Step(Happened::Typed(line)),
        }
    }

    /// Does what is to be done then.
    pub(super) fn act(&mut self, step: Step, out: &mut Out) {
        match step.0 {
            Happened::Asked(asked) => self.ask(asked, out),
            Happened::Typed(line) => {
                let Some((mut dialog, answer)) = self.open.take() else { return };
                match dialog.take(line, out) {
                    // The turn may be over meanwhile.
                    Some(decision) => answer.send(decision).unwrap_or_default(),
                    None => self.open = Some((dialog, answer)),
                }
            }
            Happened::Withdrawn => self.close(out),
        }
    }

    fn ask(&mut self, asked: Asked, out: &mut Out) {
        let Asked { question, answer } = asked;
        if io::stdin().is_terminal() {
            self.typed.forget();
            self.open = Some((Dialog::open(question, out), answer));
            return;
        }
        let tool = question.tool_name();
        let note = format!(
            "{tool} is denied: standard input is not a terminal (--allow {tool} lets it run)"
        );
        out.aside(&note, Look::Bad);
        answer.send(Decision::deny("nobody is available to give permissions")).unwrap_or_default();
    }

    /// Says so where a question is open that nobody wants answered any more. Whoever reads what is typed for it
    /// is left behind.
    pub(super) fn close(&mut self, out: &mut Out) {
        if self.open.take().is_some() {
            out.ask("\n");
            out.aside("the question was not answered in time and is closed", Look::Bad);
        }
    }
}
