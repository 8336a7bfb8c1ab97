//! HTTP itself: versions, connections that are kept, requests that two readers could split differently.

use http::{StatusCode, Version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Logs, Stack, http2_client, raw};

#[tokio::test]
async fn http_2_is_spoken_from_the_first_byte() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let client = http2_client();
    let base = format!("http://127.0.0.1:{}", stack.address.port());
    let cookie = format!(
        "theme=dark; __Host-Http-bff_session={}",
        ada.session_cookie().unwrap()
    );
    let calls = (0..20).map(|n| {
        client
            .get(format!("{base}/api/{n}"))
            .header("cookie", &cookie)
            .send()
    });
    for answer in futures_util::future::join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!(
            (answer.version(), answer.status()),
            (Version::HTTP_2, StatusCode::OK)
        );
    }
    assert_eq!(stack.api.calls().len(), 20);
    let call = stack.api.last();
    assert_eq!(call.header("cookie"), Some("theme=dark"));
    // HTTP/2 names the host in `:authority`.
    assert_eq!(call.header("x-forwarded-host"), base.strip_prefix("http://"));

    let answer = client.get(format!("{base}/api/x")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_their_order() {
    let stack = Stack::start().await;
    let host = format!("automate.localhost:{}", stack.address.port());
    let request = format!(
        "GET /health/live HTTP/1.1\r\nHost: {host}\r\n\r\n\
         POST /auth/session HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nbody\
         GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n\
         HEAD /auth/session HTTP/1.1\r\nHost: {host}\r\n\r\n\
         GET /api/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(stack.address, &request).await;
    let statuses: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["200", "405", "200", "200", "401"], "{answer}");
}

/// Reads one answer without a body, or with one of a known length.
async fn next_answer(connection: &mut TcpStream) -> String {
    let mut answer = String::new();
    let is_complete = |answer: &str| {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        Some(body.len() >= length.parse().unwrap())
    };
    while is_complete(&answer) != Some(true) {
        let mut piece = [0; 4096];
        let length = connection.read(&mut piece).await.unwrap();
        assert!(length > 0, "closed after {answer:?}");
        answer += std::str::from_utf8(&piece[..length]).unwrap();
    }
    answer
}

/// The body comes after the answer.
#[tokio::test]
async fn a_connection_goes_on_after_a_refused_post() {
    let stack = Stack::start().await;
    let mut connection = TcpStream::connect(stack.address).await.unwrap();
    for (path, status) in [
        ("/api/x", "401"),
        ("/auth/logout", "403"),
        ("/auth/session", "405"),
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: automate.localhost\r\nContent-Length: 2000\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let answer = next_answer(&mut connection).await;
        assert!(answer.contains(status), "{path}: {answer}");
        assert!(!answer.contains("connection: close"), "{path}: {answer}");
        connection.write_all(&[b'x'; 2_000]).await.unwrap();
    }
    let get = b"GET /health/live HTTP/1.1\r\nHost: automate.localhost\r\n\r\n";
    connection.write_all(get).await.unwrap();
    assert!(next_answer(&mut connection).await.contains(" 200 "));
}

#[tokio::test]
async fn a_refused_post_says_that_the_connection_ends() {
    let stack = Stack::start().await;
    for fields in [
        "Content-Length: 1000000",
        "Transfer-Encoding: chunked",
        "Content-Length: 2\r\nExpect: 100-continue",
    ] {
        let head = format!("POST /api/x HTTP/1.1\r\nHost: automate.localhost\r\n{fields}\r\n\r\n");
        // To the end of the connection.
        let answer = raw(stack.address, &head).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{fields}: {answer}");
        assert!(answer.contains("connection: close"), "{fields}: {answer}");
    }
}

#[tokio::test]
async fn a_session_on_a_connection_is_not_that_of_the_next_request() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let host = format!("automate.localhost:{}", stack.address.port());
    let request = format!(
        "GET /api/x HTTP/1.1\r\nHost: {host}\r\nCookie: __Host-Http-bff_session={}\r\n\r\n\
         GET /api/y HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        ada.session_cookie().unwrap()
    );
    let answer = raw(stack.address, &request).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 401 "),
        "{answer}"
    );
    assert_eq!(stack.api.calls().len(), 1);
}

#[tokio::test]
async fn no_request_is_smuggled_past_the_gateway() {
    let stack = Stack::start().await;
    let own = stack.origin(0);
    let inner = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = format!(
        "POST /public/x HTTP/1.1\r\nHost: automate.localhost\r\nOrigin: {own}\r\nConnection: close\r\n"
    );
    let length = inner.len();
    for framing in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("Content-Length: +{length}\r\n\r\n{inner}"),
        format!("Content-Length: 0, {length}\r\n\r\n{inner}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n{inner}"),
    ] {
        let answer = raw(stack.address, &format!("{head}{framing}")).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{framing:?}: {answer}");
        for call in stack.api.calls() {
            assert_eq!(call.target, "/public/x", "{framing:?}");
            assert!(
                call.headers.get_all("content-length").iter().count() <= 1
                    && !(call.headers.contains_key("content-length")
                        && call.headers.contains_key("transfer-encoding")),
                "{framing:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_harms_nobody_else() {
    let stack = Stack::start().await;
    for garbage in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense",
    ] {
        let address = stack.address;
        // The server would wait for the rest of an incomplete request.
        let answer = tokio::spawn(async move { raw(address, &format!("{garbage}\r\n\r\n")).await });
        let answer = answer.await.unwrap();
        assert!(
            !answer.contains(" 200 ") && !answer.contains(" 500 "),
            "{garbage:?}: {answer}"
        );
    }
    assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_19_a_large_head_is_logged_once_with_its_field() {
    let stack = Stack::start().await;
    let logs = Logs::capture();
    let host = format!("automate.localhost:{}", stack.address.port());
    let cookies = format!("theme={}", "c".repeat(100 * 1024));
    for _ in 0..2 {
        let request = format!(
            "GET /public/x HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(stack.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(answer.contains("header_too_large"), "{answer}");
    }
    let answer = http2_client()
        .get(format!("http://127.0.0.1:{}/public/x", stack.address.port()))
        .header("x-large", "l".repeat(100 * 1024))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.version(), answer.status()),
        (Version::HTTP_2, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    );
    assert!(stack.api.calls().is_empty());
    let text = logs.text();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("refused with 431"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("field=\"cookie\" size=102"), "{}", lines[0]);
    assert!(lines[1].contains("field=\"x-large\" size=102"), "{}", lines[1]);
    assert!(!text.contains("ccc"), "a value is in the log");
}
