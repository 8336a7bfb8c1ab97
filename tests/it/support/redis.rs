//! A real Redis. Only ignored tests start one, by way of `scripts/test stores`.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{Port, pause};

/// A persistent `redis-server`. It ends when it is dropped.
pub struct Redis {
    port: Port,
    folder: TempDir,
    process: Option<Child>,
}

// === impl Redis ===

impl Redis {
    /// Takes a port for it; nothing runs yet.
    pub fn prepare() -> Self {
        Self {
            port: Port::reserve(),
            folder: tempfile::tempdir().unwrap(),
            process: None,
        }
    }

    /// One that runs.
    pub async fn start() -> Self {
        let mut redis = Self::prepare();
        redis.up().await;
        redis
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://{}", self.port.address())
    }

    /// Starts it with its persisted data.
    pub async fn up(&mut self) {
        let port = self.port.address().port().to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: scripts/test stores installs it");
        self.process = Some(process);
        while TcpStream::connect(self.port.address()).is_err() {
            pause().await;
        }
    }

    /// Kills it, and starts it with nothing in it.
    pub async fn lose_everything(&mut self) {
        self.down();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        self.up().await;
    }

    /// All that it has written down.
    pub fn dump(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.folder.path().join("appendonlydir")).unwrap() {
            all.extend(fs::read(entry.unwrap().path()).unwrap());
        }
        all
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Has it carry out a command of an operator.
    pub fn command(&self, words: &[&str]) -> String {
        let port = self.port.address().port().to_string();
        let output = Command::new("redis-cli")
            .args(["-p", &port])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Kills it.
    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.down();
    }
}
