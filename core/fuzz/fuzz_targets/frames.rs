//! Any text as a frame: nothing panics, it costs itself only, and a turn that is open still ends.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::TurnOptions;
use letta_app_client::engine::{Channel, Command, Delivery, Engine, Ids};
use letta_app_client::protocol::Text;
use letta_app_client::{Error, ErrorKind};
use libfuzzer_sys::fuzz_target;

const INPUT: &str = r#"{"type":"input","request_id":"r"}"#;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut engine = Engine::new(Arc::new(Ids::with_prefix("f".to_owned())), Duration::ZERO);
    engine.handle_connected(Duration::ZERO, false);
    engine.handle_command(Duration::ZERO, Command::HandleTools { handled: true });
    engine.handle_command(
        Duration::ZERO,
        Command::RunTurn {
            token: 1,
            text: Text::from(INPUT),
            request_id: "r".to_owned(),
            runtime: ("a".to_owned(), "c".to_owned()),
            client_ids: vec!["m".to_owned()],
            options: TurnOptions { events: true, ..TurnOptions::default() },
        },
    );
    for line in text.lines() {
        engine.handle_frame(Duration::from_millis(1), Channel::Control, &Text::from(line));
    }
    let error = Error::new(ErrorKind::Disconnected, "the end");
    engine.handle_connection_lost(Duration::from_secs(1), &error);
    let mut ends = 0;
    while let Some(delivery) = engine.poll_delivery() {
        ends += u32::from(matches!(
            delivery,
            Delivery::Turn { token: 1, .. } | Delivery::Failed { token: 1, .. }
        ));
    }
    assert_eq!(ends, 1, "the turn ends once");
});
