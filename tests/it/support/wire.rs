//! Below the level of a browser: requests as bytes, HTTP/2 directly, services made by a test.

use std::net::SocketAddr;

use axum::Router;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Sends text and reads until the server closes the connection: requests end with `Connection: close`.
pub async fn raw(address: SocketAddr, request: &str) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    // A server that has heard enough answers and closes before it has read everything.
    let request = request.to_owned();
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(request.as_bytes()).await;
        writer
    });
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = reader.read(&mut piece).await {
        answer.extend_from_slice(&piece[..length]);
    }
    writing.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A client that speaks HTTP/2 from the first byte (RFC 9113 section 3.3).
#[expect(
    clippy::disallowed_methods,
    reason = "tests are on the other side of the wire"
)]
pub fn http2_client() -> reqwest::Client {
    bff::jose::install_crypto();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap()
}

/// Serves a router on a free port; its URL. For answers that [`Api`](super::Api) cannot give, such as streams.
pub async fn service(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
