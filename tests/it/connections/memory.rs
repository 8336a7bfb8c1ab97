//! Files, bodies and floods of frames go through the server, and are never in its memory as a whole.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Harness, status_line};
use crate::support::{
    Stack,
    http2::{DATA, END_HEADERS, END_STREAM, GOOD, HEADERS, PING, SETTINGS, Wire, fields, frame},
};

const GIBIBYTE: u64 = 1 << 30;

/// As long as is enough to see a copy in memory.
const LONG: u64 = 1 << 28;

/// The memory that any of it may cost. It is far less than any of the bodies.
const FEW: u64 = 48 << 20;

/// Reads a head, and returns it with the number of bytes of the body that came with it.
async fn head(stream: &mut TcpStream) -> (String, u64) {
    let mut all = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..length]);
        if let Some(end) = all.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8(all[..end].to_vec()).unwrap();
            return (head, (all.len() - end - 4) as u64);
        }
    }
}

/// Reads to the end; how many bytes there were.
async fn rest(stream: &mut TcpStream) -> u64 {
    let mut piece = vec![0; 256 * 1024];
    let mut all = 0;
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        all += length as u64;
    }
    all
}

async fn write_zeros(stream: &mut TcpStream, length: u64) {
    let piece = vec![0; 256 * 1024];
    let mut left = length;
    while left > 0 {
        let now = usize::try_from(left.min(piece.len() as u64)).unwrap();
        if stream.write_all(&piece[..now]).await.is_err() {
            return;
        }
        left -= now as u64;
    }
}

/// Asks for a path with these fields; the head of the answer, and the length of its body.
async fn get(server: SocketAddr, path: &str, more: &str) -> (String, u64) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: automate.localhost\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, first) = head(&mut stream).await;
    let more = rest(&mut stream).await;
    (head.to_ascii_lowercase(), first + more)
}

/// A sparse file takes no place on the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_gibibyte_is_never_in_memory() {
    let site = tempfile::tempdir().unwrap();
    let file = File::create(site.path().join("large.bin")).unwrap();
    file.set_len(GIBIBYTE).unwrap();
    let routes = format!(
        "services:\n  page: {{ files: '{}' }}\nroutes:\n- {{ id: page, path: /*, target_service: page, auth: none }}\n",
        site.path().display()
    );
    let harness = Harness::of(Stack::builder().routes(&routes), "ulimit -n 4096", &[]).await;
    let server = harness.stack.address;
    let before = harness.bff.peak_memory();
    let (head, length) = get(server, "/large.bin", "").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(length, GIBIBYTE);
    for (range, begin, length) in [
        ("bytes=1-", 1, GIBIBYTE - 1),
        ("bytes=536870912-805306367", 1 << 29, 1 << 28),
        ("bytes=-7", GIBIBYTE - 7, 7),
    ] {
        let (head, got) = get(server, "/large.bin", &format!("Range: {range}\r\n")).await;
        assert!(head.starts_with("http/1.1 206 "), "{head}");
        let end = begin + length - 1;
        let field = format!("content-range: bytes {begin}-{end}/{GIBIBYTE}");
        assert!(head.contains(&field), "{head}");
        assert_eq!(got, length, "{range}");
    }
    let grown = harness.bff.peak_memory() - before;
    assert!(grown < FEW, "{grown} bytes more");
}

/// Takes any request, and answers it with as many bytes as its path says. A body is thrown away, and its length is told.
async fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (head, mut got) = head(&mut stream).await;
                let lower = head.to_ascii_lowercase();
                let length = lower
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let length: u64 = length.map_or(0, |length| length.parse().unwrap());
                let mut piece = vec![0; 256 * 1024];
                while got < length {
                    match stream.read(&mut piece).await {
                        Ok(more @ 1..) => got += more as u64,
                        _ => return,
                    }
                }
                let wanted: u64 = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
                let answer = format!("HTTP/1.1 200 OK\r\nX-Got: {got}\r\nContent-Length: {wanted}\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                write_zeros(&mut stream, wanted).await;
            });
        }
    });
    url
}

async fn with_an_endless_service() -> Harness {
    let routes = format!(
        "services:\n  api: {{ base_url: '{}', max_body: 1GiB }}\n  sample: {{ base_url: '{{api}}' }}\nroutes:\n\
         - {{ id: api, path: /long/*, target_service: api, auth: none, csrf: false }}\n\
         - {{ id: sample, path: /api/*, target_service: sample }}\n",
        endless().await
    );
    Harness::of(Stack::builder().routes(&routes), "ulimit -n 4096", &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_bodies_are_never_in_memory() {
    let harness = with_an_endless_service().await;
    let server = harness.stack.address;
    let before = harness.bff.peak_memory();
    let (head, length) = get(server, &format!("/long/{LONG}"), "").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(length, LONG);
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!(
        "POST /long/0 HTTP/1.1\r\nHost: automate.localhost\r\nConnection: close\r\nContent-Length: {LONG}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    write_zeros(&mut stream, LONG).await;
    let (head, _) = self::head(&mut stream).await;
    assert!(
        head.to_ascii_lowercase().contains(&format!("x-got: {LONG}")),
        "{head}"
    );
    let grown = harness.bff.peak_memory() - before;
    assert!(grown < FEW, "{grown} bytes more");
}

/// Clients of HTTP/2 that make the server answer and read nothing, or open every stream and no window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_37_floods_of_http_2_fill_no_memory() {
    const EACH: usize = 32 << 20;
    // The server gives each address a share of its requests.
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

    let harness = with_an_endless_service().await;
    let server = harness.stack.address;
    let ada = harness.browser();
    ada.log_in().await;
    let before = harness.bff.peak_memory();
    let post = {
        let mut list = GOOD;
        list[0] = (":method", "POST");
        list[2] = (":path", "/long/0");
        fields(&list)
    };
    let get = {
        let mut list = GOOD;
        list[2] = (":path", "/long/268435456");
        fields(&list)
    };
    let ping = frame(PING, 0, 0, &[7; 8]);
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]);
    let all_streams = (0..120).flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &get));
    let empty = frame(DATA, 0, 1, &[]);
    for (first, repeated) in [
        (Vec::new(), ping),
        (Vec::new(), settings),
        (all_streams.collect(), Vec::new()),
        (frame(HEADERS, END_HEADERS, 1, &post), empty),
    ] {
        let mut clients = Vec::new();
        for _ in 0..5 {
            let (reader, mut writer) = Wire::open_from(ELSEWHERE, server, &[]).await.split();
            let (first, repeated) = (first.clone(), repeated.clone());
            let writing = tokio::spawn(async move {
                let mut sent = writer.write_all(&first).await;
                let piece = repeated.repeat(1_000);
                let mut left = if piece.is_empty() { 0 } else { EACH / piece.len() };
                while left > 0 && sent.is_ok() {
                    sent = writer.write_all(&piece).await;
                    left -= 1;
                }
                writer
            });
            clients.push((reader, writing));
        }
        // People and probes are served meanwhile.
        for _ in 0..20 {
            assert!(status_line(server, "/health/live").await.contains("200"));
            let reply = ada.get("/api/hello").await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        }
        for (_, writing) in clients {
            writing.abort();
        }
    }
    let grown = harness.bff.peak_memory() - before;
    assert!(grown < FEW, "{grown} bytes more");
}
