//! The Rust clients: `rust_peer WAY URL WORKLOAD SIZES`, see `workloads.py`.

use std::error::Error;

use side_by_side::peers::{engine, fast, ours, tungstenite};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, url, workload, sizes] = &arguments[..] else {
        return Err("usage: rust_peer WAY URL WORKLOAD SIZES".into());
    };
    let sizes: serde_json::Value = serde_json::from_str(sizes)?;
    let size = |name: &str| sizes[name].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    match (way.as_str(), workload.as_str()) {
        ("ours", "stream") => ours::stream(url, size("turns")).await,
        ("ours", "turns") => ours::turns(url, size("runtimes"), size("turns")).await,
        ("ours", "requests") => ours::requests(url, size("outstanding"), size("count")).await,
        ("engine", "stream") => {
            engine::stream(url, size("before"), size("turns"), size("runtimes"))
        }
        ("fastwebsockets", "stream") => fast::stream(url, size("turns")).await,
        (read, "stream") => tungstenite::stream(url, read, size("turns")).await,
        _ => Err(format!("{way} has no workload {workload}").into()),
    }
}
