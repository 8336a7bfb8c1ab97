//! A proxy for tests that records its requests. The integration tests use this very file.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// The behaviour of a proxy for all requests.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Passes it on to this address, whatever host it is for.
    Forward(SocketAddr),
    /// Answers this, and hangs up.
    Answer(&'static str),
}

/// A running proxy.
pub(crate) struct TestProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

// === impl TestProxy ===

impl TestProxy {
    pub(crate) async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::default();
        let notes = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, does, Arc::clone(&notes)));
            }
        });
        Self { address, heads }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first head of each connection.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }

    /// The one head that came.
    #[track_caller]
    pub(crate) fn only(&self) -> String {
        let heads = self.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads.concat()
    }
}

async fn serve(mut stream: TcpStream, does: Does, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let is_tunnel = text.starts_with("CONNECT ");
    heads.lock().push(text);
    match does {
        Does::Answer(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Does::Forward(target) => {
            let mut target = TcpStream::connect(target).await.unwrap();
            if is_tunnel {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await;
            } else {
                let _ = target.write_all(&head).await;
            }
            let _ = copy_bidirectional(&mut stream, &mut target).await;
        }
    }
}
