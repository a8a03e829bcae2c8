//! What wakes the event loop: a descriptor that the loop watches.

mod ends;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ends::{Button, Reader};

/// The reading end, and a hold on the other one for the end of both; each until it is let go of.
#[derive(Debug)]
pub(crate) struct Doorbell {
    reader: Mutex<Option<Reader>>,
    button: Arc<Mutex<Option<Button>>>,
}

fn lock<T>(end: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bell and the button that rings it. The button never blocks and may be pressed on any thread.
pub(crate) fn pair() -> io::Result<(Doorbell, impl Fn() + Send + Sync + 'static)> {
    let (reader, button) = ends::pair()?;
    let button = Arc::new(Mutex::new(Some(button)));
    let doorbell = Doorbell { reader: Mutex::new(Some(reader)), button: Arc::clone(&button) };
    Ok((doorbell, move || press(&button)))
}

fn press(button: &Mutex<Option<Button>>) {
    if let Some(button) = lock(button).as_mut() {
        button.press();
    }
}

impl Doorbell {
    /// Swallows what was rung. Has to happen before the mailbox is emptied, or a ring could be lost.
    pub(crate) fn silence(&self) {
        if let Some(reader) = lock(&self.reader).as_mut() {
            reader.silence();
        }
    }

    /// Wakes who watches the reading end.
    pub(crate) fn ring(&self) {
        press(&self.button);
    }

    /// Closes both ends. A closed client may live on for long, and would keep its descriptors.
    pub(crate) fn hang_up(&self) {
        // First, so that who still watches is woken.
        self.ring();
        drop(lock(&self.button).take());
        drop(lock(&self.reader).take());
    }

    /// The file descriptor (on Windows the socket handle) for the event loop; -1 after the end.
    pub(crate) fn fileno(&self) -> i64 {
        lock(&self.reader).as_ref().map_or(-1, Reader::number)
    }
}
