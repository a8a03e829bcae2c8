//! Silence and sleep, in time that a test decides on: no server is waited for.

use std::sync::Mutex;
use std::sync::mpsc::{TryRecvError, channel};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{advance, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::clock::LOOK_EVERY;
use super::super::keepalive::RESUME_ANSWER;
use super::super::ops::{OpSender, OpTap, channel as op_channel};
use super::super::socket::BURST;
use super::*;
use crate::engine::{Correlation, Expect, Ids, Reconnect, TurnOptions};

const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);

struct Seen(UnboundedSender<Delivery>);

impl Sink for Seen {
    fn deliver(&mut self, delivery: Delivery) {
        let _ = self.0.send(delivery);
    }

    fn flush(&mut self) {}
}

/// A driver that runs, with the server's ends of its sockets.
struct World {
    ops: OpSender,
    seen: UnboundedReceiver<Delivery>,
    wall: Arc<Mutex<SystemTime>>,
    control: Server,
    stream: Option<Server>,
    shared: Arc<Shared>,
}

type Server = WebSocketStream<DuplexStream>;

fn options() -> ConnectOptions {
    let never = 300 * DAY;
    let rules = Reconnect { max_attempts: None, base: never, cap: never };
    ConnectOptions::new("ws://127.0.0.1:1").reconnect(Some(rules))
}

async fn pair(channel: Channel) -> (Socket, Server) {
    let (ours, theirs) = duplex(1 << 20);
    let socket = Socket::new(Box::new(ours), Vec::new(), channel, &options());
    (socket, WebSocketStream::from_raw_socket(theirs, Role::Server, None).await)
}

async fn world(split: bool) -> World {
    world_of(options(), split).await
}

async fn world_of(options: ConnectOptions, split: bool) -> World {
    let (control, control_end) = pair(Channel::Control).await;
    let (stream, stream_end) = if split {
        let (socket, end) = pair(Channel::Stream).await;
        (Some(socket), Some(end))
    } else {
        (None, None)
    };
    let (ops, seen, wall, shared) = start(control, stream, options).await;
    World { ops, seen, wall, control: control_end, stream: stream_end, shared }
}

type Started = (OpSender, UnboundedReceiver<Delivery>, Arc<Mutex<SystemTime>>, Arc<Shared>);

/// A driver over these sockets.
async fn start(control: Socket, stream: Option<Socket>, options: ConnectOptions) -> Started {
    let split = stream.is_some();
    let start = Instant::now();
    let wall = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + 20_000 * DAY));
    let shows = Arc::clone(&wall);
    let shared = Arc::new(Shared::new(Ids::random().unwrap()));
    let (ops, received) = op_channel();
    let (sink, mut seen) = unbounded_channel();
    let endpoint = options.check().unwrap();
    let read = Box::new(move || *shows.lock().unwrap() + start.elapsed());
    let known = Arc::clone(&shared);
    let mut driver = Driver::with_wall(endpoint, options, 7, Seen(sink), received, known, read);
    let stream = stream.map(Box::new);
    driver.attempted(Ok(Connected { control, stream, info: None, split, newest: None }));
    tokio::spawn(async move { driver.run().await });
    assert!(matches!(seen.recv().await, Some(Delivery::State { state: State::Open, .. })));
    (ops, seen, wall, shared)
}

impl World {
    /// How and when the connection is lost.
    async fn lost(&mut self) -> String {
        loop {
            match self.seen.recv().await {
                Some(Delivery::Disconnected { code, reason, will_reconnect, .. }) => {
                    assert_eq!((code, will_reconnect), (1006, true));
                    return reason;
                }
                Some(Delivery::Message { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn sleep(&self, time: Duration) {
        *self.wall.lock().unwrap() += time;
    }
}

#[tokio::test(start_paused = true)]
async fn the_loss_is_told_at_once_and_the_end_of_an_own_server_when_it_is_known() {
    let (teller, watch) = crate::server::pair();
    let mut world = world_of(options().server(watch), false).await;
    let start = Instant::now();
    world.control.close(None).await.unwrap();
    let lost = world.seen.recv().await;
    assert!(matches!(lost, Some(Delivery::Disconnected { will_reconnect: true, .. })), "{lost:?}");
    let state = world.seen.recv().await;
    assert!(matches!(state, Some(Delivery::State { state: State::Reconnecting, .. })), "{state:?}");
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing is waited for");
    assert!(timeout(DAY, world.seen.recv()).await.is_err(), "the server runs, as far as is known");
    teller.ended(None);
    drop(teller);
    let told = world.seen.recv().await;
    let Some(Delivery::State { state: State::Disconnected, error: Some(error) }) = told else {
        panic!("{told:?}")
    };
    assert_eq!(error.message(), "the server has ended: it is not known how");
    assert!(timeout(1000 * DAY, world.seen.recv()).await.is_err(), "there is no attempt");
    drop(world.ops);
}

#[tokio::test(start_paused = true)]
async fn of_a_joined_server_nothing_is_told_to_its_clients() {
    let (teller, watch) = crate::server::pair();
    drop(teller);
    let mut world = world_of(options().server(watch), false).await;
    world.control.close(None).await.unwrap();
    let lost = world.seen.recv().await;
    assert!(matches!(lost, Some(Delivery::Disconnected { will_reconnect: true, .. })), "{lost:?}");
    let state = world.seen.recv().await;
    assert!(matches!(state, Some(Delivery::State { state: State::Reconnecting, .. })), "{state:?}");
    assert!(timeout(DAY, world.seen.recv()).await.is_err(), "it connects again");
    drop(world.ops);
}

/// Answers pings until the end, and counts them.
fn answering(mut server: Server) -> Arc<Mutex<usize>> {
    let pings = Arc::new(Mutex::new(0));
    let count = Arc::clone(&pings);
    tokio::spawn(async move {
        // Reading answers them.
        while let Some(Ok(message)) = server.next().await {
            *count.lock().unwrap() += usize::from(message.is_ping());
        }
    });
    pings
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_without_a_word_is_lost_after_40_s() {
    let mut world = world(false).await;
    let start = Instant::now();
    let reason = world.lost().await;
    assert!(reason.contains("nothing was heard for 40 s and a ping got no answer"), "{reason}");
    assert_eq!(start.elapsed().as_secs(), 40);
    assert!(matches!(world.control.next().await, Some(Ok(Message::Ping(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_stays() {
    let World { ops, mut seen, control, .. } = world(false).await;
    let pings = answering(control);
    assert!(timeout(10 * 60 * SECOND, seen.recv()).await.is_err(), "nothing happens");
    // One ping in 20 s of silence, and 20 s until the next look.
    assert_eq!(*pings.lock().unwrap(), 15);
    drop(ops);
}

#[tokio::test(start_paused = true)]
async fn both_sockets_of_a_pair_are_watched() {
    let mut gone_control = world(true).await;
    let pings = answering(gone_control.stream.take().unwrap());
    assert!(gone_control.lost().await.contains("40 s"));
    assert!(*pings.lock().unwrap() > 0);

    // Without the stream socket its frames come on the control socket, so the connection goes on.
    let mut gone_stream = world(true).await;
    answering(gone_stream.control);
    let stream = gone_stream.stream.as_mut().unwrap();
    assert!(timeout(60 * SECOND, gone_stream.seen.recv()).await.is_err(), "no loss is told");
    assert!(matches!(stream.next().await, Some(Ok(Message::Ping(_)))));
    assert!(!matches!(stream.next().await, Some(Ok(_))), "the client has let go of it");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_takes_its_time_is_a_sign_of_the_server() {
    let World { ops, mut seen, control, .. } = world(false).await;
    let mut control = control.into_inner();
    control.write_all(&[0x81, 126, 0x00, 0xFF]).await.unwrap();
    for _ in 0..0xFE {
        control.write_all(b" ").await.unwrap();
        advance(SECOND).await;
        tokio::task::yield_now().await;
    }
    assert!(seen.try_recv().is_err(), "254 s, and the connection is there");
    drop(ops);
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_a_server_that_is_gone_is_lost_within_10_s() {
    let mut world = world(false).await;
    world.sleep(DAY);
    let start = Instant::now();
    world.lost().await;
    assert!(start.elapsed() <= LOOK_EVERY + RESUME_ANSWER + SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_sleep_and_was_not_read_is_no_sign_of_the_server() {
    let mut world = world(false).await;
    world.sleep(DAY);
    let frame = [&[0x81, 12][..], br#"{"type":"x"}"#].concat();
    world.control.get_mut().write_all(&frame).await.unwrap();
    let start = Instant::now();
    world.lost().await;
    assert!(start.elapsed() <= RESUME_ANSWER + SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_both_sockets_are_pinged_at_once_and_stay_when_they_answer() {
    let World { ops, mut seen, wall, control, stream, .. } = world(true).await;
    let pings = [answering(control), answering(stream.unwrap())];
    *wall.lock().unwrap() += DAY;
    assert!(timeout(LOOK_EVERY + SECOND, seen.recv()).await.is_err());
    assert!(pings.iter().all(|pings| *pings.lock().unwrap() == 1));
    assert!(timeout(60 * SECOND, seen.recv()).await.is_err(), "the connection is there");
    drop(ops);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_or_a_little_forward_changes_nothing() {
    let World { ops, mut seen, wall, control, .. } = world(false).await;
    let pings = answering(control);
    *wall.lock().unwrap() -= DAY;
    assert!(timeout(LOOK_EVERY + SECOND, seen.recv()).await.is_err());
    *wall.lock().unwrap() += 2 * SECOND;
    assert!(timeout(LOOK_EVERY + SECOND, seen.recv()).await.is_err());
    assert_eq!(*pings.lock().unwrap(), 0);
    drop(ops);
}

#[tokio::test(start_paused = true)]
async fn a_sleep_ends_no_turn_whichever_clock_shows_it() {
    for timers_go_on in [false, true] {
        let World { ops, mut seen, wall, control, .. } = world(false).await;
        answering(control);
        let limit = 3600 * SECOND;
        let command = Command::RunTurn {
            token: 1,
            text: r#"{"type":"input","request_id":"r"}"#.into(),
            request_id: "r".to_owned(),
            runtime: ("a".to_owned(), "c".to_owned()),
            client_ids: vec!["m".to_owned()],
            options: TurnOptions {
                timeout: Some(limit),
                idle_timeout: Some(2 * limit),
                accept_timeout: 2 * limit,
                abort_grace: Duration::ZERO,
                ..TurnOptions::default()
            },
        };
        let start = Instant::now();
        assert!(ops.send(Op::Command(Box::new(command))));
        assert!(timeout(LOOK_EVERY, seen.recv()).await.is_err());
        if timers_go_on {
            advance(DAY).await;
        } else {
            *wall.lock().unwrap() += DAY;
        }
        let failed = async {
            loop {
                if let Some(Delivery::Failed { error, .. }) = seen.recv().await {
                    return error;
                }
            }
        };
        assert_eq!(failed.await.kind(), ErrorKind::TurnTimeout);
        // The engine asks once more where the input is, for half a minute.
        let latest = limit + 60 * SECOND + if timers_go_on { DAY } else { Duration::ZERO };
        let took = start.elapsed();
        assert!(took >= limit && took + 120 * SECOND >= latest && took <= latest, "{took:?}");
    }
}

/// A process that was stopped for a while finds its answer behind more frames than are read at once.
#[tokio::test(start_paused = true)]
async fn an_answer_that_has_come_is_not_too_late() {
    let World { ops, mut seen, mut control, .. } = world(false).await;
    let expect = Expect {
        correlation: Correlation::RequestId("r".to_owned()),
        response_type: Some("sync_response".to_owned()),
        timeout: Some(SECOND),
        manual: false,
    };
    let command = Command::Request {
        token: 1,
        command: "sync".to_owned(),
        text: r#"{"type":"sync","request_id":"r"}"#.into(),
        runtime: None,
        settles: false,
        expect,
    };
    assert!(ops.send(Op::Command(Box::new(command))));
    assert!(matches!(control.next().await, Some(Ok(Message::Text(_)))));
    for _ in 0..3 * BURST {
        control.feed(Message::text(r#"{"type":"noise"}"#)).await.unwrap();
    }
    let answer = r#"{"type":"sync_response","request_id":"r","success":true}"#;
    control.send(Message::text(answer)).await.unwrap();
    advance(2 * SECOND).await;
    let outcome = loop {
        match seen.recv().await.unwrap() {
            Delivery::Message { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(outcome, Delivery::Response { token: 1, .. }), "{outcome:?}");
}

/// An input that nobody waits for.
fn input() -> Op {
    let text =
        r#"{"type":"input","request_id":"r","runtime":{"agent_id":"a","conversation_id":"c"}}"#;
    let runtime = Some(("a".to_owned(), "c".to_owned()));
    Op::Command(Box::new(Command::Send { text: text.into(), runtime, settles: true }))
}

fn request(token: Token) -> Op {
    let expect = Expect {
        correlation: Correlation::RequestId("r".to_owned()),
        response_type: Some("sync_response".to_owned()),
        timeout: None,
        manual: false,
    };
    Op::Command(Box::new(Command::Request {
        token,
        command: "sync".to_owned(),
        text: r#"{"type":"sync","request_id":"r"}"#.into(),
        runtime: None,
        settles: false,
        expect,
    }))
}

/// Whoever sends as fast as the driver takes it keeps nobody from being answered.
#[tokio::test(start_paused = true)]
async fn the_sockets_are_read_and_written_between_many_commands() {
    let World { ops, mut seen, mut control, .. } = world(false).await;
    for _ in 0..4 * OPS_AT_ONCE {
        assert!(ops.hold(input()));
    }
    assert!(ops.hold(Op::Connect { token: 5 }));
    control.send(Message::text(r#"{"type":"first"}"#)).await.unwrap();
    ops.flush();
    assert!(matches!(seen.recv().await, Some(Delivery::Message { .. })));
    assert!(matches!(seen.recv().await, Some(Delivery::Done { token: 5 })));
    assert!(matches!(control.next().await, Some(Ok(Message::Text(_)))));
}

/// The same where it depends on the operating system what comes, and nothing is written.
#[tokio::test]
async fn what_a_socket_gets_meanwhile_is_seen_between_many_commands() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    let control = Socket::new(Box::new(ours), Vec::new(), Channel::Control, &options());
    let (ops, mut seen, ..) = start(control, None, options()).await;
    for _ in 0..40 * OPS_AT_ONCE {
        let runtime = ("a".to_owned(), "c".to_owned());
        let command = Command::HoldRuntime { runtime, opening: String::new(), held: false };
        assert!(ops.hold(Op::Command(Box::new(command))));
    }
    assert!(ops.hold(Op::Connect { token: 5 }));
    // The driver has looked, and found nothing.
    tokio::task::yield_now().await;
    // A text of 16 bytes.
    std::io::Write::write_all(&mut theirs, b"\x81\x10{\"type\":\"first\"}").unwrap();
    ops.flush();
    assert!(matches!(seen.recv().await, Some(Delivery::Message { .. })));
    assert!(matches!(seen.recv().await, Some(Delivery::Done { token: 5 })));
}

/// Closes, and says how much has never left by then.
async fn unsent_at_close(
    ops: &OpSender,
    seen: &mut UnboundedReceiver<Delivery>,
    shared: &Shared,
) -> u64 {
    assert!(ops.send(Op::Close { token: 9 }));
    loop {
        match seen.recv().await {
            Some(Delivery::Done { token: 9 }) => return shared.counters().unsent,
            Some(_) => {}
            None => panic!("the close was not answered"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_into_a_dead_socket_is_not_lost_in_silence() {
    let World { ops, mut seen, control, shared, .. } = world(false).await;
    // Before the driver has a chance to notice.
    drop(control);
    assert!(ops.send(input()));
    assert!(matches!(seen.recv().await, Some(Delivery::Disconnected { .. })));
    tokio::task::yield_now().await;
    assert_eq!(shared.counters().unsent, 0, "it waits for the next connection");
    assert_eq!(unsent_at_close(&ops, &mut seen, &shared).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_driver_takes_after_the_loss_is_kept_or_refused() {
    let World { ops, mut seen, control, shared, .. } = world(false).await;
    drop(control);
    assert!(matches!(seen.recv().await, Some(Delivery::Disconnected { .. })));
    assert!(ops.send(input()) && ops.send(request(1)));
    let error = loop {
        match seen.recv().await {
            Some(Delivery::Failed { token: 1, error }) => break error,
            Some(_) => {}
            None => panic!("the request was not answered"),
        }
    };
    assert!(error.retryable() && error.will_reconnect(), "{error}");
    assert_eq!(unsent_at_close(&ops, &mut seen, &shared).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_close_is_counted() {
    let World { ops, mut seen, control, shared, .. } = world(false).await;
    answering(control);
    assert!(ops.send(input()) && ops.send(Op::Close { token: 8 }) && ops.send(input()));
    assert_eq!(unsent_at_close(&ops, &mut seen, &shared).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_has_not_read_at_the_close_is_counted() {
    let World { ops, mut seen, control, shared, .. } = world(false).await;
    let text = format!(r#"{{"type":"x","of":"{}"}}"#, "x".repeat(2 << 20)).into();
    let large = Command::Send { text, runtime: None, settles: false };
    assert!(ops.send(Op::Command(Box::new(large))));
    assert_eq!(unsent_at_close(&ops, &mut seen, &shared).await, 1);
    drop(control);
}

/// The time that a process ends in, as its connections have it.
const LIMIT: Duration = Duration::from_millis(200);

/// Ends the process: how long that waits, and how much has not left.
async fn leave(tap: &OpTap) -> (Duration, u64) {
    let start = Instant::now();
    let (answer, answers) = channel();
    tap.leave(Leaving::new((start + LIMIT).into_std(), answer));
    while answers.try_recv() == Err(TryRecvError::Empty) {
        sleep(Duration::from_millis(1)).await;
    }
    (start.elapsed(), tap.rest())
}

const AT_ONCE: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(2);

#[tokio::test(start_paused = true)]
async fn a_process_with_nothing_unsent_ends_at_once() {
    let World { ops, mut seen, control, shared, .. } = world(false).await;
    let (time, rest) = leave(&ops.tap()).await;
    assert!(AT_ONCE.contains(&time) && rest == 0, "{time:?}, {rest}");
    // A server that does not answer the close is not waited for.
    let tap = ops.tap();
    assert!(ops.send(Op::Close { token: 9 }));
    tokio::task::yield_now().await;
    let (time, rest) = leave(&tap).await;
    assert!(AT_ONCE.contains(&time) && rest == 0, "{time:?}, {rest}");
    answering(control);
    assert_eq!(unsent_at_close(&ops, &mut seen, &shared).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_right_before_the_end_of_the_process_leaves() {
    for dropped in [false, true] {
        let World { ops, mut control, seen, .. } = world(false).await;
        let tap = ops.tap();
        assert!(ops.hold(input()));
        // A client may be gone before the process is.
        let kept = (!dropped).then_some(ops);
        let (time, rest) = leave(&tap).await;
        assert!(AT_ONCE.contains(&time) && rest == 0, "{time:?}, {rest}");
        let frame = control.next().await.unwrap().unwrap();
        assert!(frame.to_text().unwrap().contains(r#""input""#), "{frame:?}");
        drop((kept, seen));
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_leave_before_the_process_ends_is_known() {
    for dropped in [false, true] {
        let World { ops, control, seen, .. } = world(false).await;
        let tap = ops.tap();
        let text = format!(r#"{{"type":"x","of":"{}"}}"#, "x".repeat(2 << 20)).into();
        let large = Command::Send { text, runtime: None, settles: false };
        assert!(ops.send(Op::Command(Box::new(large))));
        let kept = (!dropped).then_some(ops);
        // The driver closes by then.
        sleep(Duration::from_millis(1)).await;
        let (answer, answers) = channel();
        tap.leave(Leaving::new((Instant::now() + LIMIT).into_std(), answer));
        sleep(LIMIT + Duration::from_millis(2)).await;
        assert_eq!(tap.rest(), 1);
        // A close goes on for longer, and is not waited for.
        let answered = answers.try_recv() == Err(TryRecvError::Disconnected);
        assert_eq!(answered, !dropped);
        drop((kept, seen, control));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_lost_server_at_the_end_of_the_process_is_counted() {
    let World { ops, mut seen, control, shared, .. } = world(false).await;
    drop(control);
    assert!(matches!(seen.recv().await, Some(Delivery::Disconnected { .. })));
    assert!(ops.send(input()));
    let (time, rest) = leave(&ops.tap()).await;
    assert!(AT_ONCE.contains(&time) && rest == 1, "{time:?}, {rest}");
    // It is told once.
    assert_eq!(unsent_at_close(&ops, &mut seen, &shared).await, 1);
    while seen.recv().await.is_some() {}
    assert_eq!(ops.tap().rest(), 0);
}
