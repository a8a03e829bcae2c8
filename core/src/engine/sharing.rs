//! Turns that share a run: the server makes one turn of inputs that wait together, and hands what arrives while a
//! tool runs to the turn under way (PROTOCOL.md section 10). It knows no abort of a part of it.

use super::ownership::has_live_run;
use super::runtime::Runtime;
use super::turn::{Phase, Turn};

impl Runtime {
    /// Whether an abort of a turn would take the answer from another one that is still wanted.
    pub(crate) fn is_shared(&self, index: usize) -> bool {
        let turn = &self.turns[index];
        self.wanted_beside(index).any(|other| self.run_together(turn, other))
    }

    /// Whether that may still turn out. The echo of an input that leaves the queue names the first of those that
    /// leave with it; of the others the server tells a few frames later.
    pub(crate) fn may_be_shared(&self, index: usize) -> bool {
        let turn = &self.turns[index];
        let untold = turn.listed && !has_live_run(&self.runs, turn);
        self.wanted_beside(index).any(|other| {
            let was_listed = other.phase == Phase::Queued && other.queue_item.is_some();
            was_listed && (untold || !other.listed)
        })
    }

    /// Whether the abort of another turn stops this one too. A second one might come when the next input runs.
    pub(crate) fn is_aborted_with_another(&self, index: usize) -> bool {
        let turn = &self.turns[index];
        let aborted =
            |other: &Turn| other.stop.as_ref().is_some_and(|stop| stop.is_meant() && stop.aborting);
        self.others(index).any(|other| aborted(other) && self.run_together(turn, other))
    }

    fn others(&self, index: usize) -> impl Iterator<Item = &Turn> {
        let others = self.turns.iter().enumerate().filter(move |(place, _)| *place != index);
        others.map(|(_, other)| other)
    }

    /// The turns but this one that have not been given up. Whoever has detached a turn wants it to go on.
    fn wanted_beside(&self, index: usize) -> impl Iterator<Item = &Turn> {
        self.others(index)
            .filter(|other| other.stop.is_none() || (other.is_let_go() && !other.left_over))
    }

    /// Whether two turns run as one. A conversation has one turn at a time, but for those that the server has lost
    /// sight of (section 18): two that have begun are one, unless each has begun by itself, or has a run of its own.
    fn run_together(&self, one: &Turn, other: &Turn) -> bool {
        let works = |turn: &Turn| turn.interrupted.is_none() && turn.ending.is_none();
        let runs = |turn: &Turn| turn.is_ours() && !turn.detached && works(turn);
        let by_itself = |turn: &Turn| turn.disposition.as_deref() == Some("started");
        let live = |turn: &Turn| has_live_run(&self.runs, turn);
        let common = || one.runs.iter().any(|run| !self.runs.has_ended(run) && other.owns_run(run));
        runs(one)
            && runs(other)
            && !(by_itself(one) && by_itself(other))
            && (!live(one) || !live(other) || common())
    }
}
