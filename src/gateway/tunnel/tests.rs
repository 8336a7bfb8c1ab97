use std::{sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;
use crate::{clock::ManualClock, random::SystemRandom};

const IDLE: Duration = Duration::from_hours(24);

/// A tunnel with both of its sides and everything that ends it.
struct Fixture {
    client: DuplexStream,
    service: DuplexStream,
    clock: ManualClock,
    stop: Option<oneshot::Sender<Stop>>,
    tunnel: JoinHandle<Ended>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(64 * 1024)
    }

    /// Each side takes so many bytes that nobody reads.
    fn with(room: usize) -> Self {
        Self::bounded(room, u64::MAX, IDLE)
    }

    /// The same with bounds for a message and for silence.
    fn bounded(room: usize, max_message: u64, idle: Duration) -> Self {
        let (client, ours) = tokio::io::duplex(room);
        let (service, theirs) = tokio::io::duplex(room);
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let (stop, stopped) = oneshot::channel();
        let terms = Terms {
            clock: Arc::new(clock.clone()),
            random: Arc::new(SystemRandom),
            idle,
            max_message,
            stop: Box::pin(async move {
                match stopped.await {
                    Ok(stop) => stop,
                    Err(_) => std::future::pending().await,
                }
            }),
        };
        let tunnel = Tunnel::new(TokioIo::new(ours), TokioIo::new(theirs), false, terms);
        Self {
            client,
            service,
            clock,
            stop: Some(stop),
            tunnel: tokio::spawn(tunnel),
        }
    }

    fn stop(&mut self, stop: Stop) {
        self.stop.take().unwrap().send(stop).unwrap();
    }

    /// Lets the tunnel do all that it can.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.settle().await;
    }

    async fn ended(self) -> Ended {
        let Self {
            client,
            service,
            tunnel,
            ..
        } = self;
        let ended = tunnel.await.unwrap();
        drop((client, service));
        ended
    }
}

/// A frame of a service, with content.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    if let Ok(length @ 0..=125) = u8::try_from(content.len()) {
        frame.push(length);
    } else {
        frame.push(126);
        frame.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    }
    frame.extend(content);
    frame
}

/// The same of a client, with a mask that changes nothing.
fn masked(first: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = frame(first, content);
    frame[1] |= 0x80;
    let at = frame.len() - content.len();
    frame.splice(at..at, [0; 4]);
    frame
}

async fn read(side: &mut DuplexStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    side.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn rest(side: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    side.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// The status of the close frame that `bytes` are.
fn status(bytes: &[u8]) -> u16 {
    let sender = if bytes[1] & 0x80 == 0 {
        Sender::Service
    } else {
        Sender::Client
    };
    let mut input = bytes;
    let Ok(Some(Piece::Control(Control::Close, close))) =
        Frames::new(sender, false, u64::MAX).next(&mut input)
    else {
        panic!("{bytes:?}");
    };
    assert!(input.is_empty(), "{bytes:?}");
    (1000..5000)
        .find(|status: &u16| {
            let begins = |reason: &str| close.says(&[&status.to_be_bytes(), reason.as_bytes()].concat());
            [
                "",
                "session ended",
                "server stops",
                "idle",
                "invalid frame",
                "invalid frame of the client",
                "invalid frame of the service",
                "message too long",
                "message of the client too long",
                "message of the service too long",
            ]
            .into_iter()
            .any(begins)
        })
        .unwrap()
}

#[tokio::test]
async fn frames_pass_in_both_directions() {
    let mut fixture = Fixture::new();
    let up = [
        masked(0x81, b"up"),
        masked(0x89, b"ping"),
        masked(0x82, &vec![7; 20_000]),
    ]
    .concat();
    let down = [frame(0x01, b"do"), frame(0x8a, b"ping"), frame(0x80, b"wn")].concat();
    fixture.client.write_all(&up).await.unwrap();
    fixture.service.write_all(&down).await.unwrap();
    assert_eq!(read(&mut fixture.service, up.len()).await, up);
    assert_eq!(read(&mut fixture.client, down.len()).await, down);
    // The closing handshake of the sides passes too, and ends the tunnel.
    let close = masked(0x88, &1000_u16.to_be_bytes());
    fixture.client.write_all(&close).await.unwrap();
    assert_eq!(read(&mut fixture.service, close.len()).await, close);
    let close = frame(0x88, &1000_u16.to_be_bytes());
    fixture.service.write_all(&close).await.unwrap();
    assert_eq!(rest(&mut fixture.client).await, close);
    assert_eq!(rest(&mut fixture.service).await, b"");
    assert_eq!(fixture.ended().await, Ended::BySide);
}

#[tokio::test]
async fn attack_48_the_end_of_the_session_closes_both_sides() {
    for (stop, of_client, why) in [
        (Stop::Session, 4401, Ended::Session),
        (Stop::Server, 1001, Ended::Server),
    ] {
        let mut fixture = Fixture::new();
        fixture.stop(stop);
        let close = read(&mut fixture.client, 2).await;
        let reason = read(&mut fixture.client, usize::from(close[1])).await;
        assert_eq!(status(&[close, reason].concat()), of_client);
        // Frames after it lead nowhere.
        let late = [masked(0x81, b"late"), masked(0x88, b"")].concat();
        fixture.client.write_all(&late).await.unwrap();
        fixture.service.write_all(&frame(0x81, b"late")).await.unwrap();
        fixture.service.write_all(&frame(0x88, b"")).await.unwrap();
        assert_eq!(status(&rest(&mut fixture.service).await), 1001);
        assert_eq!(rest(&mut fixture.client).await, b"");
        assert_eq!(fixture.ended().await, why);
    }
}

#[tokio::test]
async fn a_side_that_does_not_close_is_dropped() {
    let mut fixture = Fixture::new();
    fixture.stop(Stop::Session);
    fixture.settle().await;
    fixture.advance(Duration::from_millis(4_999)).await;
    assert!(!fixture.tunnel.is_finished());
    fixture.advance(Duration::from_millis(1)).await;
    assert_eq!(status(&rest(&mut fixture.client).await), 4401);
    assert_eq!(fixture.ended().await, Ended::Session);
}

#[tokio::test]
async fn a_cut_says_nothing() {
    let mut fixture = Fixture::new();
    fixture.stop(Stop::Cut);
    assert_eq!(rest(&mut fixture.client).await, b"");
    assert_eq!(rest(&mut fixture.service).await, b"");
    assert_eq!(fixture.ended().await, Ended::Cut);
}

#[tokio::test]
async fn our_close_frame_waits_for_the_end_of_a_frame() {
    let mut fixture = Fixture::new();
    let whole = frame(0x82, &[7; 1_000]);
    fixture.service.write_all(&whole[..500]).await.unwrap();
    assert_eq!(read(&mut fixture.client, 500).await, whole[..500]);
    fixture.stop(Stop::Session);
    fixture.settle().await;
    // The next frame does not pass any more.
    let more = [&whole[500..], &frame(0x81, b"next")].concat();
    fixture.service.write_all(&more).await.unwrap();
    assert_eq!(read(&mut fixture.client, whole.len() - 500).await, whole[500..]);
    fixture.client.write_all(&masked(0x88, b"")).await.unwrap();
    assert_eq!(status(&rest(&mut fixture.client).await), 4401);
}

/// It could take hours, and would carry what the session may not see any more.
#[tokio::test]
async fn attack_48_a_long_frame_is_cut_at_the_end_of_the_session() {
    let mut fixture = Fixture::new();
    let mut header = vec![0x82, 127];
    header.extend((LAST_FRAME + 101).to_be_bytes());
    fixture.service.write_all(&header).await.unwrap();
    fixture.service.write_all(&[7; 100]).await.unwrap();
    read(&mut fixture.client, header.len() + 100).await;
    fixture.stop(Stop::Session);
    fixture.settle().await;
    let _ = fixture.service.write_all(&[7; 1_000]).await;
    assert_eq!(rest(&mut fixture.client).await, b"");
}

#[tokio::test]
async fn invalid_frames_close_with_1002() {
    for request in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &frame(0x81, b"unmasked"),
        &masked(0x80, b""),
    ] {
        let mut fixture = Fixture::new();
        fixture.client.write_all(&masked(0x81, b"good")).await.unwrap();
        fixture.client.write_all(request).await.unwrap();
        // Without a word of what is invalid.
        let good = masked(0x81, b"good");
        assert_eq!(read(&mut fixture.service, good.len()).await, good);
        fixture.client.shutdown().await.unwrap();
        fixture.service.write_all(&frame(0x88, b"")).await.unwrap();
        assert_eq!(status(&rest(&mut fixture.client).await), 1002);
        assert_eq!(status(&rest(&mut fixture.service).await), 1001);
        assert!(matches!(fixture.ended().await, Ended::Client(_)));
    }
    let mut fixture = Fixture::new();
    fixture.service.write_all(&masked(0x81, b"masked")).await.unwrap();
    fixture.service.shutdown().await.unwrap();
    fixture.settle().await;
    fixture.client.write_all(&masked(0x88, b"")).await.unwrap();
    assert_eq!(status(&rest(&mut fixture.client).await), 1011);
    assert_eq!(status(&rest(&mut fixture.service).await), 1002);
    assert_eq!(fixture.ended().await, Ended::Service(Fault::Mask));
}

#[tokio::test]
async fn a_side_that_breaks_off_ends_the_other() {
    let mut fixture = Fixture::new();
    fixture
        .service
        .write_all(&frame(0x81, b"last words"))
        .await
        .unwrap();
    fixture.service.shutdown().await.unwrap();
    assert_eq!(rest(&mut fixture.client).await, frame(0x81, b"last words"));
    assert_eq!(fixture.ended().await, Ended::Broken);
    let mut fixture = Fixture::new();
    let (client, _) = tokio::io::duplex(1);
    drop(std::mem::replace(&mut fixture.client, client));
    assert_eq!(rest(&mut fixture.service).await, b"");
    assert_eq!(fixture.ended().await, Ended::Broken);
}

#[tokio::test]
async fn a_silent_side_gets_pings_and_its_answers_stay_here() {
    let mut fixture = Fixture::new();
    fixture.settle().await;
    for _ in 0..5 {
        fixture.advance(PING_AFTER).await;
        let ping = read(&mut fixture.client, 10).await;
        assert_eq!(ping[..2], [0x89, 8]);
        let answer = masked(0x8a, &ping[2..]);
        fixture.client.write_all(&answer).await.unwrap();
        let ping = read(&mut fixture.service, 14).await;
        assert_eq!(ping[..2], [0x89, 0x88]);
        let content: Vec<u8> = (0..8).map(|at| ping[6 + at] ^ ping[2 + at % 4]).collect();
        fixture.service.write_all(&frame(0x8a, &content)).await.unwrap();
        fixture.settle().await;
    }
    // Another pong passes, because it may answer a ping of the service.
    fixture
        .client
        .write_all(&masked(0x8a, b"of yours"))
        .await
        .unwrap();
    assert_eq!(read(&mut fixture.service, 14).await, masked(0x8a, b"of yours"));
}

#[tokio::test]
async fn a_side_that_answers_no_ping_is_gone() {
    let mut fixture = Fixture::new();
    for _ in 0..3 {
        fixture.settle().await;
        assert!(!fixture.tunnel.is_finished());
        // The client is there.
        fixture.client.write_all(&masked(0x8a, b"")).await.unwrap();
        fixture.advance(PING_AFTER).await;
    }
    assert_eq!(fixture.ended().await, Ended::Gone);
}

#[tokio::test]
async fn a_side_that_takes_nothing_is_gone() {
    let mut fixture = Fixture::with(256);
    let long = frame(0x82, &vec![7; 60_000]);
    let (_, other) = tokio::io::duplex(1);
    let mut service = std::mem::replace(&mut fixture.service, other);
    let writing = tokio::spawn(async move { service.write_all(&long).await });
    for _ in 0..3 {
        fixture.settle().await;
        fixture.advance(PING_AFTER).await;
    }
    assert_eq!(fixture.tunnel.await.unwrap(), Ended::Gone);
    assert!(writing.await.unwrap().is_err(), "the service was made to wait");
}

#[tokio::test]
async fn an_idle_tunnel_ends_after_a_day() {
    let mut fixture = Fixture::new();
    fixture.settle().await;
    // Both sides answer pings, and say nothing else.
    for _ in 0..IDLE.as_secs() / PING_AFTER.as_secs() - 1 {
        fixture.advance(PING_AFTER).await;
        let ping = read(&mut fixture.client, 10).await;
        fixture.client.write_all(&masked(0x8a, &ping[2..])).await.unwrap();
        let ping = read(&mut fixture.service, 14).await;
        let content: Vec<u8> = (0..8).map(|at| ping[6 + at] ^ ping[2 + at % 4]).collect();
        fixture.service.write_all(&frame(0x8a, &content)).await.unwrap();
        fixture.settle().await;
    }
    assert!(!fixture.tunnel.is_finished());
    fixture.advance(PING_AFTER).await;
    fixture.client.write_all(&masked(0x88, b"")).await.unwrap();
    fixture.service.write_all(&frame(0x88, b"")).await.unwrap();
    assert_eq!(status(&rest(&mut fixture.client).await), 1001);
    assert_eq!(fixture.ended().await, Ended::Idle);
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_with_1009() {
    // At once, or in pieces, with a ping between them. The frames that fit have passed.
    for (fitting, too_long) in [
        (vec![], (0x82, 101)),
        (vec![(0x02, 60), (0x89, 4), (0x00, 40)], (0x80, 1)),
    ] {
        let mut fixture = Fixture::bounded(64 * 1024, 100, IDLE);
        let passed: Vec<u8> = fitting
            .iter()
            .flat_map(|(first, length)| masked(*first, &vec![7; *length]))
            .collect();
        fixture.client.write_all(&passed).await.unwrap();
        fixture
            .client
            .write_all(&masked(too_long.0, &vec![7; too_long.1]))
            .await
            .unwrap();
        assert_eq!(read(&mut fixture.service, passed.len()).await, passed);
        fixture.settle().await;
        fixture.client.shutdown().await.unwrap();
        fixture.service.write_all(&frame(0x88, b"")).await.unwrap();
        assert_eq!(status(&rest(&mut fixture.service).await), 1009);
        assert_eq!(status(&rest(&mut fixture.client).await), 1009);
        assert_eq!(fixture.ended().await, Ended::Client(Fault::TooLong));

        let mut fixture = Fixture::bounded(64 * 1024, 100, IDLE);
        let passed: Vec<u8> = fitting
            .iter()
            .flat_map(|(first, length)| frame(*first, &vec![7; *length]))
            .collect();
        fixture.service.write_all(&passed).await.unwrap();
        fixture
            .service
            .write_all(&frame(too_long.0, &vec![7; too_long.1]))
            .await
            .unwrap();
        assert_eq!(read(&mut fixture.client, passed.len()).await, passed);
        fixture.service.shutdown().await.unwrap();
        fixture.settle().await;
        fixture.client.write_all(&masked(0x88, b"")).await.unwrap();
        assert_eq!(status(&rest(&mut fixture.client).await), 1009);
        assert_eq!(status(&rest(&mut fixture.service).await), 1009);
        assert_eq!(fixture.ended().await, Ended::Service(Fault::TooLong));
    }
}

/// Only a single message is bounded, never the sum of several.
#[tokio::test]
async fn messages_up_to_the_bound_pass() {
    let mut fixture = Fixture::bounded(64 * 1024, 100, IDLE);
    let all = [
        masked(0x82, &[7; 100]),
        masked(0x02, &[7; 50]),
        masked(0x80, &[7; 50]),
    ]
    .concat();
    for _ in 0..5 {
        fixture.client.write_all(&all).await.unwrap();
        assert_eq!(read(&mut fixture.service, all.len()).await, all);
    }
}

/// A length that no memory has is no reason to reserve any.
#[tokio::test]
async fn attack_19_a_huge_length_is_refused_before_its_content() {
    for length in [1_u64 << 31, 1 << 40, i64::MAX as u64] {
        let mut fixture = Fixture::bounded(64 * 1024, 10 << 20, IDLE);
        let header = [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        fixture.client.write_all(&header).await.unwrap();
        let close = read(&mut fixture.client, 2).await;
        let reason = read(&mut fixture.client, usize::from(close[1])).await;
        assert_eq!(status(&[close, reason].concat()), 1009);
    }
}

#[tokio::test]
async fn a_route_shortens_the_time_of_silence() {
    let idle = Duration::from_secs(10);
    let almost = Duration::from_millis(9_999);
    let mut fixture = Fixture::bounded(64 * 1024, u64::MAX, idle);
    fixture.settle().await;
    // Messages of either side keep it open.
    for at_client in [true, false, true] {
        fixture.advance(almost).await;
        if at_client {
            fixture.client.write_all(&masked(0x81, b"")).await.unwrap();
            read(&mut fixture.service, 6).await;
        } else {
            fixture.service.write_all(&frame(0x81, b"")).await.unwrap();
            read(&mut fixture.client, 2).await;
        }
        fixture.settle().await;
    }
    fixture.advance(almost).await;
    assert!(!fixture.tunnel.is_finished());
    fixture.advance(Duration::from_millis(1)).await;
    fixture.client.write_all(&masked(0x88, b"")).await.unwrap();
    fixture.service.write_all(&frame(0x88, b"")).await.unwrap();
    assert_eq!(status(&rest(&mut fixture.client).await), 1001);
    assert_eq!(status(&rest(&mut fixture.service).await), 1001);
    assert_eq!(fixture.ended().await, Ended::Idle);
}

/// No close frame of ours can follow half a frame.
#[tokio::test]
async fn half_a_frame_and_the_end_are_cut() {
    let whole = masked(0x82, &[7; 1_000]);
    for length in [1, 7, 500] {
        let mut fixture = Fixture::new();
        fixture.client.write_all(&whole[..length]).await.unwrap();
        fixture.client.shutdown().await.unwrap();
        // A header or a control frame passes only whole.
        let passed = if length < 8 { 0 } else { length };
        assert_eq!(rest(&mut fixture.service).await, whole[..passed]);
        assert_eq!(fixture.ended().await, Ended::Broken);
    }
}

proptest! {
    /// Whatever the sides send, in any pieces: the tunnel passes a beginning of it, and then at most a close frame of its
    /// own.
    #[test]
    fn a_side_gets_a_beginning_of_what_the_other_sent(
        lengths in proptest::collection::vec(0_usize..30_000, 0..5),
        junk in proptest::collection::vec(any::<u8>(), 0..20),
        size in 1_usize..5_000,
    ) {
        let mut sent: Vec<u8> = lengths.iter().flat_map(|length| frame(0x82, &vec![7; *length])).collect();
        let whole = sent.len();
        sent.extend(&junk);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let got = runtime.block_on(async {
            let mut fixture = Fixture::with(1_000);
            let (_, other) = tokio::io::duplex(1);
            let mut service = std::mem::replace(&mut fixture.service, other);
            let pieces = sent.clone();
            let writing = tokio::spawn(async move {
                for piece in pieces.chunks(size) {
                    if service.write_all(piece).await.is_err() {
                        break;
                    }
                }
                let _ = service.shutdown().await;
                let _ = service.read_to_end(&mut Vec::new()).await;
            });
            let mut got = vec![0; whole];
            fixture.client.read_exact(&mut got).await.unwrap();
            let _ = fixture.client.write_all(&masked(0x88, b"")).await;
            got.extend(rest(&mut fixture.client).await);
            writing.await.unwrap();
            got
        });
        prop_assert!(got[..whole] == sent[..whole]);
        let rest = &got[whole..];
        prop_assert!(sent[whole..].starts_with(rest) || rest.starts_with(&[0x88]) || rest.len() <= junk.len() + 32);
    }
}
