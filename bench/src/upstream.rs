//! An upstream of streams that are mostly silent, of WebSockets that are silent, and of long bodies. It does so little that
//! the server before it is the one that is measured.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bff::clock::{Clock as _, SystemClock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::Result;

/// The interval of the comments of a stream, as is usual for services.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Bytes of a body that are read or written at a time.
pub(super) const PIECE: usize = 256 * 1024;

/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Serves until the process ends.
pub(super) async fn serve(port: u16) -> Result<()> {
    bff::server::raise_open_files()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // The other side went away.
            let _ = connection(stream).await;
        });
    }
}

/// Serves one connection. `/events` is a stream, and `/bytes/N` a body of N bytes.
async fn connection(mut stream: TcpStream) -> Result<()> {
    let mut read = Vec::new();
    loop {
        let length = head(&mut stream, &mut read).await?;
        let head = String::from_utf8(read.drain(..length).collect())?;
        if let Some(key) = field(&head, "sec-websocket-key") {
            return web_socket(stream, key).await;
        }
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if path.ends_with("/events") {
            return events(stream).await;
        }
        let length = field(&head, "content-length").map_or(Ok(0), str::parse)?;
        let mut left = usize::saturating_sub(length, read.len());
        read.drain(..length.min(read.len()));
        let mut piece = vec![0; PIECE.min(left)];
        while left > 0 {
            let wanted = piece.len().min(left);
            match stream.read(&mut piece[..wanted]).await? {
                0 => return Ok(()),
                read => left -= read,
            }
        }
        let wanted = match path.rsplit_once("/bytes/") {
            Some((_, number)) if method == "GET" => number.parse()?,
            _ => 0,
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {wanted}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        send(&mut stream, wanted).await?;
    }
}

/// Sends a body of `length` bytes.
async fn send(stream: &mut TcpStream, length: usize) -> Result<()> {
    let piece = vec![0; PIECE.min(length)];
    let mut left = length;
    while left > 0 {
        let now = left.min(piece.len());
        stream.write_all(&piece[..now]).await?;
        left -= now;
    }
    Ok(())
}

/// A stream of events that says something once, and then that it lives.
async fn events(mut stream: TcpStream) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nd\r\ndata: hello\n\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    loop {
        SystemClock.sleep(HEARTBEAT).await;
        stream.write_all(b"3\r\n:\n\n\r\n").await?;
    }
}

/// A WebSocket that takes everything and says nothing.
async fn web_socket(mut stream: TcpStream, key: &str) -> Result<()> {
    let accept = STANDARD.encode(digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{MAGIC}").as_bytes(),
    ));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut frames = [0; 256];
    while stream.read(&mut frames).await? > 0 {}
    Ok(())
}

/// Reads until a head is complete; its length.
pub(super) async fn head(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<usize> {
    loop {
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            return Ok(end + 4);
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await? {
            0 => return Err("a connection ended before a head".into()),
            length => read.extend_from_slice(&piece[..length]),
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (this, value) = line.split_once(':')?;
        this.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
