//! Connections that ask for nothing, and how the server stops.

mod flood;
mod memory;
mod shutdown;

use std::net::SocketAddr;

use crate::support::{Browser, Builder, Port, Process, Stack, pause};

/// The binary beside its IdP and API, with an internal listener.
struct Harness {
    stack: Stack,
    bff: Process,
    internal: SocketAddr,
    /// No other process gets its port.
    _port: Port,
}

// === impl Harness ===

impl Harness {
    /// Starts the binary in a shell that has run `limits`, and waits until it is ready.
    async fn start(limits: &str, settings: &[(&str, &str)]) -> Self {
        Self::of(Stack::builder(), limits, settings).await
    }

    async fn of(stack: Builder, limits: &str, settings: &[(&str, &str)]) -> Self {
        let stack = stack.without_server().start_without_waiting().await;
        let port = Port::reserve();
        let internal = port.address();
        let mut variables = stack.variables.clone();
        variables.push(("BFF_INTERNAL_ADDR".to_owned(), internal.to_string()));
        variables.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut bff = Process::start_within(&stack.folder(), limits, &variables);
        bff.says("listening").await;
        let harness = Self {
            stack,
            bff,
            internal,
            _port: port,
        };
        harness.becomes("200").await;
        harness
    }

    fn browser(&self) -> Browser {
        self.stack.browser()
    }

    /// Waits until readiness answers with this status.
    async fn becomes(&self, status: &str) {
        for _ in 0..15_000 {
            if readiness(self.stack.address).await.contains(status) {
                return;
            }
            pause().await;
        }
        panic!("readiness is never {status}:\n{}", self.bff.output());
    }
}

/// The status line of a health check on its own connection; empty without an answer.
async fn readiness(server: SocketAddr) -> String {
    status_line(server, "/health/ready").await
}

async fn status_line(server: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = asked.await.unwrap_or_default();
    answer.lines().next().unwrap_or_default().to_owned()
}
