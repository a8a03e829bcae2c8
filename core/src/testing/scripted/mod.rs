//! A server that reacts: it answers the usual commands as the protocol reference says and takes what its turns do
//! from a list.

mod abort;
mod agents;
pub(super) mod answers;
mod commands;
mod conversations;
mod existence;
mod files;
mod frames;
mod inputs;
mod modes;
mod publish;
mod sessions;
mod silence;
mod start;
mod store;
mod tools;
mod turn;
mod watch;
mod world;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::connection::Event;
use super::options::ScriptOptions;
use super::shared::Shared;
use world::World;

/// Handles everything that connections tell. Turns run in tasks of their own.
pub(super) async fn direct(
    options: ScriptOptions,
    mut events: UnboundedReceiver<Event>,
    folder: Option<PathBuf>,
    shared: Arc<Shared>,
) {
    let world = World::new(options, folder);
    while let Some(event) = events.recv().await {
        match event {
            Event::Opened(link) => sessions::opened(&world, link),
            Event::Closed { socket } => sessions::closed(&world, socket),
            Event::Stopped => sessions::stopped(&world),
            Event::Frame { socket, text } => {
                let unexpected = !commands::handle(&world, socket, &text);
                shared.update(|state| {
                    state.waiting -= 1;
                    state.unexpected.extend(unexpected.then_some(text));
                });
            }
        }
    }
}
