//! A TCP proxy that goes wrong where it is told to: after so many bytes in one direction.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both sides see the connection end.
    Cut,
    /// Both sides see it reset.
    Reset,
    /// Nothing more goes through in this direction for a while.
    Stall(Duration),
    /// Nothing more goes through in either, and for a while nobody says so.
    HalfOpen(Duration),
    /// The next bytes of this direction come one by one.
    Trickle(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// A fault that waits for its byte.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub fault: Fault,
    pub direction: Direction,
    /// So many bytes still go through.
    pub after: usize,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Plan>,
    struck: usize,
    /// Connections that are open, and those of them on which something goes wrong.
    open: usize,
    at_work: usize,
}

/// What both directions of a connection look at.
#[derive(Debug, Default)]
struct Line {
    /// Nothing goes through any more, and the sockets are kept.
    dead: Notify,
    /// The sockets are closed.
    over: Notify,
}

#[derive(Debug)]
pub struct FaultProxy {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl FaultProxy {
    /// A proxy before a server, given as `ws://host:port`.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let target = server.replace("ws://", "");
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, state) = (target.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(&target).await else { return };
                    connection(client, server, state).await;
                });
            }
        });
        Self { url, state }
    }

    /// The next fault; one that waits still is forgotten.
    pub fn arm(&self, plan: Plan) {
        self.state.lock().unwrap().armed = Some(plan);
    }

    /// How many faults have come to pass.
    pub fn struck(&self) -> usize {
        self.state.lock().unwrap().struck
    }

    /// How many connections are open and sound; what goes wrong on one is not over before it is closed, or
    /// works again.
    pub fn sound(&self) -> usize {
        let state = self.state.lock().unwrap();
        state.open - state.at_work
    }
}

/// Counts something as long as it is.
struct Counted<'a>(&'a Mutex<State>, fn(&mut State) -> &mut usize);

impl<'a> Counted<'a> {
    fn new(state: &'a Mutex<State>, which: fn(&mut State) -> &mut usize) -> Self {
        *which(&mut state.lock().unwrap()) += 1;
        Self(state, which)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *self.1(&mut self.0.lock().unwrap()) -= 1;
    }
}

async fn connection(client: TcpStream, server: TcpStream, state: Arc<Mutex<State>>) {
    client.set_nodelay(true).unwrap_or_default();
    server.set_nodelay(true).unwrap_or_default();
    let _open = Counted::new(&state, |state| &mut state.open);
    let line = Arc::new(Line::default());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pipe(from_client, to_server, Direction::ToServer, &state, &line);
    let down = pipe(from_server, to_client, Direction::ToClient, &state, &line);
    tokio::select! {
        () = async { tokio::join!(up, down); } => {}
        () = line.over.notified() => {}
    }
}

/// Lets the bytes of one direction through, until it ends or something goes wrong.
async fn pipe(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    state: &Mutex<State>,
    line: &Line,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut singly = 0;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => Some(read),
            () = line.dead.notified() => None,
        };
        let Some(read) = read else { return std::future::pending().await };
        let count = read.unwrap_or_default();
        if count == 0 {
            // The other direction may still have something to say; mostly it has not.
            to.shutdown().await.unwrap_or_default();
            line.over.notify_one();
            return;
        }
        let (now, fault) = strike(state, direction, count);
        let _at_work = fault.map(|_| Counted::new(state, |state| &mut state.at_work));
        if let Some(Fault::Trickle(bytes)) = fault {
            singly = bytes as usize;
        }
        for part in parts(&buffer[..now], &mut singly) {
            if to.write_all(part).await.is_err() {
                line.over.notify_one();
                return;
            }
        }
        match fault {
            Some(Fault::Cut) => {
                line.over.notify_one();
                return std::future::pending().await;
            }
            Some(Fault::Reset) => {
                for stream in [from.as_ref(), to.as_ref()] {
                    stream.set_zero_linger().unwrap();
                }
                line.over.notify_one();
                return std::future::pending().await;
            }
            Some(Fault::Stall(time)) => sleep(time).await,
            Some(Fault::HalfOpen(time)) => {
                line.dead.notify_one();
                sleep(time).await;
                line.over.notify_one();
                return std::future::pending().await;
            }
            Some(Fault::Trickle(_)) | None => {}
        }
        for part in parts(&buffer[now..count], &mut singly) {
            if to.write_all(part).await.is_err() {
                line.over.notify_one();
                return;
            }
        }
    }
}

/// How many of these bytes go through, and what happens then.
fn strike(state: &Mutex<State>, direction: Direction, count: usize) -> (usize, Option<Fault>) {
    let mut state = state.lock().unwrap();
    let Some(plan) = state.armed.as_mut().filter(|plan| plan.direction == direction) else {
        return (count, None);
    };
    if plan.after > count {
        plan.after -= count;
        return (count, None);
    }
    let (after, fault) = (plan.after, plan.fault);
    state.armed = None;
    state.struck += 1;
    (after, Some(fault))
}

/// The bytes as they are written: some of them one by one.
fn parts<'a>(bytes: &'a [u8], singly: &mut usize) -> impl Iterator<Item = &'a [u8]> {
    let (first, rest) = bytes.split_at((*singly).min(bytes.len()));
    *singly -= first.len();
    first.chunks(1).chain(rest.chunks(16 * 1024))
}
