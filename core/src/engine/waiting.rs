//! The commands of a runtime that wait to be sent: for its last turn to settle, for the server to say what became
//! of the input before, and for the runtime to be at rest (PROTOCOL.md sections 10 and 18).

use super::context::{Context, Timer};
use super::delivery::Token;
use super::held::Held;
use super::outgoing::{Outgoing, Unawaited};
use super::runtime::Runtime;
use super::turn::{Phase, Stop, Turn};
use super::unspoken::Unspoken;
use crate::protocol::Text;
use crate::protocol::node::Node;

/// What an input says of the tools of its turn. Of inputs that become one turn the server reads the first one's
/// only, and an input that joins a running turn gets those of that turn (section 10).
const OF_TOOLS: [&str; 4] = [
    "client_tool_allowlist",
    "client_toolset",
    "exclude_interactive_tools",
    "external_tool_scope_ids",
];

/// What an input says of the tools of its turn, as it stands there; empty where it says nothing.
pub(crate) fn tools_of(input: &str) -> String {
    let mut tools = String::new();
    let Ok(object) = Node::object(input) else { return tools };
    let Some(payload) = object.get("payload") else { return tools };
    for field in OF_TOOLS {
        if let Some(value) = payload.get(field) {
            tools.push_str(field);
            tools.push_str(&input[value.at.clone()]);
        }
    }
    tools
}

impl Runtime {
    /// Sends a command of this runtime. Inputs wait for the settle pause, and behind an input that went
    /// to an idle server until that has said something of it: it would start both, the second one on a
    /// lost runtime. Whatever comes after a waiting command waits behind it: commands of one runtime
    /// leave in the order given.
    ///
    /// An input that says something of the tools of its turn waits besides until it becomes a turn of its own. That
    /// may take long, so only inputs wait behind it.
    pub(crate) fn submit(
        &mut self,
        text: Text,
        settles: bool,
        call: Option<Token>,
        ctx: &mut Context,
    ) {
        self.held.push_back(Held { text, call, settles });
        self.wake(ctx);
        self.release(ctx);
    }

    /// Puts the input of a turn before all that wait.
    pub(crate) fn submit_first(&mut self, text: Text, turn: Token, ctx: &mut Context) {
        self.held.push_front(Held { text, call: Some(turn), settles: true });
        self.wake(ctx);
    }

    /// Sees to it that what waits is sent after the settle pause, or when the server has said nothing for long.
    pub(crate) fn wake(&mut self, ctx: &mut Context) {
        let pause = self.settle.until().filter(|_| !self.held.is_empty());
        let ends = pause.into_iter().chain(self.unspoken.next_end());
        let Some(at) = ends.filter(|at| *at > ctx.now).min() else { return };
        if self.wakes_at.is_none_or(|set| set <= ctx.now || set > at) {
            self.wakes_at = Some(at);
            let (agent, conversation) = (self.agent_id.clone(), self.conversation_id.clone());
            ctx.timers.set(at, Timer::Settle(agent, conversation));
        }
    }

    /// Sends what may be sent by now.
    pub(crate) fn release(&mut self, ctx: &mut Context) {
        // How many stay: an input that waits for a turn of its own, and those behind it.
        let mut stay = 0;
        // Only what leaves here can change it.
        let mut settling = None;
        while let Some(command) = self.held.get(stay) {
            if command.settles {
                if *settling.get_or_insert_with(|| self.settling(ctx)) {
                    return;
                }
                if stay > 0 || self.would_mix(command.call, ctx) {
                    if self.held.only_inputs() {
                        return;
                    }
                    stay += 1;
                    continue;
                }
            }
            if let Some(command) = self.held.remove(stay) {
                self.transmit(command, ctx);
                settling = None;
            }
        }
    }

    /// Whether no input may be sent at all.
    fn settling(&self, ctx: &Context) -> bool {
        let starts = |turn: &Turn| turn.unseen() && !turn.busy && !turn.left_over;
        // Where a turn runs that the server has lost sight of, it starts the next beside it (section 18). What they
        // say can be told apart only where the server says what a run answers.
        let astray = |turn: &Turn| turn.detached && turn.is_ours() && !ctx.features.correlation;
        // An abort names no turn: one that comes after its turn has ended stops what was sent behind it. It may still
        // come for a turn that is being taken out of the queue, where that comes too late.
        let may_abort_yet = |turn: &Turn| {
            let not_yet = |stop: &Stop| stop.is_meant() && !stop.aborting;
            turn.phase != Phase::Held && !turn.left_over && turn.stop.as_ref().is_some_and(not_yet)
        };
        self.settle.goes_on(ctx.now)
            || self.unspoken.is_awaited(ctx.now)
            || self.is_restoring()
            || self.turns.iter().any(|turn| starts(turn) || astray(turn) || may_abort_yet(turn))
    }

    /// Whether an input would get the tools of another turn: it says something of them, and the server is at work
    /// with an input that does not say the same.
    fn would_mix(&self, token: Option<Token>, ctx: &Context) -> bool {
        let Some(turn) = token.and_then(|token| self.turns.get(self.turn_index(token)?)) else {
            return false;
        };
        let mut ahead = self
            .turns
            .iter()
            .filter(|turn| turn.phase != Phase::Held && !turn.left_over)
            .peekable();
        let busy = !self.idle() || self.queued > 0 || self.unspoken.comes(ctx.now);
        if (!busy && ahead.peek().is_none()) || turn.tools().is_empty() {
            return false;
        }
        ahead.peek().is_none() || ahead.any(|other| other.tools() != turn.tools())
    }

    fn transmit(&mut self, Held { text, call, settles }: Held, ctx: &mut Context) {
        let turn = call.and_then(|token| self.turn_index(token));
        if settles && turn.is_none() {
            self.note_unspoken(&text, ctx);
        }
        let place = || Some((self.agent_id.clone(), self.conversation_id.clone()));
        let known = || Unawaited { place: place(), settles };
        ctx.transmit.push_back(Outgoing::new(text, call, known));
        let Some(index) = turn else { return };
        // A turn ahead of us that has shown nothing yet keeps the server busy too.
        let ahead = &self.turns[..index];
        let waiting = self.unspoken.comes(ctx.now) || ahead.iter().any(|turn| !turn.is_ours());
        // One that has left the queue is about to run.
        let comes = |turn: &Turn| turn.is_ours() && !turn.status_seen && turn.runs.is_empty();
        let behind = waiting || ahead.iter().any(comes);
        let busy = !self.idle() || waiting;
        for run in &self.active {
            self.runs.note(run);
        }
        let seen_at_send = self.runs.seen();
        let turn = &mut self.turns[index];
        turn.seen_at_send = seen_at_send;
        turn.phase = Phase::Sent;
        turn.busy = busy;
        turn.behind = behind;
        turn.sent_at = ctx.now;
        self.watch(&self.turns[index], ctx);
    }

    /// An input leaves whose turn nobody follows: those behind it wait for the word on it, unless the server is at
    /// work and queues what comes.
    fn note_unspoken(&mut self, input: &Text, ctx: &mut Context) {
        let comes = |turn: &Turn| turn.phase != Phase::Held && !turn.is_ours() && !turn.left_over;
        let busy = !self.idle() || self.unspoken.comes(ctx.now) || self.turns.iter().any(comes);
        if !busy {
            self.unspoken.add(input, ctx.now);
            self.wake(ctx);
        }
    }

    /// Takes back what a call wants to send, while it has not left. Says whether that was so.
    pub(crate) fn take_back(&mut self, token: Token) -> bool {
        self.held.drop_where(|held| held.call == Some(token))
    }

    /// The same for all requests: they have failed. What is to become of the inputs that were sent is told anew.
    pub(crate) fn take_requests_back(&mut self) {
        self.unspoken = Unspoken::default();
        let turns = &self.turns;
        let is_turn = |token| turns.iter().any(|turn| turn.token == token);
        self.held.drop_where(|held| held.call.is_some_and(|token| !is_turn(token)));
    }
}
