//! When a silent server is asked whether it is still there, and when it counts as gone.
//!
//! Pure: the socket says what it has seen and when, and sends the pings.

use std::time::Duration;

use tokio::time::Instant;

use crate::options::{ConnectOptions, ENDLESS};

/// How long the ping after a sleep of the machine may stay unanswered: by then most connections are gone
/// without a word, and nobody wants to wait for twice the usual time.
pub(crate) const RESUME_ANSWER: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Ping,
    /// The server has been silent for so long, and the ping went unanswered.
    Lost(Duration),
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    timeout: Duration,
    /// When there was last a sign of the server: not only whole messages, because a long one may take
    /// its time and no pong can come inside it.
    heard: Instant,
    pinged: bool,
    /// When the server has to have answered after a sleep.
    answer_by: Option<Instant>,
}

impl KeepAlive {
    pub(super) fn new(now: Instant, options: &ConnectOptions) -> Self {
        Self {
            interval: options.keepalive_interval.min(ENDLESS),
            timeout: options.keepalive_timeout.min(ENDLESS),
            heard: now,
            pinged: false,
            answer_by: None,
        }
    }

    /// When there is something to do.
    pub(super) fn at(&self) -> Instant {
        let wait = if self.pinged { self.interval + self.timeout } else { self.interval };
        self.answer_by.unwrap_or(self.heard + wait)
    }

    /// To be called when that time has come. `moved`: there was a sign of the server since the last call, or
    /// since [`KeepAlive::resumed`].
    pub(super) fn step(&mut self, now: Instant, moved: bool) -> Step {
        if now < self.at() {
            return Step::Wait;
        }
        if moved {
            self.heard = now;
            self.pinged = false;
            self.answer_by = None;
            return Step::Wait;
        }
        if self.pinged {
            return Step::Lost(now - self.heard);
        }
        self.pinged = true;
        Step::Ping
    }

    /// The machine has slept: the server is pinged at once.
    pub(super) fn resumed(&mut self, now: Instant) {
        self.pinged = true;
        self.answer_by = Some(now + self.timeout.min(RESUME_ANSWER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_silent_server_is_pinged_after_20_s_and_gone_20_s_later() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, &ConnectOptions::new("ws://h"));
        assert_eq!(alive.at(), start + second(20));
        assert_eq!(alive.step(start + second(19), false), Step::Wait);
        assert_eq!(alive.step(start + second(20), false), Step::Ping);
        assert_eq!(alive.at(), start + second(40));
        assert_eq!(alive.step(start + second(40), false), Step::Lost(second(40)));
    }

    #[test]
    fn a_sign_of_the_server_begins_the_wait_again() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, &ConnectOptions::new("ws://h"));
        assert_eq!(alive.step(start + second(20), true), Step::Wait);
        assert_eq!(alive.step(start + second(40), false), Step::Ping);
        assert_eq!(alive.step(start + second(60), true), Step::Wait);
        assert_eq!(alive.at(), start + second(80));
    }

    #[test]
    fn after_a_sleep_the_answer_has_5_s() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, &ConnectOptions::new("ws://h"));
        let woken = start + second(7);
        alive.resumed(woken);
        assert_eq!(alive.at(), woken + RESUME_ANSWER);
        assert_eq!(alive.step(woken + RESUME_ANSWER, false), Step::Lost(second(12)));

        alive.resumed(woken);
        assert_eq!(alive.step(woken + RESUME_ANSWER, true), Step::Wait);
        assert_eq!(alive.at(), woken + RESUME_ANSWER + second(20));
    }

    #[test]
    fn a_shorter_limit_of_the_user_holds_after_a_sleep_too() {
        let start = Instant::now();
        let mut options = ConnectOptions::new("ws://h");
        options.keepalive_timeout = second(2);
        let mut alive = KeepAlive::new(start, &options);
        alive.resumed(start);
        assert_eq!(alive.at(), start + second(2));
    }
}
