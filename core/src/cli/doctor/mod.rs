//! `doctor`: what is at an address, and what to do where it is not what one wants.

mod causes;
mod checks;

use serde_json::{Value, json};

use super::args::Args;
use super::out::{Look, Out};
use super::words::harmless;
use super::{Exit, Outcome};
use checks::Checks;
#[cfg(test)]
pub(crate) use checks::WIDTH_WAIT;

/// How a look at something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Warn,
    Bad,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warn => "warn",
            Self::Bad => "fail",
        }
    }
}

/// One thing that was looked at: what was found, and what to do about it.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    text: String,
    hint: Option<String>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { check, verdict, text: text.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn json(&self) -> Value {
        json!({
            "check": self.check, "verdict": self.verdict.as_str(), "text": self.text,
            "hint": self.hint,
        })
    }
}

pub(super) async fn run(args: &Args, out: &mut Out) -> Outcome {
    let mut checks = Checks::new(args);
    let mut exit = Exit::Done;
    while let Some(findings) = checks.next(out).await {
        for finding in findings {
            show(args, &finding, out)?;
            if finding.verdict == Verdict::Bad && exit == Exit::Done {
                exit = checks.exit;
            }
        }
    }
    Ok(exit)
}

fn show(args: &Args, finding: &Finding, out: &mut Out) -> Result<(), super::Stop> {
    if args.json {
        return out.line(finding.json().to_string());
    }
    let look = match finding.verdict {
        Verdict::Good => Look::Good,
        Verdict::Warn => Look::Warn,
        Verdict::Bad => Look::Bad,
    };
    let verdict = out.looking(&format!("{:<5}", finding.verdict.as_str()), look);
    out.line(format!("{verdict} {:<12} {}", finding.check, harmless(&finding.text)))?;
    match &finding.hint {
        Some(hint) => out.line(format!("      {:<12} {}", "", harmless(hint))),
        None => Ok(()),
    }
}
