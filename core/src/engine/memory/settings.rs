//! What a start sets of a runtime, later commands change, and a further start without it leaves as it is (PROTOCOL.md
//! sections 8 and 16).

use crate::protocol::raw::RawObject;

const FIELDS: [&str; 2] = ["mode", "cwd"];

#[derive(Debug, Default, Clone)]
pub(super) struct Setting {
    /// JSON text.
    value: Option<String>,
    /// When the command was sent.
    at: u64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Settings([Setting; 2]);

impl Settings {
    pub(super) fn mode(&self) -> Option<String> {
        serde_json::from_str(self.0[0].value.as_deref()?).ok()
    }

    /// What was last said of the mode.
    pub(super) fn said_mode(&self) -> Setting {
        self.0[0].clone()
    }

    /// What was said at a time is taken back: what was there before counts again. Says whether that was the last word.
    pub(super) fn take_mode_back(&mut self, said_at: u64, before: Setting) -> bool {
        let is_last = self.0[0].at == said_at && before.value.is_some();
        if is_last {
            self.0[0] = before;
        }
        is_last
    }

    /// Whether the mode counts as sent after something else.
    pub(super) fn is_mode_newer(&self, than: u64) -> bool {
        self.0[0].at > than
    }

    pub(super) fn forget_mode(&mut self) {
        self.0[0] = Setting::default();
    }

    /// Nobody has asked for the mode there is: one that somebody asks for counts instead, whenever that was sent.
    pub(super) fn any_mode_counts(&mut self) {
        self.0[0].at = 0;
    }

    /// A later command changes what it names.
    pub(super) fn set(&mut self, payload: &RawObject, at: u64) {
        for (field, setting) in FIELDS.iter().zip(&mut self.0) {
            if let Some(value) = payload.get(field) {
                *setting = Setting { value: Some(value.to_owned()), at };
            }
        }
    }

    /// Takes what a start that was sent at a time has set out of it, and its mode only where that counts. Its answer may
    /// come behind that of what was sent later.
    pub(super) fn take(&mut self, start: &mut RawObject, at: u64, mode_counts: bool) {
        for (field, setting) in FIELDS.iter().zip(&mut self.0) {
            let counts = setting.at <= at && (mode_counts || *field != "mode");
            if let Some(value) = start.get(field).filter(|_| counts) {
                *setting = Setting { value: Some(value.to_owned()), at };
            }
            start.remove(field);
        }
    }

    /// Gives all to a start.
    pub(super) fn give(&self, start: &mut RawObject) {
        for (field, setting) in FIELDS.iter().zip(&self.0) {
            if let Some(value) = &setting.value {
                // It was taken from valid JSON.
                start.set(field, value.clone()).unwrap_or_default();
            }
        }
    }
}
