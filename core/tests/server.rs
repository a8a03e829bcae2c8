//! A server of your own: that it starts, and above all that it ends. A small program stands in for it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use std::sync::{Arc, Mutex};

use letta_app_client::{ErrorKind, Server, ServerOptions, StopStart, spawn_server};
use serde_json::json;

/// An HTTP server that says where it listens, answers everything with 200, and writes its process id
/// into the folder it runs in. It ignores what it is not told by a signal.
const STAND_IN: &str = r#"
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("arguments:", " ".join(sys.argv[1:]), flush=True)
print("environment:", os.environ.get("LETTA_TEST"), flush=True)
open("pid", "w").write(str(os.getpid()))
print(f"Listening on ws://127.0.0.1:{server.server_port} (stand-in)", flush=True)
server.serve_forever()
"#;

fn options(folder: &tempfile::TempDir) -> ServerOptions {
    ServerOptions {
        command: ["python3", "-c", STAND_IN].map(str::to_owned).into(),
        cwd: Some(folder.path().to_owned()),
        env: vec![("LETTA_TEST".to_owned(), "set".to_owned())],
        ..ServerOptions::default()
    }
}

fn pid(folder: &tempfile::TempDir) -> u32 {
    std::fs::read_to_string(folder.path().join("pid")).unwrap().parse().unwrap()
}

/// Whether a process runs: one that has ended and waits to be noted does not.
fn runs(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z')
}

/// Waits for the end of a process.
fn assert_ends(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while runs(pid) {
        assert!(Instant::now() < deadline, "process {pid} is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_server_starts_with_a_token_and_ends_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = spawn_server(options(&folder)).await.unwrap();
    let pid = pid(&folder);
    assert!(server.url().starts_with("ws://127.0.0.1:"), "{server:?}");
    let token = server.token().unwrap().to_owned();
    assert_eq!(token.len(), 64);
    assert!(!format!("{server:?}").contains(&token), "it is kept out of what is printed");
    let output = server.output().join("\n");
    assert!(output.contains("--listen ws://127.0.0.1:0 --ws-auth capability-token"), "{output}");
    assert!(!output.contains(&token), "only its hash is on the command line");
    assert!(output.contains("environment: set"), "{output}");
    assert_eq!(server.connect_options().token.as_deref(), Some(&*token));
    assert!(runs(pid));
    let printed = server.printed();
    server.shutdown().await;
    assert!(!runs(pid), "a closed server is waited for");
    assert!(printed.lines().join("\n").starts_with(&output), "{printed:?}");
}

#[test]
fn what_a_server_says_while_it_ends_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let says_bye = "import signal\n\
        signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit()))\n\
        server.serve_forever()";
    let program = STAND_IN.replace("server.serve_forever()", says_bye);
    let command = ["python3", "-c", &program].map(str::to_owned).into();
    let server = Server::start(&ServerOptions { command, ..options(&folder) }).unwrap();
    let printed = server.printed();
    server.close();
    assert_eq!(printed.lines().last().map(String::as_str), Some("bye"));
}

#[test]
fn a_dropped_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&options(&folder)).unwrap();
    let pid = pid(&folder);
    drop(server);
    assert_ends(pid);
}

#[test]
fn a_start_that_fails_says_what_was_printed() {
    let folder = tempfile::tempdir().unwrap();
    let command = |script: &str| ["sh", "-c", script].map(str::to_owned).into();
    let options = |script: &str| ServerOptions {
        command: command(script),
        ready_timeout: Duration::from_secs(2),
        ..options(&folder)
    };
    // It ends by itself, however busy the machine is.
    let ends = options("echo no such model >&2; exit 7");
    let ends = ServerOptions { ready_timeout: Duration::from_secs(30), ..ends };
    let error = Server::start(&ends).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerStart);
    assert!(error.message().contains("no such model"), "{error}");
    assert_eq!(error.command(), ["sh", "-c", "echo no such model >&2; exit 7"]);
    assert_eq!(
        (error.exit_code(), error.output_tail()),
        (Some(7), &["no such model".to_owned()][..])
    );
    let error =
        Server::start(&options("echo Listening on ws://127.0.0.1:1; sleep 60")).unwrap_err();
    assert!(error.message().contains("does not answer on 127.0.0.1:1"), "{error}");
    assert_eq!((error.exit_code(), error.output_tail().len()), (None, 1));
    let missing =
        ServerOptions { command: vec!["no-such-program-anywhere".to_owned()], ..options("") };
    let error = Server::start(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerStart);
    assert!(error.message().contains("no-such-program-anywhere"), "{error}");
    assert_eq!(error.command(), ["no-such-program-anywhere"]);
    assert_eq!(error.exit_code(), Some(127));
    let error = Server::start(&options("kill -9 $$")).unwrap_err();
    assert_eq!(error.exit_code(), Some(137));
    let nothing = ServerOptions { command: Vec::new(), ..options("") };
    assert_eq!(Server::start(&nothing).unwrap_err().kind(), ErrorKind::InvalidOption);
    let nowhere = ServerOptions { cwd: Some("/nowhere".into()), ..ServerOptions::default() };
    let error = Server::start(&nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert_eq!(error.message(), "cwd: there is no directory /nowhere");
}

#[test]
fn no_command_of_a_shell_is_a_program() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["eval", "touch made"][..], &["exit", "3"], &["set"]] {
        let command = command.iter().map(|part| (*part).to_owned()).collect();
        let error = Server::start(&ServerOptions { command, ..options(&folder) }).unwrap_err();
        assert_eq!(error.exit_code(), Some(127), "{error}");
        assert!(error.message().contains("not found"), "{error}");
    }
    assert!(!folder.path().join("made").exists());
}

/// Says where it listens and how it is called, and answers a request in the way that stands in `LETTA_TEST`.
const SLOW: &str = r#"
import os, socket, time
listener = socket.create_server(("127.0.0.1", 0))
open("pid", "w").write(str(os.getpid()))
print(f"Listening on ws://127.0.0.1:{listener.getsockname()[1]}", flush=True)
while True:
    connection, _ = listener.accept()
    while os.environ["LETTA_TEST"] == "silent":
        time.sleep(1)
    try:
        while True:
            connection.sendall(b"1")
            time.sleep(0.05)
    except OSError:
        pass
"#;

fn slow(folder: &tempfile::TempDir, way: &str) -> ServerOptions {
    ServerOptions {
        command: ["python3", "-c", SLOW].map(str::to_owned).into(),
        env: vec![("LETTA_TEST".to_owned(), way.to_owned())],
        ..options(folder)
    }
}

#[test]
fn a_server_that_answers_slowly_or_not_at_all_is_waited_for_no_longer() {
    // Long enough for a busy machine to start it; a slow answer had been waited for without end.
    let limit = Duration::from_secs(5);
    let check = |way: &str| {
        let folder = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let error = Server::start(&ServerOptions { ready_timeout: limit, ..slow(&folder, way) })
            .unwrap_err();
        let took = begun.elapsed();
        assert!(error.message().contains("it does not answer on 127.0.0.1:"), "{way}: {error}");
        assert!(took < 2 * limit, "{way}: {took:?}");
        assert_ends(pid(&folder));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check("silent"));
        scope.spawn(|| check("dribbling"));
    });
}

/// Waits until the program has written its number.
fn started(folder: &tempfile::TempDir) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
        if let Ok(pid) = text.parse() {
            return pid;
        }
        assert!(Instant::now() < deadline, "the program does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_is_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let starting = tokio::spawn(spawn_server(slow(&folder, "silent")));
    let watched = tokio::task::spawn_blocking(move || (started(&folder), folder));
    let (pid, _folder) = watched.await.unwrap();
    starting.abort();
    assert!(starting.await.unwrap_err().is_cancelled());
    // Long before the 30 s in which it has to answer are over.
    tokio::task::spawn_blocking(move || assert_ends(pid)).await.unwrap();
}

#[test]
fn a_start_is_stopped_from_another_thread() {
    let folder = tempfile::tempdir().unwrap();
    let stop = StopStart::default();
    let (options, stopped) = (slow(&folder, "silent"), stop.clone());
    let starting = std::thread::spawn(move || Server::start_stoppable(&options, None, &stopped));
    started(&folder);
    stop.stop();
    let error = starting.join().unwrap().unwrap_err();
    assert!(error.message().contains("nobody is waiting for it any more"), "{error}");
}

#[test]
fn options_that_no_system_could_use_are_named() {
    let env = vec![("A=B".to_owned(), "c".to_owned())];
    let error = Server::start(&ServerOptions { env, ..ServerOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert_eq!(error.message(), "env: expected names without = or NUL, got \"A=B\"");
}

#[test]
fn a_reader_of_lines_that_panics_hears_of_the_next_ones_too() {
    let folder = tempfile::tempdir().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let on_line = move |line: &str| {
        heard.lock().unwrap().push(line.to_owned());
        assert!(!line.starts_with("arguments:"), "the reader panics");
    };
    let server = Server::start_logged(&options(&folder), on_line).unwrap();
    assert!(lines.lock().unwrap().iter().any(|line| line == "environment: set"));
    assert!(server.output().iter().any(|line| line.starts_with("Listening on ")));
    server.close();
}

#[test]
fn a_server_that_never_ends_a_line_fills_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let longest = Arc::new(Mutex::new((0, 0)));
    let heard = Arc::clone(&longest);
    let on_line = move |line: &str| {
        let mut heard = heard.lock().unwrap();
        *heard = (heard.0.max(line.len()), heard.1 + line.len());
    };
    // All of it before the address, for the server is ended as soon as that is known.
    let written = "sys.stderr.write('x' * 1_000_000)\nsys.stderr.flush()\nprint(f\"Listening";
    let endless = STAND_IN.replace("print(f\"Listening", written);
    assert_ne!(endless, STAND_IN);
    let command = ["python3", "-c", &endless].map(str::to_owned).into();
    let options = ServerOptions { command, ..options(&folder) };
    let server = Server::start_logged(&options, on_line).unwrap();
    server.close();
    let (longest, all) = *longest.lock().unwrap();
    assert_eq!(longest, 64 * 1024);
    assert!(all > 1_000_000, "nothing of it is lost: {all}");
}

/// The owner, in a process of its own: started again by the tests below, and told by its environment
/// how to end.
#[test]
fn owner() {
    let Some(folder) = std::env::var_os("OWNER_FOLDER").map(PathBuf::from) else { return };
    let options = ServerOptions {
        command: ["python3", "-c", STAND_IN].map(str::to_owned).into(),
        cwd: Some(folder.clone()),
        ..ServerOptions::default()
    };
    if std::env::var("OWNER_END").unwrap() == "join" {
        join(&ServerOptions { reuse: true, ..options });
        std::process::exit(0);
    }
    let server = Server::start(&options).unwrap();
    std::fs::write(folder.join("ready"), "").unwrap();
    match std::env::var("OWNER_END").unwrap().as_str() {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "panic" => assert!(server.url().is_empty(), "the owner panics"),
        "return" => drop(server),
        // It is killed.
        _ => std::thread::sleep(Duration::from_secs(60)),
    }
}

/// Servers of one user, whose home is this process' alone.
fn join(options: &ServerOptions) {
    let first = Server::start(options).unwrap();
    let second = Server::start(options).unwrap();
    assert!(!first.joined() && second.joined());
    assert_eq!((first.url(), first.token()), (second.url(), second.token()));
    drop(second);
    assert!(Server::start(options).unwrap().joined(), "letting go of it ended nothing");
    first.close();
    let next = Server::start(options).unwrap();
    assert!(!next.joined(), "one that has ended is not joined");
    next.close();
    // What an owner that was killed has left, on a port that somebody else has got since.
    let somebody = Server::start(&ServerOptions { reuse: false, ..options.clone() }).unwrap();
    let file = std::env::home_dir().unwrap().join(".letta/app-client/server.json");
    let entry = json!({ "url": somebody.url(), "token": somebody.token() });
    std::fs::write(file, entry.to_string()).unwrap();
    assert!(!Server::start(options).unwrap().joined(), "its owner is no more");
}

#[test]
fn a_server_is_joined_by_programs_of_the_same_user() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--nocapture"])
        .env("OWNER_FOLDER", folder.path())
        .env("OWNER_END", "join")
        .env("HOME", folder.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_server_ends_with_its_owner_however_that_ends() {
    for end in ["exit", "abort", "panic", "return", "kill"] {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owner", "--nocapture"])
            .env("OWNER_FOLDER", folder.path())
            .env("OWNER_END", end)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !folder.path().join("ready").exists() {
            assert!(Instant::now() < deadline, "{end}: the owner does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let pid = pid(&folder);
        if end == "kill" {
            // SIGKILL: nothing of the owner runs any more.
            owner.kill().unwrap();
        }
        owner.wait().unwrap();
        assert_ends(pid);
    }
}
