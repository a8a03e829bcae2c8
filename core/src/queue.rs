//! A bounded queue: when it is full, the oldest of what may go goes, and is counted.

use std::collections::VecDeque;

use crate::engine::Delivery;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Queue {
    items: VecDeque<Delivery>,
    bytes: usize,
    dropped: u64,
    max_items: usize,
    max_bytes: usize,
}

impl Queue {
    pub(crate) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self { items: VecDeque::new(), bytes: 0, dropped: 0, max_items, max_bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.bytes += delivery.weight();
        self.items.push_back(delivery);
        while self.items.len() > self.max_items || self.bytes > self.max_bytes {
            let Some(oldest) = self.items.iter().position(Delivery::droppable) else {
                break;
            };
            if let Some(dropped) = self.items.remove(oldest) {
                self.bytes -= dropped.weight();
                self.dropped += 1;
            }
        }
    }

    /// Takes everything. A [`Delivery::Lagged`] stands before it when something was dropped.
    pub(crate) fn take(&mut self) -> VecDeque<Delivery> {
        self.bytes = 0;
        let mut items = std::mem::take(&mut self.items);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            items.push_front(Delivery::Lagged { dropped });
        }
        items
    }
}
