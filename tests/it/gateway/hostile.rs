//! Requests and answers that try to be read in two ways, or to cost more than they may, byte by byte.

use std::time::Duration;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::{
    Stack,
    http2::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GOOD, HEADERS, RST_STREAM, SETTINGS, Said, fields,
        frame, http2,
    },
    raw,
};

fn request(list: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(list))
}

/// RFC 9113 section 8: such a request is malformed, and no service may see it.
#[tokio::test]
async fn malformed_requests_of_http_2_reach_no_service() {
    let stack = Stack::start().await;
    assert_eq!(
        http2(stack.address, request(&GOOD)).await,
        Said::Answer { ok: true }
    );
    let calls = stack.api.calls().len();
    let with = |more: &[(&'static str, &'static str)]| [&GOOD[..], more].concat();
    for list in [
        // Pseudo-header fields that are missing, doubled, unknown, of an answer, or late.
        GOOD[1..].to_vec(),
        vec![GOOD[0], GOOD[1], GOOD[3]],
        with(&[(":path", "/public/y")]),
        with(&[(":method", "POST")]),
        with(&[(":protocol-x", "a")]),
        with(&[(":status", "200")]),
        [&[("x-first", "a")], &GOOD[..]].concat(),
        // Values of theirs that are none.
        vec![GOOD[0], GOOD[1], (":path", ""), GOOD[3]],
        vec![GOOD[0], GOOD[1], (":path", "public/x"), GOOD[3]],
        vec![GOOD[0], GOOD[1], (":path", "/public/x HTTP/1.1\r\nX: y"), GOOD[3]],
        vec![
            (":method", "GET /v1/smuggled HTTP/1.1\r\nX: "),
            GOOD[1],
            GOOD[2],
            GOOD[3],
        ],
        vec![GOOD[0], GOOD[1], GOOD[2], (":authority", "a@automate.localhost")],
        // Fields of one connection.
        with(&[("connection", "x-hop")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        // Names and values that another version could not carry.
        with(&[("X-Upper", "a")]),
        with(&[("x bad", "a")]),
        with(&[("x-bad:", "a")]),
        with(&[("", "a")]),
        with(&[("x-bad", "a\r\nx-smuggled: b")]),
        with(&[("x-bad", "a\0")]),
        // Two hosts.
        with(&[("host", "other.example")]),
    ] {
        let said = http2(stack.address, request(&list)).await;
        assert!(!matches!(said, Said::Answer { ok: true }), "{list:?}: {said:?}");
        assert_eq!(stack.api.calls().len(), calls, "{list:?}");
    }
    // A body that is not as long as it says.
    for (length, body) in [("1", &b"long"[..]), ("9", b"short")] {
        let mut list = with(&[("content-length", length)]);
        list[0] = (":method", "POST");
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &fields(&list));
        bytes.extend(frame(DATA, END_STREAM, 1, body));
        let said = http2(stack.address, bytes).await;
        assert!(!matches!(said, Said::Answer { ok: true }), "{length}: {said:?}");
    }
    assert_eq!(
        http2(stack.address, request(&GOOD)).await,
        Said::Answer { ok: true }
    );
}

/// CVE-2023-44487: the connection ends, and others are served.
#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let stack = Stack::start().await;
    let mut bytes = Vec::new();
    for stream in (1..20_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&GOOD)));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let said = loop {
        match http2(stack.address, bytes.clone()).await {
            // Some of the first streams may be answered before their reset arrives.
            Said::Answer { .. } => {}
            said => break said,
        }
    };
    assert!(
        matches!(said, Said::GoAway(ENHANCE_YOUR_CALM) | Said::Closed),
        "{said:?}"
    );
    assert!(stack.api.calls().len() < 2_000);
    assert_eq!(stack.browser().get("/public/x").await.status, StatusCode::OK);
}

/// CVE-2024-27316: a head without end is not collected.
#[tokio::test]
async fn a_head_of_http_2_without_end_ends_the_connection() {
    let stack = Stack::start().await;
    let block = fields(&[("x-bomb", &"b".repeat(100))]).repeat(140);
    let mut bytes = frame(HEADERS, END_STREAM, 1, &fields(&GOOD));
    for _ in 0..2_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &block));
    }
    let said = http2(stack.address, bytes).await;
    assert!(
        matches!(said, Said::GoAway(_) | Said::Closed | Said::Reset(_)),
        "{said:?}"
    );
    // Empty ones too.
    let mut bytes = frame(HEADERS, END_STREAM, 1, &fields(&GOOD));
    bytes.extend(frame(CONTINUATION, 0, 1, &[]).repeat(100_000));
    let said = http2(stack.address, bytes).await;
    assert!(matches!(said, Said::GoAway(_) | Said::Closed), "{said:?}");
    assert!(stack.api.calls().is_empty());
    assert_eq!(stack.browser().get("/public/x").await.status, StatusCode::OK);
}

/// A frame that breaks the rules of its type, or that is too long.
#[tokio::test]
async fn frames_that_are_none_end_the_connection() {
    let stack = Stack::start().await;
    let long = vec![0; 100_000];
    for bytes in [
        frame(DATA, 0, 1, b"without a head"),
        frame(HEADERS, END_STREAM | END_HEADERS, 0, &fields(&GOOD)),
        frame(HEADERS, END_STREAM | END_HEADERS, 2, &fields(&GOOD)),
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20]),
        frame(CONTINUATION, END_HEADERS, 1, &fields(&GOOD)),
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(DATA, 0, 1, &long),
        // A window beyond 2^31 - 1.
        frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
    ] {
        let said = http2(stack.address, bytes.clone()).await;
        assert!(
            matches!(said, Said::GoAway(_) | Said::Closed),
            "{:?}: {said:?}",
            &bytes[..9]
        );
    }
    assert!(stack.api.calls().is_empty());
}

/// Each has at most one answer, which is no success of what the request hides.
#[tokio::test]
async fn odd_requests_of_http_1_are_read_in_one_way() {
    let stack = Stack::start().await;
    let own = stack.origin(0);
    let post = format!(
        "POST /public/x HTTP/1.1\r\nHost: automate.localhost\r\nOrigin: {own}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let inner = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for body in [
        format!("0x3\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("-1\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("+3\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("ffffffffffffffff1\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("3\r\nabcdef\r\n0\r\n\r\n{inner}"),
        format!("3\rabc\r\n0\r\n\r\n{inner}"),
        format!("\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("3;a=\"\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("0\r\nTransfer-Encoding: chunked\r\nHost: y\r\n\r\n{inner}"),
        format!("3;{}\r\nabc\r\n0\r\n\r\n{inner}", "e".repeat(100_000)),
        format!("0\r\n{}\r\n{inner}", "X-Trailer: a\r\n".repeat(10_000)),
    ] {
        let answer = raw(stack.address, &format!("{post}{body}")).await;
        let shown = &body[..body.len().min(60)];
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{shown:?}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 500"), "{shown:?}: {answer}");
    }
    for call in stack.api.calls() {
        assert_eq!(call.target, "/public/x");
        assert!(!call.headers.contains_key("x-trailer") && call.header("host") != Some("y"));
    }
}

#[tokio::test]
async fn malformed_heads_of_http_1_are_refused() {
    let stack = Stack::start().await;
    for head in [
        // Folded lines, and names with blanks (RFC 9112 sections 5.1 and 5.2).
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\nX-A: b\r\n c\r\n",
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\nX-A : b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\nX A: b\r\n",
        "GET /public/x HTTP/1.1\r\n Host: automate.localhost\r\n",
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\n: b\r\n",
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\nX-A: b\rX-B: c\r\n",
        // Targets (RFC 9112 section 3.2).
        "GET public/x HTTP/1.1\r\nHost: automate.localhost\r\n",
        "GET * HTTP/1.1\r\nHost: automate.localhost\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: automate.localhost\r\n",
        "CONNECT automate.localhost:80 HTTP/1.1\r\nHost: automate.localhost:80\r\n",
        "GET http://other.example/public/x HTTP/1.1\r\nHost: automate.localhost\r\n",
        "GET http://a@automate.localhost/public/x HTTP/1.1\r\nHost: automate.localhost\r\n",
        "GET ftp://automate.localhost/public/x HTTP/1.1\r\nHost: automate.localhost, other.example\r\n",
        // Hosts.
        "GET /public/x HTTP/1.1\r\n",
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\nHost: other.example\r\n",
        "GET /public/x HTTP/1.1\r\nHost: automate.localhost/x\r\n",
    ] {
        let answer = raw(stack.address, &format!("{head}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{head:?}: {answer}");
        assert!(stack.api.calls().is_empty(), "{head:?}");
    }
    let many = "X-Many: a\r\n".repeat(300);
    let bomb =
        format!("GET /public/x HTTP/1.1\r\nHost: automate.localhost\r\n{many}Connection: close\r\n\r\n");
    let answer = raw(stack.address, &bomb).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn the_absolute_form_names_the_same_paths() {
    let stack = Stack::start().await;
    let get = async |target: &str, more: &str| {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: automate.localhost\r\n{more}Connection: close\r\n\r\n");
        raw(stack.address, &head).await
    };
    let answer = get("http://automate.localhost/public/x?y=z", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(stack.api.last().target, "/public/x?y=z");
    // As closed as in the usual form.
    for target in ["http://automate.localhost/api/x", "http://automate.localhost/api"] {
        assert!(get(target, "").await.starts_with("HTTP/1.1 401 "), "{target}");
    }
    let answer = get("http://automate.localhost/public/%2e%2e/api/x", "").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // An upgrade to anything unknown is an offer that nobody takes.
    for protocol in ["nonsense/9", "h2c", "TLS/1.3"] {
        let answer = get("/public/x", &format!("Upgrade: {protocol}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{protocol}: {answer}");
        assert_eq!(stack.api.last().header("upgrade"), None);
    }
}

/// A service whose answer to every connection begins with `head` and goes on with `more` for ever.
async fn endless(head: &'static str, more: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let mut sent = connection.write_all(head.as_bytes()).await;
                // Until the server hangs up.
                while sent.is_ok() {
                    sent = connection.write_all(more).await;
                    tokio::task::yield_now().await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn answers_without_end_before_their_body_are_given_up() {
    const FIELD: &[u8] = b"X-Bomb: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n";
    for (url, refusal) in [
        (endless("HTTP/1.1 200 OK\r\n", FIELD).await, (502, "bad_gateway")),
        (
            endless("HTTP/1.1 200 OK\r\nX-Bomb: ", FIELD).await,
            (502, "bad_gateway"),
        ),
        (endless("HTTP/1.1 200 ", b"reason ").await, (502, "bad_gateway")),
        (
            endless("", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await,
            (504, "gateway_timeout"),
        ),
    ] {
        let stack = Stack::builder()
            .routes(&format!(
                "services:\n  api: {{ base_url: '{url}', timeout: 5s }}\nroutes:\n\
                 - {{ id: api, path: /api/*, target_service: api, auth: none }}\n"
            ))
            .start()
            .await;
        let nobody = stack.browser();
        let call = tokio::spawn(async move { nobody.get("/api/x").await });
        // The time stands still: only interim answers may take as long as they like.
        let reply = if refusal.0 == 504 {
            stack.advance_until_done(call).await
        } else {
            call.await.unwrap()
        };
        assert_eq!(reply.refusal(), (refusal.0, refusal.1.to_owned()), "{url}");
        assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
    }
}

/// The browser must not take it for the whole, and the next call must not get the rest.
#[tokio::test]
async fn a_length_that_is_a_lie_spoils_no_other_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let answers = [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlongHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nplanted!",
        ];
        for answer in answers.into_iter().cycle() {
            let Ok((mut connection, _)) = listener.accept().await else {
                return;
            };
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer).await;
            let _ = connection.shutdown().await;
            let _ = connection.read(&mut request).await;
        }
    });
    let stack = Stack::builder()
        .routes(&format!(
            "services:\n  api: {{ base_url: '{url}' }}\nroutes:\n- {{ id: api, path: /api/*, target_service: api, auth: none }}\n"
        ))
        .start()
        .await;
    let nobody = stack.browser();
    let get = async || nobody.request(http::Method::GET, "/api/x").send().await;
    for _ in 0..2 {
        // It may break off before its head is out.
        if let Ok(answer) = get().await {
            assert!(answer.bytes().await.is_err());
        }
        let answer = get().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.text().await.unwrap(), "long");
    }
    stack.advance(Duration::from_secs(1)).await;
}
