//! Who watches a file, and what the server is told of it (PROTOCOL.md section 20.5).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Reconnect};
use letta_app_client::protocol::Text;
use serde_json::{Value, json};
use support::Lab;

const RULES: Reconnect = Reconnect {
    max_attempts: None,
    base: Duration::from_millis(250),
    cap: Duration::from_secs(15),
};

/// The program sends a frame of its own.
fn send(lab: &mut Lab, frame: &Value) {
    let text = Text::from(frame.to_string());
    lab.command(Command::Send { text, runtime: None, settles: false });
}

/// A reader of a file's changes comes.
fn watch(lab: &mut Lab, path: &str) {
    let text = Text::from(json!({ "type": "watch_file", "path": path }).to_string());
    lab.command(Command::WatchFile { path: path.to_owned(), text });
}

/// A reader goes.
fn leave(lab: &mut Lab) {
    lab.command(Command::UnwatchFile { path: "/a".to_owned() });
}

#[test]
fn who_watches_a_file_keeps_it_watched_until_the_last_has_left() {
    // Also where nothing is restored.
    for mut lab in [Lab::reconnecting(RULES), Lab::new()] {
        // The server may lose count of two that come at once.
        watch(&mut lab, "/a");
        watch(&mut lab, "/a");
        assert_eq!(lab.sent_kinds(), ["watch_file"]);
        // It may not watch a file any more that has gone meanwhile.
        lab.pass(2.0);
        watch(&mut lab, "/a");
        assert_eq!(lab.sent_kinds(), ["watch_file"]);
        leave(&mut lab);
        leave(&mut lab);
        assert!(lab.sent().is_empty());
        leave(&mut lab);
        assert_eq!(lab.sent_kinds(), ["unwatch_file", "unwatch_file"]);
        // Nobody does.
        leave(&mut lab);
        assert!(lab.sent().is_empty());
    }
}

#[test]
fn what_the_program_says_of_a_file_itself_is_sent_and_counts() {
    let mut lab = Lab::reconnecting(RULES);
    let [begin, end] =
        ["watch_file", "unwatch_file"].map(|kind| json!({ "type": kind, "path": "/a" }));
    watch(&mut lab, "/a");
    send(&mut lab, &begin);
    send(&mut lab, &begin);
    assert_eq!(lab.sent_kinds(), ["watch_file"; 3]);
    send(&mut lab, &end);
    assert_eq!(lab.sent_kinds(), ["unwatch_file"]);
    leave(&mut lab);
    assert!(lab.sent().is_empty());
    // One of the two that are left is taken back by this, the other by the engine.
    send(&mut lab, &end);
    assert_eq!(lab.sent_kinds(), ["unwatch_file", "unwatch_file"]);
    send(&mut lab, &end);
    assert_eq!(lab.sent_kinds(), ["unwatch_file"]);
}

#[test]
fn nobody_watches_a_file_any_more_when_the_connection_is_gone_for_good() {
    let mut lab = Lab::new();
    watch(&mut lab, "/a");
    lab.sent();
    lab.lose();
    lab.reopen();
    assert!(lab.sent().is_empty());
    watch(&mut lab, "/a");
    leave(&mut lab);
    assert_eq!(lab.sent_kinds(), ["watch_file", "unwatch_file"]);
}

#[test]
fn a_file_that_is_left_while_there_is_no_connection_is_not_watched_on_the_next_one() {
    let mut lab = Lab::reconnecting(RULES);
    watch(&mut lab, "/a");
    watch(&mut lab, "/b");
    lab.sent();
    lab.lose();
    leave(&mut lab);
    assert!(lab.sent().is_empty());
    lab.pass(1.0);
    assert!(lab.engine.poll_connect());
    lab.reopen();
    let sent = lab.sent();
    let paths: Vec<_> = sent.iter().map(|frame| (&frame["type"], &frame["path"])).collect();
    assert_eq!(paths, [(&json!("watch_file"), &json!("/b"))]);
    assert_eq!(lab.engine.counters().unsent, 0);
}
