//! HTTP/2 as bytes (RFC 9113), for what no client library sends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The types of frames (RFC 9113 section 6).
pub const DATA: u8 = 0;
/// The head of a request or an answer.
pub const HEADERS: u8 = 1;
/// Without a meaning today (section 5.3.2).
pub const PRIORITY: u8 = 2;
/// The end of one stream.
pub const RST_STREAM: u8 = 3;
/// The limits of a side.
pub const SETTINGS: u8 = 4;
/// Asks for a sign of life.
pub const PING: u8 = 6;
/// The end of the connection.
pub const GOAWAY: u8 = 7;
/// Lets the other side send more.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// The answer to a ping, or to settings.
pub const ACK: u8 = 1;
/// The last frame of its side.
pub const END_STREAM: u8 = 1;
/// The head is complete.
pub const END_HEADERS: u8 = 4;
/// The content has a padding.
pub const PADDED: u8 = 8;
/// The head names a priority.
pub const PRIORITISED: u8 = 0x20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A good request.
pub const GOOD: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/public/x"),
    (":authority", "automate.localhost"),
];

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as literals that are never indexed and not compressed (RFC 7541 section 6.2.3).
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// The server's reaction to stream 1 or the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It answered.
    Answer {
        /// With 200.
        ok: bool,
    },
    /// With its error code.
    Reset(u32),
    /// With its error code.
    GoAway(u32),
    /// The connection has ended.
    Closed,
}

/// Whether a block of fields begins with `:status: 200` of the static table (RFC 7541), after updates of the table's size.
fn is_ok(block: &[u8]) -> bool {
    block.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88)
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

/// Sends `bytes` after the preface, and reads until the server has said something about them.
pub async fn http2(server: SocketAddr, bytes: Vec<u8>) -> Said {
    let (mut reader, mut writer) = TcpStream::connect(server).await.unwrap().into_split();
    let writing = tokio::spawn(async move {
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        // A server that has heard enough stops reading.
        let _ = writer.write_all(&begin).await;
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let said = loop {
        let mut head = [0; 9];
        if reader.read_exact(&mut head).await.is_err() {
            break Said::Closed;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if reader.read_exact(&mut payload).await.is_err() {
            break Said::Closed;
        }
        match head[3] {
            HEADERS => break Said::Answer { ok: is_ok(&payload) },
            RST_STREAM => break Said::Reset(code(&payload)),
            GOAWAY => {
                break Said::GoAway(code(&payload[4..]));
            }
            _ => {}
        }
    };
    writing.abort();
    said
}

/// A connection of a client, frame by frame.
pub struct Wire {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

/// A frame that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its content.
    pub payload: Vec<u8>,
}

// === impl Wire ===

impl Wire {
    /// Opens a connection, with the preface and these settings.
    pub async fn open(server: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::open_from(IpAddr::V4(Ipv4Addr::LOCALHOST), server, settings).await
    }

    /// The same from this address of the machine.
    pub async fn open_from(from: IpAddr, server: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        let (reader, writer) = socket.connect(server).await.unwrap().into_split();
        let mut wire = Self { reader, writer };
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat())
            .await;
        wire
    }

    /// Sends bytes, as far as the server takes them.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
    }

    /// Its two directions.
    pub fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.reader, self.writer)
    }

    /// The next frame. `None` at the end.
    pub async fn next(&mut self) -> Option<Came> {
        let mut head = [0; 9];
        self.reader.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.reader.read_exact(&mut payload).await.ok()?;
        Some(Came {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }

    /// The next frame of this type. The connection must not end before.
    pub async fn next_of(&mut self, kind: u8) -> Came {
        loop {
            match self.next().await {
                Some(came) if came.kind == kind => return came,
                Some(came) => assert_ne!(came.kind, GOAWAY, "{came:?}"),
                None => panic!("the connection has ended"),
            }
        }
    }

    /// Sends a ping, and waits for its answer: everything before it was read. What else came meanwhile.
    pub async fn settled(&mut self) -> Vec<Came> {
        let mut others = Vec::new();
        // A reset may be written after the first answer.
        for mark in [*b"settled1", *b"settled2"] {
            self.send(&frame(PING, 0, 0, &mark)).await;
            loop {
                match self.next().await {
                    Some(came) if came.kind == PING && came.payload == mark => break,
                    Some(came) => others.push(came),
                    None => return others,
                }
            }
        }
        others
    }

    /// The fate of the connection after these bytes. After an error of the connection it has to end.
    pub async fn fate(mut self, bytes: &[u8]) -> Fate {
        self.send(bytes).await;
        let came = self.settled().await;
        let code_of = |kind: u8, at: usize| {
            let frame = came.iter().find(|came| came.kind == kind)?;
            Some(code(&frame.payload[at..]))
        };
        if let Some(code) = code_of(GOAWAY, 4) {
            while self.next().await.is_some() {}
            return Fate::Ended(Some(code));
        }
        if let Some(code) = code_of(RST_STREAM, 0) {
            return Fate::Reset(code);
        }
        self.send(&frame(PING, 0, 0, b"still up")).await;
        loop {
            match self.next().await {
                Some(came) if came.kind == PING => return Fate::GoesOn,
                Some(_) => {}
                None => return Fate::Ended(None),
            }
        }
    }
}

/// The fate of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing happened to it.
    GoesOn,
    /// A stream was reset, with this code.
    Reset(u32),
    /// It has ended, perhaps with a code.
    Ended(Option<u32>),
}
