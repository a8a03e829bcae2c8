//! What many stories came to, told by as many threads as there are processors.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What a run of the simulation came to.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    pub calls: u64,
    pub completed: u64,
    pub recovered: u64,
    pub resent: u64,
    pub interrupted: u64,
    pub not_sent: u64,
    pub aborted: u64,
    pub limits: u64,
    pub failed: u64,
    /// Turns that were aborted in place of another.
    pub hit: u64,
    pub losses: u64,
    pub reconnects: u64,
    /// Losses in which the standby took over.
    pub switches: u64,
    pub raced: u64,
    pub frames: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        let Self { calls, completed, recovered, resent, interrupted, not_sent, .. } = other;
        let Self { aborted, limits, failed, hit, losses, reconnects, .. } = other;
        let Self { switches, raced, frames, .. } = other;
        for (sum, count) in [
            (&mut self.calls, calls),
            (&mut self.completed, completed),
            (&mut self.recovered, recovered),
            (&mut self.resent, resent),
            (&mut self.interrupted, interrupted),
            (&mut self.not_sent, not_sent),
            (&mut self.aborted, aborted),
            (&mut self.limits, limits),
            (&mut self.failed, failed),
            (&mut self.hit, hit),
            (&mut self.losses, losses),
            (&mut self.reconnects, reconnects),
            (&mut self.switches, switches),
            (&mut self.raced, raced),
            (&mut self.frames, frames),
        ] {
            *sum += count;
        }
    }
}

/// A number that the caller of the tests has set.
pub fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Tells so many stories. The first that fails is the error, with its seed.
pub fn tell_all(
    first: u64,
    count: u64,
    tell: impl Fn(u64) -> Result<Figures, String> + Sync,
) -> Result<Figures, (u64, String)> {
    let next = AtomicU64::new(first);
    let part = || {
        let mut figures = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return Ok(figures);
            }
            figures.add(&tell(seed).map_err(|why| (seed, why))?);
        }
    };
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let parts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(part)).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut figures = Figures::default();
    for part in parts {
        figures.add(&part.map_err(|_| (0, "a thread panicked".to_owned()))??);
    }
    Ok(figures)
}
