//! The programs in `examples/rust`, each run as its reader would, against the server double. Cargo builds
//! them before the tests of the whole package.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(50);

fn double(turns: Vec<ScriptedTurn>) -> MockServer {
    MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap()
}

/// Where cargo puts examples, seen from where it puts tests.
fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let path = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.exists(),
        "{} is missing: test the whole package, or build --examples",
        path.display()
    );
    path
}

fn program(name: &str, server: &MockServer) -> Command {
    let mut command = Command::new(path(name));
    command.env("LETTA_URL", server.url()).env("LETTA_MODEL", "test/model");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads a stream to its end, for as long as it may take.
fn reading(mut stream: impl Read + Send + 'static) -> impl FnOnce() -> Option<String> {
    let (to, from) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        to.send(text)
    });
    move || from.recv_timeout(LONG).ok()
}

/// Runs a program to its end, which has to be a good one; gives what it printed, on both streams.
fn finished(mut command: Command, stdin: &str) -> (String, String) {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = reading(child.stdout.take().unwrap());
    let errors = reading(child.stderr.take().unwrap());
    let (Some(output), Some(errors)) = (output(), errors()) else {
        child.kill().unwrap();
        panic!("{command:?} does not end");
    };
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}: {errors}");
    (output, errors)
}

/// [`finished`] of a program that complains about nothing, and sends nothing malformed.
fn run(name: &str, server: &MockServer, stdin: &str) -> String {
    let (output, errors) = finished(program(name, server), stdin);
    assert_eq!((errors.as_str(), server.unexpected()), ("", Vec::new()));
    output
}

/// The commands of a type that the server got.
fn received(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

fn prompts(server: &MockServer) -> Vec<String> {
    let payloads = received(server, "input").into_iter().map(|mut input| input["payload"].take());
    let messages = payloads.filter(|payload| payload["kind"] == "create_message");
    messages.map(|one| one["messages"][0]["content"].as_str().unwrap().to_owned()).collect()
}

fn failing(text: &str) -> ScriptedTurn {
    ScriptedTurn { error: Some("no credits".to_owned()), ..ScriptedTurn::text([text]) }
}

/// A turn that wants three permissions.
fn permissions() -> ScriptedTurn {
    let mut turn = ScriptedTurn::text(["done"]);
    turn.tool_calls = vec![
        ScriptedCall::new("Read", json!({ "file_path": "a.rs" })),
        ScriptedCall::asking("Bash", json!({ "command": "cargo test --all" })),
        ScriptedCall::asking("Bash", json!({ "command": "cargo test; git push" })),
        ScriptedCall::asking("Write", json!({ "file_path": "b.rs" })),
    ];
    turn
}

#[test]
fn quickstart() {
    let server = double(vec![ScriptedTurn::text(["All ", "pass."])]);
    assert_eq!(run("quickstart", &server, ""), "Some(\"end_turn\") \"All pass.\" 12\n");
}

#[test]
fn ask_once() {
    let server = double(vec![ScriptedTurn::text(["Ju", "piter."])]);
    assert_eq!(run("ask_once", &server, ""), "Jupiter.\n[end_turn, 12 tokens]\n");
    let expected =
        json!({ "body": { "name": "helper", "model": "test/model" }, "pin_global": false });
    assert_eq!(received(&server, "runtime_start")[0]["create_agent"], expected);
}

#[test]
fn chat_loop() {
    let turns =
        vec![ScriptedTurn::text(["Hel", "lo."]), failing("Half"), ScriptedTurn::text(["Bye."])];
    let server = double(turns);
    let said = run("chat_loop", &server, "hello\n\nand now?\ngoodbye");
    assert_eq!(said, "Hello.\nHalf\n[no credits]\nBye.\n[36 tokens in all]\n");
    assert_eq!(prompts(&server), ["hello", "and now?", "goodbye"]);
}

#[test]
fn stream_to_terminal() {
    let mut turn = ScriptedTurn::text(["One ", "file."]);
    let call = ScriptedCall::new("Bash", json!({ "command": "ls" }));
    turn.tool_calls = vec![ScriptedCall { result: "a.rs\n".to_owned(), ..call }];
    turn.reasoning = vec!["hm".to_owned()];
    let said = run("stream_to_terminal", &double(vec![turn]), "");
    assert_eq!(said, "[Bash is called]\n[success: a.rs]\nOne file.\n[completed, 4 tokens]\n");
}

#[test]
fn approve_interactively() {
    let asked = "Bash {\"command\":\"cargo test --all\"}? [y/n] \
        Bash {\"command\":\"cargo test; git push\"}? [y/n] Write {\"file_path\":\"b.rs\"}? [y/n] ";
    for (stdin, outcomes) in [
        ("y\nno\nYES\n", ["success", "success", "error", "success"]),
        // Nobody answers the rest.
        ("n\n", ["success", "error", "error", "error"]),
    ] {
        let said = run("approve_interactively", &double(vec![permissions()]), stdin);
        let tools = ["Read", "Bash", "Bash", "Write"].into_iter().zip(outcomes);
        let ran: Vec<_> = tools.map(|(tool, outcome)| format!("{tool}: {outcome}")).collect();
        assert_eq!(said, format!("{asked}{}\ndone\n", ran.join("\n")));
    }
}

#[test]
fn approve_by_policy() {
    let said = run("approve_by_policy", &double(vec![permissions()]), "");
    let lines: Vec<_> = said.lines().collect();
    let expected = [
        "done",
        r#"Bash {"command":"cargo test --all"}: allow by tests"#,
        r#"Bash {"command":"cargo test; git push"}: deny by deny(Bash)"#,
        r#"Write {"file_path":"b.rs"}: deny by no rule"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn tool_from_function() {
    let arguments = json!({ "color": "red", "at_least": 20 });
    for call in [ScriptedCall::new, ScriptedCall::asking] {
        let turn = ScriptedTurn::text(["Cherries."]).call(call("stock", arguments.clone()));
        let server = double(vec![turn]);
        let said = run("tool_from_function", &server, "");
        assert_eq!(said, "[stock: Wanted { color: Some(\"red\"), at_least: 20 }]\nCherries.\n");
        let answers = received(&server, "external_tool_call_response");
        let told = answers[0]["result"]["content"][0]["text"].as_str().unwrap();
        let told: Value = serde_json::from_str(told).unwrap();
        assert_eq!(told, json!([{ "name": "cherry", "color": "red", "count": 70 }]));
    }
}

#[test]
fn structured_output() {
    let submits = |call| ScriptedTurn::text(["Done."]).call(call);
    let worst =
        json!({ "file": "a.rs", "line": 3, "why": "It divides by zero.", "severity": "high" });
    let listed = json!([{ "file": "b.rs", "line": 7, "why": "It waits for ever." }]);
    let worst = submits(ScriptedCall::asking("submit_result", worst));
    let question = ScriptedTurn::text(["What do you mean?"]);
    let listed = submits(ScriptedCall::new("submit_result", json!({ "result": listed })));
    let first = "a.rs:3: It divides by zero. [high]";
    let server = double(vec![worst.clone(), question.clone(), listed]);
    let said = run("structured_output", &server, "");
    assert_eq!(said, format!("{first}\nb.rs:7: It waits for ever. [low]\n"));
    let empty = ScriptedCall::new("submit_result", json!({}));
    let server = double(vec![worst, question, submits(empty)]);
    let said = run("structured_output", &server, "");
    assert_eq!(
        said,
        format!(
            "{first}\nno list: \"Done.\"\nsubmit_result tool missing required parameter: result. \
             Received parameters: \n"
        )
    );
}

#[test]
fn many_prompts() {
    let server = double(vec![ScriptedTurn::text(["It is one."])]);
    let (said, told) = finished(program("many_prompts", &server), "");
    let wanted: Vec<_> =
        (1..=6).map(|number| format!("Describe the number {number} in one sentence.")).collect();
    let mut lines: Vec<_> = wanted.iter().map(|prompt| format!("{prompt} -> It is one.")).collect();
    lines.push("[72 tokens in all]".to_owned());
    assert_eq!(said.lines().collect::<Vec<_>>(), lines);
    assert_eq!(told.lines().last(), Some("6 of 6"));
    let mut asked = prompts(&server);
    asked.sort_unstable();
    assert_eq!(asked, wanted);
    let inputs = received(&server, "input");
    let runtimes: BTreeSet<_> = inputs.iter().map(|input| input["runtime"].to_string()).collect();
    assert_eq!(runtimes.len(), wanted.len());
}

#[test]
fn stop_after_a_limit() {
    let hanging = ScriptedTurn { hang: true, ..ScriptedTurn::text(["Once upon ", "a time"]) };
    let server = double(vec![hanging]);
    let mut command = program("stop_after_a_limit", &server);
    command.env("SECONDS", "1.5");
    let (said, _) = finished(command, "");
    assert_eq!(said, "[stopped after 1.5 s]\nOnce upon a time\n[0 tool calls]\n");
    assert_eq!(received(&server, "abort_message").len(), 1);
    let server = double(vec![ScriptedTurn::text(["The end."])]);
    assert_eq!(run("stop_after_a_limit", &server, ""), "The end.\n");
}

#[test]
fn watch_a_conversation() {
    let turn = ScriptedTurn::text(["Hel", "lo."]).call(ScriptedCall::new("Read", json!({})));
    assert_eq!(run("watch_a_conversation", &double(vec![turn]), ""), "Hello.\n[end_turn]\n");
}

#[test]
fn own_server() {
    // Its server is another program, which knows a real server's options.
    let mut command = program("own_server", &double(Vec::new()));
    command.env_remove("LETTA_URL").arg(path("double")).args(["Ju", "piter."]);
    let (said, errors) = finished(command, "");
    assert_eq!(errors, "");
    let (first, rest) = said.split_once('\n').unwrap();
    assert!(first.starts_with("[ws://127.0.0.1:") && first.ends_with(" is ready]"), "{first}");
    assert_eq!(rest, "Jupiter.\n");
}

/// Ends a program that does not end by itself.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Status line and body of an answer, and whether the body is whole.
fn get(address: &str, target: &str) -> (String, String, bool) {
    let mut stream = asked(address, target);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (status, body, true);
        }
        body.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    (status, body, false)
}

fn asked(address: &str, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    stream
}

/// Asks a program to end, which it has to do well.
#[cfg(unix)]
fn terminates(program: &mut Child) {
    assert!(Command::new("kill").arg(program.id().to_string()).status().unwrap().success());
    assert!(program.wait().unwrap().success());
}

#[cfg(not(unix))]
fn terminates(_: &mut Child) {}

#[test]
fn web_endpoint() {
    let endless = ScriptedTurn { delay_ms: 10, ..ScriptedTurn::text(vec!["on and on "; 2000]) };
    let silent = ScriptedTurn { hang: true, ..ScriptedTurn::text([""; 0]) };
    let turns = vec![ScriptedTurn::text(["Grüß ", "Gott"]), failing("half"), endless, silent];
    let server = double(turns);
    let mut command = program("web_endpoint", &server);
    let mut endpoint = Running(command.env("PORT", "0").spawn().unwrap());
    let mut lines = BufReader::new(endpoint.0.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    let address = ready.strip_prefix("ready: http://").unwrap().trim_end_matches('/').to_owned();
    let ok = "HTTP/1.1 200 OK".to_owned();
    assert_eq!(get(&address, "/?q=say%20hell%C3%B6"), (ok.clone(), "Grüß Gott".to_owned(), true));
    // What is not a whole answer cannot be taken for one.
    assert_eq!(get(&address, "/?q=more+of+it"), (ok, "half".to_owned(), false));
    for target in ["/", "/?q=", "/?q=%zz"] {
        assert_eq!(get(&address, target).0, "HTTP/1.1 400 Bad Request", "{target}");
    }
    // A reader who goes away stops the turn.
    let mut stream = asked(&address, "/?q=on");
    stream.read_exact(&mut [0; 200]).unwrap();
    drop(stream);
    assert!(server.wait_received("abort_message", 1, LONG));
    // ... also while the agent says nothing.
    let stream = asked(&address, "/?q=and");
    assert!(server.wait_received("input", 4, LONG));
    drop(stream);
    assert!(server.wait_received("abort_message", 2, LONG));
    for reason in ["the turn is Some(Failed)", "the reader has gone", "the reader has gone"] {
        assert_eq!(lines.next().unwrap().unwrap(), format!("a request failed: {reason}"));
    }
    assert_eq!(prompts(&server), ["say hellö", "more of it", "on", "and"]);
    terminates(&mut endpoint.0);
}

#[test]
fn every_program_is_run_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rust");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(include_str!("examples.rs").contains(&format!("\"{name}\", &")), "{name}");
    }
}
