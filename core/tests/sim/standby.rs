//! The second connection of a client that has one.

use std::time::Duration;

use letta_app_client::{Error, ErrorKind, StandbyState};

use super::server::ConnId;
use super::world::{Event, World};

#[derive(Debug, Default)]
pub struct Standby {
    pub conn: Option<ConnId>,
    /// How many attempts to open one have begun, or were given up.
    attempts: u64,
}

impl World {
    /// Whether there is a standby that takes over without a loss.
    pub fn has_standby(&self) -> bool {
        self.standby.conn.is_some() && self.engine.counters().standby == StandbyState::Ready
    }

    /// Whether one of the two connections is not there, or not as it should be.
    pub fn is_troubled(&self) -> bool {
        let sound = |conn: Option<ConnId>| {
            conn.and_then(|conn| self.wires.get(&conn)).is_some_and(|wire| wire.is_sound(self.now))
        };
        let asleep = self.now < self.asleep;
        asleep || !self.has_standby() || !sound(self.conn) || !sound(self.standby.conn)
    }

    pub fn attempt_standby(&mut self) {
        self.standby.attempts += 1;
        let (wait, outcome) = self.attempt_takes();
        self.later(wait, Event::AttemptedStandby(self.standby.attempts, outcome));
    }

    pub fn attempted_standby(&mut self, attempt: u64, outcome: Result<(), &'static str>) {
        if attempt != self.standby.attempts {
            return;
        }
        if let Err(why) = outcome {
            let error = Error::new(ErrorKind::ConnectionFailed, why);
            self.engine.handle_standby_failed(self.now, &error);
            return;
        }
        let conn = self.connection();
        self.standby.conn = Some(conn);
        self.server.connect(self.now, conn);
        self.engine.handle_standby_opened(self.now);
        if self.flaps > 0 {
            self.flaps -= 1;
            self.lose(conn, Duration::ZERO, Duration::ZERO, 1006);
        }
    }

    /// The first connection is lost, and there is another.
    pub fn take_over(&mut self, error: &Error) {
        self.standby.attempts += 1;
        self.conn = self.standby.conn.take();
        self.figures.switches += 1;
        let conn = self.conn;
        self.note(|| format!("{conn:?} takes over"));
        self.engine.handle_switched(self.now, error);
    }

    /// Without a first connection there is no standby either.
    pub fn drop_standby(&mut self) {
        self.standby.attempts += 1;
        if let Some(conn) = self.standby.conn.take() {
            self.lose(conn, Duration::ZERO, Duration::from_millis(50), 1006);
        }
    }
}
