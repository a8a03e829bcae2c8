//! Answers the calls of a session's tools, each in a task of its own.

use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{LONGEST, Tool, ToolCallRequest, ToolCalls, ToolContext, ToolOutput};
use crate::error::{Error, ErrorKind};
use crate::tasks::Tasks;

/// What a call is answered with whose session has ended.
const ENDED: &str = "the session that runs this tool has ended";

/// Tools of different names.
#[derive(Debug, Clone)]
pub(crate) struct Toolbox(Arc<[Tool]>);

impl Toolbox {
    /// Takes tools that models would take.
    pub(crate) fn new(tools: Vec<Tool>) -> Result<Self, Error> {
        let mut names = HashSet::new();
        for tool in &tools {
            tool.check()?;
            if !names.insert(tool.name()) {
                let message = format!("tools: two have the name {:?}", tool.name());
                return Err(Error::new(ErrorKind::InvalidOption, message));
            }
        }
        Ok(Self(tools.into()))
    }

    pub(crate) fn tools(&self) -> &[Tool] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Tool::name)
    }

    /// An entry of `external_tools`.
    pub(crate) fn group(&self) -> Value {
        json!({ "tools": self.0.iter().map(Tool::definition).collect::<Vec<_>>() })
    }

    /// Answers calls for as long as the sender of `session` is there.
    pub(crate) async fn serve(
        self,
        mut calls: ToolCalls,
        mut session: watch::Receiver<()>,
        tasks: Tasks,
    ) {
        loop {
            // The session's end first: it is what its owner waits for.
            let call = tokio::select! {
                biased;
                _ = session.changed() => return,
                call = calls.next() => call,
            };
            let Some(call) = call else { return };
            tasks.spawn(self.clone().answer(call, session.clone()));
        }
    }

    async fn answer(self, mut call: ToolCallRequest, mut session: watch::Receiver<()>) {
        let (running, wanted) = watch::channel(());
        let context = ToolContext::new(call.json(), wanted);
        let tool = self.run(call.input().clone(), context);
        let answer = tokio::select! {
            biased;
            _ = call.over() => None,
            _ = session.changed() => Some(Err(ENDED)),
            result = tool => Some(Ok(result)),
        };
        // The tool's future is gone by now; this tells what it has started elsewhere.
        drop(running);
        match answer {
            Some(Ok(result)) => call.answer(&result),
            Some(Err(why)) => call.fail(why),
            None => {}
        }
    }

    /// The `result` of a call, whatever its tool does.
    async fn run(self, arguments: Value, context: ToolContext) -> Value {
        let Some(tool) = self.0.iter().find(|tool| tool.name == context.tool_name()) else {
            return failure(format!("there is no tool {:?}", context.tool_name()));
        };
        // A function may panic before it has made its future.
        let run = async { (tool.run)(arguments, context).await };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(output)) => output.to_result(),
            Ok(Err(error)) => failure(error),
            Err(panic) => failure(format!("the tool panicked: {}", panic_text(&*panic))),
        }
    }
}

/// The `result` that says what went wrong.
fn failure(text: String) -> Value {
    let short = match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    ToolOutput::text(short).error().to_result()
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}
