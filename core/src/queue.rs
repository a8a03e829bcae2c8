//! A bounded queue: when it is full, neighbours are merged, then the oldest of what may go goes, and is
//! counted.

use std::collections::VecDeque;

use crate::backpressure::{Backpressure, Overflow};
use crate::engine::Delivery;
use crate::error::{Error, ErrorKind};

#[cfg(test)]
mod tests;

/// A merged item does not grow beyond this part of a queue's bytes, so that not everything goes at once
/// when it has to go.
const PART: usize = 4;

/// Whether more is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Open,
    /// The subscription ends when what waits was taken.
    Burst,
    /// It has ended.
    Over,
}

/// See the module's text.
///
/// Each item is looked at once when it comes, once when it is merged or passed over, and once when it is
/// taken: a full queue costs no more per item than an empty one.
#[derive(Debug)]
pub(crate) struct Queue {
    /// What stayed when its neighbours went; older than all of `items`.
    kept: VecDeque<Delivery>,
    items: VecDeque<Delivery>,
    bytes: usize,
    /// Since the last marker.
    dropped: u64,
    /// How many items went into others that wait.
    merged: u64,
    /// What waits was merged, and what comes is merged into the last item. Until half is free again.
    merging: bool,
    room: Room,
    limits: Backpressure,
}

impl Queue {
    pub(crate) fn new(limits: Backpressure) -> Self {
        Self {
            kept: VecDeque::new(),
            items: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            merged: 0,
            merging: false,
            room: Room::Open,
            limits,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.room != Room::Burst
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.kept.len() + self.items.len()
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        let weight = delivery.weight();
        let raises = self.limits.policy == Overflow::Raise;
        if raises && self.room == Room::Open && self.would_burst(weight) {
            self.room = Room::Burst;
        }
        if self.room != Room::Open {
            self.dropped += 1;
            return;
        }
        self.append(delivery, weight);
        if self.is_full() {
            self.make_room();
        }
    }

    /// Takes the oldest items: what stayed where others went, and so many more. A [`Delivery::Lagged`]
    /// stands behind what is older than what was dropped. The end of a subscription that was full is its
    /// last item.
    pub(crate) fn take(&mut self, most: usize) -> VecDeque<Delivery> {
        let mut taken = std::mem::take(&mut self.kept);
        let older = taken.len();
        if most >= self.items.len() {
            taken = joined(taken, std::mem::take(&mut self.items));
            self.bytes = 0;
        } else {
            taken.extend(self.items.drain(..most));
            self.bytes -= taken.iter().map(Delivery::weight).sum::<usize>();
        }
        if self.merging {
            self.merging = self.items.len() > self.limits.max_items / 2
                || self.bytes > self.limits.max_bytes / 2;
        }
        if self.room == Room::Open && (self.merged > 0 || self.dropped > 0) {
            let merged = taken.iter().map(|delivery| delivery.pieces() - 1).sum();
            self.merged -= merged;
            let dropped = std::mem::take(&mut self.dropped);
            if merged > 0 || dropped > 0 {
                taken.insert(older, Delivery::Lagged { dropped, merged });
            }
        }
        if self.room == Room::Burst && self.items.is_empty() {
            self.room = Room::Over;
            taken.push_back(Delivery::Failed { token: 0, error: lagged(self.dropped) });
        }
        taken
    }

    /// Takes the oldest items up to the first that follows one that `ends`, and does not itself. `joins` says
    /// whether an item belongs to the one behind it.
    pub(crate) fn take_step(
        &mut self,
        ends: impl Fn(&Delivery) -> bool,
        joins: impl Fn(&Delivery, &Delivery) -> bool,
    ) -> VecDeque<Delivery> {
        let mut ended = self.kept.iter().any(&ends);
        let next = self.items.iter().skip(1).map(Some).chain(std::iter::once(None));
        let step = self.items.iter().zip(next).position(|(item, next)| {
            let is_end = ends(item);
            ended |= is_end;
            ended && !is_end && !next.is_some_and(|next| joins(item, next))
        });
        self.take(step.unwrap_or(usize::MAX))
    }

    /// Whether an item would be too much; a single one never is.
    fn would_burst(&self, weight: usize) -> bool {
        let (items, bytes) = (self.len() + 1, self.bytes + weight);
        items > 1 && (items > self.limits.max_items || bytes > self.limits.max_bytes)
    }

    fn is_full(&self) -> bool {
        self.len() > 1 && (self.len() > self.limits.max_items || self.bytes > self.limits.max_bytes)
    }

    fn append(&mut self, delivery: Delivery, weight: usize) {
        self.bytes += weight;
        let last = self.items.back_mut().or(self.kept.back_mut()).filter(|_| self.merging);
        let Some(last) = last else {
            self.items.push_back(delivery);
            return;
        };
        let before = last.weight();
        if before + weight > self.limits.max_bytes / PART {
            self.items.push_back(delivery);
            return;
        }
        if let Some(other) = last.absorb(delivery) {
            self.items.push_back(other);
        } else {
            self.merged += 1;
            self.bytes = self.bytes + last.weight() - before - weight;
        }
    }

    fn make_room(&mut self) {
        if self.limits.policy == Overflow::Merge && !self.merging {
            self.merging = true;
            for delivery in std::mem::take(&mut self.items) {
                let weight = delivery.weight();
                self.bytes -= weight;
                self.append(delivery, weight);
            }
        }
        while self.is_full() {
            let Some(oldest) = self.items.pop_front() else { break };
            if oldest.droppable() {
                self.bytes -= oldest.weight();
                self.merged -= oldest.pieces() - 1;
                self.dropped += oldest.pieces();
            } else {
                self.kept.push_back(oldest);
            }
        }
    }
}

/// One behind the other; costs nothing where one is empty.
fn joined(mut first: VecDeque<Delivery>, mut second: VecDeque<Delivery>) -> VecDeque<Delivery> {
    if first.is_empty() {
        return second;
    }
    first.append(&mut second);
    first
}

/// The end of a subscription that did not keep up.
fn lagged(dropped: u64) -> Error {
    let message = format!("a subscriber did not keep up: {dropped} items are missing");
    Error::new(ErrorKind::Lagged, message)
        .with_hint("read faster, allow more to wait, or let the oldest be dropped")
        .with_dropped_count(Some(dropped))
}
