//! One story: a program with sessions on one host, the server on another, and faults between them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use letta_app_client::testing::{Opening, Simulated, Stream};
use letta_app_client::{
    Client, ConnectOptions, Error, ErrorKind, Event, Resend, Session, SessionOptions, StandbyState,
    State, Tool, TurnEvent, TurnResult, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use super::host::{Hub, PORT};
use crate::sim::dice::Dice;
use crate::sim::figures::Figures;
use crate::sim::judge::{Judge, Outcome};
use crate::sim::plan::Plan;
use crate::sim::server::{Generation, Server};

/// A packet's way, twice, after which a cut has been noticed.
const NOTICED: Duration = Duration::from_secs(1);

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(1800);

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The server's side of all TCP connections is closed.
    Cut,
    CutStream,
    /// The server's side of one of two connections is closed: of the oldest, or of the newest.
    CutOne(bool),
    /// Packets are lost for a while: TCP connections are dead afterwards, and nobody says so.
    Partition(Duration),
    OneWay(Duration),
    /// Packets wait for a while.
    Hold(Duration),
    Crash(Duration),
}

/// What one program is told, and what else it noted.
#[derive(Default)]
struct Notes {
    client: Option<Client>,
    outcomes: Vec<Outcome>,
    stopped: BTreeSet<String>,
    reconnects: u64,
    restore_failures: u64,
}

type Shared = Arc<Mutex<Notes>>;

impl Notes {
    /// Whether the client has two connections, of which it can lose one.
    fn has_standby(&self) -> bool {
        let client = self.client.as_ref();
        client.is_some_and(|client| client.counters().standby == StandbyState::Ready)
    }
}

/// What kind of story it is.
#[derive(Debug, Clone, Copy)]
struct Kind {
    standby: bool,
    /// Only one of two connections is cut at a time, and nobody wants a turn to stop: all complete.
    steady: bool,
}

/// Tells a story and judges it.
pub fn tell(seed: u64) -> Result<Figures, String> {
    let mut dice = Dice::new(seed);
    let generation = dice.pick(&[Generation::TODAY, Generation::NO_CORRELATION, Generation::SPLIT]);
    let standby = !generation.split && dice.part(3).once_in(3);
    tell_kind(seed, dice, generation, Kind { standby, steady: false })
}

/// Tells a story of a client with a standby, of whose connections one is cut at a time.
pub fn tell_steady(seed: u64) -> Result<Figures, String> {
    let kind = Kind { standby: true, steady: true };
    tell_kind(seed, Dice::new(seed).part(4), Generation::TODAY, kind)
}

fn tell_kind(
    seed: u64,
    mut dice: Dice,
    generation: Generation,
    kind: Kind,
) -> Result<Figures, String> {
    let mut server = Server::new(generation, dice.part(1));
    server.expects_tools = true;
    if kind.steady {
        // An input that arrives just when a turn has ended is another story.
        server.cleaning = 0;
    }
    let hub = Hub::new(server);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(LONG)
        .tick_duration(Duration::from_millis(5))
        .max_message_latency(dice.millis(1, 300))
        .tcp_capacity(4096)
        .build();
    let host = hub.clone();
    sim.host("server", move || host.clone().serve());
    let notes = Shared::default();
    let (told, program) = (Arc::clone(&notes), dice.part(2));
    sim.client("client", async move { Ok(run(told, program, kind).await?) });

    let count = if kind.steady { dice.between(1, 8) } else { dice.between(1, 3) };
    let mut faults: Vec<_> = (0..count)
        .map(|_| (dice.millis(1000, 25_000), fault(generation, kind, &mut dice)))
        .collect();
    let mut struck = 0;
    faults.sort_by_key(|(at, _)| *at);
    let mut mends: Vec<(Duration, Fault)> = Vec::new();
    while !sim.step().map_err(|error| error.to_string())? {
        let now = sim.elapsed();
        while !kind.steady || notes.lock().unwrap().has_standby() {
            let Some((_, fault)) = faults.pop_if_due(now) else { break };
            struck += 1;
            match fault {
                Fault::CutOne(oldest) => {
                    hub.cut_one(oldest);
                    // The next one waits until the client has noticed, and has two again.
                    let noticed = now + NOTICED;
                    for (at, _) in &mut faults {
                        *at = noticed.max(*at);
                    }
                }
                Fault::Cut => hub.cut(false),
                Fault::CutStream => hub.cut(true),
                Fault::Partition(_) => sim.partition("client", "server"),
                Fault::OneWay(_) => sim.partition_oneway("server", "client"),
                Fault::Hold(_) => sim.hold("client", "server"),
                Fault::Crash(_) => sim.crash("server"),
            }
            if let Fault::Partition(time)
            | Fault::OneWay(time)
            | Fault::Hold(time)
            | Fault::Crash(time) = fault
            {
                mends.push((now + time, fault));
                mends.sort_by_key(|(at, _)| *at);
            }
        }
        while let Some((_, fault)) = mends.pop_if_due(now) {
            match fault {
                Fault::Hold(_) => sim.release("client", "server"),
                Fault::Crash(_) => sim.bounce("server"),
                _ => sim.repair("client", "server"),
            }
        }
    }
    let notes = notes.lock().unwrap();
    let server = hub.server.lock().unwrap();
    let early = server.ledger.without_tools.first();
    if let Some(tag) = early.filter(|_| notes.restore_failures == 0) {
        return Err(format!("{tag} came before the tools of its conversation"));
    }
    let reconnects = notes.reconnects;
    let mut figures = Figures { reconnects, losses: struck, ..Figures::default() };
    let stored = |place: &str, otid: &str| server.stored_answer(place, otid);
    let lost_streams = hub.lost_streams();
    let judge =
        Judge { ledger: &server.ledger, stopped: &notes.stopped, stored: &stored, lost_streams };
    for outcome in &notes.outcomes {
        judge.call(outcome, &mut figures)?;
        if kind.steady {
            Judge::complete(outcome)?;
        }
    }
    Ok(figures)
}

trait Due<T> {
    fn pop_if_due(&mut self, now: Duration) -> Option<T>;
}

impl Due<(Duration, Fault)> for Vec<(Duration, Fault)> {
    fn pop_if_due(&mut self, now: Duration) -> Option<(Duration, Fault)> {
        self.first().is_some_and(|(at, _)| *at <= now).then(|| self.remove(0))
    }
}

fn fault(generation: Generation, kind: Kind, dice: &mut Dice) -> Fault {
    match dice.below(7) {
        _ if kind.steady => Fault::CutOne(dice.once_in(2)),
        0 if kind.standby => Fault::CutOne(true),
        0 | 1 => Fault::Cut,
        2 => Fault::Partition(dice.millis(0, 60_000)),
        3 => Fault::OneWay(dice.millis(0, 60_000)),
        4 => Fault::Hold(dice.millis(0, 60_000)),
        5 if generation.split => Fault::CutStream,
        _ => Fault::Crash(dice.millis(0, 10_000)),
    }
}

fn tcp(place: &str) -> Opening {
    let place = place.to_owned();
    Box::pin(async move {
        let stream: Box<dyn Stream> = Box::new(TcpStream::connect(place).await?);
        Ok(stream)
    })
}

/// The program: sessions side by side, each with turns one after the other.
async fn run(notes: Shared, mut dice: Dice, kind: Kind) -> Result<(), Error> {
    let mut options = ConnectOptions::new(format!("ws://server:{PORT}"));
    options.simulated = Some(Simulated { open: Arc::new(tcp), seed: dice.next() });
    let client = Client::new(options.standby(kind.standby))?;
    notes.lock().unwrap().client = Some(client.clone());
    let losses = Arc::new(AtomicU32::new(0));
    let mut events = client.events();
    let (counted, told) = (Arc::clone(&losses), Arc::clone(&notes));
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Disconnected { .. } => drop(counted.fetch_add(1, Ordering::SeqCst)),
                Event::RestoreFailed { .. } => told.lock().unwrap().restore_failures += 1,
                _ => {}
            }
        }
    });
    client.connect().await?;
    let mut sessions = Vec::new();
    for index in 0..dice.between(1, 2) {
        let (client, notes) = (client.clone(), Arc::clone(&notes));
        let (losses, dice) = (Arc::clone(&losses), dice.part(index));
        sessions.push(tokio::spawn(converse(client, index, notes, losses, dice, kind)));
    }
    for session in sessions {
        if session.await.is_err() {
            return Err(Error::new(ErrorKind::Internal, "a session panicked"));
        }
    }
    // It comes to have its connection again.
    let open = async {
        while client.state() != State::Open {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(Duration::from_secs(200), open).await.is_err() {
        return Err(Error::new(ErrorKind::Internal, "the client stayed without a connection"));
    }
    {
        let mut told = notes.lock().unwrap();
        told.reconnects = client.counters().reconnects;
        told.client = None;
    }
    client.close().await;
    Ok(())
}

async fn started(client: &Client, index: u64) -> Session {
    loop {
        let tool = Tool::new("count", "Counts", json!({ "type": "object" }), |_: Value, _| async {
            sleep(Duration::from_millis(700)).await;
            Ok::<_, String>("7".to_owned())
        });
        let options = SessionOptions::agent("agent-1").tool(tool);
        let options = options.conversation(format!("conv-{index}"));
        match client.session(options).await {
            Ok(session) => return session,
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn converse(
    client: Client,
    index: u64,
    notes: Shared,
    losses: Arc<AtomicU32>,
    mut dice: Dice,
    kind: Kind,
) {
    let session = started(&client, index).await;
    for n in 0..dice.between(2, 5) {
        let mut plan = Plan::any(format!("s{index}x{n}"), &mut dice);
        sleep(dice.millis(0, 3000)).await;
        let follow = dice.once_in(2);
        let stop = dice.once_in(8).then(|| dice.millis(0, 2000)).filter(|_| !kind.steady);
        plan.fatal &= !kind.steady;
        // Nobody is here to decide.
        plan.asks &= !kind.steady;
        loop {
            let before = losses.load(Ordering::SeqCst);
            let mut options = session.turn_options();
            options.idle_timeout = Some(Duration::from_secs(120));
            options.tool_timeout = Some(Duration::from_secs(120));
            if kind.steady {
                options.resend = Some(Resend::IfUncommitted);
            }
            let asking = ask(&session, &plan, options, follow, stop);
            let Ok((result, followed)) = timeout(LONG / 2, asking).await else {
                panic!("{} hangs", plan.tag);
            };
            let unsent = |error: &Error| error.kind() == ErrorKind::Disconnected;
            if result.as_ref().is_err_and(unsent) && client.state() != State::Open {
                sleep(Duration::from_millis(300)).await;
                continue;
            }
            // Whoever counts the losses may come after us.
            sleep(Duration::from_millis(10)).await;
            let mut notes = notes.lock().unwrap();
            let limit = |error: &Error| {
                matches!(error.kind(), ErrorKind::TurnTimeout | ErrorKind::TurnIdleTimeout)
            };
            if stop.is_some() || result.as_ref().is_err_and(limit) {
                notes.stopped.insert(plan.tag.clone());
            }
            notes.outcomes.push(Outcome {
                tag: plan.tag.clone(),
                result: result.map(Box::new),
                stopped: stop.is_some(),
                losses: losses.load(Ordering::SeqCst) - before,
                followed,
            });
            break;
        }
    }
}

async fn ask(
    session: &Session,
    plan: &Plan,
    options: letta_app_client::TurnOptions,
    follow: bool,
    stop: Option<Duration>,
) -> (Result<TurnResult, Error>, Option<String>) {
    if !follow && stop.is_none() {
        return (session.run_with(plan.prompt(), options).await, None);
    }
    let mut turn = match session.send_with(plan.prompt(), options) {
        Ok(turn) => turn,
        Err(error) => return (Err(error), None),
    };
    if let Some(after) = stop {
        sleep(after).await;
        return (turn.abort().await, None);
    }
    let mut told: Vec<(Arc<str>, String)> = Vec::new();
    while let Some(update) = turn.next().await {
        match update {
            TurnUpdate::Event(TurnEvent::RunWithdrawn { run_id }) => {
                told.retain(|(run, _)| *run != run_id);
            }
            TurnUpdate::Event(TurnEvent::AssistantDelta { run_id, text, .. }) => {
                told.push((run_id, text));
            }
            _ => {}
        }
    }
    let text = told.iter().map(|(_, text)| text.as_str()).collect();
    (turn.result().await, Some(text))
}
