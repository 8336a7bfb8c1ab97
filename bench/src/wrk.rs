//! Load by `wrk`: 64 kept-alive connections from the other core.

use std::process::Stdio;

use tokio::process::Command;

use super::{Result, process::OTHER_CORE};

const CONNECTIONS: &str = "64";

/// Sends requests for `seconds` and returns how many were answered. Any error or unexpected status is an error.
pub(super) async fn load(url: &str, cookie: Option<&str>, seconds: u64) -> Result<u64> {
    let mut command = Command::new("taskset");
    command.args([
        "--cpu-list",
        &OTHER_CORE.to_string(),
        "wrk",
        "-t1",
        "-c",
        CONNECTIONS,
    ]);
    command.arg(format!("-d{seconds}s"));
    if let Some(cookie) = cookie {
        command.arg("-H").arg(format!("Cookie: {cookie}"));
    }
    let output = command.arg(url).stdin(Stdio::null()).output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("wrk on {url}: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .ok_or_else(|| format!("wrk said: {text}"))?;
    Ok(requests.0.trim().parse()?)
}
