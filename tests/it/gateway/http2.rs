//! Our listener of HTTP/2 against the rules of RFC 9113, frame by frame. `hostile.rs` has the requests that are malformed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, extract::Request, routing::any};
use http::StatusCode;

use crate::support::{
    Stack,
    http2::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Fate, GOAWAY, GOOD, HEADERS, PADDED, PING,
        PRIORITISED, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, fields, frame,
    },
    pause, service,
};

/// The codes of errors (section 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The names of settings (section 6.5.2).
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// As many streams as one connection may have at a time.
const MAX_STREAMS: u32 = 128;

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&GOOD))
}

/// The head of an upload; its body follows.
fn post(stream: u32) -> Vec<u8> {
    let mut list = GOOD;
    list[0] = (":method", "POST");
    let own = [("origin", "http://automate.localhost")];
    let list = [&list[..], &own].concat();
    frame(HEADERS, END_HEADERS, stream, &fields(&list))
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    let payload = [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

/// A server whose service takes uploads and answers none of them.
async fn with_a_silent_service(asked: &Arc<AtomicUsize>) -> Stack {
    let count = Arc::clone(asked);
    let url = service(Router::new().fallback(any(async move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let _request = request;
        std::future::pending::<Body>().await
    })))
    .await;
    let routes = format!(
        "services:\n  api: {{ base_url: '{url}' }}\nroutes:\n\
         - {{ id: api, path: /public/*, target_service: api, auth: none, csrf: false }}\n"
    );
    Stack::builder().routes(&routes).start().await
}

/// Waits until the service was asked so often.
async fn was_asked(asked: &AtomicUsize, times: usize) {
    for _ in 0..5_000 {
        if asked.load(Ordering::SeqCst) >= times {
            return;
        }
        pause().await;
    }
    panic!("the service was asked {} times", asked.load(Ordering::SeqCst));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn errors_of_a_connection_end_it_with_their_code() {
    let stack = Stack::start().await;
    let block = fields(&GOOD);
    let long = vec![0; 16_385];
    for (what, bytes, code) in [
        // Section 5.1: streams that have not begun.
        (
            "DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"x"),
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, &[0; 4]),
            PROTOCOL_ERROR,
        ),
        (
            "WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()),
            PROTOCOL_ERROR,
        ),
        (
            "CONTINUATION of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &block),
            PROTOCOL_ERROR,
        ),
        // Section 5.1.1: ids.
        ("an even id", get(2), PROTOCOL_ERROR),
        ("a lower id", [get(5), get(3)].concat(), PROTOCOL_ERROR),
        // Section 4: sizes and heads.
        (
            "a frame that is too long",
            [post(1), frame(DATA, 0, 1, &long)].concat(),
            FRAME_SIZE_ERROR,
        ),
        (
            "a head that is no HPACK",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20]),
            COMPRESSION_ERROR,
        ),
        (
            "a head on no stream",
            frame(HEADERS, END_STREAM | END_HEADERS, 0, &block),
            PROTOCOL_ERROR,
        ),
        (
            "a head within a head",
            [frame(HEADERS, END_STREAM, 1, &block), get(3)].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "a ping within a head",
            [frame(HEADERS, END_STREAM, 1, &block), frame(PING, 0, 0, &[0; 8])].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "an unknown frame within a head",
            [frame(HEADERS, END_STREAM, 1, &block), frame(0xee, 0, 1, b"x")].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "more of another head",
            [
                frame(HEADERS, END_STREAM, 1, &block),
                frame(CONTINUATION, END_HEADERS, 3, &[]),
            ]
            .concat(),
            PROTOCOL_ERROR,
        ),
        (
            "more of a complete head",
            [get(1), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            PROTOCOL_ERROR,
        ),
        // Section 6: single frames.
        ("DATA on no stream", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        (
            "a padding beyond its frame",
            [post(1), frame(DATA, PADDED, 1, &[9, 0])].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "a padding beyond its head",
            frame(HEADERS, PADDED | END_STREAM | END_HEADERS, 1, &[200, 0]),
            PROTOCOL_ERROR,
        ),
        (
            "PRIORITY on no stream",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 1]),
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM on no stream",
            frame(RST_STREAM, 0, 0, &[0; 4]),
            PROTOCOL_ERROR,
        ),
        (
            "a short RST_STREAM",
            [get(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            FRAME_SIZE_ERROR,
        ),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
        ("half a setting", frame(SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        (
            "an answer to settings that says something",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            FRAME_SIZE_ERROR,
        ),
        ("ENABLE_PUSH of 2", setting(ENABLE_PUSH, 2), PROTOCOL_ERROR),
        (
            "a window beyond 2^31 - 1",
            setting(INITIAL_WINDOW_SIZE, 1 << 31),
            FLOW_CONTROL_ERROR,
        ),
        (
            "frames that are too short",
            setting(MAX_FRAME_SIZE, 16_383),
            PROTOCOL_ERROR,
        ),
        (
            "frames that are too long",
            setting(MAX_FRAME_SIZE, 1 << 24),
            PROTOCOL_ERROR,
        ),
        (
            "PUSH_PROMISE of a client",
            frame(5, END_HEADERS, 1, &[0, 0, 0, 2]),
            PROTOCOL_ERROR,
        ),
        ("PING on a stream", frame(PING, 0, 1, &[0; 8]), PROTOCOL_ERROR),
        ("a short PING", frame(PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        ("GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), PROTOCOL_ERROR),
        (
            "a short WINDOW_UPDATE",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            FRAME_SIZE_ERROR,
        ),
        (
            "a window of nothing more",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            PROTOCOL_ERROR,
        ),
        (
            "a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            FLOW_CONTROL_ERROR,
        ),
    ] {
        let fate = Wire::open(stack.address, &[]).await.fate(&bytes).await;
        // Section 5.4.1 allows a more general code, and an end without a word.
        let Fate::Ended(said) = fate else {
            panic!("{what}: {fate:?}");
        };
        assert!(
            said.is_none_or(|said| [code, PROTOCOL_ERROR].contains(&said)),
            "{what}: {said:?}"
        );
    }
    assert_eq!(stack.browser().get("/public/x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn errors_of_a_stream_end_at_most_the_connection() {
    let asked = Arc::default();
    let stack = with_a_silent_service(&asked).await;
    let with_priority = |dependency: u32| {
        let block = [&dependency.to_be_bytes()[..], &[15], &fields(&GOOD)].concat();
        frame(HEADERS, PRIORITISED | END_STREAM | END_HEADERS, 1, &block)
    };
    let ended = frame(DATA, END_STREAM, 1, b"x");
    for (what, bytes, code) in [
        (
            "DATA after the end",
            [post(1), ended.clone(), frame(DATA, 0, 1, b"x")].concat(),
            STREAM_CLOSED,
        ),
        ("a head after the end", [get(1), get(1)].concat(), STREAM_CLOSED),
        (
            "a second head that ends nothing",
            [post(1), post(1)].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "DATA on a stream that was reset",
            [
                post(1),
                frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()),
                frame(DATA, 0, 1, b"x"),
            ]
            .concat(),
            STREAM_CLOSED,
        ),
        ("a head that depends on itself", with_priority(1), PROTOCOL_ERROR),
        (
            "a stream's window of nothing more",
            [post(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "a stream's window that overflows",
            [
                post(1),
                frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes()),
            ]
            .concat(),
            FLOW_CONTROL_ERROR,
        ),
    ] {
        match Wire::open(stack.address, &[]).await.fate(&bytes).await {
            Fate::Reset(said) | Fate::Ended(Some(said)) => {
                assert!([code, PROTOCOL_ERROR].contains(&said), "{what}: {said}");
            }
            Fate::Ended(None) => {}
            Fate::GoesOn => panic!("{what} is taken"),
        }
    }
    // A priority for itself, of the wrong length, or for a stream that nobody has opened: it has no meaning, and harms none.
    for payload in [&[0, 0, 0, 1, 1][..], &[0, 0, 0, 7, 255], &[0, 0, 0]] {
        let mut wire = Wire::open(stack.address, &[]).await;
        wire.send(&frame(PRIORITY, 0, 1, payload)).await;
        wire.settled().await;
    }
    assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn frames_that_are_allowed_disturb_nothing() {
    let stack = Stack::start().await;
    let other = (0..50).flat_map(|_| frame(0xee, 0xff, 0, b"unknown")).collect();
    for (what, bytes) in [
        ("unknown frames", other),
        ("an unknown setting", setting(0xeeee, 7)),
        ("flags without a meaning", frame(PING, 0xfe, 0, &[1; 8])),
        ("a ping that nobody sent", frame(PING, ACK, 0, &[1; 8])),
        ("a priority for later", frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 1])),
        ("a window", frame(WINDOW_UPDATE, 0, 0, &100_u32.to_be_bytes())),
    ] {
        let mut wire = Wire::open(stack.address, &[]).await;
        wire.send(&[bytes, get(1)].concat()).await;
        let answer = wire.next_of(HEADERS).await;
        assert_eq!(
            (answer.stream, answer.payload.contains(&0x88)),
            (1, true),
            "{what}"
        );
    }
    // A head in many pieces, with a padding.
    let block = fields(&GOOD);
    let (first, rest) = block.split_at(5);
    let first = [&[3][..], first, &[0; 3]].concat();
    let mut bytes = frame(HEADERS, END_STREAM | PADDED, 1, &first);
    let mut pieces = rest.chunks(20).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(CONTINUATION, flags, 1, piece));
    }
    let mut wire = Wire::open(stack.address, &[]).await;
    wire.send(&bytes).await;
    assert!(wire.next_of(HEADERS).await.payload.contains(&0x88));
}

/// Section 5.1.2: more streams than the server takes are refused, and may be sent again.
#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let asked = Arc::default();
    let stack = with_a_silent_service(&asked).await;
    let mut wire = Wire::open(stack.address, &[]).await;
    let streams = (0..=MAX_STREAMS).map(|number| 2 * number + 1);
    let bytes: Vec<u8> = streams.flat_map(get).collect();
    wire.send(&bytes).await;
    let refused = wire.next_of(RST_STREAM).await;
    assert_eq!(refused.stream, 2 * MAX_STREAMS + 1);
    assert_eq!(refused.payload, REFUSED_STREAM.to_be_bytes());
    was_asked(&asked, MAX_STREAMS as usize).await;
    assert_eq!(asked.load(Ordering::SeqCst), MAX_STREAMS as usize);
    assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
}

/// Empty frames use up no window. Without a bound, their notes would fill the memory (CVE-2019-9518 and its kin).
#[tokio::test]
async fn a_flood_of_empty_data_ends_the_connection() {
    let asked = Arc::default();
    let stack = with_a_silent_service(&asked).await;
    for piece in [&b""[..], b"x"] {
        let mut wire = Wire::open(stack.address, &[]).await;
        wire.send(&post(1)).await;
        let bytes = frame(DATA, 0, 1, piece).repeat(200_000);
        let (reader, mut writer) = wire.split();
        let writing = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            let _ = writer.write_all(&bytes).await;
            writer
        });
        let said = ended(reader).await;
        writing.abort();
        assert!(
            said.is_none_or(|code| [ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR].contains(&code)),
            "{said:?}"
        );
    }
    assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
}

/// Reads to the end of a connection; the code of its GOAWAY.
async fn ended(mut reader: tokio::net::tcp::OwnedReadHalf) -> Option<u32> {
    use tokio::io::AsyncReadExt as _;
    let mut all = Vec::new();
    let _ = reader.read_to_end(&mut all).await;
    let mut rest = &all[..];
    let mut code = None;
    while let Some((head, more)) = rest.split_first_chunk::<9>() {
        let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
        let Some((payload, more)) = more.split_at_checked(length) else {
            break;
        };
        if head[3] == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        rest = more;
    }
    code
}

/// CVE-2025-8671: the server resets the streams because of the client's mistakes, and the calls would go on behind it.
#[tokio::test]
async fn streams_that_the_server_must_reset_are_bounded() {
    let asked = Arc::default();
    let stack = with_a_silent_service(&asked).await;
    let mut bytes = Vec::new();
    for number in 0..20_000 {
        let stream = 2 * number + 1;
        bytes.extend(get(stream));
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
    }
    let (reader, mut writer) = Wire::open(stack.address, &[]).await.split();
    let writing = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let said = ended(reader).await;
    writing.abort();
    assert!(
        said.is_none_or(|code| [ENHANCE_YOUR_CALM, PROTOCOL_ERROR].contains(&code)),
        "{said:?}"
    );
    assert!(asked.load(Ordering::SeqCst) < 2_000);
    assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_keeps_to_the_window_of_its_client() {
    let body = "b".repeat(1_000);
    let text = body.clone();
    let url = service(Router::new().fallback(any(async move || text.clone()))).await;
    let routes = format!(
        "services:\n  api: {{ base_url: '{url}' }}\nroutes:\n- {{ id: api, path: /public/*, target_service: api, auth: none }}\n"
    );
    let stack = Stack::builder().routes(&routes).start().await;
    // No window at all: only the head comes, and other streams are served.
    let mut wire = Wire::open(stack.address, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    wire.send(&get(1)).await;
    assert_eq!(wire.next_of(HEADERS).await.stream, 1);
    let came = wire.settled().await;
    assert!(came.iter().all(|came| came.kind != DATA), "{came:?}");
    // One byte at a time.
    for _ in 0..3 {
        wire.send(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())).await;
        assert_eq!(wire.next_of(DATA).await.payload, b"b");
    }
    // A smaller window than was used is a debt (section 6.9.2), and the rest comes when it is paid.
    wire.send(&setting(INITIAL_WINDOW_SIZE, 100)).await;
    let mut got = 3;
    wire.send(&frame(WINDOW_UPDATE, 0, 1, &10_000_u32.to_be_bytes()))
        .await;
    while got < body.len() {
        got += wire.next_of(DATA).await.payload.len();
    }
    assert_eq!(got, body.len());
}

/// A client that goes gets the answers that are under way, and no connection stays behind.
#[tokio::test]
async fn a_goaway_of_the_client_ends_the_connection_in_order() {
    let stack = Stack::start().await;
    let mut wire = Wire::open(stack.address, &[]).await;
    wire.send(&get(1)).await;
    let away = [&0_u32.to_be_bytes()[..], &0_u32.to_be_bytes(), b"bye"].concat();
    wire.send(&frame(GOAWAY, 0, 0, &away)).await;
    assert!(wire.next_of(HEADERS).await.payload.contains(&0x88));
    while wire.next().await.is_some() {}
    assert_eq!(stack.browser().get("/public/x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stop_says_goaway_and_finishes_what_is_under_way() {
    let mut stack = Stack::start().await;
    let mut wire = Wire::open(stack.address, &[]).await;
    wire.send(&get(1)).await;
    assert!(wire.next_of(HEADERS).await.payload.contains(&0x88));
    let reading = tokio::spawn(async move {
        let mut codes = Vec::new();
        while let Some(came) = wire.next().await {
            match came.kind {
                GOAWAY => codes.push(u32::from_be_bytes(came.payload[4..8].try_into().unwrap())),
                // Before the last GOAWAY the server asks for a sign of life (section 6.8).
                PING if came.flags & ACK == 0 => wire.send(&frame(PING, ACK, 0, &came.payload)).await,
                _ => {}
            }
        }
        codes
    });
    stack.stop().await.unwrap();
    let codes = reading.await.unwrap();
    assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
}
