//! Without sockets, so that the runtime's time can be moved.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use http::Request;
use hyper::rt::Timer as _;
use hyper_util::rt::TokioTimer;

use super::{
    accept::{builder, connection, look_after},
    register::Register,
    *,
};

/// How long a client may say nothing, or be slow with its first bytes.
const FIRST_REQUEST: Duration = Duration::from_secs(15);

/// How long an unused connection is kept, of a listed proxy and of others.
const KEEP_ALIVE: Duration = Duration::from_secs(125);
const IDLE: Duration = Duration::from_secs(20);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers with so many bytes.
struct Bytes(usize);

impl Answer for Bytes {
    fn for_peer(&self, _: SocketAddr) -> Self {
        Self(self.0)
    }

    async fn answer(&self, request: Request<Body>, _: Load) -> Response {
        let (head, body) = request.into_parts();
        if head.method == http::Method::POST {
            let _ = axum::body::to_bytes(body, usize::MAX).await;
        }
        Response::new(Body::from("o".repeat(self.0)))
    }
}

/// A connection of a stranger, or of a listed proxy, to a server that answers with this many bytes.
fn connect_to(bytes: usize, listed: bool) -> DuplexStream {
    let (client, server) = tokio::io::duplex(256 * 1024);
    let register = Register::new(Options {
        connections: 10,
        per_address: 10,
        keep_alive: KEEP_ALIVE,
        is_listed: Arc::new(move |_| listed),
        finish: Duration::from_secs(20),
    });
    let place = register.admit(IpAddr::from([192, 0, 2, 1]));
    let connection = connection(&builder(), server, place, Bytes(bytes));
    tokio::spawn(async move {
        tokio::select! {
            () = connection => {}
            () = look_after(&register) => {}
        }
    });
    client
}

fn connect() -> DuplexStream {
    connect_to(2, false)
}

async fn seconds(seconds: u64) {
    TokioTimer::new().sleep(Duration::from_secs(seconds)).await;
}

/// The server's output until it closes the connection, and the time of the close.
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

/// Tells after which time the server closes the connection.
async fn closed_after(client: &mut DuplexStream) -> Duration {
    all(client).await.1
}

#[track_caller]
fn is_about(time: Duration, expected: Duration) {
    assert!(
        time >= expected && time <= expected + Duration::from_secs(2),
        "{time:?}, not {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn attack_37_only_a_listed_proxy_keeps_idle_connections() {
    for (listed, limit) in [(false, IDLE), (true, KEEP_ALIVE)] {
        let mut client = connect_to(2, listed);
        client.write_all(REQUEST).await.unwrap();
        seconds(limit.as_secs() - 5).await;
        client.write_all(REQUEST).await.unwrap();
        let (said, after) = all(&mut client).await;
        assert_eq!(said.matches("200 OK").count(), 2);
        is_about(after, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_dials_ahead_finds_its_connection_open() {
    is_about(closed_after(&mut connect_to(2, true)).await, KEEP_ALIVE);
    let mut proxy = connect_to(2, true);
    seconds(KEEP_ALIVE.as_secs() - 1).await;
    proxy.write_all(REQUEST).await.unwrap();
    assert!(all(&mut proxy).await.0.contains("200 OK"));
    // A direct client has not this long to begin.
    is_about(closed_after(&mut connect()).await, FIRST_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_reads_before_it_closes_connections() {
    let mut client = connect();
    client.write_all(REQUEST).await.unwrap();
    seconds(1).await;
    tokio::time::advance(2 * IDLE).await;
    client.write_all(REQUEST).await.unwrap();
    let (said, after) = all(&mut client).await;
    assert_eq!(said.matches("200 OK").count(), 2);
    is_about(after, IDLE);
}

#[tokio::test(start_paused = true)]
async fn attack_37_the_head_of_every_request_has_the_same_bound() {
    for listed in [false, true] {
        let mut client = connect_to(2, listed);
        for _ in 0..3 {
            client.write_all(REQUEST).await.unwrap();
            seconds(10).await;
        }
        client.write_all(b"GET / HTTP/1.1\r\nX-").await.unwrap();
        let begun = TokioTimer::new().now();
        let (mut reader, mut writer) = tokio::io::split(client);
        let trickling = async {
            while writer.write_all(b"a").await.is_ok() {
                seconds(1).await;
            }
        };
        let reading = async {
            let mut said = Vec::new();
            reader.read_to_end(&mut said).await.unwrap();
        };
        tokio::join!(trickling, reading);
        is_about(TokioTimer::new().now() - begun, FIRST_REQUEST);
    }
}

#[tokio::test(start_paused = true)]
async fn attack_37_an_answer_that_nobody_reads_is_given_up() {
    let (mut client, begun) = (connect_to(4 << 20, true), TokioTimer::new().now());
    client.write_all(REQUEST).await.unwrap();
    // An answer that is read now and then is not given up.
    let mut piece = vec![0; 300 * 1024];
    for _ in 0..5 {
        seconds(50).await;
        client.read_exact(&mut piece).await.unwrap();
    }
    assert!(TokioTimer::new().now() - begun > Duration::from_secs(249));
    // The rest waits until it is too late for all of it.
    seconds(65).await;
    let (said, after) = all(&mut client).await;
    assert!(said.len() < 1 << 20, "{}", said.len());
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_answer_that_is_read_slowly_arrives() {
    let mut client = connect_to(300 * 1024, false);
    client.write_all(REQUEST).await.unwrap();
    seconds(50).await;
    let (said, _) = all(&mut client).await;
    assert!(said.ends_with(&"o".repeat(300 * 1024)));
}

#[tokio::test]
async fn a_header_as_large_as_people_have_is_taken() {
    let mut client = connect();
    let value = "x".repeat(64 * 1024 / 200 - 12);
    let fields: Vec<String> = (0..199).map(|at| format!("X-{at:03}: {value}\r\n")).collect();
    let fields = fields.concat();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    assert!(request.len() > 62 * 1024);
    client.write_all(request.as_bytes()).await.unwrap();
    let (said, _) = all(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said:?}");
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let mut client = connect();
    // The library may read some more than it is told, where its buffer has room.
    let header = format!(
        "GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n",
        "x".repeat(2 * crate::head::READ_BYTES)
    );
    // The answer comes before all is written.
    let _ = client.write_all(header.as_bytes()).await;
    let (said, _) = all(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");

    let mut client = connect();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Many: x\r\n".repeat(5_000));
    client.write_all(many.as_bytes()).await.unwrap();
    let (said, _) = all(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");
}

/// A request whose body the server does not want.
fn unwanted(fields: &str) -> Vec<u8> {
    format!("PUT / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_short_body_that_nobody_wants_is_read() {
    for (listed, limit) in [(false, IDLE), (true, KEEP_ALIVE)] {
        let mut client = connect_to(2, listed);
        for _ in 0..3 {
            client
                .write_all(&unwanted("Content-Length: 65536"))
                .await
                .unwrap();
            seconds(5).await;
            client.write_all("x".repeat(65_536).as_bytes()).await.unwrap();
        }
        client.write_all(REQUEST).await.unwrap();
        let (said, after) = all(&mut client).await;
        assert_eq!(said.matches("200 OK").count(), 4);
        assert!(!said.contains("connection:"), "{said}");
        is_about(after, limit);
    }
}

/// It is too long, its length is unknown, the client waits for permission to send it, or wants no further answer.
#[tokio::test(start_paused = true)]
async fn an_answer_says_that_the_rest_of_a_body_is_not_read() {
    for fields in [
        "Content-Length: 65537",
        "Transfer-Encoding: chunked",
        "Content-Length: 5\r\nExpect: 100-continue",
        "Content-Length: 5\r\nConnection: close",
    ] {
        let mut client = connect();
        client.write_all(&unwanted(fields)).await.unwrap();
        let (said, after) = all(&mut client).await;
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{fields}: {said}");
        assert!(said.contains("connection: close"), "{fields}: {said}");
        assert_eq!(after, Duration::ZERO, "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn attack_37_the_rest_of_a_body_is_waited_for_a_limited_time() {
    let mut client = connect();
    client.write_all(&unwanted("Content-Length: 5")).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(client);
    let trickling = async {
        seconds(10).await;
        let _ = writer.write_all(b"x").await;
    };
    let begun = TokioTimer::new().now();
    let reading = async {
        let mut said = Vec::new();
        reader.read_to_end(&mut said).await.unwrap();
    };
    tokio::join!(trickling, reading);
    is_about(TokioTimer::new().now() - begun, FIRST_REQUEST);
}

/// Switches protocols, and echoes until it is told to end.
struct Switching;

impl Answer for Switching {
    fn for_peer(&self, _: SocketAddr) -> Self {
        Self
    }

    async fn answer(&self, mut request: Request<Body>, _: Load) -> Response {
        let stay = request.extensions_mut().remove::<Stay>().unwrap();
        let upgrade = hyper::upgrade::on(request);
        let (told, stayed) = (stay.told(), stay.stay());
        tokio::spawn(async move {
            let mut io = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
            let mut piece = [0; 16];
            let echo = async {
                while let Ok(length @ 1..) = io.read(&mut piece).await {
                    io.write_all(&piece[..length]).await.unwrap();
                }
            };
            tokio::select! {
                () = echo => {}
                order = told => io.write_all(format!("{order:?}").as_bytes()).await.unwrap(),
            }
            drop(stayed);
        });
        let answer = http::Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "echo");
        answer.body(Body::empty()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_switched_counts_until_its_end() {
    let (mut client, server) = tokio::io::duplex(1024);
    let register = Register::new(Options {
        connections: 10,
        per_address: 10,
        keep_alive: KEEP_ALIVE,
        is_listed: Arc::new(|_| false),
        finish: Duration::from_secs(20),
    });
    let place = register.admit(IpAddr::from([192, 0, 2, 1]));
    let known = Arc::clone(&place.connection);
    let looking = Arc::clone(&register);
    tokio::spawn(async move { look_after(&looking).await });
    tokio::spawn(connection(&builder(), server, place, Switching));
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(upgrade).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    // Longer than any unused connection is kept.
    for _ in 0..5 {
        seconds(KEEP_ALIVE.as_secs()).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
        assert_eq!(known.requests(), 1);
    }
    register.tasks().close();
    register.finish_all();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "Finish");
    register.tasks().wait().await;
    assert_eq!(known.requests(), 0);
}
