//! The bell of the mailbox in every order of its two threads: nobody waits while something is there.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::VecDeque;
use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// The locks that loom knows.
mod sync {
    pub use loom::sync::{Mutex, MutexGuard};
}

#[path = "../src/belled.rs"]
mod belled;

use belled::{Belled, Waits};

struct Items(VecDeque<u32>);

impl Waits for Items {
    fn waits(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Every order in which a writer with so many bursts and a reader can meet. The reader answers rings the way
/// the bindings do: it clears the bell's flag (they empty a pipe, or are called once) and drains.
fn try_every_order(bursts: u32, each: u32) {
    loom::model(move || {
        let flag = Arc::new(AtomicBool::new(false));
        let ringing = Arc::clone(&flag);
        let belled = Arc::new(Belled::new(Items(VecDeque::new()), move || {
            assert!(!ringing.swap(true, Ordering::SeqCst), "a ring before the last was answered");
        }));
        let filled = Arc::clone(&belled);
        let writer = thread::spawn(move || {
            for burst in 0..bursts {
                for item in 0..each {
                    filled.with(|items| items.0.push_back(burst * each + item));
                }
                filled.ring();
            }
        });
        let mut read = Vec::new();
        let answer = |read: &mut Vec<u32>| {
            if flag.swap(false, Ordering::SeqCst) {
                read.extend(belled.drain(|items| std::mem::take(&mut items.0)));
            }
        };
        answer(&mut read);
        answer(&mut read);
        writer.join().unwrap();
        // No more is written: whoever listens to the bell alone has to come by everything.
        answer(&mut read);
        let all: Vec<_> = (0..bursts * each).collect();
        assert_eq!(read, all, "something waits and no bell has rung");
    });
}

#[test]
fn no_ring_is_lost_and_none_comes_twice() {
    try_every_order(3, 1);
    try_every_order(2, 2);
}
