//! A server that several programs share. Each test has a home of its own, and so runs in a process of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use letta_app_client::{Server, ServerExit, ServerOptions};

/// Answers everything with 200, and prints its process id.
const STAND_IN: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("pid", os.getpid(), flush=True)
print(f"Listening on ws://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"#;

fn options() -> ServerOptions {
    ServerOptions {
        command: ["python3", "-c", STAND_IN].map(str::to_owned).into(),
        reuse: true,
        ..ServerOptions::default()
    }
}

/// One program, told by its environment what to do; started by the tests below.
#[test]
fn program() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match std::env::var("PROGRAM").as_deref() {
        Ok("share") => {
            let server = Server::start(&options()).unwrap();
            println!("\nserver {} {}", server.joined(), server.url());
            let exit = runtime.block_on(server.exited());
            println!("ended {exit}");
        }
        Ok("crash") => crash(&runtime),
        Ok("fail") => fail(),
        _ => {}
    }
}

/// The owner's server ends, and the owner goes on.
fn crash(runtime: &tokio::runtime::Runtime) {
    let first = Server::start(&options()).unwrap();
    let joined = Server::start(&options()).unwrap();
    assert!(joined.joined());
    let pid = first.output().iter().find_map(|line| line.strip_prefix("pid ").map(str::to_owned));
    assert!(Command::new("kill").args(["-9", &pid.unwrap()]).status().unwrap().success());
    assert_eq!(runtime.block_on(first.exited()).signal, Some(9));
    assert_eq!(runtime.block_on(joined.exited()), ServerExit::default());
    let second = Server::start(&options()).unwrap();
    assert!(!second.joined(), "what has ended is joined by nobody");
    assert_eq!(Server::start(&options()).unwrap().url(), second.url());
}

/// A start that others wait for fails.
fn fail() {
    let silent = ["sh", "-c", "echo started; sleep 60"].map(str::to_owned).into();
    let failing =
        ServerOptions { command: silent, ready_timeout: Duration::from_secs(2), ..options() };
    let (to, started) = std::sync::mpsc::channel();
    let failing = std::thread::spawn(move || {
        let started = move |_: &str| to.send(()).unwrap_or_default();
        Server::start_logged(&failing, started).unwrap_err()
    });
    started.recv().unwrap();
    let impatient = ServerOptions { ready_timeout: Duration::from_millis(200), ..options() };
    let error = Server::start(&impatient).unwrap_err();
    assert!(error.message().contains("another program is starting the server"), "{error}");
    let next = Server::start(&options()).unwrap();
    assert!(!next.joined());
    assert!(failing.join().unwrap().message().contains("where it is listening"));
    assert!(Server::start(&options()).unwrap().joined(), "the next one is offered");
}

fn command(home: &Path, program: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "program", "--nocapture"]);
    command.env("PROGRAM", program).env("HOME", home).current_dir(home);
    command
}

struct Sharing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    joined: bool,
    url: String,
}

/// Starts programs at once, and waits until each has its server.
fn share(home: &Path, count: usize) -> Vec<Sharing> {
    let start = || command(home, "share").stdout(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = std::iter::repeat_with(start).take(count).collect();
    let ready = |mut child: Child| {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("server ").map(str::to_owned));
        let line = line.unwrap();
        let (joined, url) = line.split_once(' ').unwrap();
        Sharing { child, lines, joined: joined == "true", url: url.to_owned() }
    };
    children.into_iter().map(ready).collect()
}

fn home() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn programs_that_start_at_once_share_one_server() {
    let (_folder, home) = home();
    for _ in 0..3 {
        let mut sharing = share(&home, 4);
        let url = sharing[0].url.clone();
        assert!(sharing.iter().all(|program| program.url == url), "one server");
        assert_eq!(sharing.iter().filter(|program| !program.joined).count(), 1);
        // Its owner is killed; the others learn of it.
        let owner = sharing.iter().position(|program| !program.joined).unwrap();
        let mut owner = sharing.swap_remove(owner);
        owner.child.kill().unwrap();
        owner.child.wait().unwrap();
        for mut joined in sharing {
            let told = joined
                .lines
                .find_map(|line| line.unwrap().strip_prefix("ended ").map(str::to_owned));
            assert_eq!(told.as_deref(), Some("it is not known how"));
            assert!(joined.child.wait().unwrap().success());
        }
    }
}

#[test]
fn a_server_that_has_ended_makes_room_for_the_next() {
    let (_folder, home) = home();
    assert!(command(&home, "crash").status().unwrap().success());
}

#[test]
fn a_start_that_fails_is_waited_for_no_longer() {
    let (_folder, home) = home();
    assert!(command(&home, "fail").status().unwrap().success());
}
