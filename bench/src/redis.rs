//! A Redis of our own.

use std::{path::Path, process::Command};

use super::{
    Result,
    process::{OTHER_CORE, Server, free_port},
};

/// Starts a `redis-server` that writes nothing down.
pub(super) async fn start(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder);
    Server::start(command, OTHER_CORE, port).await
}
