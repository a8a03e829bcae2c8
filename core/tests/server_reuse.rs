//! A server that several programs share. Each test has a home of its own, and so runs in a process of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::{OnLine, Server, ServerExit, ServerOptions, StopStart};

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
    match std::env::var("PROGRAM").as_deref() {
        Ok("share") => {
            let server = Server::start(&options()).unwrap();
            println!("\nserver {} {}", server.joined(), server.url());
            // Until it is killed.
            std::io::stdin().read_line(&mut String::new()).unwrap();
        }
        Ok("crash") => crash(),
        Ok("fail") => fail(),
        _ => {}
    }
}

/// The owner's server ends, and the owner goes on.
fn crash() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = Server::start(&options()).unwrap();
    let joined = Server::start(&options()).unwrap();
    assert!(joined.joined());
    let pid = first.output().iter().find_map(|line| line.strip_prefix("pid ").map(str::to_owned));
    assert!(Command::new("kill").args(["-9", &pid.unwrap()]).status().unwrap().success());
    assert_eq!(runtime.block_on(first.exited()).signal, Some(9));
    // Of another program's server nothing is told; the wait ends with the handle.
    let told = joined.exited();
    assert_eq!(joined.try_exited(), None);
    drop(joined);
    assert_eq!(runtime.block_on(told), ServerExit::default());
    let second = Server::start(&options()).unwrap();
    assert!(!second.joined(), "what has ended is joined by nobody");
    assert_eq!(Server::start(&options()).unwrap().url(), second.url());
}

/// A start that others wait for fails.
fn fail() {
    let silent = ["sh", "-c", "echo started; sleep 60"].map(str::to_owned).into();
    let failing = ServerOptions { command: silent, ..options() };
    let (to, started) = std::sync::mpsc::channel();
    let (stop, stopped) = (StopStart::default(), StopStart::default());
    let stops = stop.clone();
    let failing = std::thread::spawn(move || {
        let started: OnLine = Arc::new(move |_: &str| to.send(()).unwrap_or_default());
        Server::start_stoppable(&failing, Some(started), &stops).unwrap_err()
    });
    started.recv().unwrap();
    // Whoever has waited for as long as a server may take has one of its own, for which there is as much time again.
    let impatient = ServerOptions { ready_timeout: Duration::from_secs(3), ..options() };
    let own = Server::start(&impatient).unwrap();
    assert!(!own.joined());
    // A wait that is broken off starts nothing.
    stopped.stop();
    let error = Server::start_stoppable(&options(), None, &stopped).unwrap_err();
    assert!(error.message().contains("was not started: nobody is waiting"), "{error}");
    let next = std::thread::spawn(|| Server::start(&options()).unwrap());
    stop.stop();
    assert!(failing.join().unwrap().message().contains("nobody is waiting"));
    let next = next.join().unwrap();
    assert!(!next.joined());
    assert_ne!(next.url(), own.url());
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
    joined: bool,
    url: String,
}

/// Starts programs at once, and waits until each has its server.
fn share(home: &Path, count: usize) -> Vec<Sharing> {
    let mut share = command(home, "share");
    share.stdin(Stdio::piped()).stdout(Stdio::piped());
    let start = || share.spawn().unwrap();
    let children: Vec<_> = std::iter::repeat_with(start).take(count).collect();
    let ready = |mut child: Child| {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("server ").map(str::to_owned));
        let line = line.unwrap();
        let (joined, url) = line.split_once(' ').unwrap();
        Sharing { child, joined: joined == "true", url: url.to_owned() }
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
        let sharing = share(&home, 4);
        let url = sharing[0].url.clone();
        assert!(sharing.iter().all(|program| program.url == url), "one server");
        assert_eq!(sharing.iter().filter(|program| !program.joined).count(), 1);
        // All are killed, also its owner, which takes nothing back. The server itself is not yet gone.
        for mut program in sharing {
            program.child.kill().unwrap();
            program.child.wait().unwrap();
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
