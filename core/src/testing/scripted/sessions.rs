//! Connections that come and go (protocol reference, sections 2.1, 7 and 16).

use std::time::Duration;

use serde_json::json;

use super::super::connection::{Command, Link};
use super::super::trace::Channel;
use super::abort;
use super::silence::Silence;
use super::world::{Scope, State, Step, World};

/// How long a stream socket may wait for its control socket.
const PAIRING_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn opened(world: &World, link: Link) {
    let mut state = world.lock();
    match link.channel {
        Channel::Socket => single(&mut state, link),
        Channel::Control if state.clients.is_empty() => state.add_client(link),
        Channel::Control => refuse(&link, "control channel already connected"),
        Channel::Stream => {
            if let Some(client) = state.clients.values_mut().next() {
                if client.stream.is_some() {
                    refuse(&link, "stream channel already connected");
                } else {
                    client.stream = Some(link);
                }
            } else if state.waiting_stream.is_some() {
                refuse(&link, "stream channel already pending");
            } else {
                state.waiting_stream = Some(link.clone());
                tokio::spawn(give_up(world.clone(), link));
            }
        }
    }
}

fn single(state: &mut State, link: Link) {
    let id = link.id;
    state.add_client(link);
    let scopes: Vec<Scope> = state.runtimes.keys().cloned().collect();
    for scope in scopes {
        if let Some(request) = state.control_request(&scope) {
            state.send_event(id, &scope, &request);
        }
    }
}

fn refuse(link: &Link, reason: &str) {
    link.send(Command::Close(Some((1008, reason.to_owned()))));
}

async fn give_up(world: World, link: Link) {
    tokio::time::sleep(PAIRING_LIMIT).await;
    let mut state = world.lock();
    if state.waiting_stream.as_ref().is_some_and(|waiting| waiting.id == link.id) {
        state.waiting_stream = None;
        refuse(&link, "control channel did not connect");
    }
}

pub(super) fn closed(world: &World, socket: u64) {
    let mut state = world.lock();
    let is_it = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.id == socket);
    if is_it(&state.waiting_stream) {
        state.waiting_stream = None;
    }
    for client in state.clients.values_mut() {
        if is_it(&client.stream) {
            client.stream = None;
        }
    }
    remove(world, &mut state, socket);
}

/// A server that is started again does not know what the one before was waiting for.
pub(super) fn stopped(world: &World) {
    for runtime in world.lock().runtimes.values_mut() {
        if let Some(waiting) = runtime.lingering.take() {
            waiting.abort();
            runtime.interrupted = false;
        }
    }
}

/// Cuts the connections of a client, as far as they are not cut already.
pub(super) fn cut(world: &World, state: &mut State, client: u64) {
    if let Some(client) = state.clients.get(&client) {
        for link in client.stream.iter().chain([&client.main]) {
            link.send(Command::Cut);
        }
    }
    remove(world, state, client);
}

/// Forgets a client with all that lives only as long as its connection.
fn remove(world: &World, state: &mut State, client: u64) {
    if state.clients.remove(&client).is_none() {
        return;
    }
    let lost: Vec<String> = state
        .external_calls
        .iter()
        .filter(|(_, call)| call.owner == client)
        .map(|(id, _)| id.clone())
        .collect();
    for id in lost {
        if let Some(call) = state.external_calls.remove(&id) {
            let _ = call.answer.send(json!({ "error": "Listener connection closed" }));
        }
    }
    let scopes: Vec<Scope> = state.runtimes.keys().cloned().collect();
    for scope in scopes {
        leave(world, state, &scope, client);
    }
}

fn leave(world: &World, state: &mut State, scope: &Scope, client: u64) {
    let runtime = state.runtime(scope);
    let queue = std::mem::take(&mut runtime.queue);
    let (gone, kept): (Vec<_>, Vec<_>) = queue.into_iter().partition(|input| input.owner == client);
    runtime.queue = kept.into();
    if !state.listeners(scope).is_empty() {
        if !gone.is_empty() {
            state.runtime(scope).remembers = true;
            state.tell_queue(scope, &gone, "cancelled");
        }
        return;
    }
    // Nobody is left to see the turn, so it is cancelled without a word; the one exception is a model that is silent.
    let runtime = state.runtime(scope);
    if let Some(running) = runtime.turn.take() {
        running.task.abort();
        // The model has to be told what became of its calls, before it answers anything else.
        runtime.interrupted = runtime.approval.is_some() || !runtime.executing.is_empty();
        runtime.partial = true;
        if !runtime.interrupted {
            runtime.accepted.clear();
            runtime.remembers = false;
        }
        runtime.approval = None;
        runtime.step = Step::Idle;
        runtime.active_run = None;
        runtime.executing.clear();
        if running.silence != Silence::Over {
            let tool_calls = Vec::new();
            abort::conclude(world, state, scope, abort::Interrupted { running, tool_calls });
        }
    }
}
