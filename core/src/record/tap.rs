//! What one socket tells its recording.

use super::Recorder;
use super::options::Direction;
use super::writer::{Entry, Place};
use crate::protocol::Text;

/// The recording's ear on a socket. Its end is told when the socket is dropped, if not before.
pub(crate) struct Tap {
    recorder: Recorder,
    place: Place,
    is_over: bool,
}

impl Recorder {
    /// Records a socket that has just opened.
    pub(crate) fn tap(&self, place: Place, url: String) -> Tap {
        let entry = Entry::Open { at: self.now(), place: place.clone(), url };
        self.put(entry);
        Tap { recorder: self.clone(), place, is_over: false }
    }
}

impl Tap {
    fn frame(&self, direction: Direction, text: &Text) {
        let (at, place) = (self.recorder.now(), self.place.clone());
        self.recorder.put(Entry::Frame { at, place, direction, text: text.clone() });
    }

    pub(crate) fn sent(&self, text: &Text) {
        self.frame(Direction::Sent, text);
    }

    pub(crate) fn received(&self, text: &Text) {
        self.frame(Direction::Received, text);
    }

    pub(crate) fn pinged(&self) {
        self.recorder.put(Entry::Ping { at: self.recorder.now(), place: self.place.clone() });
    }

    /// The socket has ended; told once.
    pub(crate) fn ended(&mut self, code: u16, reason: &str) {
        if !std::mem::replace(&mut self.is_over, true) {
            let (at, place) = (self.recorder.now(), self.place.clone());
            self.recorder.put(Entry::Close { at, place, code, reason: reason.to_owned() });
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.ended(1006, "left by the client");
    }
}
