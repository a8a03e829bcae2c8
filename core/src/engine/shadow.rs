//! Makes one stream of the two that a client with a standby gets: both connections carry the same events
//! of a runtime, in the same order, and each counts once (PROTOCOL.md sections 6 and 7).
//!
//! While the first connection lives, only what it carries is used. What the standby has seen and the first
//! connection has not is kept: it is used when the first connection is lost. What the first connection
//! has seen and the standby has not is remembered, so that it does not count again after that.

use std::collections::{HashMap, HashSet};

use super::fingerprint::fingerprint;
use super::lane::{Lane, Mark};
use crate::protocol::Text;

/// How many events one connection may be behind the other.
pub(crate) const STANDBY_EVENTS: usize = 4096;

/// How large the kept ones may be.
pub(crate) const STANDBY_BYTES: usize = 16 * 1024 * 1024;

/// What the answer to a `sync` consists of: it is told to one connection, and looks like what all are told.
const STATES: [&str; 5] = [
    "control_request",
    "update_device_status",
    "update_loop_status",
    "update_queue",
    "update_subagent_state",
];

/// What the standby is known to get of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    /// It was asked for. What tells of a state may be the answer to that.
    Asked,
    /// It is subscribed. What happened before that may still be on its way on the first connection.
    Subscribed,
    /// What one of the two connections misses is on the other.
    Whole,
    /// Something was lost, because the standby was too far ahead.
    Gap,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    /// The runtimes the standby is subscribed to.
    covers: HashMap<u64, Cover>,
    /// Seen on the first connection only, so far.
    ahead: Lane,
    /// Seen on the standby only, so far.
    pending: Lane,
    /// Seen on a first connection that was lost, and on its way on the one that took its place.
    behind: Lane,
}

impl Shadow {
    /// The standby is being subscribed to a runtime.
    pub(crate) fn ask(&mut self, place: u64) {
        self.covers.insert(place, Cover::Asked);
    }

    /// It is subscribed.
    pub(crate) fn subscribed(&mut self, place: u64) {
        if let Some(cover) = self.covers.get_mut(&place) {
            *cover = Cover::Subscribed;
        }
    }

    /// It is subscribed, and nothing that is older is still on its way.
    pub(crate) fn cover(&mut self, place: u64) {
        if let Some(cover @ (Cover::Asked | Cover::Subscribed)) = self.covers.get_mut(&place) {
            *cover = Cover::Whole;
        }
    }

    /// The server did not subscribe it.
    pub(crate) fn uncover(&mut self, place: u64) {
        self.covers.remove(&place);
    }

    /// Whether nothing of a runtime is missed when the first connection is lost now.
    pub(crate) fn is_whole(&self, place: u64) -> bool {
        self.covers.get(&place) == Some(&Cover::Whole)
    }

    /// Whether events of the first connection have to be looked at.
    pub(crate) fn is_idle(&self) -> bool {
        self.covers.is_empty() && self.behind.is_empty()
    }

    /// An event came on the first connection. Whether it is a new one.
    pub(crate) fn first(&mut self, place: u64, kind: &str, text: &Text) -> bool {
        let cover = self.covers.get(&place).copied();
        if cover.is_none() && self.behind.is_empty() {
            return true;
        }
        let Some(mark) = mark(place, kind, text) else { return true };
        if !self.behind.is_empty() {
            if self.behind.take(mark) || self.behind.has_state(mark) {
                return false;
            }
            if self.behind.forgotten > 0 {
                self.behind.forgotten -= 1;
                return false;
            }
            // The device status may be told to one connection that has not asked.
            if kind != "update_device_status" {
                // Nothing that came before it is on its way any more.
                self.behind.clear(place);
            }
        }
        if cover.is_some() {
            if self.pending.take(mark) {
                self.met(mark);
                if !mark.state {
                    self.ahead.clear(place);
                }
            } else {
                self.ahead.push(mark, Text::default());
                while self.ahead.forget(STANDBY_EVENTS, STANDBY_BYTES).is_some() {}
            }
        }
        true
    }

    /// An event came on the standby.
    pub(crate) fn second(&mut self, place: u64, kind: &str, text: &Text) {
        let Some(cover) = self.covers.get(&place).copied() else { return };
        if cover == Cover::Asked && STATES.contains(&kind) {
            return;
        }
        let Some(mark) = mark(place, kind, text) else { return };
        if self.ahead.take(mark) {
            self.met(mark);
            if !mark.state {
                self.pending.clear(place);
            }
            return;
        }
        if self.ahead.has_state(mark) {
            return;
        }
        if self.ahead.forgotten > 0 {
            self.ahead.forgotten -= 1;
            return;
        }
        self.pending.push(mark, text.clone());
        while let Some(place) = self.pending.forget(STANDBY_EVENTS, STANDBY_BYTES) {
            self.covers.entry(place).and_modify(|cover| *cover = Cover::Gap);
        }
    }

    /// An event was seen on both. A state may be an older one that looks the same.
    fn met(&mut self, mark: Mark) {
        if !mark.state {
            self.covers.insert(mark.place, Cover::Whole);
        }
    }

    /// The standby takes the place of the first connection. Returns what it alone has seen, in order.
    pub(crate) fn switch(&mut self) -> Vec<Text> {
        let pending = std::mem::take(&mut self.pending);
        self.behind = std::mem::take(&mut self.ahead);
        let mut newer = HashSet::new();
        let mut texts = Vec::new();
        for (mark, text) in pending.into_events() {
            if !mark.state && newer.insert(mark.place) {
                // What the standby has seen is newer than all that the first connection had seen.
                self.behind.clear(mark.place);
            }
            texts.push(text);
        }
        self.covers.clear();
        texts
    }

    /// The server has told everything anew of a runtime: what was on its way before that has come.
    pub(crate) fn caught_up(&mut self, place: u64) {
        self.behind.clear(place);
        self.behind.forgotten = 0;
    }

    /// There is no standby any more.
    pub(crate) fn lost(&mut self) {
        self.covers.clear();
        self.ahead = Lane::default();
        self.pending = Lane::default();
    }
}

fn mark(place: u64, kind: &str, text: &Text) -> Option<Mark> {
    let key = fingerprint(text)?;
    Some(Mark { place, key, state: STATES.contains(&kind) })
}
