//! From what a user passes in to a frame that can be sent: ids added, fields checked, everything
//! else byte for byte as it came.

use std::borrow::Cow;

use crate::check::Check;
use crate::engine::{Correlation, Ids};
use crate::error::{Error, ErrorKind};
use crate::options::SERVERS_LIMIT;
use crate::protocol::Text;
use crate::protocol::edits::Edits;
use crate::protocol::node::{Json, Node};
use crate::protocol::raw::RawObject;
use crate::protocol::slips::look_for_slips;
use crate::protocol::spec::{CommandSpec, RequestId};
use crate::protocol::validate::{spec, validate_as};
use crate::protocol::version::Version;
use crate::random::uuid;

/// What is left to those who mean a field that is a slip of another.
const ANY_FIELD: &str = "a whole command, given to request, may have any field";

/// A command ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) text: Text,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) request_id: Option<String>,
    pub(crate) runtime: Option<(String, String)>,
    /// Whether it is a new input, which waits for the settle pause.
    pub(crate) settles: bool,
    /// What the catalog says of it.
    spec: Option<&'static CommandSpec>,
    object: Node<'a>,
}

/// What a command needs before it goes out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) check: Check,
    /// Whether an id is added where there is none and the command may carry one. A command that must
    /// carry one gets it in any case.
    pub(crate) request_id: bool,
    pub(crate) max_bytes: usize,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidCommand, message)
}

/// Reads a command; `not_an_object` makes an error of what is none.
fn read(
    command: &str,
    not_an_object: impl FnOnce(serde_json::Error) -> Error,
) -> Result<Node<'_>, Error> {
    Node::object(command).map_err(|error| match RawObject::parse(command) {
        Ok(_) => invalid(format!("command: not valid JSON ({error})")),
        Err(error) => not_an_object(error),
    })
}

/// Checks a command and completes it.
pub(crate) fn prepare<'a>(
    command: &'a str,
    needs: Needs,
    ids: &Ids,
) -> Result<Prepared<'a>, Error> {
    let mut object = read(command, |error| {
        let start: String = command.chars().take(40).collect();
        invalid(format!("command: expected a JSON object, got {start:?} ({error})"))
    })?;
    let kind = match object.get("type").map(|kind| (&kind.json, &command[kind.at.clone()])) {
        Some((Json::Text(kind), _)) => kind.clone(),
        Some((_, text)) => {
            return Err(invalid(format!("field `type`: expected string, got {text}")));
        }
        None => return Err(invalid("field `type`: expected string, got nothing")),
    };
    let spec = spec(&kind);
    let wanted = match spec.map(|spec| spec.request_id) {
        Some(RequestId::Required) => needs.request_id || needs.check != Check::Shape,
        Some(RequestId::None) => false,
        Some(RequestId::Optional) | None => needs.request_id,
    };
    let mut edits = Edits::new(command, &object);
    if wanted && object.get("request_id").is_none() {
        edits.set(&mut object, "request_id", ids.next_of_command(&kind));
    }
    fits(&edits, &kind, needs.max_bytes)?;
    let prepared = checked(object, kind, spec, needs.check)?;
    Ok(Prepared { text: Text::from(edits.apply()), ..prepared })
}

/// A command without its text.
fn checked<'a>(
    object: Node<'a>,
    kind: Cow<'a, str>,
    spec: Option<&'static CommandSpec>,
    check: Check,
) -> Result<Prepared<'a>, Error> {
    if check != Check::Shape
        && let Some(spec) = spec
    {
        // First: a field that is missing is often there under another name.
        if let Check::Documented(options) | Check::Opening(options) = check {
            look_for_slips(spec, &object, options)
                .map_err(|slip| invalid(format!("`{kind}`: {slip}")).with_hint(ANY_FIELD))?;
        }
        validate_as(spec, &object)
            .map_err(|violation| invalid(format!("`{kind}`: {violation}")))?;
    }
    let runtime = object.get("runtime").and_then(|scope| {
        let ids = scope.text("agent_id").zip(scope.text("conversation_id"));
        ids.map(|(agent, conversation)| (agent.to_owned(), conversation.to_owned()))
    });
    let payload_kind = object.get("payload").and_then(|payload| payload.text("kind"));
    Ok(Prepared {
        text: Text::default(),
        settles: kind == "input" && payload_kind == Some("create_message"),
        request_id: object.text("request_id").map(str::to_owned),
        kind,
        runtime,
        spec,
        object,
    })
}

fn fits(text: &Edits<'_>, kind: &str, max_bytes: usize) -> Result<(), Error> {
    let size = text.size();
    if size <= max_bytes {
        return Ok(());
    }
    let message = format!("`{kind}` has {size} bytes, above the limit of {max_bytes}");
    let hint = if max_bytes < SERVERS_LIMIT {
        "`max_message_bytes` is the limit; the server itself takes up to 100 MiB"
    } else {
        "the server closes connections that send more than 100 MiB at once"
    };
    Err(Error::new(ErrorKind::MessageTooLarge, message).with_hint(hint))
}

impl Prepared<'_> {
    /// How the answer to this request is recognised, and its type where it is known.
    pub(crate) fn correlation(&self) -> Result<(Correlation, Option<String>), Error> {
        let response = self.spec.and_then(|spec| spec.response).map(str::to_owned);
        if self.spec.is_some() && response.is_none() {
            let message = format!("`{}` has no response; use send for it", self.kind);
            return Err(invalid(message));
        }
        let own = |key: &str| self.object.text(key).map(str::to_owned);
        let correlation = match &*self.kind {
            "terminal_spawn" => own("terminal_id").map(Correlation::Terminal),
            "teleport_request" => own("teleport_id").map(Correlation::Teleport),
            _ => self.request_id.clone().map(Correlation::RequestId),
        };
        let missing = || invalid(format!("`{}`: field `request_id`: expected string", self.kind));
        Ok((correlation.ok_or_else(missing)?, response))
    }

    /// Refuses a command that a server of at most this version does not know, or, when an answer is
    /// expected, does not answer.
    pub(crate) fn check_supported(
        &self,
        newest: Option<Version>,
        answered: bool,
    ) -> Result<(), Error> {
        let (Some(newest), Some(spec)) = (newest, self.spec) else { return Ok(()) };
        let word = spec
            .words_since
            .iter()
            .find(|(field, word, since)| newest < *since && self.object.text(field) == Some(word));
        let kind = &self.kind;
        let (since, what) = match (spec.since, word, spec.answered_since) {
            (Some(since), ..) if newest < since => (since, format!("`{kind}` is known")),
            (_, Some((field, word, since)), _) => {
                (*since, format!("`{kind}` with `{field}: {word}` is known"))
            }
            (.., Some(since)) if answered && newest < since => {
                (since, format!("`{kind}` is answered"))
            }
            _ => return Ok(()),
        };
        let message =
            format!("{what} from server version {since} on; this one is {newest} at most");
        Err(Error::new(ErrorKind::UnsupportedByServer, message)
            .with_hint("update the server; send_raw sends it all the same"))
    }

    /// The runtime whose permission mode it changes, and the mode.
    pub(crate) fn changed_mode(&self) -> Option<((String, String), String)> {
        if self.kind != "change_device_state" {
            return None;
        }
        let mode = self.object.get("payload")?.text("mode")?;
        Some((self.runtime.clone()?, mode.to_owned()))
    }

    /// Whether the answer may come only after a whole turn, as for a recovered approval
    /// (PROTOCOL.md section 13).
    pub(crate) fn answers_approval(&self) -> bool {
        self.kind == "input" && !self.settles
    }
}

/// Completes the `input` of a turn: `type`, `request_id`, and a fresh id on every message that has
/// none (PROTOCOL.md section 17.2, step 1). Returns the ids of all messages.
pub(crate) fn prepare_turn<'a>(
    command: &'a str,
    max_bytes: usize,
    ids: &Ids,
) -> Result<(Prepared<'a>, Vec<String>), Error> {
    let mut object = read(command, |error| invalid(format!("`input`: {error}")))?;
    let mut edits = Edits::new(command, &object);
    edits.set(&mut object, "type", "input");
    if object.get("request_id").is_none() {
        edits.set(&mut object, "request_id", ids.next("input"));
    }
    fits(&edits, "input", max_bytes)?;
    // Checked before it is changed, so that a message about a bad field names what the user wrote.
    let mut prepared = checked(object, "input".into(), spec("input"), Check::Documented(&[]))?;
    if !prepared.settles {
        let message = "`input`: field `payload.kind`: expected \"create_message\" for a turn";
        return Err(
            invalid(message).with_hint("other inputs can be submitted without following a turn")
        );
    }
    let payload = prepared.object.get_mut("payload");
    let messages = match payload.and_then(|payload| payload.get_mut("messages")) {
        Some(Node { json: Json::Array(messages), .. }) if !messages.is_empty() => messages,
        _ => {
            let message =
                "`input`: field `payload.messages`: expected at least one message, got none";
            return Err(invalid(message));
        }
    };
    let mut client_ids = Vec::with_capacity(messages.len());
    for message in messages {
        let own = message.text("client_message_id").filter(|id| !id.is_empty());
        let id = own.map_or_else(uuid, |id| Ok(id.to_owned()))?;
        if own.is_none() {
            edits.set(message, "client_message_id", id.clone());
        }
        client_ids.push(id);
    }
    fits(&edits, "input", max_bytes)?;
    prepared.text = Text::from(edits.apply());
    Ok((prepared, client_ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: &str = r#""runtime":{"agent_id":"a","conversation_id":"c"}"#;

    fn ids() -> Ids {
        Ids::with_prefix("x".to_owned())
    }

    fn send(command: &str) -> Result<Prepared<'_>, Error> {
        let needs = Needs { check: Check::Catalog, request_id: true, max_bytes: 1000 };
        prepare(command, needs, &ids())
    }

    #[test]
    fn an_id_is_added_where_the_command_may_carry_one() {
        let text = |command| send(command).unwrap().text.to_string();
        assert_eq!(
            text(r#"{"type":"agent_list"}"#),
            r#"{"type":"agent_list","request_id":"agent-list-x-1"}"#
        );
        assert_eq!(
            text(r#"{"type":"new_one","n":1.0}"#),
            r#"{"type":"new_one","n":1.0,"request_id":"new-one-x-1"}"#
        );
        let kill = r#"{"type":"terminal_kill","terminal_id":"t"}"#;
        assert_eq!(text(kill), kill);
        assert_eq!(
            text("\n{ \"type\" : \"agent_list\",\n \"n\":1, \"n\":1.50\n} "),
            "{ \"type\" : \"agent_list\",\n \"n\":1, \"n\":1.50,\"request_id\":\"agent-list-x-1\"\n}"
        );
    }

    #[test]
    fn bad_commands_name_the_field() {
        for (command, kind, words) in [
            ("[1]", ErrorKind::InvalidCommand, "expected a JSON object"),
            ("{}", ErrorKind::InvalidCommand, "field `type`: expected string, got nothing"),
            (r#"{"type":7}"#, ErrorKind::InvalidCommand, "field `type`: expected string, got 7"),
            (r#"{"type":"read_file"}"#, ErrorKind::InvalidCommand, "field `path`"),
            (r#"{"type":"read_file","path":5}"#, ErrorKind::InvalidCommand, "expected string"),
            (r#"{"type":"x","n":1e999}"#, ErrorKind::InvalidCommand, "number out of range"),
        ] {
            let error = send(command).unwrap_err();
            assert_eq!(error.kind(), kind, "{command}");
            assert!(error.message().contains(words), "{error}");
        }
        let long = format!(r#"{{"type":"x","a":"{}"}}"#, "a".repeat(1000));
        assert_eq!(send(&long).unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn a_turn_gets_ids_on_every_message_and_keeps_the_rest() {
        let command = format!(
            r#"{{{RUNTIME},"payload":{{"kind":"create_message","messages":[
                {{"role":"user","content":"a","n":1.50}},
                {{"role":"user","content":"b","client_message_id":"own"}}]}}}}"#
        );
        let (prepared, client_ids) = prepare_turn(&command, 10_000, &ids()).unwrap();
        assert_eq!((client_ids.len(), client_ids[1].as_str()), (2, "own"));
        assert_eq!(client_ids[0].len(), 36);
        assert!(prepared.text.contains(r#""n":1.50,"client_message_id":""#), "{}", prepared.text);
        assert_eq!(prepared.runtime, Some(("a".to_owned(), "c".to_owned())));
        assert_eq!(prepared.request_id.as_deref(), Some("input-x-1"));
    }

    #[test]
    fn a_turn_needs_a_message() {
        let turn = |payload: &str| {
            let command = format!(r#"{{{RUNTIME},"payload":{payload}}}"#);
            prepare_turn(&command, 10_000, &ids()).map(|_| ()).unwrap_err().to_string()
        };
        let empty = turn(r#"{"kind":"create_message","messages":[]}"#);
        assert!(empty.contains("payload.messages"), "{empty}");
        let approval = turn(r#"{"kind":"approval_response","request_id":"r","error":"no"}"#);
        assert!(approval.contains("payload.kind"), "{approval}");
        let role = turn(r#"{"kind":"create_message","messages":[{"content":"a"}]}"#);
        assert!(role.contains("payload.messages[0].role"), "{role}");
    }

    #[test]
    fn commands_without_a_response_cannot_be_requested() {
        let kill = send(r#"{"type":"terminal_kill","terminal_id":"t"}"#).unwrap();
        assert!(kill.correlation().unwrap_err().message().contains("no response"));
        let spawn =
            send(r#"{"type":"terminal_spawn","terminal_id":"t","cols":1,"rows":1}"#).unwrap();
        let (correlation, response) = spawn.correlation().unwrap();
        assert_eq!(correlation, Correlation::Terminal("t".to_owned()));
        assert_eq!(response.as_deref(), Some("terminal_spawned"));
    }
}
