//! Turns that come to a value of a type (PROTOCOL.md section 14).

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Prompt, Session};
use crate::check::Check;
use crate::connection::RequestOptions;
use crate::engine::{NextStep, Resend, Submission, TurnOptions, TurnResult, TurnStatus};
use crate::error::{Error, ErrorKind};
use crate::tool::{ToolCallRequest, ToolCalls};
use crate::turn::Turn;

/// What a turn came to, with the value that the agent submitted; from [`Session::run_as`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Structured<T> {
    /// The value: of several that were submitted, the last valid one.
    pub output: T,
    /// Of two turns, where the agent had to be asked again, the later one's, with the token counts of both.
    pub result: TurnResult,
}

impl Session {
    /// Asks, and resolves with a value of a type, which the agent submits as the arguments of a tool.
    ///
    /// Registers the tool `submit_result` with the `schema` as its parameters, beside the session's own tools
    /// (`runtime_external_tools_update`, section 14, or `runtime_start` where the server is too old for that), in a
    /// scope that only this turn names; sends the prompt
    /// (`input`, section 8.1) with a note on the tool; and takes the tool back. Nobody is asked for a permission to
    /// call it. Arguments that do not fit go back to the agent, with the fields that are wrong. An agent that ends
    /// its turn without a valid result is asked once more, in a second turn. Resolves at the end of the last turn.
    ///
    /// The `schema` is for the agent. Of what it says, the types, the values of an `enum` and the `required` names are
    /// checked, of what is inside as well; then the arguments have to be a `T`. One that describes no object becomes
    /// the field `result` of one, as parameters have to be objects.
    ///
    /// One such run at a time in each conversation of a client: the next one waits. It waits as well until nothing else
    /// runs there, while its limits hold: the server would give it the tools of that other turn (section 10). Tools that
    /// were registered for the conversation by hand meanwhile are lost, since each registration replaces the one before.
    ///
    /// ```
    /// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
    /// # use letta_app_client::{Client, ConnectOptions, SessionOptions};
    /// use serde_json::json;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Finding {
    ///     file: String,
    ///     line: u32,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let call = ScriptedCall::new("submit_result", json!({ "file": "a.rs", "line": 3 }));
    /// # let turns = vec![ScriptedTurn::text(["Done."]).call(call)];
    /// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
    /// # let client = Client::new(ConnectOptions::new(server.url()))?;
    /// # client.connect().await?;
    /// # let session = client.session(SessionOptions::agent("agent-123")).await?;
    /// let schema = json!({
    ///     "type": "object",
    ///     "properties": {
    ///         "file": { "type": "string", "description": "From the root of the project" },
    ///         "line": { "type": "integer", "minimum": 1 },
    ///     },
    ///     "required": ["file", "line"],
    /// });
    /// let worst = session.run_as::<Finding>("Find the worst bug.", &schema).await?;
    /// assert_eq!((worst.output.file.as_str(), worst.output.line), ("a.rs", 3));
    /// assert_eq!(worst.result.text, "Done.");
    /// # client.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StructuredOutput`] when the second turn came to no valid result either, with what was wrong
    /// with the last one ([`Error::problems`]) and the second turn's [`Error::result`];
    /// [`ErrorKind::InvalidOption`] when the schema is no object, or the session has a tool of that name. A turn that
    /// the agent did not end itself gives the error that [`Session::run`] gives; [`ErrorKind::TurnAborted`] as well
    /// when the session was closed meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the turn on the server and takes the tool back.
    pub async fn run_as<T: DeserializeOwned>(
        &self,
        prompt: impl Into<Prompt>,
        schema: &Value,
    ) -> Result<Structured<T>, Error> {
        self.run_as_with(prompt, schema, self.turns.clone()).await
    }

    /// [`Session::run_as`] with options of its own for each of the turns; [`TurnOptions::check`] has no say: a
    /// turn without a result is an error.
    ///
    /// # Errors
    ///
    /// As [`Session::run_as`]; [`ErrorKind::InvalidOption`] for [`Ask`](crate::Approvals::Ask) without a policy.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the turn on the server and takes the tool back.
    pub async fn run_as_with<T: DeserializeOwned>(
        &self,
        prompt: impl Into<Prompt>,
        schema: &Value,
        options: TurnOptions,
    ) -> Result<Structured<T>, Error> {
        self.can_run(&options, "use a policy")?;
        if self.tools.names().any(|name| name == Submission::TOOL) {
            let message =
                format!("schema: the session already has a tool named {:?}", Submission::TOOL);
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        let resend = options.resend.or(Some(Resend::IfUncommitted));
        let mut options = TurnOptions { check: true, events: false, resend, ..options };
        options.allow.push(Submission::TOOL.to_owned());
        let mut submission = Submission::new(schema, self.client.new_id(Submission::TOOL))?;
        let mut content = submission.content(&prompt.into().0)?;
        let closings = self.own.closings();
        let go_on = || {
            if self.own.closings() == closings {
                return Ok(());
            }
            let message = "the session was closed before a result was submitted";
            Err(Error::new(ErrorKind::TurnAborted, message))
        };
        let conversation = format!("{}/{}", self.agent_id(), self.conversation_id());
        let _lane = self.client.submissions().enter(conversation).await;
        go_on()?;
        // Dropped before the lane: whoever comes next registers the tool anew.
        let mut offer = Offer::new(self, &submission)?;
        offer.register(&submission).await?;
        let (mut output, mut before) = (None, TurnResult::default());
        loop {
            go_on()?;
            let turn = self.sent(Prompt(content), options.clone(), &[submission.scope()])?;
            let outcome = offer.follow(turn, &mut submission, &mut output).await;
            let result = summed(outcome, &before)?;
            let step = submission.turn_ended(&failed(&result));
            if let Some(output) = output {
                return Ok(Structured { output, result });
            }
            // By `close`, after which a turn is no error.
            if result.status == Some(TurnStatus::Aborted) {
                let message = "it was stopped before a result was submitted";
                return Err(Error::new(ErrorKind::TurnAborted, message).with_result(result));
            }
            let NextStep::Repair(repair) = step else { return Err(submission.error(result)) };
            (content, before) = (repair.into(), result);
        }
    }
}

/// The outcome of a turn, with what the turn before has used.
fn summed(outcome: Result<TurnResult, Error>, before: &TurnResult) -> Result<TurnResult, Error> {
    outcome.map(|result| result.with_before(before)).map_err(|error| {
        match error.result().cloned() {
            Some(result) => error.with_result(result.with_before(before)),
            None => error,
        }
    })
}

/// The outputs of the calls of the tool that ended with an error.
fn failed(result: &TurnResult) -> Vec<&str> {
    let calls = result.tool_calls.iter();
    let failed = calls
        .filter(|call| call.name == Submission::TOOL && call.status.as_deref() == Some("error"));
    failed.filter_map(|call| call.output.as_deref()).collect()
}

/// The tool for one result. Dropping it takes the tool back and leaves the session's own, without waiting: a
/// future that is dropped could not wait.
struct Offer<'a> {
    session: &'a Session,
    calls: ToolCalls,
    /// Who offers it: the scope that is used once.
    owner: String,
}

impl<'a> Offer<'a> {
    fn new(session: &'a Session, submission: &Submission) -> Result<Self, Error> {
        let calls = session.client.tool_calls_of(&session.runtime, [Submission::TOOL])?;
        Ok(Self { session, calls, owner: submission.scope().to_owned() })
    }

    /// Registers it beside the tools that are there.
    async fn register(&self, submission: &Submission) -> Result<(), Error> {
        let groups = json!([{ "scope_id": submission.scope(), "tools": [submission.tool()] }]);
        let groups = groups.to_string();
        let connection = self.session.client.shared_connection();
        let runtime = self.session.place();
        let command = connection.registration(&runtime, &groups);
        connection.offer_tools(runtime, self.owner.clone(), Some(groups));
        let command: Value = serde_json::from_str(&command).unwrap_or_default();
        let kind = command["type"].as_str().unwrap_or_default().to_owned();
        let options = RequestOptions { check: Check::Offer, ..RequestOptions::default() };
        self.session.client.ask(&kind, command, options).await.map(drop)
    }

    /// Waits for the end of a turn, and answers the calls of the tool meanwhile.
    async fn follow<T: DeserializeOwned>(
        &mut self,
        mut turn: Turn,
        submission: &mut Submission,
        output: &mut Option<T>,
    ) -> Result<TurnResult, Error> {
        loop {
            // Calls first: those that came before the turn's end count.
            tokio::select! {
                biased;
                Some(call) = self.calls.next() => {
                    if let Some(value) = take(call, submission) {
                        *output = Some(value);
                    }
                }
                result = turn.result() => return result,
            }
        }
    }
}

/// Answers a call.
fn take<T: DeserializeOwned>(call: ToolCallRequest, submission: &mut Submission) -> Option<T> {
    if let Some(answer) = submission.late(call.json()["scope_id"].as_str()) {
        call.answer(&answer);
        return None;
    }
    let (value, problems) = match load(call.input(), submission) {
        Ok(value) => (Some(value), Vec::new()),
        Err(problems) => (None, problems),
    };
    call.answer(&submission.submitted(problems));
    value
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        let session = self.session;
        let owner = std::mem::take(&mut self.owner);
        session.client.shared_connection().offer_tools(session.place(), owner, None);
    }
}

/// The value within the arguments of a call. A type may ask for more than its schema says.
fn load<T: DeserializeOwned>(arguments: &Value, submission: &Submission) -> Result<T, Vec<String>> {
    let output = submission.output(arguments)?;
    serde_path_to_error::deserialize(output).map_err(|error| {
        let path = error.path().to_string();
        vec![problem(submission.field(), &path, &error.inner().to_string())]
    })
}

/// What is wrong, beginning with its field where it has one.
fn problem(root: Option<&str>, path: &str, what: &str) -> String {
    // serde tells which field is missing in words, since there is no path to it.
    let missing = what.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let steps = [root, Some(path).filter(|path| *path != "."), missing].into_iter().flatten();
    let field = steps.fold(String::new(), |field, step| match step {
        step if field.is_empty() || step.starts_with('[') => field + step,
        step => field + "." + step,
    });
    let what = if missing.is_some() { "is missing" } else { what };
    if field.is_empty() { what.to_owned() } else { format!("{field}: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Finding {
        file: String,
        line: u32,
    }

    fn wrong<T: DeserializeOwned>(kind: &str, arguments: &Value) -> String {
        let submission = Submission::new(&json!({ "type": kind }), "scope-1").unwrap();
        load::<T>(arguments, &submission).err().unwrap().join("; ")
    }

    #[test]
    fn what_is_wrong_begins_with_its_field() {
        let finding = |arguments| wrong::<Finding>("object", &arguments);
        assert_eq!(finding(json!({ "file": "a" })), "line: is missing");
        let told = finding(json!({ "file": "a", "line": "x" }));
        assert_eq!(told, "line: invalid type: string \"x\", expected u32");
        let told = finding(json!({ "file": "a", "line": 1, "rest": true }));
        assert_eq!(told, "rest: unknown field `rest`, expected `file` or `line`");
        assert_eq!(finding(json!(7)), "result: expected an object, got 7");
    }

    #[test]
    fn what_is_wrong_in_a_list_has_its_number() {
        let findings = |result| wrong::<Vec<Finding>>("array", &result);
        let told = findings(json!({ "value": 3 }));
        assert_eq!(told, "result: expected an array, but it is missing");
        let told = findings(json!({ "result": [{ "file": "a" }] }));
        assert_eq!(told, "result[0].line: is missing");
        let told = findings(json!({ "result": [{ "file": 1, "line": 1 }] }));
        assert_eq!(told, "result[0].file: invalid type: integer `1`, expected a string");
        let told = findings(json!({ "result": 7 }));
        assert_eq!(told, "result: expected an array, got 7");
    }
}
