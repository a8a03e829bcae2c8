//! What the user is told of lines that are missing: why, once for each reason.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::transport::{Op, OpTeller};

/// Why lines are missing. Frames whose redactor failed are told of by the redactor's own language.
#[derive(Debug)]
pub(super) enum Loss {
    TooFast,
    NoJson,
    /// The system's word for it.
    Unwritten(String),
}

impl Loss {
    fn place(&self) -> usize {
        match self {
            Self::TooFast => 0,
            Self::NoJson => 1,
            Self::Unwritten(_) => 2,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::TooFast => "they came faster than they could be written".to_owned(),
            Self::NoJson => "a frame was no JSON, so nothing could be redacted in it".to_owned(),
            Self::Unwritten(why) => {
                format!("they could not be written ({why}), which is tried again")
            }
        }
    }
}

/// What was told, and what is to be told.
#[derive(Debug, Default)]
struct Told {
    before: [bool; 3],
    said: Vec<String>,
    /// How many of them were delivered.
    delivered: usize,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Losses {
    /// The file, for people.
    path: String,
    told: Mutex<Told>,
    /// Of the driver, which delivers it.
    teller: OpTeller,
}

impl Losses {
    pub(super) fn new(path: &Path, teller: OpTeller) -> Self {
        Self { path: path.display().to_string(), told: Mutex::default(), teller }
    }

    pub(super) fn tell(&self, loss: &Loss) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = told.before.get_mut(loss.place()) else { return };
        if std::mem::replace(before, true) {
            return;
        }
        let words = loss.words();
        told.said.push(format!("lines are missing in the recording {}: {words}", self.path));
        drop(told);
        self.teller.tell(Op::Unrecorded);
    }

    /// What nobody was told yet.
    pub(super) fn take(&self) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let all = told.said.len();
        let delivered = std::mem::replace(&mut told.delivered, all);
        told.said.get(delivered..).unwrap_or_default().to_vec()
    }

    /// All that was told.
    #[cfg(feature = "cli")]
    pub(super) fn said(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).said.clone()
    }
}
