//! The engine and the model of the server on one virtual clock, with a network between them that loses
//! connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{Channel, Delivery, Engine, Ids, Reconnect};
use letta_app_client::protocol::Text;
use letta_app_client::{Error, ErrorKind};

use super::dice::Dice;
use super::figures::Figures;
use super::judge::Judge;
use super::program::{Program, Step};
use super::script::{Fault, Script, When};
use super::server::{ConnId, Server};
use super::standby::Standby;
use super::wire::{Lane, Wire};

/// After so long in the world's time whoever still waits would wait for ever.
const LONG: Duration = Duration::from_secs(4 * 3600);

/// How long the client and the server take to see by themselves that a connection is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(40);
const REAP: Duration = Duration::from_secs(90);

/// How much of a frame is shown.
const LINE: usize = 400;

/// How long an attempt to connect takes at most.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a fault waits that is to hit a client that has both connections.
const UNTROUBLED: Duration = Duration::from_millis(50);

/// Who only listens.
const OBSERVER: ConnId = 0;

#[derive(Debug)]
pub enum Event {
    ToClient {
        conn: ConnId,
        channel: Channel,
        text: Text,
    },
    ToServer {
        conn: ConnId,
        text: Text,
    },
    ClientLost {
        conn: ConnId,
        code: u16,
    },
    ServerLost {
        conn: ConnId,
    },
    StreamBack {
        conn: ConnId,
    },
    Attempted(Result<(), &'static str>),
    /// The same for the standby; an attempt that was given up counts for nothing.
    AttemptedStandby(u64, Result<(), &'static str>),
    Program(Step),
    Fault(Fault),
}

impl Event {
    /// Whether it happens in the client's process.
    fn is_clients(&self) -> bool {
        !matches!(self, Self::ToServer { .. } | Self::ServerLost { .. } | Self::Fault(_))
    }
}

pub struct World {
    pub(super) script: Script,
    pub now: Duration,
    serial: u64,
    events: BTreeMap<(Duration, u64), Event>,
    dice: Dice,
    pub engine: Engine,
    pub(super) server: Server,
    pub(super) wires: BTreeMap<ConnId, Wire>,
    /// The client's connection.
    pub conn: Option<ConnId>,
    pub(super) standby: Standby,
    conns: ConnId,
    /// The client's process sleeps until then.
    pub(super) asleep: Duration,
    /// Nobody can connect until then, and how attempts fail.
    away: Duration,
    silent: bool,
    pub(super) flaps: u32,
    twice: u32,
    pub figures: Figures,
    commands: u64,
    restores_failed: bool,
    program: Program,
    /// What happened, in words, when somebody wants to read it.
    pub log: Option<Vec<String>>,
}

/// Runs a script and judges what the client was told.
pub fn run(script: &Script, log: Option<Vec<String>>) -> (Result<Figures, String>, Vec<String>) {
    let mut world = World::new(script.clone());
    world.log = log;
    let outcome = world.run();
    (outcome.map(|()| world.figures.clone()), world.log.unwrap_or_default())
}

impl World {
    fn new(script: Script) -> Self {
        let dice = Dice::new(script.seed).part(1);
        let mut server = Server::new(script.generation, dice.part(2));
        server.expects_tools = true;
        if script.steady {
            // An input that arrives just when a turn has ended is another story.
            server.cleaning = 0;
        }
        let ids = Arc::new(Ids::with_prefix("sim".to_owned()));
        let rules = Reconnect::default();
        let mut engine =
            Engine::new(ids, Duration::from_millis(400)).reconnecting(rules, script.seed);
        if script.standby {
            engine = engine.standing_by(rules, !script.seed);
        }
        let program = Program::new(&script, dice.part(3));
        Self {
            program,
            now: Duration::ZERO,
            serial: 0,
            events: BTreeMap::new(),
            dice,
            engine,
            server,
            wires: BTreeMap::new(),
            conn: None,
            standby: Standby::default(),
            conns: OBSERVER,
            asleep: Duration::ZERO,
            away: Duration::ZERO,
            silent: false,
            flaps: 0,
            twice: 0,
            figures: Figures::default(),
            commands: 0,
            restores_failed: false,
            log: None,
            script,
        }
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.now.as_secs_f64();
        if let Some(log) = &mut self.log {
            let mut line = format!("{now:9.3} {}", what());
            line.truncate(LINE);
            log.push(line);
        }
    }

    pub fn later(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.serial += 1;
        self.events.insert((at.max(self.now), self.serial), event);
    }

    fn run(&mut self) -> Result<(), String> {
        if self.script.observed {
            self.server.observe(OBSERVER, &Program::conversation(0));
        }
        for (when, fault) in self.script.faults.clone() {
            if let When::At(at) = when {
                self.at(at, Event::Fault(fault));
            }
        }
        self.open();
        Program::begin(self);
        self.settle();
        while !self.program.is_done() {
            self.step()?;
        }
        self.peace()
    }

    /// After the last call the client comes to have everything again that it had.
    fn peace(&mut self) -> Result<(), String> {
        let until = self.now + Duration::from_secs(600);
        while self.now < until && self.next_at().is_some_and(|at| at < until) {
            self.step()?;
        }
        self.restores_failed |= self.engine.counters().restore_failures > 0;
        let Some(conn) = self.conn else {
            return Err("the client stayed without a connection".to_owned());
        };
        if self.script.standby && !self.has_standby() {
            return Err("the client stayed without a standby".to_owned());
        }
        for conversation in self.program.started() {
            if !self.server.has_tools(conn, &conversation) && !self.restores_failed {
                return Err(format!("{conversation} has not got its tools back"));
            }
        }
        if let Some(tag) =
            self.server.ledger.without_tools.first().filter(|_| !self.restores_failed)
        {
            return Err(format!("{tag} came before the tools of its conversation"));
        }
        self.engine.handle_connection_lost(self.now, &Error::new(ErrorKind::Closed, "closed"));
        self.settle();
        if let Some(token) = self.program.waiting().next() {
            return Err(format!("call {token} has not ended"));
        }
        if self.engine.next_timeout().is_some() {
            return Err("the engine waits for something after the end".to_owned());
        }
        self.figures.raced = self.server.ledger.raced() as u64;
        self.figures.reconnects = self.engine.counters().reconnects;
        let stored = |place: &str, otid: &str| self.server.stored_answer(place, otid);
        let (ledger, stopped) = (&self.server.ledger, &self.program.stopped);
        let judge = Judge { ledger, stopped, stored: &stored, lost_streams: false };
        for outcome in self.program.outcomes() {
            judge.call(outcome, &mut self.figures)?;
            if self.script.steady {
                Judge::complete(outcome)?;
            }
        }
        Ok(())
    }

    fn engine_at(&self) -> Option<Duration> {
        self.engine.next_timeout().map(|at| at.max(self.asleep))
    }

    fn next_at(&self) -> Option<Duration> {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        [event, self.engine_at(), self.server.next_timeout()].into_iter().flatten().min()
    }

    fn step(&mut self) -> Result<(), String> {
        let stuck = |world: &Self| {
            let waiting: Vec<_> = world.program.unfinished();
            Err(format!("hangs: {waiting:?}"))
        };
        let Some(at) = self.next_at() else { return stuck(self) };
        self.now = self.now.max(at);
        if self.now > LONG {
            return stuck(self);
        }
        // After a sleep, what has come counts before the time does.
        let (now, first) = (self.now, self.dice.once_in(2) && self.now > self.asleep);
        if first && self.engine_at().is_some_and(|at| at <= now) {
            self.wake_engine()?;
        } else if let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            let (serial, event) = (entry.key().1, entry.remove());
            if event.is_clients() && now < self.asleep {
                // In the order in which they were sent.
                self.events.insert((self.asleep, serial), event);
            } else {
                let clients = event.is_clients();
                self.happen(event);
                // The driver takes what has come in one go, and looks at the time then.
                let more = self.events.first_key_value().is_some_and(|((at, _), _)| *at <= now);
                if clients && !more {
                    self.wake_engine()?;
                }
            }
        } else if self.server.next_timeout().is_some_and(|at| at <= now) {
            self.server.handle_timeout(now);
        } else {
            self.wake_engine()?;
        }
        self.settle();
        Ok(())
    }

    fn wake_engine(&mut self) -> Result<(), String> {
        self.engine.handle_timeout(self.now);
        self.settle();
        match self.engine.next_timeout() {
            Some(at) if at <= self.now => {
                Err("the engine wants to be woken at once, again".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::ToClient { conn, channel, text } => {
                let reaches = self.wires.get(&conn).is_some_and(|wire| wire.reaches_client(now));
                if reaches && self.standby.conn == Some(conn) {
                    self.note(|| format!("<- standby {text}"));
                    self.engine.handle_standby_frame(now, &text);
                } else if reaches && self.conn == Some(conn) {
                    self.note(|| format!("<- {} {text}", channel.as_str()));
                    self.figures.frames += 1;
                    self.engine.handle_frame(now, channel, &text);
                    self.count(self.figures.frames, |when| match when {
                        When::Frame(n) => Some(n),
                        _ => None,
                    });
                }
            }
            Event::ToServer { conn, text } => {
                if self.wires.get(&conn).is_some_and(|wire| wire.reaches_server(now)) {
                    self.note(|| format!("-> {text}"));
                    self.commands += 1;
                    self.server.receive(now, conn, &text);
                    self.count(self.commands, |when| match when {
                        When::Command(n) => Some(n),
                        _ => None,
                    });
                }
            }
            Event::ClientLost { conn, code } => self.client_lost(conn, code),
            Event::ServerLost { conn } => {
                self.note(|| format!("the server lost connection {conn}"));
                self.server.lost(now, conn);
            }
            Event::StreamBack { conn } => {
                if let Some(wire) = self.wires.get_mut(&conn) {
                    wire.stream_up = true;
                    self.server.stream(conn, true);
                }
            }
            Event::Attempted(Ok(())) => self.open(),
            Event::Attempted(Err(why)) => {
                let error = Error::new(ErrorKind::ConnectionFailed, why);
                self.engine.handle_connect_failed(now, &error);
            }
            Event::AttemptedStandby(attempt, outcome) => self.attempted_standby(attempt, outcome),
            Event::Program(step) => Program::step(self, step),
            Event::Fault(fault) => self.fault(fault),
        }
    }

    /// Faults that wait for a count.
    fn count(&mut self, count: u64, of: impl Fn(When) -> Option<u64>) {
        for (when, fault) in self.script.faults.clone() {
            if of(when) == Some(count) {
                self.fault(fault);
            }
        }
    }

    /// Carries everything on that is to be carried.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(text) = self.engine.poll_transmit() {
                moved = true;
                self.send(self.conn, text);
            }
            while let Some(text) = self.engine.poll_transmit_standby() {
                moved = true;
                self.send(self.standby.conn, text);
            }
            while let Some(delivery) = self.engine.poll_delivery() {
                moved = true;
                self.deliver(delivery);
            }
            while let Some(output) = self.server.poll() {
                moved = true;
                self.answer(output.conn, output.channel, &Text::from(output.text));
            }
            if self.engine.poll_connect() {
                moved = true;
                self.attempt();
            }
            if self.engine.poll_connect_standby() {
                moved = true;
                self.attempt_standby();
            }
            if !moved {
                return;
            }
        }
    }

    fn travel(&mut self) -> Duration {
        let jitter = self.script.jitter;
        Duration::from_millis(self.script.delay) + self.dice.millis(0, jitter)
    }

    fn send(&mut self, conn: Option<ConnId>, text: Text) {
        let travel = self.travel();
        let Some(conn) = conn else { return };
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if let Some(at) = wire.arrival(Lane::ToServer, self.now, travel) {
            self.at(at, Event::ToServer { conn, text });
        }
    }

    fn answer(&mut self, conn: ConnId, channel: Channel, text: &Text) {
        let again = self.twice > 0 && text.contains("\"event_seq\"");
        self.twice -= u32::from(again);
        for _ in 0..=u32::from(again) {
            let travel = self.travel();
            let Some(wire) = self.wires.get_mut(&conn) else { return };
            let lane = if channel == Channel::Stream { Lane::Stream } else { Lane::Control };
            if let Some(at) = wire.arrival(lane, self.now, travel) {
                self.at(at, Event::ToClient { conn, channel, text: text.clone() });
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        if !matches!(delivery, Delivery::Message { .. }) {
            self.note(|| format!("told {delivery:?}"));
        }
        Program::deliver(self, delivery);
    }

    /// An attempt to connect begins.
    fn attempt(&mut self) {
        let (wait, outcome) = self.attempt_takes();
        self.later(wait, Event::Attempted(outcome));
    }

    /// How long an attempt to connect takes that begins now, and how it ends.
    pub(super) fn attempt_takes(&mut self) -> (Duration, Result<(), &'static str>) {
        let left = self.away.saturating_sub(self.now);
        let travel = self.travel() * 2;
        if left.is_zero() {
            (travel, Ok(()))
        } else if self.silent && left < CONNECT_LIMIT {
            (left, Ok(()))
        } else if self.silent {
            (CONNECT_LIMIT, Err("no answer"))
        } else {
            (travel.min(CONNECT_LIMIT), Err("connection refused"))
        }
    }

    /// A connection is there, as the network sees it.
    pub(super) fn connection(&mut self) -> ConnId {
        self.conns += 1;
        let conn = self.conns;
        self.note(|| format!("connection {conn}"));
        self.wires.insert(conn, Wire::new(self.script.generation.split));
        conn
    }

    /// A connection is open on both sides.
    fn open(&mut self) {
        let conn = self.connection();
        self.conn = Some(conn);
        let taken = self.server.takes_clients();
        self.engine.handle_connected(self.now, self.script.generation.split);
        if !taken {
            // The socket opens all the same, and is closed at once (section 2.1).
            self.lose(conn, Duration::ZERO, Duration::ZERO, 1008);
            return;
        }
        self.server.connect(self.now, conn);
        if self.flaps > 0 {
            self.flaps -= 1;
            self.fault(Fault::Cut);
        }
    }

    fn client_lost(&mut self, conn: ConnId, code: u16) {
        let error = Error::new(ErrorKind::Disconnected, "cut").with_close_code(Some(code));
        if self.standby.conn == Some(conn) {
            self.note(|| format!("the client lost its standby {conn} ({code})"));
            self.standby.conn = None;
            self.engine.handle_standby_lost(self.now, &error);
        }
        if self.conn != Some(conn) {
            return;
        }
        self.note(|| format!("the client lost connection {conn} ({code})"));
        self.conn = None;
        self.figures.losses += 1;
        self.program.losses += 1;
        if self.engine.can_switch() {
            self.take_over(&error);
        } else {
            self.drop_standby();
            self.engine.handle_connection_lost(self.now, &error);
        }
    }

    /// Ends a connection: after these times nothing arrives, and the sides notice.
    pub(super) fn lose(&mut self, conn: ConnId, client: Duration, server: Duration, code: u16) {
        let (client, server) = (self.now + client, self.now + server);
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.cut(client, server);
        self.at(client, Event::ClientLost { conn, code });
        self.at(server, Event::ServerLost { conn });
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        if self.script.steady && self.is_troubled() {
            self.later(UNTROUBLED, Event::Fault(fault));
            return;
        }
        self.note(|| format!("fault: {fault:?}"));
        let conn = if fault == Fault::CutStandby { self.standby.conn } else { self.conn };
        let [soon, late] = [0, 1].map(|_| self.dice.millis(0, 2 * self.script.delay + 2));
        match (fault, conn) {
            (Fault::Cut | Fault::CutStandby, Some(conn)) => self.lose(conn, soon, late, 1006),
            (Fault::ServerHalfOpen(wait), Some(conn)) => {
                let Some(wire) = self.wires.get_mut(&conn) else { return };
                wire.cut(self.now + soon, self.now + late);
                self.later(soon, Event::ClientLost { conn, code: 1006 });
                self.later(wait.min(REAP), Event::ServerLost { conn });
            }
            (Fault::ClientHalfOpen, Some(conn)) => {
                let Some(wire) = self.wires.get_mut(&conn) else { return };
                wire.cut(self.now, self.now + late);
                self.later(KEEP_ALIVE, Event::ClientLost { conn, code: 1006 });
                self.later(late, Event::ServerLost { conn });
            }
            (Fault::Stall(time), _) => self.stall(time, true),
            (Fault::StallToClient(time), _) => self.stall(time, false),
            (Fault::Restart(time), conn) => {
                self.away = self.now + time;
                self.silent = false;
                self.server.restart(self.now);
                if self.script.observed {
                    self.server.observe(OBSERVER, &Program::conversation(0));
                }
                for conn in conn.into_iter().chain(self.standby.conn) {
                    self.lose(conn, soon, Duration::ZERO, 1006);
                }
            }
            (Fault::Sleep(time), conn) => {
                // A sleep within a sleep does not end it: what came first would come last.
                self.asleep = self.asleep.max(self.now + time);
                for conn in conn.into_iter().chain(self.standby.conn).filter(|_| time > REAP) {
                    self.lose(conn, time, REAP, 1006);
                }
            }
            (Fault::Flap(times), Some(conn)) => {
                self.flaps = times;
                self.lose(conn, soon, late, 1006);
            }
            (Fault::CutStream, Some(conn)) => {
                let Some(wire) = self.wires.get_mut(&conn) else { return };
                if std::mem::replace(&mut wire.stream_up, false) {
                    self.server.stream(conn, false);
                    self.later(Duration::from_millis(250), Event::StreamBack { conn });
                }
            }
            (Fault::Twice(count), _) => self.twice = count,
            (_, None) => {}
        }
    }

    /// Nothing comes through for a while: when it takes too long, the client gives the connection up.
    fn stall(&mut self, time: Duration, both: bool) {
        let until = self.now + time;
        if both {
            self.away = until;
            self.silent = true;
        }
        // Where nothing comes through at all, that holds for the standby too.
        for conn in self.conn.into_iter().chain(self.standby.conn.filter(|_| both)) {
            let Some(wire) = self.wires.get_mut(&conn) else { continue };
            wire.stall(until, if both { until } else { Duration::ZERO });
            if time >= KEEP_ALIVE {
                let server = if both { time.min(REAP) } else { KEEP_ALIVE };
                self.lose(conn, KEEP_ALIVE, server, 1006);
            }
        }
    }

    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}
