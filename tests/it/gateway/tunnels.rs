//! The frames that pass a WebSocket and those that end it, its bounds, and the ways to its service.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::bearer::{resource, token};
use crate::support::{
    Browser, Stack,
    proxy::{Does, TestProxy},
    web_socket::{Echo, Frame, Socket, cookie},
};

/// For `localhost`, by the authority of the tests.
const SERVER: (&[u8], &[u8]) = (
    include_bytes!("../../../src/tls/testing/server.pem"),
    include_bytes!("../../../src/tls/testing/server.key"),
);
/// For `service.test`, by itself.
const NAMED: (&[u8], &[u8]) = (
    include_bytes!("../../../src/tls/testing/named.pem"),
    include_bytes!("../../../src/tls/testing/named.key"),
);
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls/testing");

const ROUTES: &str = r#"
services:
  live: { base_url: "{live}", max_body: 1MiB }
routes:
  - { id: live, path: /live/*, target_service: live, websocket: true }
  - { id: short, path: /short/*, target_service: live, websocket: { max_message: 1KiB, idle: 2m } }
  - { id: long, path: /long/*, target_service: live, websocket: { max_message: unlimited } }
"#;

async fn start() -> (Echo, Stack, Browser) {
    let echo = Echo::start().await;
    let stack = Stack::builder()
        .routes(&ROUTES.replace("{live}", &echo.url()))
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    (echo, stack, ada)
}

/// The next frame that is not a ping of the server.
async fn hear(socket: &mut Socket) -> Option<Frame> {
    loop {
        match socket.hear().await {
            Some(Frame(0x89, content)) => socket.say(&Frame(0x8a, content)).await,
            other => break other,
        }
    }
}

fn close(status: u16, reason: &str) -> Frame {
    Frame(0x88, [&status.to_be_bytes(), reason.as_bytes()].concat())
}

#[tokio::test]
async fn frames_of_every_kind_pass_unchanged() {
    let (_echo, stack, ada) = start().await;
    let of = |first: u8, content: &[u8]| Frame(first, content.to_vec());
    let long = [b'x'; 125];
    for frames in [
        // Fragments, with control frames between them.
        vec![of(0x01, b"a"), of(0x89, b"ping"), of(0x00, b"b"), of(0x80, b"c")],
        vec![of(0x02, b""), of(0x00, b""), of(0x80, b"")],
        vec![of(0x81, b""), of(0x82, b"")],
        // The shortest and the longest control frames.
        vec![of(0x89, b""), of(0x89, &long), of(0x89, &[0, 0xff, 0xfe])],
        // Text that is not UTF-8 is a matter of the sides.
        vec![of(0x81, &[0xff, 0xfe]), of(0x01, &[0xce]), of(0x80, &[0xba])],
    ] {
        let mut socket = Socket::of(&stack, &ada, "/live/x").await;
        // All in one piece.
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes(true)).collect();
        socket.say_bytes(&bytes).await;
        for Frame(first, content) in frames {
            // The service answers a ping.
            let first = if first == 0x89 { 0x8a } else { first };
            assert_eq!(socket.hear().await, Some(Frame(first, content)));
        }
        // Byte by byte.
        for byte in of(0x82, &[7; 300]).bytes(true) {
            socket.say_bytes(&[byte]).await;
        }
        assert_eq!(socket.hear().await, Some(of(0x82, &[7; 300])));
    }
    // A pong that nobody has asked for has no answer.
    let mut socket = Socket::of(&stack, &ada, "/live/x").await;
    socket.say(&of(0x8a, b"by itself")).await;
    socket.echo("next").await;
    for length in [125, 126, 127, 65_535, 65_536, 1 << 20] {
        let message = Frame(0x82, vec![7; length]);
        socket.say(&message).await;
        assert!(socket.hear().await == Some(message), "{length}");
    }
}

#[tokio::test]
async fn close_frames_pass_with_their_status() {
    let (echo, stack, ada) = start().await;
    let longest = "r".repeat(123);
    for frame in [
        Frame(0x88, Vec::new()),
        close(1000, ""),
        close(1001, "bye"),
        close(1003, ""),
        close(1007, ""),
        close(1011, ""),
        close(3000, ""),
        close(4000, &longest),
        close(4999, ""),
    ] {
        let mut socket = Socket::of(&stack, &ada, "/live/x").await;
        socket.say(&frame).await;
        assert_eq!(socket.hear().await, Some(frame.clone()));
        assert_eq!(socket.hear().await, None);
        assert_eq!(echo.closed().await, frame.1);
    }
}

/// RFC 6455 sections 5 and 7.4, as far as they concern a proxy.
fn broken() -> Vec<Vec<u8>> {
    let of = |first: u8, length: usize| Frame(first, vec![7; length]).bytes(true);
    let mut broken = vec![
        // Control frames that are too long, or fragmented.
        of(0x89, 126),
        of(0x8a, 126),
        of(0x88, 126),
        of(0x09, 1),
        of(0x08, 0),
        [of(0x09, 1), of(0x80, 1)].concat(),
        // Reserved bits and opcodes.
        of(0xc1, 1),
        of(0xa1, 1),
        of(0x91, 1),
        of(0xc9, 1),
        of(0x83, 1),
        of(0x87, 1),
        of(0x8b, 1),
        of(0x8f, 1),
        // Fragments of nothing, and a message within another.
        of(0x80, 1),
        of(0x00, 1),
        [of(0x01, 1), of(0x81, 1)].concat(),
        [of(0x01, 1), of(0x02, 1)].concat(),
        // Lengths in another form than the shortest.
        vec![0x82, 0xfe, 0, 5, 0, 0, 0, 0],
        vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        // No mask.
        Frame(0x81, b"bare".to_vec()).bytes(false),
        // A close frame with one byte, and statuses that no side may send.
        Frame(0x88, vec![3]).bytes(true),
    ];
    broken.extend([0, 999, 1004, 1005, 1006, 1015, 5000, 65_535].map(|status| close(status, "").bytes(true)));
    broken
}

#[tokio::test]
async fn frames_that_break_the_rules_end_a_websocket() {
    let (echo, stack, ada) = start().await;
    for bytes in broken() {
        let mut socket = Socket::of(&stack, &ada, "/live/x").await;
        socket.echo("before").await;
        socket.say_bytes(&bytes).await;
        let mut heard = socket.hear().await.unwrap();
        // The first fragment of a message passes, because it is no mistake.
        if heard.0 < 0x80 {
            heard = socket.hear().await.unwrap();
        }
        assert_eq!(heard, close(1002, "invalid frame"), "{bytes:?}");
        let told = close(1001, "invalid frame of the client");
        assert_eq!(echo.closed().await, told.1, "{bytes:?}");
    }
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    for bytes in &broken()[..5] {
        let mut socket = Socket::open_http2(stack.address, "websocket", "/live/x", &fields).await;
        socket.say_bytes(bytes).await;
        assert_eq!(socket.hear().await.unwrap().status(), 1002);
        echo.closed().await;
    }
}

#[tokio::test]
async fn a_service_that_breaks_the_rules_is_left() {
    let (echo, stack, ada) = start().await;
    let of = |first: u8, length: usize| Frame(first, vec![7; length]).bytes(false);
    for bytes in [
        of(0x89, 126),
        of(0x09, 1),
        of(0xc1, 1),
        of(0x83, 1),
        of(0x8b, 1),
        of(0x80, 1),
        Frame(0x81, b"masked".to_vec()).bytes(true),
        vec![0x82, 126, 0, 5],
        Frame(0x88, vec![3]).bytes(false),
        close(1006, "").bytes(false),
    ] {
        echo.begin_with(bytes.clone());
        let mut socket = Socket::of(&stack, &ada, "/live/x").await;
        let heard = socket.hear().await.unwrap();
        assert_eq!(heard, close(1011, "invalid frame of the service"), "{bytes:?}");
        assert_eq!(echo.closed().await, close(1002, "invalid frame").1, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_message_beyond_the_bound_closes_with_1009() {
    let (echo, stack, ada) = start().await;
    let of = |first: u8, length: usize| Frame(first, vec![7; length]);
    // The bound of the route, and that of the body of calls.
    for (path, bound) in [("/short/x", 1 << 10), ("/live/x", 1 << 20)] {
        let mut socket = Socket::of(&stack, &ada, path).await;
        socket.say(&of(0x82, bound)).await;
        assert!(socket.hear().await == Some(of(0x82, bound)));
        // In pieces, of which the first is passed.
        socket.say(&of(0x02, bound - 1)).await;
        assert!(socket.hear().await == Some(of(0x02, bound - 1)));
        socket.say_bytes(&of(0x80, 2).bytes(true)).await;
        assert_eq!(
            socket.hear().await,
            Some(close(1009, "message too long")),
            "{path}"
        );
        assert_eq!(
            echo.closed().await,
            close(1009, "message of the client too long").1
        );
    }
    // The length alone is enough, over HTTP/2 too.
    let huge = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let http2 = Socket::open_http2(stack.address, "websocket", "/live/x", &fields).await;
    for mut socket in [http2, Socket::of(&stack, &ada, "/live/x").await] {
        socket.say_bytes(&huge).await;
        assert_eq!(socket.hear().await.unwrap().status(), 1009);
        echo.closed().await;
    }
    // A message of the service.
    echo.begin_with(of(0x82, 1025).bytes(false));
    let mut socket = Socket::of(&stack, &ada, "/short/x").await;
    assert_eq!(
        socket.hear().await,
        Some(close(1009, "message of the service too long"))
    );
    assert_eq!(echo.closed().await, close(1009, "message too long").1);
    // A route without a bound.
    echo.begin_with(Vec::new());
    let mut socket = Socket::of(&stack, &ada, "/long/x").await;
    socket.say(&of(0x82, 3 << 20)).await;
    assert!(socket.hear().await == Some(of(0x82, 3 << 20)));
}

#[tokio::test]
async fn a_route_says_how_long_a_websocket_may_be_silent() {
    let (_echo, stack, ada) = start().await;
    let mut silent = Socket::of(&stack, &ada, "/short/x").await;
    let mut other = Socket::of(&stack, &ada, "/live/x").await;
    silent.echo("one").await;
    other.echo("two").await;
    let listening = tokio::spawn(async move { hear(&mut silent).await });
    let others = tokio::spawn(async move { hear(&mut other).await });
    stack.advance(Duration::from_mins(1)).await;
    assert!(!listening.is_finished());
    stack.advance(Duration::from_mins(1)).await;
    assert_eq!(listening.await.unwrap(), Some(close(1001, "idle")));
    assert!(!others.is_finished());
}

/// The client leaves in the middle of a frame: its place is free again, and others are not disturbed.
#[tokio::test]
async fn half_a_frame_and_a_hangup_harm_nobody() {
    let (_echo, stack, ada) = start().await;
    let mut other = Socket::of(&stack, &ada, "/live/x").await;
    let whole = Frame(0x82, vec![7; 5_000]).bytes(true);
    for length in [1, 3, 8, 2_000] {
        let mut socket = Socket::of(&stack, &ada, "/live/x").await;
        socket.echo("before").await;
        socket.say_bytes(&whole[..length]).await;
        drop(socket);
        other.echo("goes on").await;
    }
}

#[tokio::test]
async fn a_websocket_passes_over_tls() {
    let echo = Echo::start_over_tls(SERVER.0, SERVER.1).await;
    let routes = format!(
        "services:\n  live: {{ base_url: 'https://localhost:{}', ca_file: {CERTIFICATES}/ca.pem }}\n  \
         untrusted: {{ base_url: 'https://localhost:{}' }}\nroutes:\n\
         - {{ id: live, path: /live/*, target_service: live, websocket: true }}\n\
         - {{ id: untrusted, path: /untrusted/*, target_service: untrusted, websocket: true }}\n",
        echo.address().port(),
        echo.address().port(),
    );
    let stack = Stack::builder().routes(&routes).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let mut socket = Socket::of(&stack, &ada, "/live/x").await;
    socket.echo("over TLS").await;
    let message = Frame(0x82, vec![7; 300_000]);
    socket.say(&message).await;
    assert!(socket.hear().await == Some(message));
    socket.say(&close(1000, "")).await;
    assert_eq!(socket.hear().await, Some(close(1000, "")));
    assert!(
        echo.heads()[0]
            .field("authorization")
            .unwrap()
            .starts_with("Bearer ")
    );
    // Nothing goes to a service whose certificate nobody vouches for.
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let refused = Socket::open(stack.address, "/untrusted/x", &fields).await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    assert_eq!(echo.heads().len(), 1);
}

#[tokio::test]
async fn a_websocket_passes_a_proxy_in_a_tunnel() {
    let plain = Echo::start().await;
    let secure = Echo::start_over_tls(NAMED.0, NAMED.1).await;
    let first = TestProxy::start(Does::Forward(plain.address())).await;
    let second = TestProxy::start(Does::Forward(secure.address())).await;
    let routes = format!(
        "services:\n  plain: {{ base_url: 'http://far.test/base' }}\n  \
         secure: {{ base_url: 'https://service.test', ca_file: {CERTIFICATES}/named.pem }}\nroutes:\n\
         - {{ id: plain, path: /plain/*, target_service: plain, websocket: true }}\n\
         - {{ id: secure, path: /secure/*, target_service: secure, websocket: true }}\n"
    );
    let stack = Stack::builder()
        .routes(&routes)
        .set(
            "HTTP_PROXY",
            format!("http://me:planted-s3cret@{}", first.address()),
        )
        .set("HTTPS_PROXY", format!("http://{}", second.address()))
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    for (path, proxy, echo, target) in [
        ("/plain/x", &first, &plain, "far.test:80"),
        ("/secure/x", &second, &secure, "service.test:443"),
    ] {
        let mut socket = Socket::of(&stack, &ada, path).await;
        socket.echo("through a proxy").await;
        let head = proxy.only();
        assert!(
            head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")),
            "{head}"
        );
        // Neither learns what is for the other: the proxy no token, the service no password.
        assert!(!head.contains("Bearer"), "{head}");
        assert_eq!(
            head.contains("Basic bWU6cGxhbnRlZC1zM2NyZXQ="),
            path == "/plain/x"
        );
        let asked = &echo.heads()[0];
        assert!(asked.field("authorization").unwrap().starts_with("Bearer "));
        assert_eq!(asked.field("proxy-authorization"), None);
        assert_eq!(asked.field("host"), target.split(':').next());
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_the_tunnel_is_a_502() {
    let proxy = TestProxy::start(Does::Answer(
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let stack = Stack::builder()
        .routes(&ROUTES.replace("{live}", "http://far.test"))
        .set("HTTP_PROXY", format!("http://{}", proxy.address()))
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = cookie(&ada);
    let fields = [("cookie", cookie.as_str()), ("origin", ada.origin())];
    let socket = Socket::open(stack.address, "/live/x", &fields).await;
    assert_eq!(socket.status, StatusCode::BAD_GATEWAY);
    assert_eq!(socket.code().await, "bad_gateway");
}

/// A program brings its own token. It has no `Origin`, and its WebSocket lives as long as the token.
#[tokio::test]
async fn a_program_opens_a_websocket_with_its_own_token() {
    let echo = Echo::start().await;
    let routes = format!(
        "services:\n  live: {{ base_url: '{}' }}\nroutes:\n\
         - {{ id: live, path: /live/*, target_service: live, auth: bearer, websocket: true }}\n\
         - {{ id: proto, path: /proto/*, target_service: live, auth: bearer, websocket: {{ token_subprotocol: bearer. }} }}\n",
        echo.url()
    );
    let stack = Stack::builder().routes(&routes).start().await;
    let token = token(&stack, &resource(&stack), &[]);
    let authorization = format!("Bearer {token}");
    let fields = [("authorization", authorization.as_str())];
    let mut socket = Socket::open(stack.address, "/live/x", &fields).await;
    assert_eq!(
        socket.status,
        StatusCode::SWITCHING_PROTOCOLS,
        "{:?}",
        socket.headers
    );
    socket.echo("with my own token").await;
    let head = &echo.heads()[0];
    assert_eq!(head.field("authorization"), Some(authorization.as_str()));
    assert_eq!(head.field("cookie"), None);
    // Where the service reads it from a subprotocol, it stands there.
    let mut proto = Socket::open(stack.address, "/proto/x", &fields).await;
    proto.echo("in a subprotocol").await;
    let head = &echo.heads()[1];
    assert_eq!(head.field("authorization"), None);
    let offered = format!("bearer.{token}");
    assert_eq!(head.field("sec-websocket-protocol"), Some(offered.as_str()));

    // No token, another audience, or the cookie of a session.
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = cookie(&ada);
    let elsewhere = self::token(&stack, &resource(&stack), &[("aud", json!("other"))]);
    let elsewhere = format!("Bearer {elsewhere}");
    for refused in [
        &[][..],
        &[("authorization", elsewhere.as_str())],
        &[("cookie", cookie.as_str()), ("origin", ada.origin())],
    ] {
        let socket = Socket::open(stack.address, "/live/x", refused).await;
        assert_eq!(socket.status, StatusCode::UNAUTHORIZED, "{refused:?}");
    }
    assert_eq!(echo.heads().len(), 2);

    // The token lives for five minutes.
    let listening = tokio::spawn(async move { hear(&mut socket).await });
    stack.advance(Duration::from_secs(290)).await;
    assert!(!listening.is_finished());
    stack.advance(Duration::from_secs(100)).await;
    assert_eq!(listening.await.unwrap(), Some(close(4401, "session ended")));
}
