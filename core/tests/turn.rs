//! Turns with a handle: followed, awaited, stopped, left alone; both generations.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use std::future::IntoFuture;
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, Decision, ErrorKind, Turn, TurnEvent, TurnMessage,
    TurnOptions, TurnStatus, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn connected(options: ScriptOptions) -> (MockServer, Client, Value) {
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let fields = json!({ "agent_id": "agent-1", "mode": "standard", "create_conversation": {} });
    let runtime = client.runtime_start(fields).await.unwrap().json()["runtime"].clone();
    (server, client, runtime)
}

async fn started(turns: &[ScriptedTurn], generation: Generation) -> (MockServer, Client, Value) {
    let turns = turns.to_vec();
    connected(ScriptOptions { generation, turns, ..ScriptOptions::default() }).await
}

fn input(runtime: &Value) -> Value {
    let message = json!({ "role": "user", "content": "?" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    json!({ "runtime": runtime, "payload": payload })
}

fn send(client: &Client, runtime: &Value) -> Turn {
    client.send_turn(input(runtime), TurnOptions::default()).unwrap()
}

async fn events(turn: &mut Turn) -> Vec<TurnEvent> {
    let mut all = Vec::new();
    while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
        match update {
            TurnUpdate::Event(event) => all.push(event),
            TurnUpdate::Finished(_) => {}
            other => panic!("{other:?}"),
        }
    }
    all
}

fn text(events: &[TurnEvent]) -> String {
    let pieces = events.iter().map(|event| match event {
        TurnEvent::AssistantDelta { text, .. } => text.as_str(),
        _ => "",
    });
    pieces.collect()
}

fn hanging() -> ScriptedTurn {
    let mut turn = ScriptedTurn::text(["half"]);
    turn.hang = true;
    turn
}

#[tokio::test]
async fn a_turn_is_followed_and_awaited_in_any_order() {
    let mut script = ScriptedTurn::text(["4", "2"]);
    script.reasoning = vec!["hm".to_owned()];
    script.tool_calls = vec![ScriptedCall::new("Read", json!({ "path": "a" }))];
    for generation in [Generation::Single, Generation::Split] {
        let (_server, client, runtime) = started(&[script.clone()], generation).await;
        let mut turn = send(&client, &runtime);
        // Waited for first: the events are still there afterwards.
        let result = turn.result().await.unwrap();
        let told = events(&mut turn).await;
        assert_eq!((text(&told).as_str(), result.text.as_str()), ("42", "42"));
        let has = |wanted: fn(&TurnEvent) -> bool| told.iter().filter(|e| wanted(e)).count();
        assert_eq!(has(|e| matches!(e, TurnEvent::RunStarted { .. })), result.run_ids.len());
        assert_eq!(has(|e| matches!(e, TurnEvent::ReasoningDelta { text, .. } if text == "hm")), 1);
        assert_eq!(
            has(|e| matches!(e, TurnEvent::ToolCallStart { name, .. } if name == "Read")),
            1
        );
        assert_eq!(
            has(|e| matches!(e, TurnEvent::ToolCallEnd { status, .. } if status == "success")),
            1
        );
        assert!(has(|e| matches!(e, TurnEvent::Usage { .. })) > 0);
        // Followed first, then awaited, twice.
        let mut turn = send(&client, &runtime);
        assert_eq!(text(&events(&mut turn).await), "42");
        assert_eq!(turn.result().await.unwrap().text, "42");
        assert_eq!(turn.result().await.unwrap().text, "42");
        client.close().await;
    }
}

#[tokio::test]
async fn an_aborted_turn_has_a_result() {
    for generation in [Generation::Single, Generation::Split] {
        let (server, client, runtime) = started(&[hanging()], generation).await;
        let mut turn = send(&client, &runtime);
        while !matches!(
            timeout(SOON, turn.next()).await.unwrap(),
            Some(TurnUpdate::Event(TurnEvent::AssistantDelta { .. }))
        ) {}
        let result = turn.abort().await.unwrap();
        assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Aborted), "half"));
        assert!(server.received().iter().any(|frame| frame.contains("abort_message")));
        client.close().await;
    }
}

#[tokio::test]
async fn a_queued_turn_says_where_it_stands_and_can_be_taken_out() {
    for generation in [Generation::Single, Generation::Split] {
        let (server, client, runtime) = started(&[hanging()], generation).await;
        let first = send(&client, &runtime);
        let mut second = send(&client, &runtime);
        let update = timeout(SOON, second.next()).await.unwrap();
        let queued = matches!(update, Some(TurnUpdate::Event(TurnEvent::Queued { position: 1 })));
        assert!(queued, "{update:?}");
        let result = second.abort().await.unwrap();
        assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Aborted), ""));
        let frames = server.received();
        assert!(frames.iter().any(|frame| frame.contains("remove_queue_item")));
        assert!(!frames.iter().any(|frame| frame.contains("abort_message")), "the first goes on");
        drop(first);
        client.close().await;
    }
}

#[tokio::test]
async fn a_close_sends_inputs_that_nobody_waits_for_before_a_long_pause_is_over() {
    let turns = vec![ScriptedTurn::text(["done"])];
    let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap();
    let pause = Duration::from_secs(30);
    let client = Client::new(ConnectOptions::new(server.url()).settle_pause(pause)).unwrap();
    client.connect().await.unwrap();
    let runtime = json!({ "agent_id": "agent-1", "conversation_id": "conv-1" });
    client.run_turn(input(&runtime), TurnOptions::default()).await.unwrap();
    client.send_turn(input(&runtime), TurnOptions::default()).unwrap().detach();
    client.input(input(&runtime)).unwrap();
    let waits = client.send_turn(input(&runtime), TurnOptions::default()).unwrap();
    timeout(Duration::from_secs(2), client.close()).await.unwrap();
    let inputs = || server.received().iter().filter(|text| text.contains("create_message")).count();
    assert!(inputs() >= 3, "{:?}", server.received());
    assert_eq!(client.counters().unsent, 0);
    assert!(waits.await.is_err());
}

#[tokio::test]
async fn a_dropped_turn_is_stopped_and_a_detached_one_goes_on() {
    let (server, client, runtime) = started(&[hanging()], Generation::Single).await;
    let mut turn = send(&client, &runtime);
    timeout(SOON, turn.next()).await.unwrap();
    turn.detach();
    // Whatever a detach sends was sent before the answer to this.
    client.sync(json!({ "runtime": runtime })).await.unwrap();
    assert!(!server.received().iter().any(|frame| frame.contains("abort_message")));

    let other = client.runtime_start(json!({ "agent_id": "b", "create_conversation": {} })).await;
    let runtime = other.unwrap().json()["runtime"].clone();
    let mut turn = send(&client, &runtime);
    timeout(SOON, turn.next()).await.unwrap();
    drop(turn);
    let aborted =
        tokio::task::spawn_blocking(move || server.wait_received("abort_message", 1, SOON));
    assert!(aborted.await.unwrap());
}

#[tokio::test]
async fn a_permission_is_an_event() {
    let mut script = ScriptedTurn::text(["done"]);
    script.tool_calls = vec![ScriptedCall::asking("Write", json!({ "path": "x" }))];
    let (_server, client, runtime) = started(&[script], Generation::Single).await;
    let waiting = TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() };
    let mut turn = client.send_turn(input(&runtime), waiting).unwrap();
    let mut decided = false;
    while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
        match update {
            TurnUpdate::Event(TurnEvent::ApprovalRequested { request_id, .. }) => {
                let decision = json!({ "behavior": "allow" });
                let payload = json!({
                    "kind": "approval_response", "request_id": request_id, "decision": decision,
                });
                client.input(json!({ "runtime": runtime, "payload": payload })).unwrap();
            }
            TurnUpdate::Event(TurnEvent::ApprovalDecided { .. }) => decided = true,
            _ => {}
        }
    }
    assert!(decided);
    assert_eq!(turn.result().await.unwrap().text, "done");
}

fn asking(options: ScriptOptions) -> ScriptOptions {
    let mut script = ScriptedTurn::text(["done"]);
    script.tool_calls = vec![
        ScriptedCall::asking("Write", json!({ "path": "x" })),
        ScriptedCall::asking("Edit", json!({ "path": "y" })),
    ];
    ScriptOptions { turns: vec![script], ..options }
}

#[tokio::test]
async fn a_turn_asks_its_follower_for_one_permission_after_the_other() {
    for generation in [Generation::Single, Generation::Split] {
        let options = ScriptOptions { generation, ..ScriptOptions::default() };
        let (_server, client, runtime) = connected(asking(options)).await;
        let options = TurnOptions { approvals: Some(Approvals::Ask), ..TurnOptions::default() };
        let mut turn = client.send_turn(input(&runtime), options).unwrap();
        let mut asked = Vec::new();
        while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
            let TurnUpdate::Approval(request) = update else { continue };
            asked.push((request.tool_name(), request.input()["path"].clone()));
            match asked.len() {
                1 => request.answer(Decision::allow().updated_input(json!({ "path": "z" }))),
                _ => request.deny("not that one"),
            }
        }
        assert_eq!(asked, [("Write".to_owned(), json!("x")), ("Edit".to_owned(), json!("y"))]);
        let result = turn.result().await.unwrap();
        let calls: Vec<_> =
            result.tool_calls.iter().map(|c| (c.status.as_deref(), c.output.as_deref())).collect();
        assert_eq!(calls, [(Some("success"), Some("ok")), (Some("error"), Some("not that one"))]);
        client.close().await;
    }
}

#[tokio::test]
async fn a_handler_of_the_client_answers_and_a_dropped_question_is_denied() {
    let (_server, client, runtime) = connected(asking(ScriptOptions::default())).await;
    let mut requests = client.approval_requests(None).unwrap();
    let turn = client.run_turn(input(&runtime), TurnOptions::default());
    let answers = async {
        requests.next().await.unwrap().allow();
        drop(requests.next().await.unwrap());
    };
    let (result, ()) = timeout(SOON, async { tokio::join!(turn, answers) }).await.unwrap();
    let result = result.unwrap();
    assert_eq!(result.text, "done");
    let statuses: Vec<_> = result.tool_calls.iter().map(|c| c.status.as_deref()).collect();
    assert_eq!(statuses, [Some("success"), Some("error")]);
    let error = client.approval_requests(Some(&json!({ "agent_id": "a" }))).unwrap_err();
    assert!(error.message().contains("conversation_id"), "{error}");
}

#[tokio::test]
async fn a_question_that_was_given_outlives_its_reader_which_gets_no_others() {
    let (_server, client, runtime) = connected(asking(ScriptOptions::default())).await;
    let turn = client.run_turn(input(&runtime), TurnOptions::default());
    let answers = async {
        let mut others = client.approval_requests(None).unwrap();
        // The reader is dropped at the end of this.
        let question = client.approval_requests(None).unwrap().next().await.unwrap();
        question.allow();
        others.next().await.unwrap().deny("not that");
    };
    let (result, ()) = timeout(SOON, async { tokio::join!(turn, answers) }).await.unwrap();
    let calls = result.unwrap().tool_calls;
    let statuses: Vec<_> = calls.iter().map(|call| call.status.as_deref()).collect();
    assert_eq!(statuses, [Some("success"), Some("error")]);
}

#[tokio::test]
async fn a_question_that_a_reader_has_not_taken_is_asked_of_others() {
    let (_server, client, runtime) = connected(asking(ScriptOptions::default())).await;
    let mut others = client.approval_requests(None).unwrap();
    let reader = client.approval_requests(None).unwrap();
    let mut turn = client.send_turn(input(&runtime), TurnOptions::default()).unwrap();
    while !matches!(
        timeout(SOON, turn.next()).await.unwrap(),
        Some(TurnUpdate::Event(TurnEvent::ApprovalRequested { .. }))
    ) {}
    drop(reader);
    for _ in 0..2 {
        timeout(SOON, others.next()).await.unwrap().unwrap().allow();
    }
    let calls = timeout(SOON, turn.result()).await.unwrap().unwrap().tool_calls;
    assert!(calls.iter().all(|call| call.status.as_deref() == Some("success")), "{calls:?}");
}

#[tokio::test]
async fn a_question_is_over_when_the_turn_is_aborted() {
    let (_server, client, runtime) = connected(asking(ScriptOptions::default())).await;
    let mut requests = client.approval_requests(Some(&runtime)).unwrap();
    let mut turn = client.send_turn(input(&runtime), TurnOptions::default()).unwrap();
    let mut request = timeout(SOON, requests.next()).await.unwrap().unwrap();
    assert!(turn.report().unwrap().to_string().contains("approval Write"));
    let (result, ()) =
        timeout(SOON, async { tokio::join!(turn.abort(), request.over()) }).await.unwrap();
    assert_eq!(result.unwrap().status, Some(TurnStatus::Aborted));
    assert!(turn.report().is_none(), "it has ended");
    timeout(SOON, request.over()).await.unwrap();
}

#[tokio::test]
async fn a_turn_that_is_only_awaited_denies_what_its_follower_is_asked() {
    for generation in [Generation::Single, Generation::Split] {
        let options = ScriptOptions { generation, ..ScriptOptions::default() };
        let (_server, client, runtime) = connected(asking(options)).await;
        let ask = || {
            let options = TurnOptions { approvals: Some(Approvals::Ask), ..TurnOptions::default() };
            client.send_turn(input(&runtime), options).unwrap()
        };
        let mut turn = ask();
        let handle = timeout(SOON, turn.result()).await.unwrap().unwrap();
        let alone = timeout(SOON, ask().into_future()).await.unwrap().unwrap();
        for result in [handle, alone] {
            assert_eq!(result.text, "done");
            for call in &*result.tool_calls {
                assert_eq!(call.status.as_deref(), Some("error"));
                let output = call.output.as_deref().unwrap();
                assert!(output.contains("only waits for its end"), "{output}");
            }
            assert_eq!(result.tool_calls.len(), 2);
        }
        client.close().await;
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_asked_says_so_or_denies() {
    let (_server, client, runtime) = connected(asking(ScriptOptions::default())).await;
    let with = |approvals| TurnOptions { approvals: Some(approvals), ..TurnOptions::default() };
    let error = client.run_turn(input(&runtime), with(Approvals::Ask)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    let denied = client.run_turn(input(&runtime), with(Approvals::Deny)).await.unwrap();
    assert_eq!((denied.status, denied.text.as_str()), (Some(TurnStatus::Completed), "done"));
    let statuses: Vec<_> = denied.tool_calls.iter().map(|c| c.status.as_deref()).collect();
    assert_eq!(statuses, [Some("error"), Some("error")]);
    let error = client.run_turn(input(&runtime), with(Approvals::Raise)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ApprovalRequired);
    assert!(error.result().unwrap().terminal_message.is_some());
}

#[tokio::test]
async fn a_tool_hears_that_its_turn_was_aborted() {
    let mut script = ScriptedTurn::text(["done"]);
    script.tool_calls = vec![ScriptedCall::new("lookup", json!({ "q": "x" }))];
    let options = ScriptOptions { turns: vec![script], ..ScriptOptions::default() };
    let (_server, client, _) = connected(options).await;
    let tool =
        json!({ "name": "lookup", "description": "Looks up", "parameters": { "type": "object" } });
    let fields = json!({
        "agent_id": "agent-1", "mode": "unrestricted", "create_conversation": {},
        "external_tools": [{ "tools": [tool] }],
    });
    let runtime = client.runtime_start(fields).await.unwrap().json()["runtime"].clone();
    let mut calls = client.tool_calls();
    let mut turn = send(&client, &runtime);
    let mut call = timeout(SOON, calls.next()).await.unwrap().unwrap();
    let (result, reason) =
        timeout(SOON, async { tokio::join!(turn.abort(), call.over()) }).await.unwrap();
    assert_eq!(result.unwrap().status, Some(TurnStatus::Aborted));
    assert!(reason.contains("aborted"), "{reason}");
    assert_eq!(timeout(SOON, call.over()).await.unwrap(), reason, "it says the same again");
}

#[tokio::test]
async fn text_alone_can_be_followed_and_messages_come_in_order() {
    let mut script = ScriptedTurn::text(["4", "2"]);
    script.reasoning = vec!["hm".to_owned()];
    script.tool_calls = vec![ScriptedCall::new("Read", json!({}))];
    let (_server, client, runtime) = started(&[script], Generation::Single).await;
    let mut turn = send(&client, &runtime);
    let mut text = String::new();
    while let Some(piece) = timeout(SOON, turn.next_text()).await.unwrap() {
        text.push_str(&piece);
    }
    assert_eq!(text, "42");
    let result = turn.result().await.unwrap();
    let kinds: Vec<_> = result
        .messages
        .iter()
        .map(|message| match message {
            TurnMessage::ToolCall { index } => format!("call {}", result.tool_calls[*index].name),
            TurnMessage::Reasoning { text, .. } => format!("thought {text}"),
            TurnMessage::Assistant { text, .. } => format!("text {text}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["call Read", "thought hm", "text 42"]);
}

#[tokio::test]
async fn a_question_to_the_user_is_answered_whatever_its_arguments_are() {
    for input in [json!({ "questions": [] }), json!("text"), json!([1]), json!(null)] {
        let call = ScriptedCall::asking("AskUserQuestion", input);
        let turns = [ScriptedTurn { tool_calls: vec![call], ..ScriptedTurn::text(["done"]) }];
        let (server, client, runtime) = started(&turns, Generation::Single).await;
        let mut requests = client.approval_requests(None).unwrap();
        let turn = client.run_turn(self::input(&runtime), TurnOptions::default());
        let answer = async { requests.next().await.unwrap().answer_questions([("q", "a")]) };
        let (result, ()) = timeout(SOON, async { tokio::join!(turn, answer) }).await.unwrap();
        assert_eq!(result.unwrap().text, "done");
        let sent = server.received().into_iter().rfind(|text| text.contains("approval_response"));
        let sent: Value = serde_json::from_str(&sent.unwrap()).unwrap();
        let answered = &sent["payload"]["decision"]["updated_input"]["answers"];
        assert_eq!(answered, &json!({ "q": "a" }));
    }
}
