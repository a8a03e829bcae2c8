//! The looks at a server, one after the other; each needs the ones before.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Finding, Verdict, causes};
use crate::cli::args::Args;
use crate::cli::bench::{round_trip, spread};
use crate::cli::out::Out;
use crate::cli::{Exit, target};
use crate::client::Client;
use crate::events::{Event, Events};
use crate::options::ConnectOptions;
use crate::transport::fetch;

/// How long a server of the old generation may take to send a second client away.
const SENT_AWAY: Duration = Duration::from_millis(500);
/// A clock that is further off makes trouble with tokens that have a time: the server bears 30 s.
const SKEW: u64 = 30;
const SLOW_TRIP_MS: f64 = 500.0;
/// Below this rate a turn of a fast model can be faster than the way to here.
const SLOW_BYTES: f64 = 256.0 * 1024.0;
const TRIPS: usize = 10;
pub(crate) const WIDTH_WAIT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Stay,
    Server,
    Credentials,
    Clock,
    Latency,
    Reader,
    End,
}

pub(super) struct Checks {
    options: ConnectOptions,
    step: Step,
    client: Option<(Client, Events)>,
    median_ms: f64,
    /// What a bad finding means for the exit code.
    pub(super) exit: Exit,
}

impl Checks {
    pub(super) fn new(args: &Args) -> Self {
        let options = target::options(args);
        Self { options, step: Step::Connect, client: None, median_ms: 0.0, exit: Exit::Failed }
    }

    /// The next findings; `None` when there is nothing more to look at.
    pub(super) async fn next(&mut self, out: &mut Out) -> Option<Vec<Finding>> {
        let (found, next) = match self.step {
            Step::Connect => self.connect(out).await,
            Step::Stay => (self.stay().await, Step::Server),
            Step::Server => (self.server(), Step::Credentials),
            Step::Credentials => (self.credentials().await, Step::Clock),
            Step::Clock => (self.clock().await, Step::Latency),
            Step::Latency => (self.latency().await, Step::Reader),
            Step::Reader => (self.reader().await, Step::End),
            Step::End => return None,
        };
        let is_bad = found.iter().any(|finding| finding.verdict == Verdict::Bad);
        self.step = if is_bad { Step::End } else { next };
        Some(found)
    }

    async fn connect(&mut self, out: &mut Out) -> (Vec<Finding>, Step) {
        let opened = match Client::new(self.options.clone()) {
            Ok(client) => {
                out.clients.push(client.clone());
                let events = client.events();
                let begun = Instant::now();
                client.connect().await.map(|()| (client, events, begun.elapsed()))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok((client, events, took)) => {
                let generation = if client.is_split() { "two sockets" } else { "one socket" };
                let url = crate::options::shown(&self.options.url);
                let text = format!("{url}: {generation}, open after {} ms", took.as_millis());
                self.client = Some((client, events));
                (vec![Finding::new("connection", Verdict::Good, text)], Step::Stay)
            }
            Err(error) => {
                let place = self.options.check().map(|endpoint| endpoint.authority());
                let place = place.unwrap_or_else(|_| crate::options::shown(&self.options.url));
                if self.speaks_plainly().await {
                    self.exit = Exit::NoConnection;
                    return (vec![causes::without_tls(&place)], Step::End);
                }
                let has_token = self.options.token.is_some();
                let (finding, exit) = causes::of_refusal(&error, &place, has_token);
                self.exit = exit;
                (vec![finding], Step::End)
            }
        }
    }

    /// Whether what is meant to speak TLS answers without.
    async fn speaks_plainly(&self) -> bool {
        let Ok(mut endpoint) = self.options.check() else { return false };
        if !std::mem::replace(&mut endpoint.secure, false) {
            return false;
        }
        // It is not to be sent in clear.
        endpoint.token = None;
        fetch(&endpoint, &self.options, "/readyz").await.is_ok_and(|answer| answer.status == 200)
    }

    /// A server of the old generation opens the socket of a second client, and closes it at once; one that is no
    /// App Server may open anything and answer nothing.
    async fn stay(&mut self) -> Vec<Finding> {
        let Some((client, events)) = &mut self.client else { return Vec::new() };
        self.exit = Exit::NoConnection;
        let answered = tokio::time::timeout(self.options.request_timeout, round_trip(client)).await;
        let lost = async {
            loop {
                match events.next().await {
                    Some(Event::Disconnected { code, reason, .. }) => break (Some(code), reason),
                    Some(_) => {}
                    None => break (None, "closed".to_owned()),
                }
            }
        };
        match answered {
            Ok(Ok(_)) => Vec::new(),
            _ => match tokio::time::timeout(SENT_AWAY, lost).await {
                Ok((code, reason)) => vec![causes::of_loss(code, &reason)],
                Err(_) => {
                    vec![causes::not_a_server("it opens a WebSocket, but does not answer requests")]
                }
            },
        }
    }

    fn server(&mut self) -> Vec<Finding> {
        self.exit = Exit::Failed;
        let Some((client, _)) = &self.client else { return Vec::new() };
        let Some(info) = client.server_info() else {
            let finding = Finding::new(
                "server",
                Verdict::Warn,
                "its version is unknown: before 0.29.2, servers do not report it",
            );
            return vec![finding.hint("update it: 0.29.7 and later allow several clients, 0.30.3 and later report the end of turns")];
        };
        let text = |key: &str| info[key].as_str().unwrap_or("?").to_owned();
        let protocol = &info["protocol_version"];
        let server = format!(
            "{}, {} backend, protocol {protocol}",
            text("letta_code_version"),
            text("backend")
        );
        let has: Vec<&str> = capabilities(&info, true);
        let lacks = capabilities(&info, false);
        let mut findings = vec![Finding::new("server", Verdict::Good, server)];
        findings.push(Finding::new("capabilities", Verdict::Good, has.join(", ")));
        if !lacks.is_empty() {
            let text = format!("missing: {}", lacks.join(", "));
            findings.push(
                Finding::new("capabilities", Verdict::Warn, text)
                    .hint("a newer server may have them"),
            );
        }
        if *protocol != 1 {
            let text =
                format!("the server speaks protocol {protocol}, this client speaks protocol 1");
            findings.push(Finding::new("protocol", Verdict::Warn, text).hint("update the client"));
        }
        findings
    }

    async fn credentials(&mut self) -> Vec<Finding> {
        let Ok(mut endpoint) = self.options.check() else { return Vec::new() };
        let mut findings: Vec<Finding> = endpoint
            .token_at_risk()
            .map(|risk| Finding::new("credentials", Verdict::Warn, risk))
            .into_iter()
            .collect();
        let had = endpoint.token.take().is_some();
        let asked = fetch(&endpoint, &self.options, "/app-server-info").await;
        let wanted = asked.is_ok_and(|answer| answer.status == 401);
        findings.push(match (had, wanted) {
            (true, true) => Finding::new(
                "credentials",
                Verdict::Good,
                "the server requires a token and accepts this one",
            ),
            (true, false) => Finding::new(
                "credentials",
                Verdict::Warn,
                "a token was given, but the server does not require one",
            )
            .hint("a server that other machines can reach should be started with --ws-auth"),
            (false, _) => Finding::new("credentials", Verdict::Good, "the server requires none"),
        });
        findings
    }

    /// By the `Date` of an answer, which has whole seconds.
    async fn clock(&mut self) -> Vec<Finding> {
        let Ok(endpoint) = self.options.check() else { return Vec::new() };
        let answer = match fetch(&endpoint, &self.options, "/readyz").await {
            Ok(answer) => answer,
            Err(error) => return vec![not_known("clock", error.message())],
        };
        let Some(date) = answer.header("date") else {
            return vec![not_known("clock", "the answer to /readyz has no Date header")];
        };
        let Some(theirs) = seconds_of(date) else {
            let why = format!("{date:?} in the answer to /readyz is not a date");
            return vec![not_known("clock", &why)];
        };
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let skew = ours.abs_diff(theirs);
        vec![if skew <= 2 {
            Finding::new("clock", Verdict::Good, "within 2 s of this machine's")
        } else {
            let side = if theirs > ours { "ahead of" } else { "behind" };
            let verdict = if skew > SKEW { Verdict::Warn } else { Verdict::Good };
            let finding = Finding::new("clock", verdict, format!("{skew} s {side} this machine's"));
            if skew > SKEW {
                finding.hint("tokens that expire may be refused: set both clocks by NTP")
            } else {
                finding
            }
        }]
    }

    async fn latency(&mut self) -> Vec<Finding> {
        let Some((client, _)) = &self.client else { return Vec::new() };
        let mut trips = Vec::new();
        for _ in 0..TRIPS {
            if let Ok(trip) = round_trip(client).await {
                trips.push(trip);
            }
        }
        if trips.len() < TRIPS {
            let text = format!("only {} of {TRIPS} requests were answered", trips.len());
            return vec![
                Finding::new("latency", Verdict::Bad, text)
                    .hint("the server is overloaded or shutting down"),
            ];
        }
        let (low, median, high) = spread(&mut trips);
        self.median_ms = median;
        let text = format!("{median:.1} ms for a request ({low:.1} to {high:.1})");
        let slow = median > SLOW_TRIP_MS;
        let finding =
            Finding::new("latency", if slow { Verdict::Warn } else { Verdict::Good }, text);
        vec![if slow {
            finding.hint("the server is far away or busy: time limits may have to be longer")
        } else {
            finding
        }]
    }

    /// A server ends the connection of a client that does not take what it is sent (section 2): the way has to be wide
    /// enough.
    async fn reader(&mut self) -> Vec<Finding> {
        let Some((client, _)) = &self.client else { return Vec::new() };
        let before = client.counters().bytes;
        let begun = Instant::now();
        let asked = client.request("list_models", json!({}));
        // That there is no answer is not what was to be found out.
        let why = match tokio::time::timeout(WIDTH_WAIT, asked).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.message().to_owned()),
            Err(_) => Some(format!("no answer to `list_models` within {} s", WIDTH_WAIT.as_secs())),
        };
        if let Some(why) = why {
            return vec![not_known("slow reader", &why)];
        }
        let bytes = client.counters().bytes - before;
        let took = begun.elapsed().as_secs_f64() - self.median_ms / 1000.0;
        let bytes = u32::try_from(bytes).map_or(f64::MAX, f64::from);
        let rate = bytes / took.max(0.001);
        // An answer that is small says nothing of the width.
        if bytes < 16.0 * 1024.0 || rate > SLOW_BYTES {
            let text =
                "unlikely: this client reads all the time, and the connection is fast enough";
            return vec![Finding::new("slow reader", Verdict::Good, text)];
        }
        let text = format!("the connection carries only {:.0} KiB/s", rate / 1024.0);
        vec![Finding::new("slow reader", Verdict::Warn, text)
            .hint("a server ends a connection when 512 frames or 16 MiB are waiting to be sent; many fast turns at once may get there")]
    }
}

/// What could not be looked at, and why.
fn not_known(check: &'static str, why: &str) -> Finding {
    Finding::new(check, Verdict::Warn, format!("not known: {why}"))
}

fn capabilities(info: &Value, there: bool) -> Vec<&str> {
    let all = info["capabilities"].as_object();
    let wanted = all
        .into_iter()
        .flatten()
        .filter(|(name, has)| name.as_str() != "split_channels" && has.as_bool() == Some(there));
    wanted.map(|(name, _)| name.as_str()).collect()
}

/// The seconds since 1970 of an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds_of(date: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = date.split(' ').skip(1);
    let day: u64 = words.next()?.parse().ok()?;
    let month = MONTHS.find(words.next()?)? as u64 / 3;
    let year: u64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Years begin in March here, which puts the leap day last.
    let (year, month) =
        if month < 2 { (year.checked_sub(1)?, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days.checked_sub(719_468)? * 24 + hour) * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds_of;

    #[test]
    fn dates_are_read() {
        assert_eq!(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds_of("Tue, 29 Feb 2000 12:00:00 GMT"), Some(951_825_600));
        assert_eq!(seconds_of("yesterday"), None);
    }
}
