//! A TCP proxy before a server: it can be cut, and sent to another server, under one address.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::{Arc, Mutex};

use letta_app_client::testing::MockServer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Debug, Default)]
struct State {
    /// Where connections go; `None` for nowhere: they are accepted and get no answer.
    target: Option<String>,
    pipes: Vec<JoinHandle<()>>,
    accepted: usize,
}

#[derive(Debug)]
pub struct Proxy {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub async fn before(server: &MockServer) -> Self {
        Self::to(&server.url()).await
    }

    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let proxy = Self { url, state: Arc::clone(&state) };
        proxy.state.lock().unwrap().target = Some(server.replace("ws://", ""));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut state = state.lock().unwrap();
                state.accepted += 1;
                let target = state.target.clone();
                state.pipes.push(tokio::spawn(async move {
                    let Some(target) = target else { return std::future::pending().await };
                    let mut server = TcpStream::connect(&target).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }));
            }
        });
        proxy
    }

    /// Where connections go from now on.
    pub fn lead_to(&self, server: Option<&MockServer>) {
        let target = server.map(|server| server.url().replace("ws://", ""));
        self.state.lock().unwrap().target = target;
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.state.lock().unwrap().pipes.drain(..).for_each(|pipe| pipe.abort());
    }

    /// Cuts the oldest connection that there still is.
    pub fn cut_oldest(&self) {
        let mut state = self.state.lock().unwrap();
        state.pipes.retain(|pipe| !pipe.is_finished());
        if !state.pipes.is_empty() {
            state.pipes.remove(0).abort();
        }
    }

    /// How many connections there ever were.
    pub fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }
}
