//! What a burst needed of room is given back: a connection that had once 10,000 requests waiting does not keep room for
//! them until it is closed.

use std::collections::{BinaryHeap, HashMap, VecDeque};

/// Room for the first, of what an idle connection has one of: by itself a collection makes room for four then.
pub(crate) const FIRST: usize = 1;

/// So many places may stay.
const KEPT: usize = 512;

/// A collection that keeps its room when it gets empty.
pub(crate) trait Room: Default {
    /// Gives back what it has room for, if it is empty and that is a lot.
    fn give_back(&mut self) {
        let (count, room) = self.count_and_room();
        if count == 0 && room > KEPT {
            *self = Self::default();
        }
    }

    /// How many are there, and how many may be without more memory.
    fn count_and_room(&self) -> (usize, usize);
}

impl<T> Room for VecDeque<T> {
    fn count_and_room(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }
}

impl<K, V> Room for HashMap<K, V> {
    fn count_and_room(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }
}

impl<T: Ord> Room for BinaryHeap<T> {
    fn count_and_room(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }
}
