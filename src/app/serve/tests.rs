//! Without sockets, so that the runtime's time can be moved.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

/// A connection to a server that answers `ok`.
fn connect() -> DuplexStream {
    let (client, server) = tokio::io::duplex(256 * 1024);
    let answer = async |_| Response::new(Body::from("ok"));
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let graceful = GracefulShutdown::new();
    let connection = connection(&builder(), &graceful, TokioIo::new(server), peer, answer);
    tokio::spawn(async move {
        connection.await;
        // Dropped earlier, it would mean a shutdown.
        drop(graceful);
    });
    client
}

/// What the server says until it closes the connection, and after which time it does.
async fn all(client: &mut DuplexStream) -> (String, Duration) {
    let timer = TokioTimer::new();
    let before = timer.now();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    (String::from_utf8_lossy(&said).into_owned(), timer.now() - before)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_too_little_is_let_go() {
    for beginning in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
    ] {
        let mut client = connect();
        client.write_all(beginning).await.unwrap();
        let (said, after) = all(&mut client).await;
        assert!(!said.contains("200 OK"), "{beginning:?}");
        assert!(
            after <= FIRST_REQUEST + Duration::from_secs(1),
            "{beginning:?}: {after:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_trickles_its_header_is_let_go_too() {
    let mut client = connect();
    for sent in 0_u64.. {
        if client.write_all(b"x").await.is_err() {
            assert!(sent <= FIRST_REQUEST.as_secs() + 1);
            return;
        }
        TokioTimer::new().sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_used_is_kept_for_a_while() {
    let mut client = connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    TokioTimer::new().sleep(Duration::from_mins(2)).await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let (said, after) = all(&mut client).await;
    assert_eq!(said.matches("200 OK").count(), 2);
    assert!(after <= NEXT_REQUEST + Duration::from_secs(1), "{after:?}");
}

#[tokio::test]
async fn a_header_as_large_as_people_have_is_taken() {
    let mut client = connect();
    let value = "x".repeat(64 * 1024 / 200 - 12);
    let fields = (0..199)
        .map(|at| format!("X-{at:03}: {value}\r\n"))
        .collect::<String>();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    assert!(request.len() > 62 * 1024);
    client.write_all(request.as_bytes()).await.unwrap();
    let (said, _) = all(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said:?}");
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let mut client = connect();
    let header = format!(
        "GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n",
        "x".repeat(MAX_HEADER_SIZE)
    );
    client.write_all(header.as_bytes()).await.unwrap();
    let (said, _) = all(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");

    let mut client = connect();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Many: x\r\n".repeat(5_000));
    client.write_all(many.as_bytes()).await.unwrap();
    let (said, _) = all(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");
}
