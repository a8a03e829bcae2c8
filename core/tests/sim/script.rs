//! What is to happen in one run: calls and faults. It can be made smaller when the run fails.

use std::time::Duration;

use super::dice::Dice;
use super::plan::Plan;
use super::server::Generation;

/// One call of the program.
#[derive(Debug, Clone)]
pub struct Call {
    pub plan: Plan,
    /// Who calls; one after the other.
    pub caller: usize,
    /// The pause before it.
    pub after: Duration,
    pub followed: bool,
    /// What was lost is sent again.
    pub resend: bool,
    pub timeout: Option<Duration>,
    pub stop: Option<(Duration, Stop)>,
}

/// How a program leaves a turn before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It wants the outcome.
    Abort,
    /// It does not.
    Cancel,
    Detach,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both sides notice within a moment.
    Cut,
    /// The server notices only after a while.
    ServerHalfOpen(Duration),
    /// The client notices only by its keep-alive.
    ClientHalfOpen,
    /// Nothing comes through for a while.
    Stall(Duration),
    /// Only one direction does.
    StallToClient(Duration),
    /// The server goes down, and comes up again after a while.
    Restart(Duration),
    /// The client's process sleeps: for it the clock jumps.
    Sleep(Duration),
    /// The next connections are cut as soon as they are open.
    Flap(u32),
    /// A split server's stream socket is lost.
    CutStream,
    /// The standby is lost.
    CutStandby,
    /// The next frames of the server's events come twice.
    Twice(u32),
}

#[derive(Debug, Clone, Copy)]
pub enum When {
    At(Duration),
    /// When so many frames have come to the client.
    Frame(u64),
    /// When so many commands have come to the server.
    Command(u64),
}

#[derive(Debug, Clone)]
pub struct Script {
    pub seed: u64,
    pub generation: Generation,
    /// Somebody else listens to the first conversation.
    pub observed: bool,
    /// The client keeps a second connection.
    pub standby: bool,
    /// Of the two connections one is sound at all times: a fault waits until both are. Nobody wants a turn to
    /// stop, and every input may be sent again, so that every turn completes.
    pub steady: bool,
    pub conversations: usize,
    /// The time of a frame on its way, and how much it varies, in milliseconds.
    pub delay: u64,
    pub jitter: u64,
    pub calls: Vec<Call>,
    pub faults: Vec<(When, Fault)>,
}

impl Script {
    pub fn any(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let generation = match dice.below(6) {
            0 => Generation::NO_CORRELATION,
            1 | 2 => Generation::SPLIT,
            _ => Generation::TODAY,
        };
        let conversations = dice.pick(&[1_usize, 1, 2]);
        let callers = dice.pick(&[1_usize, 1, 2, 3]);
        let mut calls = Vec::new();
        for caller in 0..callers {
            for n in 0..dice.between(1, 4) {
                calls.push(call(format!("p{caller}x{n}"), caller, &mut dice));
            }
        }
        let faults = (0..dice.between(1, 4)).map(|_| fault(generation, &mut dice)).collect();
        Self {
            seed,
            generation,
            observed: !generation.split && dice.once_in(4),
            standby: !generation.split && dice.part(1).once_in(3),
            steady: false,
            conversations,
            delay: dice.between(0, 80),
            jitter: dice.pick(&[0, 1, 10, 200]),
            calls,
            faults,
        }
    }

    /// A story of a client with a standby that always has one of its connections.
    pub fn steady(seed: u64) -> Self {
        let mut script = Self::any(seed);
        // Others do not say what a run answers: what became of an input is not always to be found out.
        script.generation = Generation::TODAY;
        for call in &mut script.calls {
            (call.stop, call.timeout, call.resend) = (None, None, true);
            call.plan.fatal = false;
        }
        let mut dice = Dice::new(seed).part(2);
        let faults = (0..dice.between(1, 6)).map(|_| steady_fault(&mut dice)).collect();
        Self { observed: false, standby: true, steady: true, faults, ..script }
    }

    /// All scripts with one thing less.
    pub fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for index in 0..self.faults.len() {
            let mut script = self.clone();
            script.faults.remove(index);
            all.push(script);
        }
        for index in 0..self.calls.len() {
            let mut script = self.clone();
            script.calls.remove(index);
            all.push(script);
        }
        for index in 0..self.calls.len() {
            let simple = Plan {
                tool: None,
                asks: false,
                failures: 0,
                fatal: false,
                own_tools: false,
                ..self.calls[index].plan.clone()
            };
            if simple != self.calls[index].plan {
                let mut script = self.clone();
                script.calls[index].plan = simple;
                all.push(script);
            }
        }
        if self.jitter > 0 {
            all.push(Self { jitter: 0, ..self.clone() });
        }
        if self.observed {
            all.push(Self { observed: false, ..self.clone() });
        }
        all
    }
}

fn call(tag: String, caller: usize, dice: &mut Dice) -> Call {
    let stop = dice.once_in(6).then(|| {
        let after = dice.millis(0, 2000);
        (after, dice.pick(&[Stop::Abort, Stop::Cancel, Stop::Detach]))
    });
    Call {
        plan: Plan::any(tag, dice),
        caller,
        after: dice.pick(&[Duration::ZERO, Duration::from_millis(50), Duration::from_secs(3)]),
        followed: dice.once_in(2),
        resend: dice.once_in(2),
        timeout: dice.once_in(6).then(|| dice.millis(500, 20_000)),
        stop,
    }
}

fn when(dice: &mut Dice) -> When {
    match dice.below(3) {
        0 => When::At(dice.millis(0, 15_000)),
        1 => When::Frame(dice.between(1, 80)),
        _ => When::Command(dice.between(1, 8)),
    }
}

/// One that leaves the other connection alone.
fn steady_fault(dice: &mut Dice) -> (When, Fault) {
    let when = when(dice);
    let fault = match dice.below(10) {
        0 => Fault::CutStandby,
        1 => Fault::ServerHalfOpen(dice.millis(0, 90_000)),
        2 => Fault::ClientHalfOpen,
        3 => Fault::StallToClient(dice.millis(0, 60_000)),
        // As the engine's clock sees it: it does not count a sleep that is noticed.
        4 => Fault::Sleep(dice.millis(0, 15_000)),
        5 => Fault::Flap(u32::try_from(dice.between(1, 4)).unwrap_or_default()),
        6 => Fault::Twice(u32::try_from(dice.between(1, 10)).unwrap_or_default()),
        _ => Fault::Cut,
    };
    (when, fault)
}

fn fault(generation: Generation, dice: &mut Dice) -> (When, Fault) {
    let when = when(dice);
    let fault = match dice.below(12) {
        3 => Fault::ServerHalfOpen(dice.millis(0, 90_000)),
        4 => Fault::ClientHalfOpen,
        5 => Fault::Stall(dice.millis(0, 60_000)),
        6 => Fault::StallToClient(dice.millis(0, 60_000)),
        7 => Fault::Restart(dice.millis(0, 20_000)),
        8 => Fault::Sleep(dice.millis(0, 200_000)),
        9 => Fault::Flap(u32::try_from(dice.between(1, 4)).unwrap_or_default()),
        10 if generation.split => Fault::CutStream,
        10 => Fault::CutStandby,
        11 => Fault::Twice(u32::try_from(dice.between(1, 10)).unwrap_or_default()),
        _ => Fault::Cut,
    };
    (when, fault)
}
