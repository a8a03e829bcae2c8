//! What this process and its threads have used, as the kernel counts it.

use std::fs;
use std::time::{Duration, Instant};

/// A moment of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    at: Instant,
    process: Duration,
    thread: Duration,
}

fn running_time(path: &str) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn process_time() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.map(|thread| running_time(&format!("{}/schedstat", thread.path().display()))).sum()
}

impl Usage {
    /// Now; the thread is the caller's.
    #[must_use]
    pub fn now() -> Self {
        let thread = running_time("/proc/thread-self/schedstat");
        Self { at: Instant::now(), process: process_time(), thread }
    }

    /// What was used since then, as the one line of JSON that every peer prints.
    #[must_use]
    pub fn report(self, units: usize, p50_us: Option<f64>) -> String {
        let now = Self::now();
        let seconds = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
        serde_json::json!({
            "units": units, "wall": now.at.duration_since(self.at).as_secs_f64(),
            "cpu": seconds(self.process, now.process), "thread": seconds(self.thread, now.thread),
            "peak_kib": status_kib("VmHWM:"), "p50_us": p50_us,
        })
        .to_string()
    }
}

/// A figure of `/proc/self/status`, in KiB.
#[must_use]
pub fn status_kib(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
