//! WebSockets: handshakes over HTTP/1.1 and HTTP/2, the token, and the end of a tunnel.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::net::TcpListener;

use crate::support::{
    Browser, Stack, pause,
    web_socket::{Echo, Frame, Socket, cookie},
};

const ROUTES: &str = r#"
services:
  live:
    base_url: "{live}/base"
    timeout: 5s
routes:
  - { id: live, path: /live/*, target_service: live, websocket: true }
  - { id: page, path: /page/*, target_service: live, websocket: true, unauthenticated: login }
  - { id: open, path: /open/*, target_service: live, websocket: true, auth: none }
  - { id: hook, path: /hook/*, target_service: live, websocket: true, auth: none, csrf: false }
  - { id: proto, path: /proto/*, target_service: live, websocket: { token_subprotocol: bearer. } }
  - { id: plain, path: /plain/*, target_service: live }
"#;

async fn stack_of(url: &str, settings: &[(&str, &str)]) -> (Stack, Browser) {
    let mut builder = Stack::builder()
        .routes(&ROUTES.replace("{live}", url))
        .set("SESSION_IDLE_TIMEOUT", "30m");
    for (name, value) in settings {
        builder = builder.set(name, *value);
    }
    let stack = builder.start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

async fn start() -> (Echo, Stack, Browser) {
    let echo = Echo::start().await;
    let (stack, ada) = stack_of(&echo.url(), &[]).await;
    (echo, stack, ada)
}

async fn log_out(ada: &Browser) {
    let request = ada
        .request(Method::POST, "/auth/logout")
        .header("x-csrf-token", ada.csrf_token().await);
    assert!(ada.send(request).await.status.is_redirection());
}

#[tokio::test]
async fn a_websocket_passes_with_the_token() {
    let (echo, stack, ada) = start().await;
    let mut socket = Socket::of(&stack, &ada, "/live/chat/7?room=a%20b").await;
    socket.echo("hello").await;
    socket.say(&Frame(0x02, vec![7; 100_000])).await;
    socket.say(&Frame(0x80, vec![8; 3])).await;
    assert_eq!(socket.hear().await, Some(Frame(0x02, vec![7; 100_000])));
    assert_eq!(socket.hear().await, Some(Frame(0x80, vec![8; 3])));
    socket.say(&Frame(0x89, b"ping".to_vec())).await;
    assert_eq!(socket.hear().await, Some(Frame(0x8a, b"ping".to_vec())));
    socket.say(&Frame(0x88, 1000_u16.to_be_bytes().to_vec())).await;
    assert_eq!(socket.hear().await.unwrap().status(), 1000);
    assert_eq!(socket.hear().await, None);

    let head = &echo.heads()[0];
    assert_eq!(head.line(), "GET /base/chat/7?room=a%20b HTTP/1.1");
    assert!(head.field("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(head.field("cookie"), Some("theme=dark"));
    assert_eq!(head.field("host"), echo.url().strip_prefix("http://"));
    assert_eq!(head.field("origin"), Some(ada.origin()));
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
    assert!(head.field("x-correlation-id").is_some());
    // The nonce of the other handshake.
    assert_ne!(head.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[tokio::test]
async fn a_websocket_passes_over_http_2() {
    let (echo, stack, ada) = start().await;
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let mut socket = Socket::open_http2(stack.address, "websocket", "/live/x", &fields).await;
    assert_eq!(socket.status, StatusCode::OK, "{:?}", socket.headers);
    assert!(!socket.headers.contains_key("sec-websocket-accept"));
    assert!(!socket.headers.contains_key("upgrade"));
    socket.echo("over HTTP/2").await;
    socket.say(&Frame(0x82, vec![7; 300_000])).await;
    assert_eq!(socket.hear().await, Some(Frame(0x82, vec![7; 300_000])));
    let head = &echo.heads()[0];
    assert_eq!(head.line(), "GET /base/x HTTP/1.1");
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert!(head.field("authorization").unwrap().starts_with("Bearer "));
    for (protocol, path) in [
        ("connect-udp", "/live/x"),
        ("webtransport", "/live/x"),
        ("websocket", "/plain/x"),
    ] {
        let other = Socket::open_http2(stack.address, protocol, path, &fields).await;
        assert_eq!(other.status, StatusCode::NOT_IMPLEMENTED, "{protocol} {path}");
    }
    log_out(&ada).await;
    assert_eq!(socket.hear().await.unwrap().status(), 4401);
    let none = Socket::open_http2(stack.address, "websocket", "/live/x", &fields).await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert_eq!(echo.heads().len(), 1);
}

#[tokio::test]
async fn attack_56_a_handshake_of_another_origin_gets_no_token() {
    let (echo, stack, ada) = start().await;
    let cookie = cookie(&ada);
    for proof in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
    ] {
        for path in ["/live/x", "/proto/x", "/open/x"] {
            let mut fields = vec![("cookie", cookie.as_str())];
            fields.extend(proof);
            let socket = Socket::open(stack.address, path, &fields).await;
            assert_eq!(socket.status, StatusCode::FORBIDDEN, "{path} {proof:?}");
            assert_eq!(socket.code().await, "csrf_origin");
            let socket = Socket::open_http2(stack.address, "websocket", path, &fields).await;
            assert_eq!(socket.status, StatusCode::FORBIDDEN, "{path} {proof:?}");
        }
    }
    assert!(echo.heads().is_empty());
    for proof in [("origin", ada.origin()), ("sec-fetch-site", "same-origin")] {
        let socket = Socket::open(stack.address, "/live/x", &[("cookie", &cookie), proof]).await;
        assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
    }
    // For other servers.
    let socket = Socket::open(stack.address, "/hook/x", &[]).await;
    assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(echo.heads()[2].field("authorization"), None);
}

#[tokio::test]
async fn a_listed_origin_may_open_a_websocket() {
    let echo = Echo::start().await;
    let (stack, ada) = stack_of(&echo.url(), &[("CORS__ALLOW_ORIGINS", "https://partner.example")]).await;
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", "https://partner.example")];
    let mut socket = Socket::open(stack.address, "/live/x", &fields).await;
    assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
    socket.echo("partner").await;
}

#[tokio::test]
async fn attack_18_a_handshake_without_a_session_reaches_nobody() {
    let (echo, stack, ada) = start().await;
    for path in ["/live/x", "/page/x", "/proto/x"] {
        let fields = [("origin", ada.origin()), ("authorization", "Bearer mine")];
        let socket = Socket::open(stack.address, path, &fields).await;
        assert_eq!(socket.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(socket.code().await, "unauthenticated");
        let socket = Socket::open_http2(stack.address, "websocket", path, &fields).await;
        assert_eq!(socket.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert!(echo.heads().is_empty());
    // No token of ours on a route without sessions.
    let cookie = cookie(&ada);
    let fields = [("origin", ada.origin()), ("cookie", cookie.as_str())];
    let mut socket = Socket::open(stack.address, "/open/x", &fields).await;
    socket.echo("anybody").await;
    assert_eq!(echo.heads()[0].field("authorization"), None);
    log_out(&ada).await;
    socket.echo("goes on").await;
}

#[tokio::test]
async fn attack_56_the_token_in_a_subprotocol_is_ours() {
    let (echo, stack, ada) = start().await;
    // The service chooses the subprotocol that it asked for.
    echo.answer(|head| {
        let offered = head.field("sec-websocket-protocol").unwrap_or_default();
        let chosen = offered
            .split(", ")
            .find(|protocol| protocol.starts_with("bearer."));
        head.agreed(&chosen.map_or_else(String::new, |chosen| {
            format!("Sec-WebSocket-Protocol: {chosen}\r\n")
        }))
    });
    let cookie = cookie(&ada);
    let fields = [
        ("cookie", cookie.as_str()),
        ("origin", ada.origin()),
        ("sec-websocket-protocol", "chat, Bearer.stolen, bearer.stolen"),
    ];
    let mut socket = Socket::open(stack.address, "/proto/x", &fields).await;
    assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
    assert!(!socket.headers.contains_key("sec-websocket-protocol"));
    socket.echo("with a token").await;
    let head = &echo.heads()[0];
    assert_eq!(head.field("authorization"), None);
    let offered = head.field("sec-websocket-protocol").unwrap().to_owned();
    let token = offered.strip_prefix("chat, bearer.").unwrap();
    assert!(token.len() > 20 && !token.contains("stolen"), "{offered}");

    // One of the client's own passes.
    echo.answer(|head| head.agreed("Sec-WebSocket-Protocol: chat\r\n"));
    let socket = Socket::open(stack.address, "/proto/x", &fields).await;
    assert_eq!(socket.headers["sec-websocket-protocol"], "chat");
    // A refusal does not carry it either.
    let echoed = offered.clone();
    echo.answer(move |_| {
        format!("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Protocol: {echoed}\r\nContent-Length: 0\r\n\r\n")
    });
    let socket = Socket::open(stack.address, "/proto/x", &fields).await;
    assert_eq!(socket.status, StatusCode::BAD_REQUEST);
    assert!(!socket.headers.contains_key("sec-websocket-protocol"));
}

#[tokio::test]
async fn extensions_pass_as_both_sides_agree() {
    let (echo, stack, ada) = start().await;
    echo.answer(|head| {
        head.agreed("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n")
    });
    let cookie = cookie(&ada);
    let offer = "permessage-deflate; client_max_window_bits";
    let fields = [
        ("cookie", cookie.as_str()),
        ("origin", ada.origin()),
        ("sec-websocket-extensions", offer),
    ];
    let mut socket = Socket::open(stack.address, "/live/x", &fields).await;
    assert_eq!(
        socket.headers["sec-websocket-extensions"],
        "permessage-deflate; server_no_context_takeover"
    );
    assert_eq!(echo.heads()[0].field("sec-websocket-extensions"), Some(offer));
    // A compressed message: only its sides know what it means.
    let compressed = Frame(0xc1, vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    socket.say(&compressed).await;
    assert_eq!(socket.hear().await, Some(compressed));
}

#[tokio::test]
async fn attack_48_a_websocket_ends_with_its_session() {
    let (echo, stack, ada) = start().await;
    let grace = Browser::new("grace", ada.origin());
    grace.log_in().await;
    let mut socket = Socket::of(&stack, &ada, "/live/x").await;
    let mut other = Socket::of(&stack, &grace, "/live/x").await;
    socket.echo("one").await;
    other.echo("two").await;
    log_out(&ada).await;
    let close = socket.hear().await.unwrap();
    assert_eq!(close.status(), 4401);
    assert_eq!(&close.1[2..], b"session ended");
    assert_eq!(echo.closed().await[..2], 1001_u16.to_be_bytes());
    socket.say(&close).await;
    assert_eq!(socket.hear().await, None);
    other.echo("goes on").await;
    // The limit of the session ends it as well.
    let listening = tokio::spawn(async move {
        loop {
            match other.hear().await.unwrap() {
                Frame(0x89, content) => other.say(&Frame(0x8a, content)).await,
                close => break close.status(),
            }
        }
    });
    stack.advance(Duration::from_mins(29)).await;
    assert!(!listening.is_finished());
    stack.advance(Duration::from_mins(2)).await;
    assert_eq!(listening.await.unwrap(), 4401);
}

#[tokio::test]
async fn a_stop_closes_websockets_with_1001() {
    let (echo, mut stack, ada) = start().await;
    let mut socket = Socket::of(&stack, &ada, "/live/x").await;
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let mut http2 = Socket::open_http2(stack.address, "websocket", "/live/x", &fields).await;
    socket.echo("one").await;
    http2.echo("two").await;
    let listening = tokio::spawn(async move {
        let mut statuses = Vec::new();
        for mut socket in [socket, http2] {
            let close = socket.hear().await.unwrap();
            statuses.push(close.status());
            socket.say(&close).await;
            assert_eq!(socket.hear().await, None);
        }
        statuses
    });
    stack.stop().await.unwrap();
    assert_eq!(listening.await.unwrap(), [1001, 1001]);
    assert_eq!(echo.closed().await[..2], 1001_u16.to_be_bytes());
}

#[tokio::test]
async fn a_malformed_handshake_is_refused() {
    let (echo, stack, ada) = start().await;
    let cookie = cookie(&ada);
    for (changes, status, code) in [
        (&[("connection", "close")][..], 400, "websocket_handshake"),
        (&[("sec-websocket-key", "")], 400, "websocket_handshake"),
        (&[("sec-websocket-key", "c2hvcnQ=")], 400, "websocket_handshake"),
        (&[("sec-websocket-version", "")], 400, "websocket_handshake"),
        (&[("sec-websocket-protocol", "a b")], 400, "websocket_handshake"),
        (&[("content-length", "5")], 400, "websocket_handshake"),
        (&[("transfer-encoding", "chunked")], 400, "websocket_handshake"),
        (&[("sec-websocket-version", "8")], 426, "websocket_version"),
        (&[("sec-websocket-version", "13, 8")], 426, "websocket_version"),
    ] {
        let mut fields = vec![("cookie", cookie.as_str()), ("origin", ada.origin())];
        fields.extend(changes);
        let socket = Socket::open(stack.address, "/live/x", &fields).await;
        assert_eq!(socket.status.as_u16(), status, "{changes:?}");
        if status == 426 {
            assert_eq!(socket.headers["sec-websocket-version"], "13");
            assert_eq!(socket.headers["upgrade"], "websocket");
        }
        assert_eq!(socket.code().await, code, "{changes:?}");
    }
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let socket = Socket::open(stack.address, "/plain/x", &fields).await;
    assert_eq!(socket.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(socket.code().await, "upgrade_not_supported");
    let old = [("sec-websocket-version", "8"), fields[0], fields[1]];
    let socket = Socket::open_http2(stack.address, "websocket", "/live/x", &old).await;
    assert_eq!(socket.status, StatusCode::UPGRADE_REQUIRED);
    assert!(echo.heads().is_empty());
}

/// RFC 6455 section 10.3 warns of intermediaries that take the bytes behind the head for a request.
#[tokio::test]
async fn a_request_behind_a_handshake_is_not_smuggled() {
    let (echo, stack, ada) = start().await;
    let head = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: automate.localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {}\r\nCookie: {}\r\n\r\n\
             GET /live/admin HTTP/1.1\r\nHost: automate.localhost\r\nConnection: close\r\n\r\n",
            ada.origin(),
            cookie(&ada)
        )
    };
    let mut socket = Socket::send(stack.address, &head("/live/x")).await;
    assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(socket.hear().await.unwrap().status(), 1002);
    assert_eq!(echo.closed().await[..2], 1001_u16.to_be_bytes());
    // A refused handshake leaves HTTP behind, with all its checks.
    let socket = Socket::send(stack.address, &head("/plain/x")).await;
    assert_eq!(socket.status, StatusCode::NOT_IMPLEMENTED);
    assert!(socket.rest().await.contains("HTTP/1.1 401 "));
    assert_eq!(echo.heads().len(), 1);
}

#[tokio::test]
async fn a_service_that_does_not_agree_is_a_502() {
    let (echo, stack, ada) = start().await;
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ] {
        echo.answer(|_| answer.to_owned());
        let socket = Socket::open(stack.address, "/live/x", &fields).await;
        assert_eq!(socket.status, StatusCode::BAD_GATEWAY, "{answer}");
        assert_eq!(socket.code().await, "bad_gateway");
        let socket = Socket::open_http2(stack.address, "websocket", "/live/x", &fields).await;
        assert_eq!(socket.status, StatusCode::BAD_GATEWAY, "{answer}");
    }
    for more in [
        "Sec-WebSocket-Protocol: other\r\n",
        "Sec-WebSocket-Extensions: x\r\n",
    ] {
        echo.answer(|head| head.agreed(more));
        let socket = Socket::open(stack.address, "/live/x", &fields).await;
        assert_eq!(socket.status, StatusCode::BAD_GATEWAY, "{more}");
    }
    echo.answer(|head| head.agreed("").replace("websocket", "h2c"));
    let socket = Socket::open(stack.address, "/live/x", &fields).await;
    assert_eq!(socket.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_service_that_refuses_is_heard() {
    let (echo, stack, ada) = start().await;
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    for status in ["403 Forbidden", "404 Not Found", "503 Service Unavailable"] {
        echo.answer(move |_| {
            format!("HTTP/1.1 {status}\r\nContent-Length: 15\r\nX-Reason: full\r\n\r\n{{\"code\":\"full\"}}")
        });
        let socket = Socket::open(stack.address, "/live/x", &fields).await;
        assert_eq!(socket.status.as_str(), &status[..3]);
        assert_eq!(socket.headers["x-reason"], "full");
        assert_eq!(socket.code().await, "full");
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_is_a_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stack, ada) = stack_of(&url, &[]).await;
    let (address, cookie) = (stack.address, cookie(&ada));
    let origin = ada.origin().to_owned();
    let opening = tokio::spawn(async move {
        let fields = [("cookie", cookie.as_str()), ("origin", &origin)];
        Socket::open(address, "/live/x", &fields).await.status
    });
    let (_connection, _) = listener.accept().await.unwrap();
    stack.advance(Duration::from_secs(4)).await;
    assert!(!opening.is_finished());
    stack.advance(Duration::from_secs(2)).await;
    assert_eq!(opening.await.unwrap(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_service_that_breaks_off_ends_the_websocket() {
    let (echo, stack, ada) = start().await;
    echo.answer(|head| head.agreed("") + "\u{1}\u{2}ab");
    let mut socket = Socket::of(&stack, &ada, "/live/x").await;
    // The first bytes come with the head.
    assert_eq!(socket.hear().await, Some(Frame(0x01, b"ab".to_vec())));
    socket.say(&Frame(0x88, Vec::new())).await;
    assert_eq!(socket.hear().await, Some(Frame(0x88, Vec::new())));
    assert_eq!(socket.hear().await, None);
}

#[tokio::test]
async fn a_handshake_is_a_use_of_the_session() {
    let (_echo, stack, ada) = start().await;
    stack.advance(Duration::from_mins(20)).await;
    let socket = Socket::of(&stack, &ada, "/live/x").await;
    let renewed = socket.headers["set-cookie"].to_str().unwrap();
    assert!(renewed.starts_with("__Host-Http-bff_session="), "{renewed}");
    stack.advance(Duration::from_mins(20)).await;
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn a_session_has_at_most_a_hundred_websockets() {
    let (_echo, stack, ada) = start().await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(Socket::of(&stack, &ada, "/live/x").await);
    }
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let socket = Socket::open(stack.address, "/live/x", &fields).await;
    assert_eq!(socket.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(socket.code().await, "too_many_streams");
    let mut last = sockets.pop().unwrap();
    last.say(&Frame(0x88, Vec::new())).await;
    assert_eq!(last.hear().await, Some(Frame(0x88, Vec::new())));
    assert_eq!(last.hear().await, None);
    for _ in 0..2_000 {
        let socket = Socket::open(stack.address, "/live/x", &fields).await;
        if socket.status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        pause().await;
    }
    panic!("a closed WebSocket keeps its place");
}

/// A page that the same path serves.
#[tokio::test]
async fn a_route_with_websockets_takes_calls_too() {
    let (echo, stack, ada) = start().await;
    echo.answer(|_| "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned());
    let reply = ada.get("/live/x").await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "hello"));
    assert_eq!(echo.heads()[0].field("upgrade"), None);
    drop(stack);
}
