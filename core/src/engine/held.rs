//! What of a runtime waits to be sent, in the order given.

use std::collections::VecDeque;

use super::delivery::Token;
use crate::protocol::Text;
use crate::room::Room;

/// A command that waits to be sent.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) text: Text,
    /// The request or turn that it is of; none where nobody waits for what becomes of it.
    pub(crate) call: Option<Token>,
    /// Whether it is an input, and not just behind one.
    pub(crate) settles: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct HeldQueue {
    list: VecDeque<Held>,
    /// How many are no inputs.
    others: usize,
}

impl HeldQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether it is inputs alone that wait.
    pub(crate) fn only_inputs(&self) -> bool {
        self.others == 0
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Held> {
        self.list.get(place)
    }

    pub(crate) fn push_back(&mut self, held: Held) {
        self.others += usize::from(!held.settles);
        self.list.push_back(held);
    }

    /// Puts a command before all that wait.
    pub(crate) fn push_front(&mut self, held: Held) {
        self.others += usize::from(!held.settles);
        self.list.push_front(held);
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<Held> {
        let held = self.list.remove(place)?;
        self.others -= usize::from(!held.settles);
        self.list.give_back();
        Some(held)
    }

    /// The calls that wait to be sent.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Token> {
        self.list.iter().filter_map(|held| held.call)
    }

    /// Whether there are any that nobody waits for.
    pub(crate) fn has_unawaited(&self) -> bool {
        self.list.iter().any(|held| held.call.is_none())
    }

    /// How many there are.
    pub(crate) fn unawaited(&self) -> usize {
        self.list.iter().filter(|held| held.call.is_none()).count()
    }

    /// Takes out all that nobody waits for, where all others are about to be dropped.
    pub(crate) fn take_unawaited(&mut self) -> impl Iterator<Item = Held> {
        std::mem::take(self).list.into_iter().filter(|held| held.call.is_none())
    }

    /// Puts others in the place of the commands that nobody waits for, or drops them. Says whether any was another then.
    pub(crate) fn edit(&mut self, edited: impl Fn(Text) -> Option<Text>) -> bool {
        let mut list = std::mem::take(&mut self.list);
        let mut any = false;
        for mut held in list.drain(..) {
            if held.call.is_none() {
                let before = held.text.clone();
                let Some(text) = edited(held.text) else {
                    self.others -= usize::from(!held.settles);
                    any = true;
                    continue;
                };
                any |= *text != *before;
                held.text = text;
            }
            self.list.push_back(held);
        }
        any
    }

    /// Drops those that are meant. Says whether there were any.
    pub(crate) fn drop_where(&mut self, is_meant: impl Fn(&Held) -> bool) -> bool {
        let before = self.list.len();
        self.list.retain(|held| !is_meant(held));
        let dropped = self.list.len() < before;
        if dropped {
            self.others = self.list.iter().filter(|held| !held.settles).count();
            self.list.give_back();
        }
        dropped
    }
}
