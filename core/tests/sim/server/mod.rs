//! An App Server without sockets and clock: commands, losses and the time go in, frames come out.
//!
//! It does what sections 7, 9, 10 and 13 to 16 of PROTOCOL.md say, and writes down in a ledger what
//! truly happened.

mod commands;
mod conversation;
mod frames;
mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use letta_app_client::engine::Channel;
use serde_json::{Value, json};

use super::dice::Dice;
use super::ledger::{End, Ledger};
use conversation::{Conversation, IDLE, Step};
use frames::scope;

pub type ConnId = u64;

/// The longest clean-up after a turn that was measured (section 18).
const CLEANING: u64 = 150;

/// Which generation it is (section 1).
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    pub split: bool,
    /// `input_accepted`, `turn_finished`, `update_queue.removed`.
    pub acks: bool,
    /// `client_message_ids_by_run_id`.
    pub correlation: bool,
}

impl Generation {
    pub const TODAY: Self = Self { split: false, acks: true, correlation: true };
    pub const NO_CORRELATION: Self = Self { split: false, acks: true, correlation: false };
    pub const SPLIT: Self = Self { split: true, acks: false, correlation: false };
}

/// A frame for a connection.
#[derive(Debug)]
pub struct Output {
    pub conn: ConnId,
    pub channel: Channel,
    pub text: String,
}

#[derive(Debug, Default)]
struct Conn {
    seq: u64,
    subscribed: BTreeSet<String>,
    /// The external tools it registered, by conversation.
    tools: BTreeMap<String, usize>,
    stream: bool,
}

pub struct Server {
    pub ledger: Ledger,
    pub generation: Generation,
    /// Clients of this server register tools for every conversation: an input without them ran too soon.
    pub expects_tools: bool,
    /// The longest clean-up after a turn, in milliseconds (section 18).
    pub cleaning: u64,
    dice: Dice,
    now: Duration,
    conns: BTreeMap<ConnId, Conn>,
    conversations: BTreeMap<String, Conversation>,
    timers: BTreeMap<(Duration, u64), String>,
    serial: u64,
    runs: u64,
    out: VecDeque<Output>,
}

impl Server {
    pub fn new(generation: Generation, dice: Dice) -> Self {
        Self {
            ledger: Ledger::default(),
            generation,
            expects_tools: false,
            cleaning: CLEANING,
            dice,
            now: Duration::ZERO,
            conns: BTreeMap::new(),
            conversations: BTreeMap::new(),
            timers: BTreeMap::new(),
            serial: 0,
            runs: 0,
            out: VecDeque::new(),
        }
    }

    /// Whether a new control socket is taken: a split server has one client (section 2.1).
    pub fn takes_clients(&self) -> bool {
        !self.generation.split || self.conns.is_empty()
    }

    /// A connection is open; it is told of the permissions that are wanted (section 7).
    pub fn connect(&mut self, now: Duration, conn: ConnId) {
        self.now = now;
        let stream = self.generation.split;
        self.conns.insert(conn, Conn { stream, ..Conn::default() });
        if !self.generation.split {
            let places: Vec<_> = self.conversations.keys().cloned().collect();
            for place in places {
                self.tell_question(&place, Some(conn));
            }
        }
    }

    /// A subscriber that sends nothing and goes on listening (section 7).
    pub fn observe(&mut self, conn: ConnId, conversation: &str) {
        let entry = self.conns.entry(conn).or_default();
        entry.subscribed.insert(conversation.to_owned());
    }

    /// The stream socket of a split connection went, or came back.
    pub fn stream(&mut self, conn: ConnId, open: bool) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.stream = open;
        }
    }

    /// The server has noticed that a connection is gone (section 16).
    pub fn lost(&mut self, now: Duration, conn: ConnId) {
        self.now = now;
        let Some(gone) = self.conns.remove(&conn) else { return };
        let places: Vec<_> = self.conversations.keys().cloned().collect();
        for place in places {
            let subscribed = self.generation.split || gone.subscribed.contains(&place);
            if !subscribed {
                continue;
            }
            if self.listeners(&place).is_empty() {
                self.tear_down(&place, End::Cut);
            } else {
                self.drop_queued(&place, |input| input.conn == conn);
                self.fail_call_of(&place, conn);
            }
        }
    }

    /// Everything but the stored messages is gone; run ids start again (section 6).
    pub fn restart(&mut self, now: Duration) {
        self.now = now;
        self.conns.clear();
        let places: Vec<_> = self.conversations.keys().cloned().collect();
        for place in places {
            self.tear_down(&place, End::Cut);
            let conversation = self.place(&place);
            let messages = std::mem::take(&mut conversation.messages);
            *conversation = Conversation { status: IDLE, messages, ..Conversation::default() };
        }
        self.out.clear();
        self.timers.clear();
        self.runs = 0;
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Duration> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = now;
        while let Some((at, serial)) = self.timers.first_key_value().map(|(key, _)| *key) {
            if at > now {
                return;
            }
            let Some(place) = self.timers.remove(&(at, serial)) else { return };
            if self.place(&place).ticket == serial {
                self.advance(&place);
            }
        }
    }

    /// Whether a connection has registered tools for a conversation.
    pub fn has_tools(&self, conn: ConnId, conversation: &str) -> bool {
        let tools = self.conns.get(&conn).and_then(|conn| conn.tools.get(conversation));
        tools.is_some_and(|count| *count > 0)
    }

    /// What the agent has said since a message, as it is stored.
    pub fn stored_answer(&self, conversation: &str, otid: &str) -> Option<String> {
        let messages = &self.conversations.get(conversation)?.messages;
        let asked = messages.iter().position(|message| message["otid"] == otid)?;
        let answer = messages[asked + 1..].iter().filter(|m| m["role"] == "assistant");
        let text = |message: &Value| message["content"][0]["text"].as_str().map(str::to_owned);
        Some(answer.filter_map(text).collect())
    }

    fn place(&mut self, conversation: &str) -> &mut Conversation {
        let entry = self.conversations.entry(conversation.to_owned());
        entry.or_insert_with(|| Conversation { status: IDLE, ..Conversation::default() })
    }

    /// Wakes a conversation after a while; whatever it waited for before does not count any more.
    fn wake(&mut self, conversation: &str, after: Duration) {
        self.serial += 1;
        let serial = self.serial;
        self.place(conversation).ticket = serial;
        self.timers.insert((self.now + after, serial), conversation.to_owned());
    }

    fn listeners(&self, conversation: &str) -> Vec<ConnId> {
        let all = self.conns.iter();
        let listens = |conn: &Conn| self.generation.split || conn.subscribed.contains(conversation);
        all.filter(|(_, conn)| listens(conn)).map(|(id, _)| *id).collect()
    }

    /// An answer: without an envelope, on the control socket.
    fn reply(&mut self, conn: ConnId, frame: &Value) {
        if self.conns.contains_key(&conn) {
            let text = frame.to_string();
            self.out.push_back(Output { conn, channel: Channel::Control, text });
        }
    }

    /// An event of a runtime, in the envelope of one connection (section 6).
    fn event(&mut self, conn: ConnId, conversation: &str, frame: &Value) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        entry.seq += 1;
        let mut frame = frame.clone();
        frame["runtime"] = scope(conversation);
        frame["event_seq"] = entry.seq.into();
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        frame["idempotency_key"] = format!("{kind}:{}:{conn}", entry.seq).into();
        let streams = entry.stream && kind != "control_request";
        let channel = if streams { Channel::Stream } else { Channel::Control };
        self.out.push_back(Output { conn, channel, text: frame.to_string() });
    }

    fn broadcast(&mut self, conversation: &str, frame: &Value) {
        for conn in self.listeners(conversation) {
            self.event(conn, conversation, frame);
        }
    }

    fn loop_status(&mut self, conversation: &str) -> Value {
        let correlation = self.generation.correlation;
        let place = self.place(conversation);
        let orphan = place.turn.as_ref().is_some_and(|turn| turn.orphan);
        let status = if orphan { IDLE } else { place.status };
        let running = place.turn.as_ref().filter(|turn| turn.step != Step::Process);
        let run = running.and_then(|turn| turn.run.clone());
        let active: Vec<_> = run.into_iter().filter(|_| status != IDLE).collect();
        let mut state = json!({ "status": status, "active_run_ids": active });
        if correlation && !place.correlation.is_empty() {
            let pairs = place.correlation.iter();
            state["client_message_ids_by_run_id"] =
                pairs.map(|(run, ids)| (run.clone(), json!(ids))).collect();
        }
        json!({ "type": "update_loop_status", "loop_status": state })
    }

    fn device_status(&mut self, conversation: &str) -> Value {
        let open: Vec<_> = self.open_question(conversation).into_iter().collect();
        let working = self.place(conversation).turn.is_some();
        json!({
            "type": "update_device_status",
            "device_status": { "is_processing": working, "pending_control_requests": open },
        })
    }

    /// What waits, and what has left the queue.
    fn queue_frame(&mut self, conversation: &str, removed: &[(&str, &str)]) -> Value {
        let acks = self.generation.acks;
        let items = self.place(conversation).queue.iter().map(|input| {
            json!({ "id": input.item, "client_message_id": input.client_id, "kind": "message" })
        });
        let items: Vec<_> = items.collect();
        let mut frame = json!({ "type": "update_queue", "queue": items });
        if acks {
            let removed = removed
                .iter()
                .map(|(id, how)| json!({ "client_message_id": id, "disposition": how }));
            frame["removed"] = removed.collect();
        }
        frame
    }

    fn tell_status(&mut self, conversation: &str, status: &'static str) {
        self.place(conversation).status = status;
        let frame = self.loop_status(conversation);
        self.broadcast(conversation, &frame);
    }

    fn tell_device(&mut self, conversation: &str) {
        let frame = self.device_status(conversation);
        self.broadcast(conversation, &frame);
    }

    fn tell_queue(&mut self, conversation: &str, removed: &[(&str, &str)]) {
        let frame = self.queue_frame(conversation, removed);
        self.broadcast(conversation, &frame);
    }

    /// What a connection gets that asks how a conversation stands.
    fn snapshot(&mut self, conn: ConnId, conversation: &str) {
        let frames = [
            self.device_status(conversation),
            self.loop_status(conversation),
            self.queue_frame(conversation, &[]),
        ];
        for frame in frames {
            self.event(conn, conversation, &frame);
        }
    }
}
