//! How the settle pause grows where it has proved to be too short (PROTOCOL.md section 18).

mod support;

use letta_app_client::TurnOptions;
use support::Lab;

/// How long an input waits after a turn that has just ended, in milliseconds.
fn settle_pause(lab: &mut Lab) -> u32 {
    lab.sent();
    lab.turn(9, "m9", TurnOptions::default());
    (0..100)
        .find(|_| {
            let left = lab.sent_kinds() == ["input"];
            lab.pass(0.05);
            left
        })
        .map_or(u32::MAX, |steps| steps * 50)
}

#[test]
fn the_settle_pause_grows_when_it_has_proved_to_be_too_short() {
    let ways: [fn(&mut Lab); 2] = [
        |lab| lab.run_at("WAITING_ON_INPUT", "r1", &["m1"]),
        // A server that does not say what its runs answer.
        |lab| lab.says("r1", "text"),
    ];
    for shows in ways {
        let mut lab = Lab::new();
        lab.turn(1, "m1", TurnOptions::default());
        lab.accept(1, "started");
        lab.status("WAITING_ON_INPUT");
        shows(&mut lab);
        lab.says("r1", "more");
        lab.finished(Some("r1"), "end_turn");
        assert!(lab.one_end().1.turn().detached);
        assert_eq!(settle_pause(&mut lab), 300, "twice as long, once");
    }
}

#[test]
fn a_snapshot_for_a_second_session_does_not_make_the_settle_pause_grow() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    // The answer to another `runtime_start` of the conversation.
    lab.status("WAITING_ON_INPUT");
    lab.status("SENDING_API_REQUEST");
    lab.run("r1", &["m1"]);
    lab.finished(Some("r1"), "end_turn");
    assert!(!lab.one_end().1.turn().detached);
    assert_eq!(settle_pause(&mut lab), 150);
}
