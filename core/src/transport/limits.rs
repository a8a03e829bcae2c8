//! `docs/limits.md` says what the code does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::{LOOK_EVERY, SLEPT};
use super::driver::closing::{CLOSE_LIMIT, CLOSE_WAIT, PAUSE_WAIT, STOP_WAIT, WORD_WAIT};
use super::http::{MAX_BODY, MAX_HEAD, MAX_HEADERS};
use super::keepalive::RESUME_ANSWER;
use super::outbox::FRAGMENT;
use super::reuse::REUSED_BYTES;
use crate::engine::{
    AT_ONCE, BEHIND_GAP, DEPTH, GAP_WAIT, HANDLED, LONGEST_SETTLE_PAUSE, NAMES, REFUSAL_WAIT,
    REFUSALS, REMEMBERED, RESTORE_WAIT, Reconnect, SHOWN, STANDBY_BYTES, STANDBY_EVENTS,
    TurnOptions, WATCH_AGAIN, WHILE_AWAITED,
};
use crate::mailbox::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ITEMS};
use crate::map::TURNS;
use crate::options::ConnectOptions;
use crate::pages::PAGE;
use crate::policy::{KEPT_BYTES, KEPT_DECISIONS};
use crate::protocol::depth::MAX_DEPTH;
use crate::record::{AGAIN, RecordOptions, WAITING_BYTES, WAITING_LINES};
use crate::server::{END_WAIT, KEPT_LINES, MAX_LINE, NOTE_WAIT, ServerOptions};
use crate::shared::{OUTBOX_BYTES, OUTBOX_MESSAGES};
use crate::tool::LONGEST;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");

fn number(n: usize) -> String {
    let digits = n.to_string();
    let thousands: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .collect();
    thousands.join(",")
}

fn time(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        let seconds = usize::try_from(time.as_secs()).unwrap();
        return format!("{} s", number(seconds));
    }
    format!("{} s", time.as_secs_f64())
}

fn time_or_none(limit: Option<Duration>) -> String {
    limit.map_or("none".to_owned(), time)
}

fn size(bytes: usize) -> String {
    match bytes {
        mib if mib % (1 << 20) == 0 => format!("{} MiB", mib >> 20),
        kib => format!("{} KiB", kib >> 10),
    }
}

/// What the code has, by option, or by the words of the document.
fn limits() -> BTreeMap<&'static str, String> {
    let client = ConnectOptions::new("ws://h");
    let Reconnect { max_attempts, base, cap } = client.reconnect.unwrap();
    let turn = TurnOptions::default();
    assert!(STOP_WAIT + CLOSE_WAIT < CLOSE_LIMIT && CLOSE_LIMIT < Duration::from_secs(2));
    assert!(STOP_WAIT < PAUSE_WAIT && PAUSE_WAIT + WORD_WAIT < CLOSE_LIMIT / 3 * 2);
    assert!(LOOK_EVERY < SLEPT);
    let mut limits = BTreeMap::from([
        ("`connect_timeout`", time(client.connect_timeout)),
        ("`keepalive_interval`", time(client.keepalive_interval)),
        ("`keepalive_timeout`", time(client.keepalive_timeout)),
        ("`max_message_bytes`", size(client.max_message_bytes)),
        ("`max_pending_requests`", number(client.max_pending_requests)),
        ("`request_timeout`", time(client.request_timeout)),
        ("`external_tool_concurrency`", number(client.external_tools.concurrency)),
        ("`external_tool_timeout`", time(client.external_tools.timeout)),
        ("`settle_pause`", time(client.settle_pause)),
        ("`reconnect.base`", time(base)),
        ("`reconnect.cap`", time(cap)),
        ("`reconnect.max_attempts`", max_attempts.map_or("none".to_owned(), |n| n.to_string())),
        ("`timeout`", time_or_none(turn.timeout)),
        ("`idle_timeout`", time_or_none(turn.idle_timeout)),
        ("`tool_timeout`", time_or_none(turn.tool_timeout)),
        ("`approval_timeout`", time_or_none(turn.approval_timeout)),
        ("`accept_timeout`", time(turn.accept_timeout)),
        ("`recover_timeout`", time(turn.recover_timeout)),
        ("`abort_grace`", time(turn.abort_grace)),
        ("`limit` of `messages`", number(DEFAULT_MAX_ITEMS)),
        ("`max_bytes` of `messages`", size(DEFAULT_MAX_BYTES)),
        ("`limit` of `map`", number(TURNS)),
        ("`page_size`", PAGE.to_string()),
        ("`ready_timeout`", time(ServerOptions::default().ready_timeout)),
        ("the settle pause, where it has grown by itself", time(LONGEST_SETTLE_PAUSE)),
        ("one command that restores a runtime after a reconnect", time(RESTORE_WAIT)),
        ("such commands that wait for their answers at once", number(AT_ONCE)),
        ("the time between attempts while somebody waits in `connect()`", time(WHILE_AWAITED)),
        (
            "refusals in a row of what restores a runtime",
            number(usize::try_from(REFUSALS).unwrap()),
        ),
        (
            "a sign that an input was invalid, until something shows the opposite",
            time(REFUSAL_WAIT),
        ),
        ("a gap in the order of frames that come over two sockets", time(GAP_WAIT)),
        ("frames that wait behind such a gap", number(BEHIND_GAP)),
        ("levels of arrays and objects in a frame", number(MAX_DEPTH)),
        ("the head of an answer to the handshake", size(MAX_HEAD)),
        ("headers in it", number(MAX_HEADERS)),
        ("the answer to `GET /app-server-info`", size(MAX_BODY)),
        ("messages that wait for a server that does not read", number(OUTBOX_MESSAGES)),
        ("bytes of them", size(OUTBOX_BYTES)),
        ("a message that goes out in one fragment", size(FRAGMENT)),
        ("a frame whose memory is used for the next ones", size(REUSED_BYTES)),
        ("a time between two looks at the clock that is no sleep of the machine", time(SLEPT)),
        ("the answer to that ping", time(RESUME_ANSWER)),
        ("events that wait for a reader", number(DEFAULT_MAX_ITEMS)),
        ("bytes of these", size(DEFAULT_MAX_BYTES)),
        (
            "events by which one connection is behind its standby, or the other way round",
            number(STANDBY_EVENTS),
        ),
        ("bytes of these events", size(STANDBY_BYTES)),
        (
            "runtimes that are started again after a reconnect, without those of open sessions",
            number(REMEMBERED),
        ),
        (
            "pieces of output of a terminal, or changes of a file, that wait for a reader",
            number(DEFAULT_MAX_ITEMS),
        ),
        ("stored messages in which a lost turn is looked for", number(DEPTH)),
        (
            "lines of a started server that wait for `on_log`, in Python and Node",
            number(DEFAULT_MAX_ITEMS),
        ),
        ("bytes of these lines", size(DEFAULT_MAX_BYTES)),
        ("characters of what a tool raised, as the model is told", number(LONGEST)),
        ("decisions on permissions that a session keeps", number(KEPT_DECISIONS)),
        ("bytes of their questions", size(KEPT_BYTES)),
        ("names of conversations that are known as the client's own", number(NAMES)),
        ("a line that a started server prints", size(MAX_LINE)),
        ("its last lines, for `output()` and errors", number(KEPT_LINES)),
        ("a started server that is closed, until it has ended", time(END_WAIT)),
        ("the last lines of a started server that has ended, until they are read", time(NOTE_WAIT)),
        ("word of a change of directory", time(HANDLED)),
        ("the directory, once a change was handled", time(SHOWN)),
        (
            "inputs that nobody waits for (of detached turns, by `input`), when the client is closed in the pause \
             before them",
            time(PAUSE_WAIT),
        ),
        ("a close, from the call to its end", time(Duration::from_secs(2))),
        ("a watch of a file behind another one of the same file", time(WATCH_AGAIN)),
    ]);
    limits.extend(of_recordings());
    limits.extend(of_others());
    limits
}

fn of_recordings() -> BTreeMap<&'static str, String> {
    let record = RecordOptions::new("f");
    BTreeMap::from([
        ("lines of a recording that wait for the disk", number(WAITING_LINES)),
        ("bytes of frames in them", size(WAITING_BYTES)),
        ("`record.max_bytes`", size(usize::try_from(record.max_bytes).unwrap())),
        ("`record.max_files`", record.max_files.to_string()),
        ("the pause after a line of a recording that could not be written", time(AGAIN)),
    ])
}

/// What is not this library's.
fn of_others() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        // These are of the packages: Python's tests compare them.
        ("the same, until they were handed over, in Python and Node", time(Duration::from_secs(2))),
        (
            "what a Python program handed over before it ends without a close, when anything of it has not left",
            time(Duration::from_millis(200)),
        ),
        ("rows of a frame that a tool returns, in Python", number(200)),
        ("characters of such a frame", number(20_000)),
        // These are of the command line, which a build may lack: `command_line` compares them.
        ("`--timeout` for connecting", time(Duration::from_secs(10))),
        ("`--timeout` for a request", time(Duration::from_secs(10))),
        ("`--timeout` for the session", time(Duration::from_secs(30))),
        ("`--timeout` for the turn", "none".to_owned()),
        ("`--seconds`", "none".to_owned()),
        ("`--count`", "none".to_owned()),
        ("seconds that `letta-app` takes for an option", time(Duration::from_secs(31_536_000))),
        (
            "an answer to `doctor`, by which it measures the connection",
            time(Duration::from_secs(3)),
        ),
        ("a command of `letta-app`, from a signal to its end", time(Duration::from_secs(4))),
    ])
}

#[test]
fn the_document_has_the_limits_of_the_code_and_no_others() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let mut documented = BTreeMap::new();
    for row in document.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells[..] {
            ["limit", ..] => {}
            [_, option, default, _] => drop(documented.insert(option, default.to_owned())),
            [limit, value, _] => drop(documented.insert(limit, value.to_owned())),
            _ => panic!("{row}"),
        }
    }
    assert_eq!(documented, limits());
}

#[cfg(feature = "cli")]
#[test]
fn command_line() {
    use crate::cli::{END_LIMIT, LIMIT, LONGEST, START_LIMIT, WIDTH_WAIT};

    let seconds = [LIMIT, START_LIMIT, LONGEST, WIDTH_WAIT, END_LIMIT].map(|limit| limit.as_secs());
    assert_eq!(seconds, [10, 30, 31_536_000, 3, 4]);
}
