//! Faults between the client and the published App Server (`tests/live/README.md`): a few with every run of
//! `make test-live`, and as many as one wants with `make faults`.
//!
//! `FAULTS=300` is how many, `FAULT_SEED` where they come from, `FAULT_SECONDS` how long they may take;
//! `FAULT_RECORDS` names a folder for recordings of what went over the sockets with a standby.
//!
//! Once without a standby, where every outcome has to be true, and once with one: a fault hits one of the two
//! connections, whichever comes to its byte first, and the next one waits until both are there again and
//! nothing is wrong with either. Every turn completes then.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail by panicking; figures are printed"
)]

#[path = "sim/dice.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod dice;
#[path = "proxy/fault.rs"]
mod fault;

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use dice::Dice;
use fault::{Direction, Fault, FaultProxy, Plan};
use letta_app_client::{
    Client, ConnectOptions, Error, ErrorKind, Reconnect, RecordOptions, Session, SessionOptions,
    StandbyState, State, Tool, TurnResult, TurnStatus,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// The limit of a turn. The server waits for a tool of a connection that it does not know to be dead, and
/// may leave an input in its queue after a loss.
const LIMIT: Duration = Duration::from_secs(30);

/// Nothing takes so long: a keep-alive, a reconnect and a turn up to its limit.
const LONG: Duration = Duration::from_secs(120);

/// So many at once, each with a client and a proxy of its own.
const SIDE_BY_SIDE: u64 = 4;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[derive(Debug, Default)]
struct Figures {
    faults: u64,
    turns: u64,
    completed: u64,
    recovered: u64,
    resent: u64,
    /// Turns that ended otherwise, by kind.
    ended: BTreeMap<String, u64>,
    hangs: u64,
    /// Committed more than once.
    twice: u64,
    /// Turns that did not complete although there was a standby.
    incomplete: Vec<String>,
    /// What was told is not true.
    wrong: Vec<String>,
    reconnects: u64,
    /// Prompts of which the client says that they were not sent.
    unsent: Vec<String>,
}

impl Figures {
    fn add(&mut self, other: Self) {
        for (sum, count) in [
            (&mut self.faults, other.faults),
            (&mut self.turns, other.turns),
            (&mut self.completed, other.completed),
            (&mut self.recovered, other.recovered),
            (&mut self.resent, other.resent),
            (&mut self.hangs, other.hangs),
            (&mut self.twice, other.twice),
            (&mut self.reconnects, other.reconnects),
        ] {
            *sum += count;
        }
        for (kind, count) in other.ended {
            *self.ended.entry(kind).or_default() += count;
        }
        self.incomplete.extend(other.incomplete);
        self.wrong.extend(other.wrong);
        self.unsent.extend(other.unsent);
    }
}

#[tokio::test]
#[ignore = "needs a real server: make test-live, make faults"]
async fn what_a_turn_is_told_is_true_whatever_happens_on_the_way() {
    let figures = suffer_all(false, 12).await;
    assert!(figures.wrong.is_empty(), "{:#?}", figures.wrong);
    assert_eq!((figures.hangs, figures.twice), (0, 0));
    assert!(figures.faults > 0 && figures.completed > 0);
}

#[tokio::test]
#[ignore = "needs a real server: make test-live, make faults"]
async fn with_a_standby_every_turn_completes_with_its_full_text() {
    let figures = suffer_all(true, 8).await;
    assert!(figures.wrong.is_empty(), "{:#?}", figures.wrong);
    assert_eq!((figures.hangs, figures.twice), (0, 0));
    assert!(figures.incomplete.is_empty(), "{:#?}", figures.incomplete);
    assert!(figures.faults > 0 && figures.completed == figures.turns);
}

/// The machine has enough to do with one of them.
static TURN: Mutex<()> = Mutex::const_new(());

async fn suffer_all(standby: bool, usual: u64) -> Figures {
    let _turn = TURN.lock().await;
    let (faults, seed) = (number("FAULTS", usual), number("FAULT_SEED", 1));
    let until = Instant::now() + Duration::from_secs(number("FAULT_SECONDS", 600));
    let parts = (0..SIDE_BY_SIDE).map(|part| {
        let dice = Dice::new(seed).part(part + 1);
        tokio::spawn(suffer(part, standby, faults.div_ceil(SIDE_BY_SIDE), until, dice))
    });
    let mut figures = Figures::default();
    for part in parts.collect::<Vec<_>>() {
        figures.add(part.await.unwrap());
    }
    eprintln!("seed {seed}, standby {standby}: {figures:#?}");
    figures
}

/// What the model is asked for, and what it says.
struct Prompt {
    tag: String,
    text: String,
    answer: String,
}

impl Prompt {
    fn any(tag: String, dice: &mut Dice) -> Self {
        let words = dice.between(1, 12);
        let (reason, sleep) = (dice.below(3), dice.pick(&[0, 2, 10, 30]));
        let tool = if dice.once_in(5) { "TOOL=lookup|%7B%22q%22%3A%22x%22%7D" } else { "" };
        let text = format!("{tag} N={words} SLEEP={sleep} REASON={reason} {tool}");
        let answer = (0..words).map(|word| format!("tok{word} ")).collect::<Vec<_>>().concat();
        Self { tag, text, answer }
    }
}

fn plan(dice: &mut Dice) -> Plan {
    let fault = match dice.below(8) {
        0..=2 => Fault::Cut,
        3 | 4 => Fault::Reset,
        5 => Fault::Stall(dice.millis(0, 3000)),
        6 => Fault::HalfOpen(dice.millis(0, 5000)),
        _ => Fault::Trickle(u32::try_from(dice.between(1, 3000)).unwrap_or_default()),
    };
    // What a turn is in bytes; a part of the faults waits for the next connection or turn.
    let (direction, most) = dice.pick(&[(Direction::ToClient, 20_000), (Direction::ToServer, 700)]);
    let after = usize::try_from(dice.below(most)).unwrap_or_default();
    Plan { fault, direction, after }
}

async fn connected(url: &str, seed: u64, standby: bool) -> Client {
    let (base, cap) = (Duration::from_millis(10), Duration::from_millis(300));
    let reconnect = Some(Reconnect { max_attempts: None, base, cap });
    let mut options = ConnectOptions::new(url).reconnect(reconnect).standby(standby);
    // Where one connection has to be sound, a machine that is busy for a while must not end it, nor clean up for
    // longer than an input waits.
    let patience = Duration::from_secs(if standby { 10 } else { 2 });
    options.keepalive_interval = patience;
    options.keepalive_timeout = patience;
    if standby {
        options.settle_pause = Duration::from_secs(1);
    }
    if let Some(folder) = env::var_os("FAULT_RECORDS").filter(|_| standby) {
        let file = std::path::Path::new(&folder).join(format!("part{seed}.jsonl"));
        options = options.record(RecordOptions::new(file));
    }
    options.request_timeout = Duration::from_secs(60);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap_or_else(|error| panic!("{seed}: {error}"));
    client
}

fn lookup() -> Tool {
    let parameters = json!({ "type": "object", "properties": { "q": { "type": "string" } } });
    Tool::new("lookup", "Looks up", parameters, |_: Value, _| async { Ok::<_, String>("found") })
}

/// Turns one after the other through one proxy, with a fault for each.
async fn suffer(part: u64, standby: bool, faults: u64, until: Instant, mut dice: Dice) -> Figures {
    let proxy = FaultProxy::before(&env::var("LETTA_URL").expect("with-server.mjs sets it")).await;
    let client = connected(&proxy.url, part, standby).await;
    let body = json!({
        "name": "faults", "model": env::var("LETTA_MODEL").expect("with-server.mjs sets it"),
    });
    let options = || SessionOptions::new_agent(&body).unpinned().tool(lookup()).timeout(LIMIT);
    let session = client.session(options()).await.unwrap();
    let mut figures = Figures::default();
    let mut tags = Vec::new();
    while (proxy.struck() as u64) < faults && Instant::now() < until {
        if standby {
            ready(&client, &proxy).await;
        }
        let prompt = Prompt::any(format!("part{part}turn{}", tags.len()), &mut dice);
        proxy.arm(plan(&mut dice));
        let asked = timeout(LONG, session.run(prompt.text.as_str())).await;
        figures.turns += 1;
        tags.push(prompt.tag.clone());
        match asked {
            Err(_) => figures.hangs += 1,
            Ok(outcome) => figures.note(&prompt, &outcome, standby),
        }
        open(&client).await;
    }
    figures.faults = proxy.struck() as u64;
    figures.reconnects = client.counters().reconnects;
    client.close().await;
    let counts = stored(&session, &tags).await;
    figures.twice = counts.values().filter(|count| **count > 1).count() as u64;
    let committed = figures.unsent.iter().filter(|tag| counts.contains_key(*tag));
    let wrong: Vec<_> =
        committed.map(|tag| format!("{tag}: called not sent, but stored")).collect();
    figures.wrong.extend(wrong);
    figures
}

/// Waits until there is a connection again, as programs do.
async fn open(client: &Client) {
    let opening = async {
        while client.state() != State::Open {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, opening).await.expect("the client stayed without a connection");
}

/// Waits until there are two connections, and nothing is wrong with either: the client may not know yet.
async fn ready(client: &Client, proxy: &FaultProxy) {
    let opening = async {
        while client.counters().standby != StandbyState::Ready || proxy.sound() != 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, opening).await.expect("the client stayed without a standby");
}

/// How often each prompt is stored; asked for on a way without faults.
async fn stored(session: &Session, tags: &[String]) -> BTreeMap<String, u64> {
    let direct = connected(&env::var("LETTA_URL").unwrap(), 0, false).await;
    let mut stored = direct.conversations().messages(session.conversation_id());
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(message) = stored.next().await.unwrap() {
        if message["message_type"] != "user_message" {
            continue;
        }
        let text = message["content"].to_string();
        for tag in tags.iter().filter(|tag| text.contains(&format!("\"{tag} "))) {
            *counts.entry(tag.clone()).or_default() += 1;
        }
    }
    direct.close().await;
    assert!(!counts.is_empty(), "the stored messages name the prompts");
    counts
}

impl Figures {
    fn note(&mut self, prompt: &Prompt, outcome: &Result<TurnResult, Error>, standby: bool) {
        let partial = outcome.as_ref().map_or_else(Error::result, Some);
        let delivery = partial.map(|result| result.to_value()["delivery"].clone());
        match delivery.as_ref().and_then(Value::as_str) {
            Some("recovered") => self.recovered += 1,
            Some("resent") => self.resent += 1,
            _ => {}
        }
        let text = partial.map(|result| result.text.as_str()).unwrap_or_default();
        let tag = &prompt.tag;
        match outcome {
            Ok(result) if result.status == Some(TurnStatus::Completed) => {
                self.completed += 1;
                if text != prompt.answer {
                    self.wrong.push(format!("{tag}: completed with {text:?}, {delivery:?}"));
                }
            }
            Ok(result) => self.wrong.push(format!("{tag}: {:?}", result.status)),
            Err(error) => {
                *self.ended.entry(format!("{:?}", error.kind())).or_default() += 1;
                if error.kind() == ErrorKind::Disconnected {
                    self.unsent.push(tag.clone());
                }
                let lost = matches!(
                    error.kind(),
                    ErrorKind::TurnInterrupted | ErrorKind::Disconnected | ErrorKind::TurnTimeout
                );
                if standby {
                    self.incomplete.push(format!("{tag}: {error}, {text:?}"));
                }
                if !lost || !prompt.answer.starts_with(text) {
                    self.wrong.push(format!("{tag}: {error}, {text:?}"));
                }
            }
        }
    }
}
