//! The double against the published App Server: the same commands, the same frames (`make test-live`).
//!
//! Each scenario of `honesty/scenarios.rs` is played to both; what is compared, and what may differ for which
//! reason, is in `honesty/differences.json`.
#![cfg(feature = "testing")]
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test may fail by panicking, `json!` makes values, and scenarios are a list"
)]

#[path = "honesty/normal.rs"]
mod normal;
#[path = "honesty/play.rs"]
mod play;
#[path = "honesty/rules.rs"]
mod rules;
#[path = "honesty/scenarios.rs"]
mod scenarios;
#[path = "honesty/words.rs"]
mod words;

use std::env;
use std::sync::Arc;

use letta_app_client::testing::{MockServer, ScriptOptions};
use normal::Differences;
use play::Player;
use scenarios::{Scenario, all};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// How many scenarios are played to the real server at once.
const AT_ONCE: usize = 6;

/// What a scenario looks like from outside.
async fn frames(url: &str, agent: &str, cwd: &str, scenario: &Scenario) -> Vec<Value> {
    let mut player = Player::connect(url, agent, cwd, scenario).await;
    player.play(&scenario.steps).await;
    player.frames()
}

/// An agent without a memory of its own, for all scenarios; and the server's directory.
async fn agent(url: &str, model: &str) -> String {
    let mut player = Player::raw(url).await;
    let body = json!({ "name": "honest", "memory_blocks": [], "model": model });
    player
        .send(json!({
            "type": "runtime_start", "request_id": "make",
            "create_agent": { "body": body, "pin_global": false, "memfs": false },
            "mode": "standard",
        }))
        .await;
    let started = player.wait("runtime_start_response").await;
    started["runtime"]["agent_id"].as_str().unwrap().to_owned()
}

fn double(scenario: &Scenario) -> MockServer {
    MockServer::scripted(ScriptOptions {
        turns: scenario.turns.clone(),
        files: true,
        ..ScriptOptions::default()
    })
    .unwrap()
}

#[tokio::test]
#[ignore = "needs the real server"]
async fn the_double_says_what_the_real_server_says() {
    let url = env::var("LETTA_URL").expect("tests/live/with-server.mjs sets LETTA_URL");
    let model = env::var("LETTA_MODEL").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (real_agent, slots) = (agent(&url, &model).await, Arc::new(Semaphore::new(AT_ONCE)));
    let differences = Arc::new(Differences::read());
    let scenarios = all();
    let count = scenarios.len();
    assert!(count >= 40, "only {count} scenarios");
    let mut playing = tokio::task::JoinSet::new();
    for scenario in scenarios {
        let (url, agent, slots) = (url.clone(), real_agent.clone(), Arc::clone(&slots));
        let differences = Arc::clone(&differences);
        let cwd = folder.join(scenario.name);
        std::fs::create_dir(&cwd).unwrap();
        playing.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let real = frames(&url, &agent, &cwd.to_string_lossy(), &scenario).await;
            let mock = double(&scenario);
            let place = mock.folder().unwrap();
            let told = frames(&mock.url(), "agent-1", &place.to_string_lossy(), &scenario).await;
            (scenario.name, differences.compare(&real, &told))
        });
    }
    let mut wrong = Vec::new();
    while let Some(outcome) = playing.join_next().await {
        match outcome {
            Ok((name, Some(difference))) => wrong.push(format!("{name}: {difference}")),
            Ok(_) => {}
            Err(error) => wrong.push(error.to_string()),
        }
    }
    wrong.sort();
    println!("{count} scenarios, {} differ", wrong.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    let unused = differences.unused();
    assert!(unused.is_empty(), "allowed, but not needed: {unused:?}");
}
