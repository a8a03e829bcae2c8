//! What a recording of a client has, what it has not, and that it is whole.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::Path;
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, Payload, ScriptOptions, ScriptedTurn, Trace, TraceEvent, replay,
};
use letta_app_client::{
    Client, ConnectOptions, Direction, ErrorKind, Event, RecordOptions, SessionOptions,
};
use serde_json::{Value, json};

const TOKEN: &str = "s3cret-t0ken";

/// One turn with a prompt, and the answer to `secret_list`.
async fn talk(server: &MockServer, record: RecordOptions) {
    let options = ConnectOptions::new(server.url()).token(TOKEN).record(record);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
    session.run(format!("What is {TOKEN}?").as_str()).await.unwrap();
    client.request("secret_list", json!({"agent_id": "agent-1"})).await.unwrap();
    session.run("And hunter22?").await.unwrap();
    client.close().await;
    assert_eq!(client.counters().unrecorded, 0);
}

fn server(generation: Generation) -> MockServer {
    let secrets = json!({"secrets": [{"key": "PASSWORD", "value": "hunter22"}]});
    MockServer::scripted(ScriptOptions {
        generation,
        token: Some(TOKEN.to_owned()),
        turns: vec![ScriptedTurn::text(["4", "2"])],
        answers: [("secret_list".to_owned(), secrets)].into(),
        ..ScriptOptions::default()
    })
    .unwrap()
}

fn frames(trace: &Trace, sent: bool) -> Vec<Value> {
    let frame = |event: &TraceEvent| match event {
        TraceEvent::Sent(Payload::Frame(frame)) if sent => Some(frame.get().to_owned()),
        TraceEvent::Received(Payload::Frame(frame)) if !sent => Some(frame.get().to_owned()),
        _ => None,
    };
    let texts = trace.lines.iter().filter_map(|line| frame(&line.event));
    texts.map(|text| serde_json::from_str(&text).unwrap()).collect()
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()).collect()
}

#[tokio::test]
async fn every_frame_both_ways_and_no_secret() {
    for generation in [Generation::Single, Generation::Split] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.letta.jsonl");
        let server = server(generation);
        talk(&server, RecordOptions::new(&path)).await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(TOKEN) && !text.contains("hunter22"), "{text}");
        let trace = Trace::read(&path).unwrap();
        let sent = frames(&trace, true);
        let seen: Vec<Value> =
            server.received().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(kinds(&sent), kinds(&seen), "{generation:?}");
        let ends = frames(&trace, false);
        let ends = ends.iter().filter(|frame| frame["delta"]["message_type"] == "stop_reason");
        assert_eq!(ends.count(), 2);
        let sockets = if generation == Generation::Single { 1 } else { 2 };
        let count = |wanted: fn(&TraceEvent) -> bool| {
            trace.lines.iter().filter(|line| wanted(&line.event)).count()
        };
        assert_eq!(count(|event| matches!(event, TraceEvent::Open { .. })), sockets);
        assert_eq!(count(|event| matches!(event, TraceEvent::Close { .. })), sockets);
    }
}

/// Secrets that are ordinary words leave the protocol's own words alone.
#[tokio::test]
async fn a_recording_without_ordinary_words_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let server = MockServer::scripted(ScriptOptions {
        turns: vec![ScriptedTurn::text(["4", "2"])],
        answers: [("secret_apply".to_owned(), json!({"names": ["A", "B"]}))].into(),
        ..ScriptOptions::default()
    })
    .unwrap();
    let program = async |options: ConnectOptions| {
        let client = Client::new(options).unwrap();
        client.connect().await.unwrap();
        let set = json!({"A": "true", "B": "agent", "C": "input", "D": "user"});
        let apply = json!({"agent_id": "agent-1", "set": set, "unset": []});
        client.request("secret_apply", apply).await.unwrap();
        let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
        let turn = session.run("PRIVATE").await.unwrap();
        client.close().await;
        turn.text
    };
    let query = "?debug=true&client=agent&trace=input";
    let options = ConnectOptions::new(format!("{}/ws{query}", server.url()));
    let record = RecordOptions::new(&path).redact_fields(["content"]);
    let text = program(options.record(record)).await;
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains("\"raw\"") && !written.contains("PRIVATE"), "{written}");
    assert_eq!(program(ConnectOptions::replay(replay(&path))).await, "[redacted][redacted]");
    assert_eq!(text, "42");
}

#[tokio::test]
async fn a_redactor_sees_each_frame_and_named_fields_are_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let redact = |direction: Direction, text: &str| {
        assert!(!text.contains(TOKEN) && !text.contains("hunter22"), "{text}");
        if text.contains("update_device_status") {
            return None;
        }
        Some(text.replace(r#""type""#, &format!(r#""went":"{}","type""#, direction.as_str())))
    };
    let record = RecordOptions::new(&path).redact_fields(["content"]).redact(redact);
    talk(&server(Generation::Single), record).await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("What is") && !text.contains("update_device_status"), "{text}");
    assert!(text.contains("a frame was left out (recv)"));
    let trace = Trace::read(&path).unwrap();
    let went = |frame: &Value, how: &str| frame["went"] == how || frame.to_string().contains(how);
    assert!(frames(&trace, true).iter().all(|frame| went(frame, "send")));
    assert!(frames(&trace, false).iter().all(|frame| went(frame, "recv")));
}

#[tokio::test]
async fn a_redactor_that_fails_leaves_frames_out_and_they_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let server = server(Generation::Single);
    let redact = |_: Direction, text: &str| {
        assert!(!text.contains("update_queue"), "what it cannot write");
        Some(text.to_owned())
    };
    let record = RecordOptions::new(&path).redact(redact);
    let client =
        Client::new(ConnectOptions::new(server.url()).token(TOKEN).record(record)).unwrap();
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
    session.run("?").await.unwrap();
    client.close().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let failed = text.matches("a frame was left out (recv): the redactor failed").count() as u64;
    assert!(failed > 0 && !text.contains("are missing"), "{text}");
    assert_eq!(client.counters().unrecorded, failed);
}

#[tokio::test]
async fn a_frame_that_is_no_json_is_left_out_where_something_is_to_be_hidden_and_it_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let server = server(Generation::Single);
    let record = RecordOptions::new(&path).redact_fields(["content"]);
    let client =
        Client::new(ConnectOptions::new(server.url()).token(TOKEN).record(record)).unwrap();
    client.connect().await.unwrap();
    server.push(r#"{"content": "PRIVATE"#);
    // Its answer comes behind it.
    client.session(SessionOptions::agent("agent-1")).await.unwrap();
    client.close().await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("a frame was left out (recv): it is not JSON"), "{text}");
    assert!(!text.contains("PRIVATE") && !text.contains("are missing"), "{text}");
    let counters = client.counters();
    assert_eq!((counters.malformed, counters.unrecorded), (1, 1));
}

#[tokio::test]
async fn a_close_waits_for_a_redactor_that_takes_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let redact = |_: Direction, text: &str| {
        std::thread::sleep(Duration::from_millis(10));
        Some(text.to_owned())
    };
    // Its frames take longer than nothing, and less than a close may.
    talk(&server(Generation::Single), RecordOptions::new(&path).redact(redact)).await;
    let trace = Trace::read(&path).unwrap();
    assert!(matches!(trace.lines.last().unwrap().event, TraceEvent::Close { .. }));
}

/// The files of a recording, the newest first.
fn files(path: &Path) -> Vec<Trace> {
    let older = (1..).map(|number| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    });
    let paths = std::iter::once(path.to_owned()).chain(older);
    paths.take_while(|path| path.exists()).map(|path| Trace::read(path).unwrap()).collect()
}

#[tokio::test]
async fn a_full_file_is_moved_aside_and_the_new_one_says_what_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut record = RecordOptions::new(&path);
    record.max_bytes = 8 * 1024;
    record.max_files = 2;
    talk(&server(Generation::Single), record.clone()).await;
    let kept = files(&path);
    assert_eq!(kept.len(), 3);
    for trace in &kept {
        let opens = |line: &&letta_app_client::testing::TraceLine| {
            matches!(line.event, TraceEvent::Open { .. })
        };
        assert_eq!(trace.lines.iter().filter(opens).count(), 1);
    }
    let before = kept[0].lines.len();
    // The next recording does not write over the last one.
    record.max_bytes = u64::MAX;
    talk(&server(Generation::Single), record).await;
    assert_eq!(files(&path)[1].lines.len(), before);
}

/// A start that fails, and again, as in a loop that starts a program anew.
#[tokio::test]
async fn attempts_that_fail_push_no_recording_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let record = RecordOptions::new(&path);
    let nowhere = ConnectOptions::new("ws://127.0.0.1:1").record(record.clone());
    let fail = async || {
        let client = Client::new(nowhere.clone()).unwrap();
        assert!(client.connect().await.is_err());
        client.close().await;
    };
    fail().await;
    talk(&server(Generation::Single), record.clone()).await;
    let good = std::fs::read_to_string(&path).unwrap();
    for _ in 0..4 {
        fail().await;
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
    assert_eq!(files(&path).len(), 1);
    talk(&server(Generation::Single), record).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("run.1")).unwrap(), good);
    assert_eq!(files(&path).len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn the_user_is_told_once_of_lines_that_could_not_be_written() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let read = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(std::fs::File::open(path).unwrap()).read_line(&mut line).unwrap();
            line
        })
    };
    let server = server(Generation::Single);
    let record = RecordOptions::new(&path);
    let client =
        Client::new(ConnectOptions::new(server.url()).token(TOKEN).record(record)).unwrap();
    let mut events = client.events();
    assert!(read.join().unwrap().contains("recorded by letta-app-client"));
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
    session.run("?").await.unwrap();
    client.close().await;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Unrecorded { reason } = event {
            told.push(reason);
        }
    }
    let [told] = &*told else { panic!("{told:?}") };
    let begin = format!("lines are missing in the recording {}: ", path.display());
    assert!(told.starts_with(&(begin + "they could not be written (")), "{told}");
    // The socket, its end, and at least a frame each for a session and a turn.
    assert!(client.counters().unrecorded >= 4);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = ConnectOptions::new("ws://127.0.0.1:1").record(RecordOptions::new(folder.path()));
    let error = Client::new(options).unwrap_err();
    assert!(error.message().starts_with("record: cannot write "), "{error}");
}

#[tokio::test]
async fn a_file_that_another_client_writes_is_refused_until_that_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let record = RecordOptions::new(folder.path().join("run"));
    let options = ConnectOptions::new(server.url()).record(record);
    let first = Client::new(options.clone()).unwrap();
    first.connect().await.unwrap();
    let error = Client::new(options.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.message().ends_with("run: another recording is being written to it"), "{error}");
    assert_eq!(error.hint(), Some("give each client a file of its own"));
    first.close().await;
    let second = Client::new(options).unwrap();
    second.close().await;
    assert_eq!(second.counters().unrecorded, 0);
}

/// A process that dies leaves lines that are whole, but for the last.
#[test]
fn a_broken_last_line_is_passed_over_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torn");
    let line = r#"{"t_ms":1,"event":"note","text":"whole"}"#;
    std::fs::write(&path, format!("{line}\n{{\"t_ms\":2,\"eve")).unwrap();
    assert_eq!(Trace::read(&path).unwrap().lines.len(), 1);
    std::fs::write(&path, format!("{{\"t_ms\":2,\"eve\n{line}\n")).unwrap();
    assert!(Trace::read(&path).is_err());
    // Within a character.
    let cut = "{\"t_ms\":2,\"event\":\"note\",\"text\":\"gr\u{fc}".as_bytes();
    let cut = [line.as_bytes(), b"\n", &cut[..cut.len() - 1]].concat();
    std::fs::write(&path, cut).unwrap();
    assert_eq!(Trace::read(&path).unwrap().lines.len(), 1);
}

#[test]
fn what_is_no_text_is_named_by_its_line_and_a_byte_order_mark_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved");
    let line = r#"{"t_ms":1,"event":"note","text":"whole"}"#;
    std::fs::write(&path, format!("\u{feff}{line}\r\n{line}\r\n")).unwrap();
    assert_eq!(Trace::read(&path).unwrap().lines.len(), 2);
    let latin = [line.as_bytes(), b"\n{\"text\":\"\xff\"}\n", line.as_bytes(), b"\n"].concat();
    std::fs::write(&path, latin).unwrap();
    let error = Trace::read(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("saved:2: expected UTF-8, got a byte that is none at column 10"),
        "{error}"
    );
}

/// The child of the next test: records, and waits to be killed.
#[tokio::test]
#[ignore = "started by the next one"]
async fn recording_child() {
    let (Ok(url), Ok(path)) = (std::env::var("RECORD_URL"), std::env::var("RECORD_PATH")) else {
        return;
    };
    let options = ConnectOptions::new(url).record(RecordOptions::new(path));
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
    session.run("For ever").await.unwrap();
}

#[test]
fn a_process_that_is_killed_loses_at_most_its_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed");
    let pieces: Vec<String> = (0..50_000).map(|number| format!("tok{number} ")).collect();
    let turns = vec![ScriptedTurn { delay_ms: 1, ..ScriptedTurn::text(pieces) }];
    let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["recording_child", "--ignored", "--exact"])
        .env("RECORD_URL", server.url())
        .env("RECORD_PATH", &path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !text().contains("tok200 ") {
        assert!(std::time::Instant::now() < deadline, "{}", text());
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let text = text();
    let trace = Trace::read(&path).unwrap();
    assert!(trace.lines.len() + 1 >= text.lines().count(), "more than the last line is missing");
    assert!(trace.lines.len() > 200);
}

#[tokio::test]
async fn a_file_in_which_nothing_fits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let record = RecordOptions::new(folder.path().join("r.jsonl")).max_bytes(0);
    let options = ConnectOptions::new("ws://127.0.0.1:1").record(record);
    let error = Client::new(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert_eq!(error.message(), "record.max_bytes: expected a number from 1, got 0");
}
