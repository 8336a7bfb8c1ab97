//! A proxy as a separate process.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::pause;

/// A running proxy. It ends when it is dropped.
pub struct Proxy {
    child: Child,
    folder: TempDir,
}

// === impl Proxy ===

impl Proxy {
    /// nginx with this in its `http` block.
    pub async fn nginx(address: SocketAddr, http: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};\n"))
            .concat();
        let configuration = format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {path}/pid;\nerror_log {path}/log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{http}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(file)
            .arg("-e")
            .arg(folder.path().join("log"));
        Self::start(command, folder, address).await
    }

    /// Caddy with these sites.
    pub async fn caddy(address: SocketAddr, sites: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Caddyfile");
        // Without the period its end would wait for open streams.
        let options = "{\n  admin off\n  auto_https off\n  default_bind 127.0.0.1\n  grace_period 1ms\n}\n";
        fs::write(&file, format!("{options}{sites}\n")).unwrap();
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file)
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path());
        Self::start(command, folder, address).await
    }

    /// HAProxy with this configuration.
    pub async fn haproxy(address: SocketAddr, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, format!("{configuration}\n")).unwrap();
        let mut command = Command::new("haproxy");
        // In the foreground, and with the warnings as errors.
        command.args(["-db", "-dW", "-f"]).arg(file);
        Self::start(command, folder, address).await
    }

    /// Envoy with this configuration.
    pub async fn envoy(address: SocketAddr, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("envoy.yaml");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("envoy");
        command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "--config-path",
            ])
            .arg(file);
        Self::start(command, folder, address).await
    }

    async fn start(mut command: Command, folder: TempDir, address: SocketAddr) -> Self {
        let output = fs::File::create(folder.path().join("output")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/phases/proxies installs it"));
        let mut proxy = Self { child, folder };
        for _ in 0..5_000 {
            if TcpStream::connect(address).await.is_ok() {
                return proxy;
            }
            if let Some(status) = proxy.child.try_wait().unwrap() {
                panic!("{command:?} ended ({status}):\n{}", proxy.log());
            }
            pause().await;
        }
        panic!("{command:?} does not listen:\n{}", proxy.log());
    }

    /// Its output.
    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("output"), read("log"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx forwards the signal to its workers only if it can be caught.
        let asked = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.child.id().to_string()])
            .status();
        if asked.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), self.log().as_bytes());
        }
    }
}
